//! From a drawing to SVG, PNG and PDF.

use std::{fmt, sync::Arc};

use resvg::{
    tiny_skia::{Color, Pixmap, Transform},
    usvg::{ImageHrefResolver, Options, Tree},
};

use crate::{PictureError, canvas::Mark, encode::encode, font, pdf, print::Print, svg};

/// The largest side of a picture in pixels.
pub(crate) const MAX_SIDE: u32 = 16_384;
/// Pixels a metre for 144 dots an inch: a picture of 1,100 pixels fills the width of a printed page.
const PIXELS_A_METRE: u32 = 5_669;
/// Dots an inch of [`PIXELS_A_METRE`].
const DPI: f64 = 144.0;

/// A drawn picture. [`Picture::svg`], [`Picture::png`] and [`Picture::pdf`] are the same drawing.
#[derive(Clone)]
pub struct Picture {
    marks: Arc<[Mark]>,
    title: String,
    svg: String,
    tree: Arc<Tree>,
    size: (u32, u32),
}

impl fmt::Debug for Picture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Picture").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Picture {
    /// Takes the marks of a drawing of `width` x `height` pixels; `title` and `description` are for who cannot see it.
    pub(crate) fn new(
        (width, height): (u32, u32),
        marks: Vec<Mark>,
        title: &str,
        description: &str,
    ) -> Result<Picture, PictureError> {
        check_size(f64::from(width), f64::from(height))?;
        let size = (width, height);
        let body = svg::body(size, &marks, 1.0)?;
        let tree = tree(size, &body)?;
        let svg = svg::whole(size, &body, &marks, title, description);
        Ok(Picture { marks: marks.into(), title: font::clean(title), svg, tree: Arc::new(tree), size })
    }

    /// The picture as SVG: texts are texts, which can be selected and searched; the letters they need and the films are
    /// inside, and nothing is referred to outside it. A viewer that passes over fonts in an SVG takes Noto Sans of the
    /// system, or what it has instead.
    pub fn svg(&self) -> &str {
        &self.svg
    }

    /// The picture as PNG (no transparency), of [`Picture::size`] pixels.
    ///
    /// # Errors
    /// [`PictureError::Png`] if the encoder refuses, [`PictureError::TooLarge`] if there is no memory for the pixels.
    pub fn png(&self) -> Result<Vec<u8>, PictureError> {
        rendered(&self.tree, self.size, PIXELS_A_METRE)
    }

    /// The picture as PNG for paper: as wide as `print` says, lines and letters drawn anew at its density, and films with
    /// all of their pixels that it has room for. The file says its density, so that it is as wide wherever it is put.
    ///
    /// # Errors
    /// As [`Picture::png`]; [`PictureError::TooLarge`] too where a side of the print has too many pixels.
    pub fn png_at(&self, print: Print) -> Result<Vec<u8>, PictureError> {
        let (width, height) = (f64::from(self.size.0), f64::from(self.size.1));
        let scale = print.pixels() / width;
        check_size(print.pixels(), height * scale)?;
        let tree = tree(self.size, &svg::body(self.size, &self.marks, scale.max(1.0))?)?;
        let pixels = [width, height].map(|side| (side * scale).round().max(1.0) as u32);
        rendered(&tree, pixels.into(), print.pixels_a_metre())
    }

    /// The picture as PDF: one page `width_mm` millimetres wide and as high as the picture then is, texts that can be
    /// selected and searched, fonts and films inside. Films have the pixels for 300 dots an inch, if they have so many.
    ///
    /// # Errors
    /// [`PictureError::Print`] for a width that no page has, [`PictureError::Png`] if a film cannot be encoded.
    pub fn pdf(&self, width_mm: f64) -> Result<Vec<u8>, PictureError> {
        let print = Print::new(width_mm, Print::DPI)?;
        pdf::write(self.size, &self.marks, &self.title, print)
    }

    /// Width and height in pixels, of the SVG as of the PNG.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// How wide the PNG says it is on paper, in millimetres.
    pub fn width_mm(&self) -> f64 {
        f64::from(self.size.0) / DPI * 25.4
    }
}

fn tree(size: (u32, u32), body: &str) -> Result<Tree, PictureError> {
    let options = Options {
        font_family: font::FAMILY.to_owned(),
        fontdb: font::database(),
        // Nothing outside the drawing is ever read.
        image_href_resolver: ImageHrefResolver {
            resolve_data: ImageHrefResolver::default_data_resolver(),
            resolve_string: Box::new(|_, _| None),
        },
        ..Options::default()
    };
    Ok(Tree::from_str(&svg::bare(size, body), &options)?)
}

/// The tree in so many pixels.
fn rendered(tree: &Tree, (width, height): (u32, u32), density: u32) -> Result<Vec<u8>, PictureError> {
    let mut pixmap = Pixmap::new(width, height).ok_or(PictureError::TooLarge { width, height, max: MAX_SIDE })?;
    pixmap.fill(Color::WHITE);
    let (own_width, own_height) = (tree.size().width(), tree.size().height());
    let transform = Transform::from_scale(width as f32 / own_width, height as f32 / own_height);
    resvg::render(tree, transform, &mut pixmap.as_mut());
    // The ground is opaque, so premultiplied colours are colours.
    let rgb: Vec<u8> = pixmap.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    encode((width, height), &rgb, 3, Some(density))
}

/// Refuses a picture of a size that no viewer opens, before anything is drawn.
pub(crate) fn check_size(width: f64, height: f64) -> Result<(), PictureError> {
    if width.max(height) <= f64::from(MAX_SIDE) {
        return Ok(());
    }
    Err(PictureError::TooLarge { width: width as u32, height: height as u32, max: MAX_SIDE })
}
