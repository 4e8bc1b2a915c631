//! Pictures of figures and films, as SVG and PNG.
//!
//! Names, numbers and pixels go in, a [`Picture`] comes out; this crate knows no files and no models. Every picture is
//! drawn once, as SVG; its texts become outlines of an embedded font, so that neither the SVG nor the PNG needs a font
//! of the system, and the same input gives the same bytes. Colours are those of Okabe and Ito (2008), and no difference
//! is told by colour alone. Every picture says that lungfish is a research tool, and that its films are drawn where they
//! are.
//!
//! Text may be anything: control characters are dropped, what the font lacks (emoji, Chinese) is shown as `�`, and what
//! is too long is shortened with an ellipsis. Numbers may be anything too: those that are not finite are left out.
//!
//! ```
//! use lungfish_pictures::{Heading, confusion_matrix};
//!
//! let heading = Heading { title: "Confusion matrix".into(), subtitle: None, drawn: false };
//! let classes = ["NORMAL".to_string(), "PNEUMONIA".to_string()];
//! let picture = confusion_matrix(&heading, &classes, &[vec![198, 36], vec![6, 384]])?;
//! assert!(picture.svg().starts_with("<svg"));
//! assert!(picture.png()?.starts_with(b"\x89PNG"));
//! # Ok::<(), lungfish_pictures::PictureError>(())
//! ```

#![forbid(unsafe_code)]

mod axis;
mod canvas;
mod classify;
mod confusion;
mod curves;
mod encode;
mod film;
mod font;
mod grid;
mod legend;
mod overview;
mod page;
mod palette;
mod picture;
mod roc;

pub use axis::percent;
pub use classify::classify;
pub use confusion::confusion_matrix;
pub use curves::{Epoch, learning_curves};
pub use encode::is_picture;
pub use film::Film;
pub use grid::{Tile, Tone, film_grid, film_pairs};
pub use overview::{ClassOverview, overview};
pub use page::Heading;
pub use picture::Picture;
pub use roc::{Curve, precision_recall, roc};

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// There is nothing to draw.
    #[error("a picture of {picture} needs at least one {missing}")]
    Empty {
        /// What was to be drawn.
        picture: &'static str,
        /// What there is none of.
        missing: &'static str,
    },
    /// A film's pixels are not what its size says.
    #[error(
        "a film of {width} x {height} pixels with {channels} channels cannot be drawn from {bytes} bytes: a film has 1 or 3 \
         channels of one byte a pixel, and at least one pixel"
    )]
    Film {
        /// Pixels a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Bytes a pixel.
        channels: usize,
        /// Bytes there are.
        bytes: usize,
    },
    /// The counts are not one row and one column a class.
    #[error("a confusion matrix of {classes} classes needs {classes} rows of {classes} counts")]
    Counts {
        /// How many classes there are.
        classes: usize,
    },
    /// More than a viewer opens.
    #[error(
        "the picture would be {width} x {height} pixels; the largest drawn is {max} a side, so draw fewer at a time"
    )]
    TooLarge {
        /// Pixels a row.
        width: u32,
        /// Rows.
        height: u32,
        /// The largest side.
        max: u32,
    },
    /// The drawing cannot be read as SVG.
    #[error("the drawing cannot be read as SVG: {0}")]
    Svg(#[from] resvg::usvg::Error),
    /// The PNG cannot be written.
    #[error("the PNG cannot be written: {0}")]
    Png(#[from] png::EncodingError),
}
