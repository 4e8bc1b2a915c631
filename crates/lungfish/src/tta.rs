//! Test-time augmentation: a film is asked about in several views, and what is said of them is averaged.

use std::fmt;
use std::str::FromStr;

use lungfish_data::augment::Alteration;
use serde::{Deserialize, Serialize};

use crate::Error;

/// In which views a film is scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Tta {
    /// As it is.
    #[default]
    None,
    /// As it is and mirrored.
    Flip,
    /// Its middle and its four corners, each seven eighths of the square's side, and all of them mirrored: the places of
    /// torchvision's `TenCrop`, enlarged to the square.
    Crops,
}

impl Tta {
    /// All there are.
    pub const ALL: [Tta; 3] = [Tta::None, Tta::Flip, Tta::Crops];

    /// The word that chooses it.
    pub fn name(self) -> &'static str {
        match self {
            Tta::None => "none",
            Tta::Flip => "flip",
            Tta::Crops => "crops",
        }
    }

    /// Whether a film is scored as it is.
    pub fn is_none(&self) -> bool {
        *self == Tta::None
    }

    /// Whether the film as it is is the first of the views.
    pub(crate) fn has_whole(self) -> bool {
        self != Tta::Crops
    }

    /// What is done to the network's square for each view.
    pub(crate) fn views(self) -> Vec<Alteration> {
        const CROP: f64 = 0.875;
        const MOVED: f64 = (1.0 - CROP) / 2.0;
        let none = Alteration::none();
        let places: &[[f64; 2]] = match self {
            Tta::None => return vec![none],
            Tta::Flip => return vec![none, Alteration { mirrored: true, ..none }],
            Tta::Crops => &[[0.0, 0.0], [-MOVED, -MOVED], [MOVED, -MOVED], [-MOVED, MOVED], [MOVED, MOVED]],
        };
        let crop = |mirrored| {
            places.iter().map(move |&shift| Alteration { mirrored, zoom: CROP, shift, ..Alteration::none() })
        };
        crop(false).chain(crop(true)).collect()
    }
}

impl fmt::Display for Tta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Tta {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = || Error::refused(format!("\"{name}\" is no test-time augmentation: none, flip or crops"));
        Tta::ALL.into_iter().find(|tta| tta.name() == name).ok_or_else(known)
    }
}

#[cfg(test)]
mod tests {
    use lungfish_data::{Channels, Image};

    use super::*;

    /// A square whose levels say where they are, so that every view shows what it has seen.
    fn ramp() -> Image {
        let mut image = Image::black(64, 64, Channels::Gray);
        image.pixels.iter_mut().enumerate().for_each(|(i, level)| *level = (i % 64) as u8 + 2 * (i / 64) as u8);
        image
    }

    #[test]
    fn views_are_what_they_are_called() {
        let seen = |tta: Tta| -> Vec<Image> {
            let view = |view: &Alteration| {
                let mut image = ramp();
                view.apply(&mut image);
                image
            };
            tta.views().iter().map(view).collect()
        };
        assert_eq!(seen(Tta::None), [ramp()]);
        let flip = seen(Tta::Flip);
        assert_eq!(flip.len(), 2);
        assert!((0..64 * 64).all(|i| flip[1].pixels[i] == flip[0].pixels[i / 64 * 64 + 63 - i % 64]));
        let crops = seen(Tta::Crops);
        assert_eq!(crops.len(), 10);
        // The ramp's level in the middle of each: one more a pixel to the right, two more a pixel down; corners are 4 away.
        let middle = |image: &Image| f64::from(image.pixels[32 * 64 + 32]);
        let moved: Vec<f64> = crops[1..5].iter().map(|crop| middle(crop) - middle(&crops[0])).collect();
        let mut sorted = moved.clone();
        sorted.sort_by(f64::total_cmp);
        for (moved, expected) in sorted.iter().zip([-12.0, -4.0, 4.0, 12.0]) {
            assert!((moved - expected).abs() <= 1.0, "{moved:?}");
        }
        for (crop, mirrored) in crops[..5].iter().zip(&crops[5..]) {
            let same = (0..64 * 64).all(|i| crop.pixels[i].abs_diff(mirrored.pixels[i / 64 * 64 + 63 - i % 64]) <= 1);
            assert!(same, "a mirrored crop is of another place");
        }
    }

    #[test]
    fn words_are_read() {
        for tta in Tta::ALL {
            assert_eq!(tta.to_string().parse::<Tta>().unwrap(), tta);
        }
        assert!("wild".parse::<Tta>().unwrap_err().to_string().contains("none, flip or crops"));
    }
}
