//! What a film's file holds, before it becomes the pixels that were asked for.

use std::fmt;

use serde::{Serialize, Serializer};

/// The kind of picture that a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Source {
    /// `JPEG`, `PNG`, `TIFF` or `BMP`.
    pub format: &'static str,
    /// What a pixel is in the file.
    pub mode: Mode,
    /// Bits a sample; of a palette, bits an index.
    pub bits: u8,
}

/// What a pixel is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// One sample.
    Gray,
    /// One sample and others that are no light, such as transparency.
    GrayAlpha,
    /// Red, green, blue; in a JPEG mostly stored as luma and chroma.
    Rgb,
    /// Red, green, blue and transparency.
    RgbAlpha,
    /// An index into a table of colours.
    Palette,
    /// Four inks.
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

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
