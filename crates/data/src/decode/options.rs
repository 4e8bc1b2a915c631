//! How films are decoded where there is a choice. It travels in the model's file.

use serde::{Deserialize, Serialize};

use super::Channels;

/// How the values of a DICOM become light.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DicomView {
    /// By the VOI LUT or window in the file, as it was meant to be looked at; the full range where there is none.
    #[default]
    Voi,
    /// The full range of the stored bits, whatever the file says.
    FullRange,
}

/// What is done about the orientation that a JPEG or PNG notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exif {
    /// Nothing, as Pillow and torchvision do.
    #[default]
    Ignore,
    /// The film is turned as viewers show it.
    Apply,
}

/// Choices of decoding, all but the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Decoding {
    /// How many of the 16 bits of a PNG's or TIFF's samples are used: a data set of 12-bit films in 16-bit files has 12.
    /// `None` where nothing says so, and then it is all 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_bits: Option<u8>,
    /// How the values of a DICOM become light.
    #[serde(default)]
    pub dicom_view: DicomView,
    /// What is done about an orientation that is noted.
    #[serde(default)]
    pub exif: Exif,
}

impl Decoding {
    /// The default, where a constant is needed.
    pub const DEFAULT: Self = Self { sample_bits: None, dicom_view: DicomView::Voi, exif: Exif::Ignore };

    /// Whether it is what older versions did, which wrote nothing of it.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a film is decoded to, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct DecodeOptions {
    /// What a pixel holds.
    pub channels: Channels,
    /// The choices.
    pub decoding: Decoding,
}

impl From<Channels> for DecodeOptions {
    fn from(channels: Channels) -> Self {
        DecodeOptions { channels, decoding: Decoding::default() }
    }
}

impl DecodeOptions {
    /// A sample of 16 bits as 8, rounded; those beyond the bits in use are white.
    pub(super) fn eight_bits(&self, sample: u16) -> u8 {
        match self.decoding.sample_bits {
            Some(bits @ 8..=15) => {
                let most = (1_u32 << bits) - 1;
                ((u32::from(sample).min(most) * 255 + most / 2) / most) as u8
            }
            _ => super::eight_bits(sample),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_bits_in_sixteen_span_all_levels() {
        let options = |bits| DecodeOptions {
            channels: Channels::Gray,
            decoding: Decoding { sample_bits: bits, ..Decoding::default() },
        };
        for sample in 0..4096_u16 {
            let level = (255.0 * f64::from(sample) / 4095.0).round() as u8;
            assert_eq!(options(Some(12)).eight_bits(sample), level, "{sample}");
        }
        assert_eq!([4095, 4096, u16::MAX].map(|sample| options(Some(12)).eight_bits(sample)), [255; 3]);
        assert_eq!([0, 257, u16::MAX].map(|sample| options(None).eight_bits(sample)), [0, 1, 255]);
        assert_eq!(options(Some(16)).eight_bits(u16::MAX), 255);
    }
}
