//! Films inside a picture.

use std::borrow::Cow;

use crate::{PictureError, canvas::Canvas};

/// A film is kept with no more than so many of its pixels for one of the drawing: enough for 300 dots an inch on paper.
const MOST: f64 = 3.0;

/// A film's pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Film {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 (gray) or 3 (red, green, blue).
    pub channels: usize,
    /// Row by row, from the top left: `[height, width, channels]`.
    pub pixels: Vec<u8>,
}

impl Film {
    pub(crate) fn check(&self) -> Result<(), PictureError> {
        let &Film { width, height, channels, ref pixels } = self;
        let needed = width.checked_mul(height).and_then(|area| area.checked_mul(channels));
        if matches!(channels, 1 | 3) && needed == Some(pixels.len()) && needed != Some(0) {
            Ok(())
        } else {
            Err(PictureError::Film { width, height, channels, bytes: pixels.len() })
        }
    }

    /// The largest whole width and height, at least one pixel, in which the film keeps its shape within a box.
    pub(crate) fn fitted(&self, width: f64, height: f64) -> Result<(f64, f64), PictureError> {
        self.check()?;
        let (own_width, own_height) = (self.width as f64, self.height as f64);
        let scale = (width / own_width).min(height / own_height);
        Ok(((own_width * scale).round().max(1.0), (own_height * scale).round().max(1.0)))
    }

    /// Draws the film in the middle of a box, in its own shape, as large as fits.
    pub(crate) fn draw(&self, canvas: &mut Canvas, [x, y, width, height]: [f64; 4]) -> Result<(), PictureError> {
        let (shown_width, shown_height) = self.fitted(width, height)?;
        let (left, top) = ((x + (width - shown_width) / 2.0).round(), (y + (height - shown_height) / 2.0).round());
        let kept = self.shown([shown_width, shown_height], MOST).into_owned();
        canvas.film([left, top, shown_width, shown_height], kept);
        Ok(())
    }

    /// The film with no more than `scale` of its pixels for one of a box `width` x `height` pixels large.
    pub(crate) fn shown(&self, [width, height]: [f64; 2], scale: f64) -> Cow<'_, Film> {
        let (width, height) = (width * scale, height * scale);
        if self.width as f64 > width || self.height as f64 > height {
            let side = |wanted: f64, own: usize| (wanted.round() as usize).clamp(1, own);
            Cow::Owned(self.reduced(side(width, self.width), side(height, self.height)))
        } else {
            Cow::Borrowed(self)
        }
    }

    /// The film made smaller: each new pixel is the mean of the area it covers.
    fn reduced(&self, width: usize, height: usize) -> Film {
        let channels = self.channels;
        let across =
            reduce(&self.pixels.iter().map(|&value| f32::from(value)).collect::<Vec<_>>(), self.width, width, channels);
        // Columns next: a row of pixels is then one wide pixel.
        let values = reduce(&across, self.height, height, width * channels);
        let pixels = values.iter().map(|value| value.round().clamp(0.0, 255.0) as u8).collect();
        Film { width, height, channels, pixels }
    }
}

/// Reduces runs of `from` values of `depth` numbers each to `to` values, by the mean of what each covers.
fn reduce(values: &[f32], from: usize, to: usize, depth: usize) -> Vec<f32> {
    let ratio = from as f64 / to as f64;
    // For each new value: the first old one, and how much of it and of its followers is covered.
    let shares: Vec<(usize, Vec<f32>)> = (0..to)
        .map(|place| {
            let (start, end) = (place as f64 * ratio, ((place + 1) as f64 * ratio).min(from as f64));
            let first = (start as usize).min(from - 1);
            let last = (end.ceil() as usize).clamp(first + 1, from);
            let covered = (first..last).map(|old| end.min((old + 1) as f64) - start.max(old as f64));
            (first, covered.map(|part| (part / (end - start)) as f32).collect())
        })
        .collect();
    let mut out = Vec::with_capacity(values.len() / from * to);
    for run in values.chunks_exact(from * depth) {
        for (first, weights) in &shares {
            let begin = out.len();
            out.resize(begin + depth, 0.0);
            for (weight, old) in weights.iter().zip(run[first * depth..].chunks_exact(depth)) {
                for (sum, value) in out[begin..].iter_mut().zip(old) {
                    *sum += weight * value;
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reducing_takes_the_mean_of_the_area() {
        let film = Film { width: 4, height: 2, channels: 1, pixels: vec![0, 100, 10, 30, 100, 200, 10, 30] };
        assert_eq!(film.reduced(2, 1).pixels, [100, 20]);
        // 3 to 2: the middle pixel is shared.
        let film = Film { width: 3, height: 1, channels: 3, pixels: vec![0, 0, 90, 30, 60, 0, 90, 90, 90] };
        assert_eq!(film.reduced(2, 1).pixels, [10, 20, 60, 70, 80, 60]);
        assert_eq!(film.reduced(3, 1), film);
    }

    #[test]
    fn an_even_film_stays_even_at_any_size() {
        let film = Film { width: 37, height: 23, channels: 1, pixels: vec![77; 37 * 23] };
        for (width, height) in [(1, 1), (36, 22), (5, 23), (37, 2), (19, 7)] {
            assert!(film.reduced(width, height).pixels.iter().all(|&value| value == 77));
        }
    }

    #[test]
    fn a_film_that_lies_about_its_size_is_refused() {
        let film = |width, height, channels, bytes| Film { width, height, channels, pixels: vec![0; bytes] };
        for film in [film(0, 5, 1, 0), film(2, 2, 1, 3), film(2, 2, 2, 8), film(usize::MAX, usize::MAX, 3, 1)] {
            assert!(matches!(film.fitted(10.0, 10.0), Err(PictureError::Film { .. })), "{film:?}");
        }
        assert_eq!(film(200, 100, 3, 60_000).fitted(100.0, 100.0).unwrap(), (100.0, 50.0));
        assert_eq!(film(100_000, 1, 1, 100_000).fitted(100.0, 100.0).unwrap(), (100.0, 1.0));
    }
}
