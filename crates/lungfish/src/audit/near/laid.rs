//! A part of one film laid over another film as well as it can be, and how well they then agree in what is fine.

use super::{SIDE, WHOLE, Window};

/// Correlation of all but the coarsest that films must have at a quarter of the resolution, and at more of it, to be looked at
/// further.
const LEAST_AGREEMENT: [f64; 2] = [0.7, 0.85];
/// Sizes of a window.
const SIZES: std::ops::RangeInclusive<f64> = 0.4..=1.02;
/// Radius of the box whose mean is taken off: while films are laid over each other, and where they are compared.
const WIDE: usize = 8;
const FINE: usize = 4;
/// Sums that are added beside each other, so that vectors can hold them.
const LANES: usize = 16;

/// Where parts of films are looked at: memory that is used again and again.
#[derive(Default)]
pub(super) struct Sight {
    square: Vec<f32>,
    line: Vec<f32>,
    /// Sums of all that lies above and to the left, a row and a column more than the square.
    sums: Vec<f32>,
    detail: Vec<f32>,
}

impl Sight {
    /// A window of a film as a square of so many pixels, bilinear.
    pub(super) fn seen(&mut self, film: &[u8], window: Window, side: usize) -> &[f32] {
        let last = SIDE - 1;
        let place = |axis: usize, at: usize| -> (usize, f32) {
            let share = (at as f64 + 0.5) / side as f64;
            let share = if axis == 0 && window.mirrored { 1.0 - share } else { share };
            let at = (window.middle[axis] + (share - 0.5) * window.size[axis]) * SIDE as f64 - 0.5;
            let at = at.clamp(0.0, last as f64);
            let low = (at as usize).min(last - 1);
            (low, (at - low as f64) as f32)
        };
        let columns: Vec<(usize, f32)> = (0..side).map(|at| place(0, at)).collect();
        self.square.clear();
        for (row, down) in (0..side).map(|at| place(1, at)) {
            let (upper, lower) = (&film[row * SIDE..][..SIDE], &film[(row + 1) * SIDE..][..SIDE]);
            self.line.clear();
            self.line.extend(upper.iter().zip(lower).map(|(upper, lower)| {
                let upper = f32::from(*upper);
                upper + (f32::from(*lower) - upper) * down
            }));
            let line = &self.line;
            self.square.extend(columns.iter().map(|(at, right)| line[*at] + (line[at + 1] - line[*at]) * right));
        }
        &self.square
    }

    /// A window without what is coarser than a box of that radius. Its margin is left out.
    fn detail(&mut self, film: &[u8], window: Window, side: usize, radius: usize) -> &[f32] {
        self.seen(film, window, side);
        let wide = side + 1;
        self.sums.clear();
        self.sums.resize(wide * wide, 0.0);
        for (y, values) in self.square.chunks_exact(side).enumerate() {
            let (above, below) = self.sums[y * wide..].split_at_mut(wide);
            let mut row = 0.0;
            for ((value, above), below) in values.iter().zip(&above[1..]).zip(&mut below[1..]) {
                row += value;
                *below = above + row;
            }
        }
        let margin = side / 20;
        self.detail.clear();
        for y in margin..side - margin {
            let (top, bottom) = (y.saturating_sub(radius), (y + radius + 1).min(side));
            self.line.clear();
            let (top_row, bottom_row) = (&self.sums[top * wide..][..wide], &self.sums[bottom * wide..][..wide]);
            self.line.extend(bottom_row.iter().zip(top_row).map(|(bottom, top)| bottom - top));
            let (line, values) = (&self.line, &self.square[y * side..][..side]);
            let rows = (bottom - top) as f32;
            let edge = |x: usize| {
                let (left, right) = (x.saturating_sub(radius), (x + radius + 1).min(side));
                values[x] - (line[right] - line[left]) / (rows * (right - left) as f32)
            };
            let (inner, outer) = (radius.max(margin), (side - radius).min(side - margin));
            self.detail.extend((margin..inner).map(edge));
            let scale = 1.0 / (rows * (2 * radius + 1) as f32);
            let boxes = line[inner - radius..].iter().zip(&line[inner + radius + 1..]);
            let inside = values[inner..outer].iter().zip(boxes);
            self.detail.extend(inside.map(|(value, (left, right))| value - (right - left) * scale));
            self.detail.extend((outer..side - margin).map(edge));
        }
        &self.detail
    }
}

/// Lays a part of a film over another film, beginning with a window: where it lies, and the correlation of what is fine. First at a
/// quarter of the resolution, and further only where that agrees.
pub(super) fn laid_over(sight: &mut Sight, film: &[u8], other: &[u8], from: Window) -> (Window, f64) {
    let (mut window, mut correlation) = (from, 0.0);
    let rounds = [
        (SIDE / 4, WIDE / 4, [0.06, 0.03], LEAST_AGREEMENT[0]),
        (SIDE / 2, WIDE / 2, [0.03, 0.01], LEAST_AGREEMENT[1]),
        (SIDE, WIDE, [0.012, 0.003], LEAST_AGREEMENT[1]),
    ];
    for (side, radius, steps, least) in rounds {
        let of_other = about_mean(sight.detail(other, WHOLE, side, radius));
        let mut agrees = |window: Window| agreement(sight.detail(film, window, side, radius), &of_other);
        (window, correlation) = climb(window, steps, &mut agrees);
        if correlation < least {
            return (window, 0.0);
        }
    }
    let of_other = about_mean(sight.detail(other, WHOLE, SIDE, FINE));
    (window, correlation.min(agreement(sight.detail(film, window, SIDE, FINE), &of_other)))
}

/// Moves and resizes a window by ever smaller steps as long as it agrees better.
fn climb(from: Window, [largest, smallest]: [f64; 2], agrees: &mut dyn FnMut(Window) -> f64) -> (Window, f64) {
    let (mut window, mut best, mut step) = (from, agrees(from), largest);
    while step > smallest {
        let before = best;
        for change in 0..5 {
            for sign in [-1.0, 1.0] {
                let mut next = window;
                match change {
                    0 | 1 => next.middle[change] += sign * step,
                    2 | 3 => next.size[change - 2] += sign * step,
                    _ => next.size.iter_mut().for_each(|size| *size += sign * step),
                }
                if next.size.iter().all(|size| SIZES.contains(size)) {
                    let found = agrees(next);
                    if found > best {
                        (window, best) = (next, found);
                    }
                }
            }
        }
        if best <= before {
            step /= 2.0;
        }
    }
    (window, best)
}

/// Values about their mean, one long; all zero where they are flat.
fn about_mean(values: &[f32]) -> Vec<f32> {
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len().max(1) as f64;
    let square: f64 = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum();
    let scale = if square > 1e-9 { 1.0 / square.sqrt() } else { 0.0 };
    values.iter().map(|value| ((f64::from(*value) - mean) * scale) as f32).collect()
}

/// The correlation of values with others that are [`about_mean`]; 0 where one of them is flat.
fn agreement(values: &[f32], others: &[f32]) -> f64 {
    let (mut sum, mut square, mut both) = ([0.0_f32; LANES], [0.0_f32; LANES], [0.0_f32; LANES]);
    let (chunks, rest) = values.as_chunks::<LANES>();
    let (other_chunks, other_rest) = others.as_chunks::<LANES>();
    for (values, others) in chunks.iter().zip(other_chunks) {
        for lane in 0..LANES {
            sum[lane] += values[lane];
            square[lane] += values[lane] * values[lane];
            both[lane] += values[lane] * others[lane];
        }
    }
    for (lane, (value, other)) in rest.iter().zip(other_rest).enumerate() {
        sum[lane] += value;
        square[lane] += value * value;
        both[lane] += value * other;
    }
    let total = |lanes: [f32; LANES]| lanes.iter().map(|lane| f64::from(*lane)).sum::<f64>();
    let square = total(square) - total(sum).powi(2) / values.len().max(1) as f64;
    if square > 1e-9 { total(both) / square.sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that nobody could guess.
    fn film(seed: u32) -> Vec<u8> {
        (0..(SIDE * SIDE) as u32).map(|at| ((at ^ seed).wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    #[test]
    fn detail_is_what_is_left_without_the_mean_of_a_box() {
        let film = film(7);
        let window = Window { middle: [0.45, 0.52], size: [0.8, 0.7], mirrored: true };
        let mut sight = Sight::default();
        for (side, radius) in [(SIDE, 8), (SIDE, 4), (SIDE / 2, 4), (SIDE / 4, 2)] {
            let square = sight.seen(&film, window, side).to_vec();
            let detail = sight.detail(&film, window, side, radius).to_vec();
            let margin = side / 20;
            let mut at = 0;
            for y in margin..side - margin {
                for x in margin..side - margin {
                    let ys = y.saturating_sub(radius)..(y + radius + 1).min(side);
                    let xs = x.saturating_sub(radius)..(x + radius + 1).min(side);
                    let count = (ys.len() * xs.len()) as f32;
                    let sum: f32 =
                        ys.flat_map(|y| xs.clone().map(move |x| (x, y))).map(|(x, y)| square[y * side + x]).sum();
                    assert!((detail[at] - (square[y * side + x] - sum / count)).abs() < 2e-2, "{side} {x} {y}");
                    at += 1;
                }
            }
            assert_eq!(at, detail.len());
        }
    }

    #[test]
    fn agreement_is_pearsons_correlation() {
        let [a, b] = [film(1), film(2)].map(|film| film.into_iter().map(f32::from).collect::<Vec<f32>>());
        let n = a.len() as f64;
        let mean = |v: &[f32]| v.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
        let (ma, mb) = (mean(&a), mean(&b));
        let sum = |f: &dyn Fn(f64, f64) -> f64| {
            a.iter().zip(&b).map(|(a, b)| f(f64::from(*a) - ma, f64::from(*b) - mb)).sum::<f64>()
        };
        let expected = sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
        assert!((agreement(&a, &about_mean(&b)) - expected).abs() < 1e-5);
        assert!((agreement(&a, &about_mean(&a)) - 1.0).abs() < 1e-5);
        assert_eq!(agreement(&[3.0; 40], &about_mean(&a[..40])), 0.0);
        assert_eq!(agreement(&a[..40], &about_mean(&[3.0; 40])), 0.0);
    }
}
