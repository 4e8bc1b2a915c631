//! Near-copies: films that are another one cropped, mirrored, saved anew, resized or with other gray levels, so that their pixels
//! differ and a person would take them for the same.
//!
//! Chest films look alike, and any two of them agree in what is coarse. So candidates are those that agree best in 8 by 8 and then
//! 16 by 16 gray values, among some crops of each and their mirror images; each is then laid over the other as well as it can be, and
//! what is fine in them (ribs, tubes, letters) has to agree.

use std::ops::ControlFlow;

use rayon::prelude::*;

/// Side of the small film that is kept of each, pixels.
pub(super) const SIDE: usize = 64;
/// Sides of the squares by which candidates are found.
const COARSE: usize = 16;
const COARSER: usize = 8;
/// Parts of a film that may be another film: side of the window, and how far its middle may lie from the film's.
const CROPS: [f64; 3] = [0.9, 0.8, 0.7];
/// Candidates of a film after each look.
const FIRST: usize = 48;
const SECOND: usize = 4;
/// Correlation of 16 by 16 values below which nothing is looked at further.
const LEAST_COARSE: f32 = 0.8;
/// Correlation of what is fine from which on two films are the same.
const SAME: f64 = 0.7;
/// Radius of the box whose mean is taken off: while films are laid over each other, and where they are compared.
const WIDE: usize = 8;
const FINE: usize = 4;
/// Films between two reports of progress.
const CHUNK: usize = 64;
/// With more films than this only whole films and mirror images are compared, so that it ends.
pub(super) const MOST_CROPPED: usize = 20_000;

/// A film that is another one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NearCopy {
    /// The film of which the other shows all or a part.
    pub whole: usize,
    pub copy: usize,
    /// Whether one is the mirror image of the other.
    pub mirrored: bool,
    /// Area that the copy shows, of the film.
    pub shown: f64,
    /// Correlation of what is fine, laid over each other.
    pub correlation: f64,
}

/// A part of a film, in shares of its width and height.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    middle: [f64; 2],
    size: [f64; 2],
    mirrored: bool,
}

/// Pairs of films that are the same, each once; `apart` says of which pairs it matters. `films` are small films, [`SIDE`] pixels
/// square; the answer is the same for any number of threads. `None` where it is broken off.
pub(super) fn near_copies(
    films: &[&[u8]],
    apart: &(dyn Fn(usize, usize) -> bool + Sync),
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Option<Vec<NearCopy>> {
    let windows = windows(films.len() <= MOST_CROPPED);
    let whole = windows[0];
    let bases: Vec<[Vec<f32>; 2]> = films.par_iter().map(|film| squares(film, whole)).collect();
    let mut found: Vec<NearCopy> = Vec::new();
    for start in (0..films.len()).step_by(CHUNK) {
        let end = (start + CHUNK).min(films.len());
        let chunk = (start..end).into_par_iter().with_max_len(1);
        found.par_extend(chunk.flat_map_iter(|film| of_film(film, films, &windows, &bases, apart)));
        if progress(end).is_break() {
            return None;
        }
    }
    // A pair is found from both sides where the copy shows all of the film.
    found.sort_by(|a, b| b.correlation.total_cmp(&a.correlation).then((a.whole, a.copy).cmp(&(b.whole, b.copy))));
    let mut seen = std::collections::HashSet::new();
    found.retain(|pair| seen.insert((pair.whole.min(pair.copy), pair.whole.max(pair.copy))));
    Some(found)
}

fn windows(crops: bool) -> Vec<Window> {
    let mut windows = vec![Window { middle: [0.5; 2], size: [1.0; 2], mirrored: false }];
    for side in CROPS.into_iter().filter(|_| crops) {
        let away = (1.0 - side) / 2.0;
        for [x, y] in [[0.0, 0.0], [-away, -away], [away, -away], [-away, away], [away, away]] {
            windows.push(Window { middle: [0.5 + x, 0.5 + y], size: [side; 2], mirrored: false });
        }
    }
    let mirrored: Vec<Window> = windows.iter().map(|window| Window { mirrored: true, ..*window }).collect();
    windows.extend(mirrored);
    windows
}

/// The other films that are this one or a part of it.
fn of_film(
    film: usize,
    films: &[&[u8]],
    windows: &[Window],
    bases: &[[Vec<f32>; 2]],
    apart: &(dyn Fn(usize, usize) -> bool + Sync),
) -> Vec<NearCopy> {
    let parts: Vec<[Vec<f32>; 2]> = windows.iter().map(|window| squares(films[film], *window)).collect();
    let best = |other: usize, which: usize| {
        let base = &bases[other][which];
        let each = parts.iter().enumerate().map(|(window, part)| (dot(&part[which], base), window));
        each.fold((f32::NEG_INFINITY, 0), |best, next| if next.0 > best.0 { next } else { best })
    };
    let others = (0..films.len()).filter(|other| *other != film && apart(film, *other));
    let mut first: Vec<(f32, usize)> = others.map(|other| (best(other, 0).0, other)).collect();
    keep(&mut first, FIRST);
    let mut second: Vec<(f32, usize)> = first.into_iter().map(|(_, other)| (best(other, 1).0, other)).collect();
    keep(&mut second, SECOND);
    second.retain(|(correlation, _)| *correlation >= LEAST_COARSE);
    let compare = |(_, other): (f32, usize)| {
        let (window, correlation) = laid_over(films[film], films[other], windows[best(other, 1).1]);
        let shown = window.size[0] * window.size[1];
        (correlation >= SAME).then_some(NearCopy {
            whole: film,
            copy: other,
            mirrored: window.mirrored,
            shown,
            correlation,
        })
    };
    second.into_iter().filter_map(compare).collect()
}

/// The best of them, the best first.
fn keep(candidates: &mut Vec<(f32, usize)>, most: usize) {
    let better = |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if candidates.len() > most {
        candidates.select_nth_unstable_by(most, better);
        candidates.truncate(most);
    }
    candidates.sort_by(better);
}

/// A part of a film as 8 by 8 and as 16 by 16 values about their mean, one long.
fn squares(film: &[u8], window: Window) -> [Vec<f32>; 2] {
    let fine = seen(film, window, 2 * COARSE);
    let mean_of = |values: &[f32], side: usize| -> Vec<f32> {
        let half = side / 2;
        let at = |x: usize, y: usize| values[y * side + x];
        (0..half * half)
            .map(|place| {
                let (x, y) = (2 * (place % half), 2 * (place / half));
                (at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)) / 4.0
            })
            .collect()
    };
    let coarse = mean_of(&fine, 2 * COARSE);
    let coarser = mean_of(&coarse, 2 * COARSER);
    [unit(coarser), unit(coarse)]
}

/// Values about their mean, one long; all zero where they are all the same.
fn unit(mut values: Vec<f32>) -> Vec<f32> {
    let mean = values.iter().sum::<f32>() / values.len().max(1) as f32;
    values.iter_mut().for_each(|value| *value -= mean);
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    let scale = if length > 1e-3 { 1.0 / length } else { 0.0 };
    values.iter_mut().for_each(|value| *value *= scale);
    values
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Several sums, so that vectors can hold them.
    let mut sums = [0.0_f32; 16];
    for (a, b) in a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum()
}

/// A window of a film as a square of so many pixels, bilinear.
fn seen(film: &[u8], window: Window, side: usize) -> Vec<f32> {
    let last = SIDE - 1;
    let places = |axis: usize| -> Vec<(usize, f32)> {
        let place = |at: usize| {
            let share = (at as f64 + 0.5) / side as f64;
            let share = if axis == 0 && window.mirrored { 1.0 - share } else { share };
            let at = (window.middle[axis] + (share - 0.5) * window.size[axis]) * SIDE as f64 - 0.5;
            let at = at.clamp(0.0, last as f64);
            let low = (at as usize).min(last - 1);
            (low, (at - low as f64) as f32)
        };
        (0..side).map(place).collect()
    };
    let (columns, rows) = (places(0), places(1));
    let mut out = Vec::with_capacity(side * side);
    for (row, down) in rows {
        let upper = &film[row * SIDE..][..SIDE];
        let lower = &film[(row + 1) * SIDE..][..SIDE];
        for (column, right) in &columns {
            let along = |line: &[u8]| {
                let (a, b) = (f32::from(line[*column]), f32::from(line[column + 1]));
                a + (b - a) * right
            };
            let (a, b) = (along(upper), along(lower));
            out.push(a + (b - a) * down);
        }
    }
    out
}

/// Lays a part of a film over another film as well as it can be, beginning with a window: where it lies, and the correlation of
/// what is fine.
fn laid_over(film: &[u8], other: &[u8], from: Window) -> (Window, f64) {
    let other: Vec<f32> = other.iter().map(|value| f32::from(*value)).collect();
    let of_other = [WIDE, FINE].map(|radius| detail(&other, radius));
    let agrees = |window: Window, which: usize| {
        let radius = [WIDE, FINE][which];
        correlation(&detail(&seen(film, window, SIDE), radius), &of_other[which])
    };
    let (mut window, mut best) = (from, agrees(from, 0));
    let mut step = 0.04;
    while step > 0.003 {
        let mut moved = false;
        for change in 0..5 {
            for sign in [-1.0, 1.0] {
                let mut next = window;
                match change {
                    0 | 1 => next.middle[change] += sign * step,
                    2 | 3 => next.size[change - 2] += sign * step,
                    _ => next.size.iter_mut().for_each(|size| *size += sign * step),
                }
                if next.size.iter().any(|size| !(0.4..=1.02).contains(size)) {
                    continue;
                }
                let found = agrees(next, 0);
                if found > best {
                    (window, best, moved) = (next, found, true);
                }
            }
        }
        if !moved {
            step /= 2.0;
        }
    }
    (window, agrees(window, 1))
}

/// A square of [`SIDE`] pixels without what is coarser than a box of that radius. Its margin is left out.
fn detail(values: &[f32], radius: usize) -> Vec<f32> {
    // Sums of all that lies above and to the left.
    let wide = SIDE + 1;
    let mut sums = vec![0.0_f64; wide * wide];
    for y in 0..SIDE {
        let mut row = 0.0;
        for x in 0..SIDE {
            row += f64::from(values[y * SIDE + x]);
            sums[(y + 1) * wide + x + 1] = sums[y * wide + x + 1] + row;
        }
    }
    let margin = 3;
    let mut out = Vec::with_capacity((SIDE - 2 * margin).pow(2));
    for y in margin..SIDE - margin {
        let (top, bottom) = (y.saturating_sub(radius), (y + radius + 1).min(SIDE));
        for x in margin..SIDE - margin {
            let (left, right) = (x.saturating_sub(radius), (x + radius + 1).min(SIDE));
            let sum = sums[bottom * wide + right] - sums[top * wide + right] - sums[bottom * wide + left]
                + sums[top * wide + left];
            let mean = sum / ((bottom - top) * (right - left)) as f64;
            out.push(values[y * SIDE + x] - mean as f32);
        }
    }
    out
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let count = a.len().max(1) as f64;
    let mean = |values: &[f32]| values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (f64::from(*a) - mean_a, f64::from(*b) - mean_b);
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    if aa > 1e-9 && bb > 1e-9 { ab / (aa * bb).sqrt() } else { 0.0 }
}
