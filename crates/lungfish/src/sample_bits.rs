//! How many of the 16 bits of a sample the films of a data set use: 12-bit films in 16-bit files are nearly black where that
//! is not known. It is decided once, over all films, and applied to every later one.

use std::path::Path;

use lungfish_data::display::escape;
use lungfish_data::{Decoding, FilmSet, Span, Task, span, span_of};
use rayon::prelude::*;

use crate::{Caveat, CaveatKind, Watch};

/// Classes that differ by more than this in their share of 16-bit films are told of.
const MOST_APART: f64 = 0.5;

/// The spans of the 16-bit films among these; what cannot be read is told when it is read for good.
fn spans(films: &[&Path]) -> Vec<Option<Span>> {
    films.par_iter().map(|film| span(film).ok().flatten()).collect()
}

fn note(bits: u8, films: usize) -> String {
    let films = if films == 1 { "1 film has".to_owned() } else { format!("{films} films have") };
    format!("{films} 16 bits a sample, of which {bits} are used: 0 to {} becomes 0 to 255", (1_u32 << bits) - 1)
}

/// Decides for films that are learnt from, and tells of classes of which one is stored otherwise. `asked` is what the recipe
/// says, if it says something.
pub(crate) fn of_training(set: &FilmSet, asked: Option<u8>, watch: &mut Watch<'_>) -> (Option<u8>, Option<Caveat>) {
    let films: Vec<&Path> = set.layout.films().map(|(_, film)| film.path.as_path()).collect();
    let all = spans(&films);
    let wide: Vec<Span> = all.iter().flatten().copied().collect();
    if wide.is_empty() {
        return (asked, None);
    }
    let bits = asked.or_else(|| Span::bits(&wide));
    if let Some(bits) = bits {
        watch.note(note(bits, wide.len()));
        tell_of_wider(bits, &wide, watch);
    }
    // Of each class that has films; a split without one must not put a share under another's name.
    let shares: Vec<(&String, f64)> = set
        .classes
        .iter()
        .enumerate()
        .filter_map(|(class, name)| {
            let films = set.layout.films().zip(&all).filter(|((_, film), _)| film.label.has(class) == Some(true));
            let (count, wide) = films.fold((0, 0), |(n, wide), (_, span)| (n + 1, wide + usize::from(span.is_some())));
            (count > 0).then(|| (name, wide as f64 / f64::from(count)))
        })
        .collect();
    let least = shares.iter().map(|(_, share)| *share).fold(f64::INFINITY, f64::min);
    let most = shares.iter().map(|(_, share)| *share).fold(0.0, f64::max);
    let apart = set.task == Task::OneOf && most - least > MOST_APART;
    let caveat = apart.then(|| {
        let share = |(name, share): &(&String, f64)| format!("{:.0} % of {}", 100.0 * share, escape(name));
        let of: Vec<String> = shares.iter().map(share).collect();
        Caveat::new(
            CaveatKind::Acquisition,
            format!(
                "the classes are stored differently (16 bits a sample have {}): a network may tell them apart by that, and \
                 numbers from these films are then worth nothing for others",
                of.join(", ")
            ),
        )
    });
    (bits, caveat)
}

/// Decides for an image in memory, the bytes of a file, where the films that the model learnt from did not.
pub(crate) fn of_bytes(learnt: Decoding, bytes: &[u8]) -> Decoding {
    let found = || span_of(bytes).ok().flatten().and_then(|span| Span::bits(&[span]));
    Decoding { sample_bits: learnt.sample_bits.or_else(found), ..learnt }
}

/// Decides for films that a model is asked about, where the films that it learnt from did not.
pub(crate) fn of_films(decoding: &mut Decoding, films: &[&Path], watch: &mut Watch<'_>) {
    if decoding.sample_bits == Some(16) {
        return;
    }
    let wide: Vec<Span> = spans(films).into_iter().flatten().collect();
    match decoding.sample_bits {
        Some(bits) => tell_of_wider(bits, &wide, watch),
        None => {
            decoding.sample_bits = Span::bits(&wide);
            if let Some(bits) = decoding.sample_bits {
                watch.note(note(bits, wide.len()));
            }
        }
    }
}

/// Says how many films have brighter samples than the bits in use allow.
fn tell_of_wider(bits: u8, wide: &[Span], watch: &mut Watch<'_>) {
    let most = (1_u32 << bits) - 1;
    let beyond = wide.iter().filter(|span| u32::from(span.most) > most).count();
    if beyond > 0 {
        watch.warn(format!(
            "{beyond} of {} films of 16 bits a sample have samples above {most}, the most of {bits} bits: they are white there \
             (sample_bits)",
            wide.len()
        ));
    }
}
