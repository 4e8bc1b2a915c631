//! Chance alterations of training films, keyed so that the same key gives the same film.
//!
//! How a film was taken (its sharpness, its contrast, how much of it is burnt out) can tell its class as well as the lung
//! does, in one hospital and not in the next. A family of alterations that breaks such traces keeps a network from
//! learning them. [`Augment`] is what may happen to a film, [`Alteration`] what happens to one.

mod alteration;
mod clahe;
mod histogram;
mod jpeg;
mod photometric;
mod rotate;
mod warp;

use serde::{Deserialize, Serialize};

pub use alteration::Alteration;
pub use clahe::{USUAL_CLIP_LIMIT, clahe};
pub use histogram::equalize;
pub use jpeg::requantise;
pub use photometric::unsharp;
pub use rotate::{mirror, rotate};
pub use warp::{Affine, warp};

use crate::decode::Image;
use crate::random::{between, keyed};

/// What stands at a place between pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// The nearest pixel.
    Nearest,
    /// A mixture of the four pixels around it.
    #[default]
    Bilinear,
}

/// What may happen to a training film, once it is the network's square. Geometry comes first, in one resampling with black
/// around the film, then what is done to the values, in the order of the fields. Every field is a range to draw from,
/// always in the same order, so that no draw depends on the setting of another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Augment {
    /// Rotated by an angle uniform in -rotation..rotation, in degrees.
    pub rotation: f64,
    /// Probability of a mirrored film.
    pub flip: f64,
    /// Between which two the side of the part that is seen lies, uniform, of the square's: 0.7 is a zoom into the middle.
    pub zoom: [f64; 2],
    /// Width by height is stretched by e to the power of a number uniform in -aspect..aspect.
    pub aspect: f64,
    /// Moved along each axis by up to this part of the side.
    pub shift: f64,
    /// How rotation, zoom, aspect and shift find their pixels. Rotation alone with the nearest pixel is torchvision's
    /// `RandomRotation`, to the last bit.
    pub interpolation: Interpolation,
    /// Resolution is reduced by a factor uniform in 1..downsample, and the film is enlarged again; 0 is off.
    pub downsample: f64,
    /// Probability of that.
    pub downsample_p: f64,
    /// Edges are sharpened ([`unsharp`]) by an amount uniform in 0..sharpen.
    pub sharpen: f64,
    /// Probability of that.
    pub sharpen_p: f64,
    /// The histogram is made even tile by tile ([`clahe`]) with a clip limit uniform in 1..clahe; 0 is off.
    pub clahe: f64,
    /// Probability of that.
    pub clahe_p: f64,
    /// Probability that the whole film's histogram is made even ([`equalize`]).
    pub equalize_p: f64,
    /// Values in 0..=1 are taken to the power of e to a number uniform in -gamma..gamma.
    pub gamma: f64,
    /// Distances from the film's mean are multiplied by e to the power of a number uniform in -contrast..contrast.
    pub contrast: f64,
    /// Values are multiplied by a number uniform in 1 - brightness..1 + brightness.
    pub brightness: f64,
    /// Standard deviation of noise, uniform in 0..noise, in levels of 255.
    pub noise: f64,
    /// Saved as JPEG and opened again ([`requantise`]), the quality a whole number uniform in jpeg..=95; 0 is off.
    pub jpeg: u8,
    /// Probability of that.
    pub jpeg_p: f64,
    /// Probability of a black rectangle: torchvision's `RandomErasing`, 2 to 33 % of the film, sides 0.3 to 3.3.
    pub erase_p: f64,
}

impl Augment {
    /// Nothing happens.
    pub const NONE: Augment = Augment {
        rotation: 0.0,
        flip: 0.0,
        zoom: [1.0, 1.0],
        aspect: 0.0,
        shift: 0.0,
        interpolation: Interpolation::Bilinear,
        downsample: 0.0,
        downsample_p: 0.0,
        sharpen: 0.0,
        sharpen_p: 0.0,
        clahe: 0.0,
        clahe_p: 0.0,
        equalize_p: 0.0,
        gamma: 0.0,
        contrast: 0.0,
        brightness: 0.0,
        noise: 0.0,
        jpeg: 0,
        jpeg_p: 0.0,
        erase_p: 0.0,
    };

    /// The best quality of a JPEG that is drawn: above it next to nothing is lost.
    pub const BEST_JPEG: u8 = 95;

    /// The notebook's: torchvision's `RandomRotation(20)` and `RandomHorizontalFlip(0.5)`.
    pub const NOTEBOOK: Augment =
        Augment { rotation: 20.0, flip: 0.5, interpolation: Interpolation::Nearest, ..Augment::NONE };

    /// Breaks the traces of how a film was taken: its place, size, sharpness, contrast and noise.
    pub const ROBUST: Augment = Augment {
        rotation: 20.0,
        flip: 0.5,
        zoom: [0.7, 1.05],
        aspect: 0.2,
        shift: 0.05,
        interpolation: Interpolation::Bilinear,
        downsample: 4.0,
        downsample_p: 0.5,
        sharpen: 2.0,
        sharpen_p: 0.5,
        clahe: 0.0,
        clahe_p: 0.0,
        equalize_p: 0.0,
        gamma: 0.4,
        contrast: 0.4,
        brightness: 0.15,
        noise: 6.0,
        jpeg: 0,
        jpeg_p: 0.0,
        erase_p: 0.0,
    };

    /// More of the same, and erasing.
    pub const STRONG: Augment =
        Augment { zoom: [0.6, 1.1], downsample: 5.0, gamma: 0.5, contrast: 0.5, erase_p: 0.25, ..Augment::ROBUST };

    /// The presets with their names.
    pub const PRESETS: [(&'static str, Augment); 4] = [
        ("none", Augment::NONE),
        ("notebook", Augment::NOTEBOOK),
        ("robust", Augment::ROBUST),
        ("strong", Augment::STRONG),
    ];

    /// The preset of a name.
    pub fn preset(name: &str) -> Option<Self> {
        Self::PRESETS.iter().find(|(of, _)| *of == name).map(|(_, preset)| *preset)
    }

    /// The name of the preset that this is, if it is one.
    pub fn name(&self) -> Option<&'static str> {
        Self::PRESETS.iter().find(|(_, preset)| preset == self).map(|(name, _)| *name)
    }

    /// What happens to the film of a key.
    pub fn draw(&self, key: [u64; 4]) -> Alteration {
        let mut rng = keyed(key);
        let mut uniform = |low, high| between(&mut rng, low, high);
        let degrees = uniform(-self.rotation, self.rotation);
        let mirrored = uniform(0.0, 1.0) < self.flip;
        let zoom = uniform(self.zoom[0], self.zoom[1]);
        let aspect = uniform(-self.aspect, self.aspect).exp();
        let shift = [uniform(-self.shift, self.shift), uniform(-self.shift, self.shift)];
        let mut by_chance = |probability: f64, low: f64, high: f64| {
            let happens = uniform(0.0, 1.0) < probability;
            let value = uniform(low, high);
            if happens { value } else { low }
        };
        let downsample = by_chance(self.downsample_p, 1.0, self.downsample.max(1.0));
        let sharpen = by_chance(self.sharpen_p, 0.0, self.sharpen);
        let gamma = uniform(-self.gamma, self.gamma).exp();
        let contrast = uniform(-self.contrast, self.contrast).exp();
        let brightness = uniform(1.0 - self.brightness, 1.0 + self.brightness);
        let noise = uniform(0.0, self.noise);
        let erased = uniform(0.0, 1.0) < self.erase_p;
        let (area, ratio) = (uniform(0.02, 0.33), uniform(f64::ln(0.3), f64::ln(3.3)).exp());
        let [width, height] = [(area * ratio).sqrt().min(1.0), (area / ratio).sqrt().min(1.0)];
        let [left, top] = [uniform(0.0, 1.0 - width), uniform(0.0, 1.0 - height)];
        // Steps that were added later draw after all others, so that a key means for those what it meant before.
        let clahe = {
            let happens = uniform(0.0, 1.0) < self.clahe_p;
            let limit = uniform(1.0, self.clahe.max(1.0));
            if happens && self.clahe > 0.0 { limit } else { 0.0 }
        };
        let equalized = uniform(0.0, 1.0) < self.equalize_p;
        let jpeg = {
            let happens = uniform(0.0, 1.0) < self.jpeg_p;
            let quality = uniform(f64::from(self.jpeg), f64::from(Self::BEST_JPEG) + 1.0) as u8;
            (happens && self.jpeg > 0).then_some(quality.min(Self::BEST_JPEG.max(self.jpeg)))
        };
        Alteration {
            degrees,
            mirrored,
            zoom,
            aspect,
            shift,
            interpolation: self.interpolation,
            downsample,
            sharpen,
            clahe,
            equalized,
            gamma,
            contrast,
            brightness,
            noise,
            jpeg,
            erased: erased.then_some([left, top, width, height]),
            grain: key,
        }
    }

    /// Alters a film as [`Self::draw`] says.
    pub fn apply(&self, image: &mut Image, key: [u64; 4]) {
        self.draw(key).apply(image);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::random::unit;

    #[test]
    fn the_notebooks_draws_are_what_they_were() {
        let Alteration { degrees, mirrored, .. } = Augment::NOTEBOOK.draw([7, 3, 2, 77]);
        let mut rng = keyed([7, 3, 2, 77]);
        assert_eq!((degrees, mirrored), (between(&mut rng, -20.0, 20.0), unit(&mut rng) < 0.5));
        assert_eq!(Augment::NONE.draw([7, 3, 2, 77]).to_string(), "as it is");
    }

    #[test]
    fn draws_fill_their_ranges_and_no_setting_moves_another() {
        let draws: Vec<Alteration> = (0..4000).map(|i| Augment::STRONG.draw([5, 3, 1, i])).collect();
        let ends = |of: fn(&Alteration) -> f64| {
            let values = draws.iter().map(of);
            values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], x| [low.min(x), high.max(x)])
        };
        let fills = |of: fn(&Alteration) -> f64, low: f64, high: f64| {
            let ([least, most], slack) = (ends(of), (high - low) * 0.01);
            assert!((least - low).abs() < slack && (most - high).abs() < slack, "{least}..{most}, not {low}..{high}");
        };
        fills(|a| a.degrees, -20.0, 20.0);
        fills(|a| a.zoom, 0.6, 1.1);
        fills(|a| a.aspect.ln(), -0.2, 0.2);
        fills(|a| a.shift[0], -0.05, 0.05);
        fills(|a| a.shift[1], -0.05, 0.05);
        fills(|a| a.downsample, 1.0, 5.0);
        fills(|a| a.sharpen, 0.0, 2.0);
        fills(|a| a.gamma.ln(), -0.5, 0.5);
        fills(|a| a.contrast.ln(), -0.5, 0.5);
        fills(|a| a.brightness, 0.85, 1.15);
        fills(|a| a.noise, 0.0, 6.0);
        let share = |of: fn(&Alteration) -> bool| draws.iter().filter(|a| of(a)).count() as f64 / 4000.0;
        assert!((share(|a| a.mirrored) - 0.5).abs() < 0.03 && (share(|a| a.downsample > 1.0) - 0.5).abs() < 0.03);
        assert!((share(|a| a.sharpen > 0.0) - 0.5).abs() < 0.03 && (share(|a| a.erased.is_some()) - 0.25).abs() < 0.03);
        for [left, top, width, height] in draws.iter().filter_map(|a| a.erased) {
            assert!(left >= 0.0 && top >= 0.0 && left + width <= 1.0 + 1e-9 && top + height <= 1.0 + 1e-9);
            assert!((0.019..0.331).contains(&(width * height)));
        }
        // Steps that are off.
        assert!(draws.iter().all(|a| (a.clahe, a.equalized, a.jpeg) == (0.0, false, None)));
        let gamma_alone = Augment { gamma: 0.5, ..Augment::NONE };
        assert!(draws.iter().zip(0..).all(|(a, i)| gamma_alone.draw([5, 3, 1, i]).gamma == a.gamma));
    }

    #[test]
    fn later_steps_fill_their_ranges_and_move_no_earlier_draw() {
        let later = Augment { clahe: 4.0, clahe_p: 0.3, equalize_p: 0.2, jpeg: 30, jpeg_p: 0.4, ..Augment::STRONG };
        let draws: Vec<Alteration> = (0..4000).map(|i| later.draw([5, 3, 1, i])).collect();
        let share = |of: fn(&Alteration) -> bool| draws.iter().filter(|a| of(a)).count() as f64 / 4000.0;
        assert!((share(|a| a.clahe > 0.0) - 0.3).abs() < 0.03 && (share(|a| a.equalized) - 0.2).abs() < 0.03);
        assert!((share(|a| a.jpeg.is_some()) - 0.4).abs() < 0.03);
        let drawn: BTreeSet<u8> = draws.iter().filter_map(|a| a.jpeg).collect();
        assert_eq!(drawn, (30..=95).collect());
        let limits = || draws.iter().map(|a| a.clahe).filter(|limit| *limit > 0.0);
        assert!(limits().all(|limit| (1.0..4.0).contains(&limit)));
        assert!(limits().any(|limit| limit < 1.05) && limits().any(|limit| limit > 3.95));
        for (i, draw) in (0..).zip(&draws) {
            let earlier = Alteration { clahe: 0.0, equalized: false, jpeg: None, ..*draw };
            assert_eq!(earlier, Augment::STRONG.draw([5, 3, 1, i]));
        }
        // A bound of 0 is off, whatever the probability.
        let off = Augment { clahe: 0.0, clahe_p: 1.0, jpeg: 0, jpeg_p: 1.0, ..later };
        assert!((0..20).map(|i| off.draw([5, 3, 1, i])).all(|a| (a.clahe, a.jpeg) == (0.0, None)));
    }

    /// What a key draws is part of what a seed means.
    #[test]
    fn the_draws_of_presets_stay_what_they_were() {
        let Alteration { degrees, zoom, noise, erased, .. } = Augment::STRONG.draw([7, 3, 2, 77]);
        assert_eq!([degrees, zoom, noise], [4.230091594224778, 0.9655866537721665, 0.36528294223246993]);
        // Not to the bit: systems differ in how they compute e to a power.
        let expected = [0.06495821760527079, 0.05721911010894275, 0.7960983115930081, 0.4108897810282401];
        assert!(erased.unwrap_or_default().iter().zip(expected).all(|(ours, theirs)| (ours - theirs).abs() < 1e-12));
    }

    #[test]
    fn presets_have_names() {
        for (name, preset) in Augment::PRESETS {
            assert_eq!((Augment::preset(name), preset.name()), (Some(preset), Some(name)));
        }
        assert_eq!((Augment::preset("wild"), Augment { noise: 1.0, ..Augment::NONE }.name()), (None, None));
    }
}
