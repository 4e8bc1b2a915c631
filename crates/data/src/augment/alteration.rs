//! What happens to one film, and how.

use std::fmt;

use super::clahe::clahe;
use super::histogram::equalize;
use super::jpeg::requantise;
use super::photometric::{self, unsharp};
use super::rotate::{mirror, rotate};
use super::warp::{Affine, warp};
use super::{Augment, Interpolation};
use crate::decode::Image;
use crate::preprocess::resize;

/// What happens to one film.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alteration {
    /// Turned counter-clockwise by so many degrees.
    pub degrees: f64,
    /// Mirrored after that.
    pub mirrored: bool,
    /// Side of the part that is seen, of the square's.
    pub zoom: f64,
    /// Width by height of that part.
    pub aspect: f64,
    /// Moved, of the side.
    pub shift: [f64; 2],
    /// How a place between pixels is found.
    pub interpolation: Interpolation,
    /// Factor by which the resolution is reduced; 1 is not.
    pub downsample: f64,
    /// Amount of [`unsharp`].
    pub sharpen: f64,
    /// Clip limit of [`clahe`]; 0 is not.
    pub clahe: f64,
    /// Whether [`equalize`] comes after that.
    pub equalized: bool,
    /// Exponent of values in 0..=1.
    pub gamma: f64,
    /// Factor of distances from the mean.
    pub contrast: f64,
    /// Factor of values.
    pub brightness: f64,
    /// Standard deviation of noise, levels.
    pub noise: f64,
    /// Quality of a JPEG that it was saved as ([`requantise`]), as happens to a stored film.
    pub jpeg: Option<u8>,
    /// A rectangle made black: left, top, width and height, of the sides.
    pub erased: Option<[f64; 4]>,
    /// Key of the noise: the draw's own, of which it takes another stream.
    pub grain: [u64; 4],
}

impl Alteration {
    /// Nothing happens.
    pub fn none() -> Self {
        Augment::NONE.draw([0; 4])
    }

    /// Alters a film.
    pub fn apply(&self, image: &mut Image) {
        self.geometry(image);
        if self.downsample > 1.0 {
            let (width, height) = (image.width, image.height);
            let reduced = |side: usize| ((side as f64 / self.downsample).round() as usize).max(1);
            let small =
                resize(std::mem::replace(image, Image::black(0, 0, image.channels)), reduced(width), reduced(height));
            *image = resize(small, width, height);
        }
        if self.sharpen > 0.0 {
            unsharp(image, self.sharpen as f32);
        }
        if self.clahe > 0.0 {
            clahe(image, self.clahe);
        }
        if self.equalized {
            equalize(image);
        }
        photometric::tone(image, [self.gamma, self.contrast, self.brightness], (self.noise, self.grain));
        if let Some(quality) = self.jpeg {
            requantise(image, quality);
        }
        if let Some(part) = self.erased {
            photometric::erase(image, part);
        }
    }

    fn geometry(&self, image: &mut Image) {
        let Self { degrees, mirrored, zoom, aspect, shift, interpolation, .. } = *self;
        let rotation_only = (zoom, aspect, shift) == (1.0, 1.0, [0.0; 2]);
        if rotation_only && (interpolation == Interpolation::Nearest || degrees == 0.0) {
            if degrees != 0.0 {
                *image = rotate(image, degrees);
            }
            if mirrored {
                mirror(image);
            }
            return;
        }
        let scale = [zoom * aspect.sqrt(), zoom / aspect.sqrt()];
        *image = warp(image, &Affine { degrees, scale, shift, mirrored }, interpolation);
    }

    /// Each step by itself, in their order: geometry, resolution, sharpening, CLAHE, equalisation, tone, noise, JPEG, erasing. One
    /// that changes nothing is there too.
    pub fn steps(&self) -> [Alteration; 9] {
        let none = Alteration { interpolation: self.interpolation, grain: self.grain, ..Alteration::none() };
        let geometry = Alteration {
            degrees: self.degrees,
            mirrored: self.mirrored,
            zoom: self.zoom,
            aspect: self.aspect,
            shift: self.shift,
            ..none
        };
        [
            geometry,
            Alteration { downsample: self.downsample, ..none },
            Alteration { sharpen: self.sharpen, ..none },
            Alteration { clahe: self.clahe, ..none },
            Alteration { equalized: self.equalized, ..none },
            Alteration { gamma: self.gamma, contrast: self.contrast, brightness: self.brightness, ..none },
            Alteration { noise: self.noise, ..none },
            Alteration { jpeg: self.jpeg, ..none },
            Alteration { erased: self.erased, ..none },
        ]
    }
}

impl fmt::Display for Alteration {
    /// Such as `turned 7.3° left, then mirrored, 1.2 times as large`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if self.degrees != 0.0 {
            words.push(format!(
                "turned {:.1}° {}",
                self.degrees.abs(),
                if self.degrees < 0.0 { "right" } else { "left" }
            ));
        }
        if self.mirrored {
            words.push("mirrored".to_owned());
        }
        if self.zoom != 1.0 {
            words.push(format!("{:.2} times as large", 1.0 / self.zoom));
        }
        if self.aspect != 1.0 {
            words.push(format!("aspect {:.2}", self.aspect));
        }
        if self.shift != [0.0; 2] {
            // Nothing is not less than nothing.
            let percent = self.shift.map(|part| (-100.0 * part).round() + 0.0);
            words.push(format!("moved by {:.0} and {:.0} %", percent[0], percent[1]));
        }
        if self.downsample > 1.0 {
            words.push(format!("resolution 1/{:.1}", self.downsample));
        }
        if self.sharpen > 0.0 {
            words.push(format!("sharpened by {:.1}", self.sharpen));
        }
        if self.clahe > 0.0 {
            words.push(format!("CLAHE up to {:.1}", self.clahe));
        }
        if self.equalized {
            words.push("histogram equalised".to_owned());
        }
        if (self.gamma, self.contrast, self.brightness) != (1.0, 1.0, 1.0) {
            words.push(format!(
                "gamma {:.2}, contrast {:.2}, brightness {:.2}",
                self.gamma, self.contrast, self.brightness
            ));
        }
        if self.noise > 0.0 {
            words.push(format!("noise {:.1}", self.noise));
        }
        if let Some(quality) = self.jpeg {
            words.push(format!("JPEG of quality {quality}"));
        }
        if self.erased.is_some() {
            words.push("a part erased".to_owned());
        }
        f.write_str(if words.is_empty() { "as it is".to_owned() } else { words.join(", ") }.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_one_after_the_other_are_the_whole() {
        let mut image = Image::black(48, 40, crate::Channels::Gray);
        image.pixels.iter_mut().enumerate().for_each(|(i, value)| *value = (i * 7 % 251) as u8);
        for i in 0..50 {
            // Tone and noise are clipped once together, and twice apart.
            let all = Augment {
                noise: 0.0,
                clahe: 4.0,
                clahe_p: 0.5,
                equalize_p: 0.5,
                jpeg: 20,
                jpeg_p: 0.5,
                ..Augment::STRONG
            };
            let alteration = all.draw([1, 2, 3, i]);
            let mut whole = image.clone();
            alteration.apply(&mut whole);
            let mut by_steps = image.clone();
            alteration.steps().iter().for_each(|step| step.apply(&mut by_steps));
            assert_eq!(whole, by_steps, "{alteration}");
        }
        let later = Alteration { clahe: 2.5, equalized: true, jpeg: Some(40), ..Alteration::none() };
        assert_eq!(later.to_string(), "CLAHE up to 2.5, histogram equalised, JPEG of quality 40");
        assert!(Augment::NONE.draw([1, 2, 3, 4]).steps().iter().all(|step| step.to_string() == "as it is"));
    }
}
