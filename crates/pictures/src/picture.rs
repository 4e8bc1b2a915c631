//! From a drawing to SVG and PNG.

use std::{fmt, sync::Arc};

use resvg::{
    tiny_skia::{Color, Pixmap, Transform},
    usvg::{ImageHrefResolver, Indent, Options, Tree, WriteOptions},
};

use crate::{PictureError, canvas::escape, encode::encode, font};

/// The largest side of a picture in pixels.
const MAX_SIDE: u32 = 16_384;
/// Pixels a metre for 144 dots an inch: a picture of 1,100 pixels fills the width of a printed page.
const PIXELS_A_METRE: u32 = 5_669;

/// A drawn picture. [`Picture::svg`] and [`Picture::png`] are the same drawing.
#[derive(Clone)]
pub struct Picture {
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
    /// Takes the elements of a drawing of `width` x `height` pixels; `title` and `description` are for who cannot see it.
    pub(crate) fn new(
        (width, height): (u32, u32),
        body: &str,
        title: &str,
        description: &str,
    ) -> Result<Picture, PictureError> {
        check_size(f64::from(width), f64::from(height))?;
        let drawing = format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="{}"><rect width="{width}" height="{height}" fill="#ffffff"/>{body}</svg>"##,
            font::FAMILY
        );
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
        let tree = Tree::from_str(&drawing, &options)?;
        let written = tree.to_string(&WriteOptions {
            coordinates_precision: 2,
            transforms_precision: 5,
            // Several pictures in one page must not share names.
            id_prefix: Some(format!("p{:016x}-", fingerprint(drawing.as_bytes()))),
            indent: Indent::None,
            ..WriteOptions::default()
        });
        // usvg drops what is not drawn: the words for screen readers, and the box by which a page scales the picture.
        let inside = written.find('>').map_or(written.len(), |end| end + 1);
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" width=\"{width}\" \
             height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\"><title>{}</title><desc>{}</desc>{}",
            escape(&font::clean(title)),
            escape(&font::clean(description)),
            &written[inside..]
        );
        Ok(Picture { svg, tree: Arc::new(tree), size: (width, height) })
    }

    /// The picture as SVG: text as outlines, films inside, nothing referred to outside it.
    pub fn svg(&self) -> &str {
        &self.svg
    }

    /// The picture as PNG (no transparency), of [`Picture::size`] pixels.
    ///
    /// # Errors
    /// [`PictureError::Png`] if the encoder refuses, [`PictureError::TooLarge`] if there is no memory for the pixels.
    pub fn png(&self) -> Result<Vec<u8>, PictureError> {
        let (width, height) = self.size;
        let mut pixmap = Pixmap::new(width, height).ok_or(PictureError::TooLarge { width, height, max: MAX_SIDE })?;
        pixmap.fill(Color::WHITE);
        resvg::render(&self.tree, Transform::default(), &mut pixmap.as_mut());
        // The ground is opaque, so premultiplied colours are colours.
        let rgb: Vec<u8> = pixmap.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        encode((width, height), &rgb, 3, Some(PIXELS_A_METRE))
    }

    /// Width and height in pixels, of the SVG as of the PNG.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }
}

/// Refuses a picture of a size that no viewer opens, before anything is drawn.
pub(crate) fn check_size(width: f64, height: f64) -> Result<(), PictureError> {
    if width.max(height) <= f64::from(MAX_SIDE) {
        return Ok(());
    }
    Err(PictureError::TooLarge { width: width as u32, height: height as u32, max: MAX_SIDE })
}

/// FNV-1a: the same for the same bytes, on every machine.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
