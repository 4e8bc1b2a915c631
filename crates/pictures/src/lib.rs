//! Pictures of metrics and films, as SVG, PNG and PDF.
//!
//! Names, numbers and pixels go in, a [`Picture`] comes out; this crate knows no files and no models. Every picture is
//! drawn once, as a list of marks, and written down as asked. Its texts stay texts in SVG and PDF, with the letters of
//! an embedded font that they need, so that no format needs a font of the system, and the same input gives the same
//! bytes. Colours are those of Okabe and Ito (2008), and no difference
//! is told by colour alone. Every picture says that lungfish is a research tool, and that its films are synthetic where
//! they are.
//!
//! Text may be anything: control characters are dropped, what the font lacks (emoji, Chinese) is shown as `�`, and what
//! is too long is shortened with an ellipsis. Numbers may be anything too: those that are not finite are left out.
//!
//! ```
//! use lungfish_pictures::{Heading, Print, confusion_matrix};
//!
//! let heading = Heading { title: "Confusion matrix".into(), subtitle: None, synthetic: false };
//! let classes = ["NORMAL".to_string(), "PNEUMONIA".to_string()];
//! let picture = confusion_matrix(&heading, &classes, &[vec![198, 36], vec![6, 384]])?;
//! assert!(picture.svg().starts_with("<svg"));
//! assert!(picture.png()?.starts_with(b"\x89PNG"));
//! // For a journal: one column of 85 mm at 300 dots an inch, and the page as PDF.
//! assert!(picture.png_at(Print::new(85.0, 300)?)?.starts_with(b"\x89PNG"));
//! assert!(picture.pdf(picture.width_mm())?.starts_with(b"%PDF"));
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
mod forest;
mod grid;
mod heat;
mod legend;
mod overview;
mod page;
mod palette;
mod pdf;
mod picture;
mod print;
mod range;
mod roc;
mod subset;
mod svg;
mod trials;
mod worth;

pub use axis::percent;
pub use classify::{HeatPanel, classify, classify_with_heat};
pub use confusion::confusion_matrix;
pub use curves::{Augmented, Epoch, learning_curves};
pub use encode::is_picture;
pub use film::Film;
pub use forest::{ForestGroup, ForestLine, ForestRow, forest};
pub use grid::{Tile, Tone, film_grid, film_pairs, heat_grid};
pub use heat::{Heat, HeatScale};
pub use overview::{ClassOverview, overview};
pub use page::Heading;
pub use picture::Picture;
pub use print::Print;
pub use range::{RangeStep, lr_range};
pub use roc::{Curve, precision_recall, roc};
pub use trials::{TrialPanel, TrialPoint, trials};
pub use worth::{Benefit, ReliabilityBin, decision_curve, reliability};

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
    /// A map's values are not one a cell.
    #[error("a map of {rows} x {columns} cells cannot be drawn from {values} values")]
    Heat {
        /// Rows of cells.
        rows: usize,
        /// Cells in a row.
        columns: usize,
        /// Values there are.
        values: usize,
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
    /// No paper is so wide, or no printer so fine.
    #[error(
        "a print of {width_mm} mm at {dpi} dots an inch cannot be made: a print is 10 to 2000 mm wide, at 36 to 2400 dots"
    )]
    Print {
        /// The width asked for, in millimetres.
        width_mm: f64,
        /// Dots an inch.
        dpi: u32,
    },
    /// The drawing cannot be read as SVG.
    #[error("the drawing cannot be read as SVG: {0}")]
    Svg(#[from] resvg::usvg::Error),
    /// The PNG cannot be written.
    #[error("the PNG cannot be written: {0}")]
    Png(#[from] png::EncodingError),
}
