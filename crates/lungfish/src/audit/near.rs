//! Near-copies: films that are another one cropped, mirrored, saved anew, resized or with other gray levels, so that their pixels
//! differ and a person would take them for the same.
//!
//! Chest films look alike, and any two of them agree in what is coarse. So candidates are those that agree best in 8 by 8 and then
//! 16 by 16 gray values, among some crops of each and their mirror images; each is then laid over the other as well as it can be, and
//! what is fine in them (ribs, tubes, letters) has to agree.

mod laid;

use std::ops::ControlFlow;

use rayon::prelude::*;

use laid::{Sight, laid_over};

/// Side of the small film that is kept of each, pixels.
pub(super) const SIDE: usize = 64;
/// Sides of the squares by which candidates are found.
const COARSE: usize = 16;
const COARSER: usize = 8;
/// Parts of a film that may be another film: side of the window, and at how many places along each side it is looked for.
const CROPS: [(f64, usize); 3] = [(0.9, 3), (0.8, 4), (0.7, 4)];
/// Candidates of a film after each look.
const FIRST: usize = 64;
const SECOND: usize = 10;
/// Correlation of 16 by 16 values below which nothing is looked at further.
const LEAST_COARSE: f32 = 0.4;
/// Correlation of what is fine from which on two films are the same. Measured on 5,216 films of children's chests and 240 copies of
/// some: of a film and its copy 0.947 and more, of films of two patients 0.91 and less.
const SAME: f64 = 0.93;
/// A copy that shows so much of a film shows all of it.
const ALL: f64 = 0.95;
/// Of fewer films nobody knows what films usually look like.
const FEW: usize = 100;
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

const WHOLE: Window = Window { middle: [0.5; 2], size: [1.0; 2], mirrored: false };

/// Pairs of films that are the same, each once; `apart` says of which pairs it matters. `films` are small films, [`SIDE`] pixels
/// square; the answer is the same for any number of threads. `None` where it is broken off.
pub(super) fn near_copies(
    films: &[&[u8]],
    apart: &(dyn Fn(usize, usize) -> bool + Sync),
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Option<Vec<NearCopy>> {
    let windows = windows(films.len() <= MOST_CROPPED);
    let plain: Vec<[Vec<f32>; 2]> =
        films.par_iter().map_init(Sight::default, |sight, film| squares_of(sight, film, WHOLE)).collect();
    let usual = Usual::of(&plain);
    let bases: Vec<Squares> = plain.into_par_iter().map(|squares| usual.without(squares)).collect();
    let mut found: Vec<NearCopy> = Vec::new();
    for start in (0..films.len()).step_by(CHUNK) {
        let end = (start + CHUNK).min(films.len());
        let chunk = (start..end).into_par_iter().with_max_len(1);
        found.par_extend(chunk.flat_map_iter(|film| of_film(film, (films, &bases), (&windows, &usual), apart)));
        if progress(end).is_break() {
            return None;
        }
    }
    // A pair is found from both sides where the copy shows all of the film.
    found.sort_by(|a, b| b.correlation.total_cmp(&a.correlation).then((a.whole, a.copy).cmp(&(b.whole, b.copy))));
    let mut seen = std::collections::HashSet::new();
    found.retain(|pair| seen.insert((pair.whole.min(pair.copy), pair.whole.max(pair.copy))));
    // Of two that show the same the one that was listed first is the film: those of train come before those of test.
    for pair in found.iter_mut().filter(|pair| pair.shown >= ALL) {
        (pair.whole, pair.copy) = (pair.whole.min(pair.copy), pair.whole.max(pair.copy));
    }
    Some(found)
}

fn windows(crops: bool) -> Vec<Window> {
    let mut windows = vec![WHOLE];
    for (side, places) in CROPS.into_iter().filter(|_| crops) {
        let place = |at: usize| side / 2.0 + at as f64 * (1.0 - side) / (places - 1) as f64;
        for at in 0..places * places {
            windows.push(Window { middle: [place(at % places), place(at / places)], size: [side; 2], mirrored: false });
        }
    }
    let mirrored: Vec<Window> = windows.iter().map(|window| Window { mirrored: true, ..*window }).collect();
    windows.extend(mirrored);
    windows
}

/// The other films that are this one or a part of it.
fn of_film(
    film: usize,
    (films, bases): (&[&[u8]], &[Squares]),
    (windows, usual): (&[Window], &Usual),
    apart: &(dyn Fn(usize, usize) -> bool + Sync),
) -> Vec<NearCopy> {
    let mut sight = Sight::default();
    let mut part = |window: &Window| usual.without(squares_of(&mut sight, films[film], *window));
    let parts: Vec<Squares> = windows.iter().map(&mut part).collect();
    let coarser = |other: usize| parts.iter().map(|part| dot_short(&part.coarser, &bases[other].coarser)).max();
    let coarse = |other: usize| {
        let each = parts.iter().enumerate().map(|(window, part)| (dot(&part.coarse, &bases[other].coarse), window));
        each.fold((f32::NEG_INFINITY, 0), |best, next| if next.0 > best.0 { next } else { best })
    };
    let others = (0..films.len()).filter(|other| *other != film && apart(film, *other));
    let mut first: Vec<(f32, usize)> = others.map(|other| (coarser(other).unwrap_or(0) as f32, other)).collect();
    keep(&mut first, FIRST);
    let mut second: Vec<(f32, usize)> = first.into_iter().map(|(_, other)| (coarse(other).0, other)).collect();
    keep(&mut second, SECOND);
    second.retain(|(correlation, _)| *correlation >= LEAST_COARSE);
    let compare = |(_, other): (f32, usize)| {
        let (window, correlation) = laid_over(&mut sight, films[film], films[other], windows[coarse(other).1]);
        let shown = (window.size[0] * window.size[1]).min(1.0);
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

/// A film or a part of it, without what films usually look like.
struct Squares {
    /// 8 by 8 values, one long; 1 is [`ONE`].
    coarser: Vec<i16>,
    /// 16 by 16 values, one long.
    coarse: Vec<f32>,
}

/// The length of [`Squares::coarser`]: sums of products fit into 32 bits.
const ONE: f32 = 16_384.0;

/// What films usually look like: their mean, which says nothing of a film.
struct Usual([Vec<f32>; 2]);

impl Usual {
    fn of(films: &[[Vec<f32>; 2]]) -> Self {
        let mean = |which: usize| -> Vec<f32> {
            let length = films.first().map_or(0, |film| film[which].len());
            let mut sums = vec![0.0_f64; length];
            for film in films {
                sums.iter_mut().zip(&film[which]).for_each(|(sum, value)| *sum += f64::from(*value));
            }
            // Of few films the mean is much of each of them.
            let share = if films.len() < FEW { 0.0 } else { 1.0 / films.len() as f64 };
            sums.iter().map(|sum| (sum * share) as f32).collect()
        };
        Usual([mean(0), mean(1)])
    }

    fn without(&self, squares: [Vec<f32>; 2]) -> Squares {
        let [coarser, coarse] = squares;
        let less = |values: Vec<f32>, usual: &[f32]| unit(values.iter().zip(usual).map(|(a, b)| a - b).collect());
        let coarser = less(coarser, &self.0[0]);
        Squares {
            coarser: coarser.iter().map(|value| (value * ONE) as i16).collect(),
            coarse: less(coarse, &self.0[1]),
        }
    }
}

/// A part of a film as 8 by 8 and as 16 by 16 values about their mean, one long.
fn squares_of(sight: &mut Sight, film: &[u8], window: Window) -> [Vec<f32>; 2] {
    let fine = sight.seen(film, window, 2 * COARSE);
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
    let coarse = mean_of(fine, 2 * COARSE);
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

/// Products of 16 bits, which processors add in pairs.
fn dot_short(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
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

#[cfg(test)]
mod tests {
    use lungfish_data::augment::Alteration;
    use lungfish_data::preprocess::resize;
    use lungfish_data::{Channels, Image, decode_file};

    use super::*;

    fn small(film: &Image) -> Vec<u8> {
        resize(film.clone(), SIDE, SIDE).pixels
    }

    fn part(film: &Image, [left, top, width, height]: [f64; 4]) -> Image {
        let at = |share: f64, of: usize| (share * of as f64) as usize;
        let (x, y) = (at(left, film.width), at(top, film.height));
        let (w, h) = (at(width, film.width), at(height, film.height));
        let row = |row: usize| &film.pixels[(y + row) * film.width + x..][..w];
        let pixels = (0..h).flat_map(|line| row(line).iter().copied()).collect();
        Image { width: w, height: h, channels: Channels::Gray, pixels }
    }

    /// Synthetic films, of other patients each, with structure of their own.
    fn films() -> Vec<Image> {
        let dir = tempfile::tempdir().unwrap();
        lungfish_data::synth(dir.path(), 40, 3).unwrap();
        let mut paths: Vec<_> = lungfish_data::folder::films_in(dir.path()).unwrap();
        paths.sort();
        paths.iter().map(|path| decode_file(path, Channels::Gray).unwrap()).collect()
    }

    #[test]
    fn a_film_that_was_changed_is_still_that_film() {
        let films = films();
        let altered = |change: Alteration| {
            let mut film = films[5].clone();
            change.apply(&mut film);
            film
        };
        let none = Alteration::none();
        let copies = [
            ("cropped", part(&films[5], [0.08, 0.05, 0.84, 0.88]), false, 0.74),
            ("cropped in a corner", part(&films[5], [0.0, 0.0, 0.75, 0.75]), false, 0.56),
            ("mirrored", altered(Alteration { mirrored: true, ..none }), true, 1.0),
            ("saved anew", altered(Alteration { jpeg: Some(20), ..none }), false, 1.0),
            ("made brighter", altered(Alteration { gamma: 0.7, contrast: 0.7, ..none }), false, 1.0),
            ("made smaller", resize(films[5].clone(), 90, 80), false, 1.0),
        ];
        for (name, copy, mirrored, shown) in copies {
            let mut all: Vec<Vec<u8>> = films.iter().map(small).collect();
            all.push(small(&copy));
            let last = all.len() - 1;
            let views: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
            let mut told = 0;
            let found = near_copies(&views, &|a, b| (a == last) != (b == last), &mut |done| {
                told = done;
                ControlFlow::Continue(())
            });
            let found = found.unwrap();
            assert_eq!(told, all.len());
            let [pair] = &found[..] else { panic!("{name}: {found:?}") };
            assert_eq!(
                (pair.whole.min(pair.copy), pair.whole.max(pair.copy), pair.mirrored),
                (5, last, mirrored),
                "{name}"
            );
            assert!((pair.shown - shown).abs() < 0.08, "{name}: {pair:?}");
        }
        let views: Vec<Vec<u8>> = films.iter().map(small).collect();
        let views: Vec<&[u8]> = views.iter().map(Vec::as_slice).collect();
        assert_eq!(near_copies(&views, &|a, b| a != b, &mut |_| ControlFlow::Break(())), None);
    }

    #[test]
    fn flat_films_are_like_nothing() {
        let flat = [vec![0; SIDE * SIDE], vec![255; SIDE * SIDE]];
        let views: Vec<&[u8]> = flat.iter().map(Vec::as_slice).collect();
        assert_eq!(near_copies(&views, &|_, _| true, &mut |_| ControlFlow::Continue(())), Some(Vec::new()));
    }
}
