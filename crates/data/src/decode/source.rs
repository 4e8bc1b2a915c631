//! What a film's file holds, before it becomes the pixels that were asked for.

use std::fmt;

use serde::Serialize;

/// The kind of picture that a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Source {
    /// `JPEG`, `PNG`, `TIFF` or `BMP`.
    pub format: &'static str,
    /// What a pixel is in the file.
    pub mode: Mode,
    /// Bits a sample; of a palette, bits an index.
    pub bits: u8,
}

/// What a pixel is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Mode {
    /// One sample.
    #[serde(rename = "gray")]
    Gray,
    /// One sample and others that are no light, such as transparency.
    #[serde(rename = "gray+alpha")]
    GrayAlpha,
    /// Red, green, blue; in a JPEG mostly stored as luma and chroma.
    #[serde(rename = "RGB")]
    Rgb,
    /// Red, green, blue and transparency.
    #[serde(rename = "RGBA")]
    RgbAlpha,
    /// An index into a table of colours.
    #[serde(rename = "palette")]
    Palette,
    /// Four inks.
    #[serde(rename = "CMYK")]
    Cmyk,
}

impl Mode {
    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gray => "gray",
            Self::GrayAlpha => "gray+alpha",
            Self::Rgb => "RGB",
            Self::RgbAlpha => "RGBA",
            Self::Palette => "palette",
            Self::Cmyk => "CMYK",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
