//! How large a picture is on paper.

use crate::PictureError;

/// Millimetres an inch.
const INCH: f64 = 25.4;

/// A width on paper and a density.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Print {
    width_mm: f64,
    dpi: u32,
}

impl Print {
    /// What journals ask for.
    pub const DPI: u32 = 300;

    /// `width_mm` millimetres at `dpi` dots an inch.
    ///
    /// # Errors
    /// [`PictureError::Print`] where the width is not within 10 to 2000 mm or the density not within 36 to 2400.
    pub fn new(width_mm: f64, dpi: u32) -> Result<Print, PictureError> {
        if (10.0..=2000.0).contains(&width_mm) && (36..=2400).contains(&dpi) {
            Ok(Print { width_mm, dpi })
        } else {
            Err(PictureError::Print { width_mm, dpi })
        }
    }

    /// The width in millimetres.
    pub fn width_mm(self) -> f64 {
        self.width_mm
    }

    /// Dots an inch.
    pub fn dpi(self) -> u32 {
        self.dpi
    }

    /// Pixels in the width.
    pub(crate) fn pixels(self) -> f64 {
        (self.width_mm / INCH * f64::from(self.dpi)).round()
    }

    /// As a PNG says it.
    pub(crate) fn pixels_a_metre(self) -> u32 {
        (f64::from(self.dpi) * 1000.0 / INCH).round() as u32
    }

    /// The width in points of 1/72 inch, as a PDF says it.
    pub(crate) fn points(self) -> f64 {
        self.width_mm / INCH * 72.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_width_on_paper_is_so_many_pixels_and_points() {
        let print = Print::new(180.0, 300).unwrap();
        assert_eq!((print.pixels(), print.pixels_a_metre()), (2126.0, 11_811));
        assert!((Print::new(254.0, 300).unwrap().points() - 720.0).abs() < 1e-9);
        for (width, dpi) in [(0.0, 300), (-5.0, 300), (f64::NAN, 300), (f64::INFINITY, 300), (3000.0, 300), (180.0, 0)]
        {
            let said = Print::new(width, dpi).unwrap_err().to_string();
            assert!(said.contains("10 to 2000 mm"), "{said}");
        }
    }
}
