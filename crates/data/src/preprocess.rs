//! From a film of any size to the square that the network sees, as torchvision does on a Pillow image.

mod geometry;
mod resize;

use serde::{Deserialize, Serialize};

pub use geometry::center_crop;
pub use resize::resize;

use crate::augment::{USUAL_CLIP_LIMIT, clahe, equalize};
use crate::decode::{Channels, DecodeOptions, Decoding, Image};

/// How a film that is no square becomes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The shorter side is made to fit, what sticks out is cut off: `Resize(size)`, `CenterCrop(size)`.
    #[default]
    Crop,
    /// The longer side is made to fit, what is missing is black.
    Pad,
    /// Both sides are made to fit, the proportions are lost: `Resize((size, size))`.
    Squash,
}

/// What is done to the histogram of a square, whatever black was added to it included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Equalize {
    /// Nothing.
    #[default]
    None,
    /// All of it at once ([`equalize`]).
    Histogram,
    /// Tile by tile, within a bound ([`clahe`] with [`USUAL_CLIP_LIMIT`]).
    Clahe,
}

impl Equalize {
    /// Nothing is done.
    pub fn is_none(&self) -> bool {
        *self == Equalize::None
    }
}

/// What is done to a film before the network sees it. It travels inside the model's file, and the same value that
/// trained a model predicts with it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// Gray or RGB.
    pub channels: Channels,
    /// How a film becomes a square.
    pub fit: Fit,
    /// The side of the square in pixels, at least 1.
    pub size: usize,
    /// What is done to the square's histogram, each channel by itself. Files of older versions do not say, and mean
    /// nothing; where it is nothing they are written as those versions wrote them.
    #[serde(default, skip_serializing_if = "Equalize::is_none")]
    pub equalize: Equalize,
    /// How films are decoded where there is a choice. Files of older versions do not say, and mean the default; where it is
    /// that they are written as those versions wrote them.
    #[serde(default, skip_serializing_if = "Decoding::is_default")]
    pub decoding: Decoding,
    /// Mean of each of the network's three channels, of values in 0..=1.
    pub mean: [f32; 3],
    /// Standard deviation of each of the network's three channels.
    pub std: [f32; 3],
}

impl Preprocess {
    /// The `size` by `size` square of a film, before normalisation. A film given in other channels than
    /// [`Self::channels`] keeps its own.
    pub fn apply(&self, image: Image) -> Image {
        let size = self.size.max(1);
        let (new_width, new_height) = self.resized(image.width, image.height);
        let (left, _) = geometry::window(new_width, size);
        let (top, _) = geometry::window(new_height, size);
        let columns = left..left + size.min(new_width);
        let rows = top..top + size.min(new_height);
        let resized = resize::resize_region(image, (new_width, columns), (new_height, rows));
        let mut square = center_crop(resized, size, size);
        match self.equalize {
            Equalize::None => {}
            Equalize::Histogram => equalize(&mut square),
            Equalize::Clahe => clahe(&mut square, USUAL_CLIP_LIMIT),
        }
        square
    }

    /// The size of a film before its square is cut out of it or laid around it.
    fn resized(&self, width: usize, height: usize) -> (usize, usize) {
        let size = self.size.max(1);
        match self.fit {
            Fit::Squash => (size, size),
            Fit::Crop if width <= height => (size, scale(size, height, width)),
            Fit::Crop => (scale(size, width, height), size),
            Fit::Pad if width <= height => (scale(size, width, height), size),
            Fit::Pad => (size, scale(size, height, width)),
        }
    }

    /// Where the square lies on a film of that size: left, top, width and height, in shares of the film's. Beyond 0 to 1 the square
    /// has margins.
    ///
    /// ```
    /// use lungfish_data::{Channels, Decoding, Equalize, Fit, Preprocess};
    /// let crop = Preprocess {
    ///     channels: Channels::Gray,
    ///     fit: Fit::Crop,
    ///     size: 100,
    ///     equalize: Equalize::None,
    ///     decoding: Decoding::DEFAULT,
    ///     mean: [0.5; 3],
    ///     std: [0.5; 3],
    /// };
    /// assert_eq!(crop.square_on(400, 200), [0.25, 0.0, 0.5, 1.0]);
    /// let pad = Preprocess { fit: Fit::Pad, ..crop };
    /// assert_eq!(pad.square_on(400, 200), [0.0, -0.5, 1.0, 2.0]);
    /// ```
    pub fn square_on(&self, width: usize, height: usize) -> [f64; 4] {
        let size = self.size.max(1);
        let (new_width, new_height) = self.resized(width, height);
        let along = |new: usize| {
            let (taken, before) = geometry::window(new, size);
            ((taken as f64 - before as f64) / new as f64, size as f64 / new as f64)
        };
        let ((left, wide), (top, tall)) = (along(new_width), along(new_height));
        [left, top, wide, tall]
    }

    /// How a film is decoded for it.
    pub fn decode_options(&self) -> DecodeOptions {
        DecodeOptions { channels: self.channels, decoding: self.decoding }
    }

    /// Bytes of a film after [`Self::apply`].
    pub fn film_len(&self) -> usize {
        let size = self.size.max(1);
        size * size * self.channels.count()
    }
}

/// torchvision's `int(size * long / short)`, at least one pixel.
fn scale(size: usize, numerator: usize, denominator: usize) -> usize {
    ((size as f64 * numerator as f64 / denominator as f64) as usize).max(1)
}
