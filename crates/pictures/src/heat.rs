//! Heat maps: how much each place of a film speaks for something or against it, laid over the film.
//!
//! Colour is told by one scale for all films of a picture. A place is the more opaque the more it says, so that a film with
//! little evidence stays a film; nothing is stretched so that something glows.

use crate::{
    Film, PictureError,
    canvas::{Canvas, Text},
    font,
    palette::{GRAY, INK},
};

/// For: Okabe and Ito's vermillion. Against: their sky blue. Both are told apart by those who see fewer colours, and on black
/// and white.
const FOR: [f64; 3] = [213.0, 94.0, 0.0];
const AGAINST: [f64; 3] = [86.0, 180.0, 233.0];
/// The film is seen through the fullest colour.
const OPACITY: f64 = 0.65;
/// Numbers at which a scale ends, for each power of ten.
const STEPS: [f64; 7] = [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0];
/// What the legend's ramp is drawn on: the gray of a film.
const GROUND: u8 = 110;
const RAMP: [usize; 2] = [240, 14];
const SIZE: f64 = 14.0;
const LINE: f64 = 20.0;

/// How much each cell of a film says, positive for something and negative against it.
#[derive(Clone, Debug, PartialEq)]
pub struct Heat {
    /// Rows of cells.
    pub rows: usize,
    /// Cells in a row.
    pub columns: usize,
    /// Row by row; what is no number says nothing.
    pub values: Vec<f32>,
}

/// The scale of a picture's maps, and what its legend says.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatScale {
    /// The value of a cell at which colour is full.
    pub full: f64,
    /// What warm colours speak for.
    pub of: String,
    /// In what values are told.
    pub unit: String,
    /// What a reader must know.
    pub note: String,
}

impl HeatScale {
    /// Where the scale of some maps ends: a round number, not below what any cell says and not below `least`, so that maps
    /// that say little are faint.
    ///
    /// ```
    /// use lungfish_pictures::{Heat, HeatScale};
    /// let heat = |value| Heat { rows: 1, columns: 2, values: vec![value, 0.0] };
    /// assert_eq!(HeatScale::full_of(&[heat(-1.7), heat(0.4)], 0.1), 2.0);
    /// assert_eq!(HeatScale::full_of(&[heat(0.001)], 0.1), 0.1);
    /// ```
    pub fn full_of<'a>(maps: impl IntoIterator<Item = &'a Heat>, least: f64) -> f64 {
        let values = maps.into_iter().flat_map(|heat| &heat.values).map(|value| f64::from(value.abs()));
        let largest = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        if largest <= least {
            return least;
        }
        let power = largest.log10().floor() as i32;
        let ends = [power, power + 1].into_iter().flat_map(|power| {
            // Divided, since a tenth is no binary number: 3 / 10 is the float that is written 0.3.
            STEPS.map(|step| if power < 0 { step / 10_f64.powi(-power) } else { step * 10_f64.powi(power) })
        });
        ends.into_iter().find(|end| *end >= largest).unwrap_or(largest)
    }
}

impl Heat {
    /// The film in colours, with what each place says laid over it. Between the middles of cells values run into each other
    /// (bilinear), as Grad-CAM is drawn everywhere.
    ///
    /// # Errors
    /// [`PictureError::Film`] for pixels that are no film, [`PictureError::Heat`] for values that are not one a cell.
    pub fn over(&self, film: &Film, full: f64) -> Result<Film, PictureError> {
        film.check()?;
        let Heat { rows, columns, ref values } = *self;
        if rows.checked_mul(columns) != Some(values.len()) || values.is_empty() {
            return Err(PictureError::Heat { rows, columns, values: values.len() });
        }
        let value = |row: usize, column: usize| {
            let value = f64::from(values[row * columns + column]);
            if value.is_finite() { value } else { 0.0 }
        };
        let across: Vec<_> = (0..film.width).map(|x| between(x, film.width, columns)).collect();
        let mut pixels = Vec::with_capacity(film.width * film.height * 3);
        for (y, line) in film.pixels.chunks_exact(film.width * film.channels).enumerate() {
            let (above, below, down) = between(y, film.height, rows);
            for (pixel, &(left, right, along)) in line.chunks_exact(film.channels).zip(&across) {
                let at = |row| value(row, left) * (1.0 - along) + value(row, right) * along;
                let share = (at(above) * (1.0 - down) + at(below) * down) / full;
                pixels.extend(coloured([pixel[0], pixel[film.channels / 2], pixel[film.channels - 1]], share));
            }
        }
        Ok(Film { width: film.width, height: film.height, channels: 3, pixels })
    }
}

/// The two cells between whose middles a pixel lies, and how far from the first to the second.
fn between(pixel: usize, pixels: usize, cells: usize) -> (usize, usize, f64) {
    let place = ((pixel as f64 + 0.5) / pixels as f64 * cells as f64 - 0.5).clamp(0.0, (cells - 1) as f64);
    let first = place as usize;
    (first, (first + 1).min(cells - 1), place - first as f64)
}

/// A colour with evidence over it: `share` is 1 where all is for, and -1 where all is against.
fn coloured(pixel: [u8; 3], share: f64) -> [u8; 3] {
    let colour = if share > 0.0 { FOR } else { AGAINST };
    // A scale that is no number colours nothing.
    let opacity = if share.is_nan() { 0.0 } else { OPACITY * share.abs().min(1.0) };
    std::array::from_fn(|channel| {
        (f64::from(pixel[channel]) * (1.0 - opacity) + colour[channel] * opacity).round() as u8
    })
}

/// A number with its sign, as short as it is written; one that would not fit under the ramp by its power of ten.
fn signed(value: f64) -> String {
    const MOST: usize = 8;
    let sign = if value > 0.0 { "+" } else { "" };
    let text = format!("{sign}{value}");
    let text = if text.len() > MOST { format!("{sign}{value:.1e}") } else { text };
    text.replace('-', "\u{2212}")
}

/// Draws the legend of a scale from (x, y) within `room`; gives how high it is.
pub(crate) fn legend(canvas: &mut Canvas, [x, y]: [f64; 2], room: f64, scale: &HeatScale) -> f64 {
    let [width, height] = RAMP;
    let share = |x: usize| 2.0 * (x as f64 + 0.5) / width as f64 - 1.0;
    let line: Vec<u8> = (0..width).flat_map(|x| coloured([GROUND; 3], share(x))).collect();
    let ramp = Film { width, height, channels: 3, pixels: line.repeat(height) };
    let (wide, high) = (width as f64, height as f64);
    canvas.film([x, y, wide, high], ramp);
    let number = Text::new(12.5, GRAY);
    let ticks = [(0.0, -scale.full, number), (0.5, 0.0, number.middle()), (1.0, scale.full, number.end())];
    for (place, value, look) in ticks {
        canvas.text([x + place * wide, y + high + 15.0], &signed(value), look);
    }
    // The words stand beside the ramp where there is room, else under it.
    let beside = room > 2.5 * wide;
    let left = if beside { x + wide + 20.0 } else { x };
    let words = format!("Warm: for {}. Cool: against it. {}.", scale.of, scale.unit);
    let mut bottom = if beside { y + 11.0 } else { y + high + 40.0 };
    let mut write = |text: &str, look: Text| {
        for line in font::wrap(text, x + room - left, SIZE, look.bold, 3) {
            canvas.text([left, bottom], &line, look);
            bottom += LINE;
        }
    };
    write(&words, Text::new(SIZE, INK));
    write(&scale.note, Text::new(SIZE, GRAY));
    (bottom - LINE + 6.0 - y).max(high + 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_coloured_by_what_it_says_and_no_film_by_its_own_scale() {
        let film = Film { width: 4, height: 1, channels: 1, pixels: vec![100; 4] };
        let heat = Heat { rows: 1, columns: 2, values: vec![1.0, -1.0] };
        // The middles of the cells lie on the edges of the middle pixels; what lies beyond them is as they are.
        let over = heat.over(&film, 1.0).unwrap();
        assert_eq!((over.width, over.height, over.channels), (4, 1, 3));
        let [full, less, against, none] = [1.0, 0.5, -1.0, 0.0].map(|share| coloured([100; 3], share));
        assert_eq!((full, none), ([173, 96, 35], [100; 3]));
        assert!(against[2] > 100 && against[0] < 100, "{against:?}");
        assert_eq!(over.pixels[..6], [full, less].concat());
        assert_eq!(over.pixels[9..], against);
        // Ten times the scale: a tenth of the colour.
        let faint = heat.over(&film, 10.0).unwrap();
        assert_eq!(faint.pixels[..3], coloured([100; 3], 0.1));
        let rgb = Film { width: 1, height: 1, channels: 3, pixels: vec![1, 2, 3] };
        let nothing = Heat { rows: 1, columns: 1, values: vec![f32::NAN] };
        assert_eq!(nothing.over(&rgb, 1.0).unwrap(), rgb);
        let odd = Heat { rows: 2, columns: 2, values: vec![1.0] };
        assert!(matches!(odd.over(&rgb, 1.0), Err(PictureError::Heat { rows: 2, columns: 2, values: 1 })));
    }

    #[test]
    fn a_scale_ends_at_a_round_number() {
        let full = |value: f32| HeatScale::full_of(&[Heat { rows: 1, columns: 1, values: vec![value] }], 0.1);
        assert_eq!([0.05, 0.11, -0.26, 0.9, 8.5, 130.0].map(full), [0.1, 0.15, 0.3, 1.0, 10.0, 150.0]);
        assert_eq!(full(f32::INFINITY), 0.1);
        assert_eq!([-0.15, 0.0, 2.0].map(signed), ["\u{2212}0.15", "0", "+2"]);
    }
}
