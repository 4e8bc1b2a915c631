//! One pass over all films: what the audit knows of each.

use std::collections::BTreeSet;

use lungfish_data::{
    Channels, ContentHash, DecodeError, DecodeOptions, Decoding, FileFacts, Film, Preprocess, STATISTIC_NAMES,
    decode_with_facts, preprocess, read_film, statistics,
};
use rayon::prelude::*;

use super::near;
use crate::trees::Table;

/// Side of the coarse film, pixels.
pub(super) const COARSE: usize = 16;
/// What its pixels are called.
pub(super) const COARSE_FILM: &str = "the film at 16 by 16 pixels";
/// Pixels of the coarse film along each edge that count as its border.
const BORDER: usize = 2;
/// Films that are decoded before they are handed on.
const CHUNK: usize = 32;

/// What is known of a film.
pub(super) struct Look {
    /// Its file.
    pub file: ContentHash,
    /// Its pixels.
    pub pixels: ContentHash,
    facts: FileFacts,
    statistics: [f64; STATISTIC_NAMES.len()],
    coarse: Vec<u8>,
    /// A small film, `near::SIDE` pixels square.
    pub small: Vec<u8>,
}

/// Squares of a film as networks want them, by the film's place, in the order in which they were asked for.
pub(super) type Squares = (usize, Vec<Vec<u8>>);

/// Looks at each film once, in order; the answer is the same for any number of threads. `squares` says which squares are made of a film;
/// `each` is given them, and how many films have been looked at, some films at a time.
pub(super) fn look<E>(
    films: &[&Film],
    decoding: Decoding,
    squares: &(dyn Fn(usize) -> Vec<Preprocess> + Sync),
    each: &mut dyn FnMut(usize, Vec<Squares>) -> Result<(), E>,
) -> Result<Vec<Result<Look, DecodeError>>, E> {
    let mut looks = Vec::with_capacity(films.len());
    for (chunk, start) in films.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
        let seen = chunk.par_iter().enumerate().with_max_len(1);
        let seen: Vec<Result<(Look, Squares), DecodeError>> = seen
            .map(|(at, film)| {
                let (look, squares) = one(film, decoding, &squares(start + at))?;
                Ok((look, (start + at, squares)))
            })
            .collect();
        let mut made = Vec::with_capacity(chunk.len());
        looks.extend(seen.into_iter().map(|film| {
            film.map(|(look, squares)| {
                made.push(squares);
                look
            })
        }));
        each(looks.len(), made)?;
    }
    Ok(looks)
}

fn one(film: &Film, decoding: Decoding, squares: &[Preprocess]) -> Result<(Look, Vec<Vec<u8>>), DecodeError> {
    let bytes = read_film(&film.path)?;
    let file = ContentHash::of(&bytes);
    let (image, facts) = decode_with_facts(&bytes, DecodeOptions { channels: Channels::Gray, decoding })?;
    drop(bytes);
    let (pixels, statistics) = (ContentHash::of_pixels(&image), statistics(&image));
    let small = preprocess::resize(image.clone(), near::SIDE, near::SIDE).pixels;
    let coarse = preprocess::resize(image.clone(), COARSE, COARSE).pixels;
    let square = |how: &Preprocess| how.apply(image.clone().into_channels(how.channels)).pixels;
    let squares = squares.iter().map(square).collect();
    Ok((Look { file, pixels, facts, statistics, coarse, small }, squares))
}

/// Numbers of films that have nothing of a lung in them, or next to nothing, and what they are.
pub(super) struct Numbers {
    /// What they are together.
    pub what: &'static str,
    /// What each column is; none where a column alone means nothing.
    pub names: Option<Vec<String>>,
    pub table: Table,
}

/// The tables of the films that were looked at.
pub(super) fn numbers(looks: &[&Look]) -> Vec<Numbers> {
    let of = |what, columns, value: &dyn Fn(&Look) -> Vec<f64>| {
        let values = looks.iter().flat_map(|look| value(look)).collect();
        Numbers { what, names: None, table: Table { columns, values } }
    };
    let edge = |at: usize| !(BORDER..COARSE - BORDER).contains(&at);
    let border: Vec<usize> = (0..COARSE * COARSE).filter(|i| edge(i % COARSE) || edge(i / COARSE)).collect();
    let statistics = of("image statistics", STATISTIC_NAMES.len(), &|look| look.statistics.to_vec());
    vec![
        file_facts(looks),
        Numbers { names: Some(STATISTIC_NAMES.map(str::to_owned).to_vec()), ..statistics },
        of("the border of the film", border.len(), &|look| border.iter().map(|at| look.coarse[*at].into()).collect()),
        of(COARSE_FILM, COARSE * COARSE, &|look| look.coarse.iter().map(|v| (*v).into()).collect()),
    ]
}

/// What the files tell; words are numbered in their order, and what a file does not say is -1. Columns in which all films
/// are the same are left out.
fn file_facts(looks: &[&Look]) -> Numbers {
    type Word = fn(&FileFacts) -> Option<String>;
    type Number = fn(&FileFacts) -> Option<f64>;
    let numbers: [(&str, Number); 12] = [
        ("width", |facts| Some(facts.width as f64)),
        ("height", |facts| Some(facts.height as f64)),
        ("width by height", |facts| Some(facts.width as f64 / facts.height as f64)),
        ("bytes a pixel", |facts| Some(facts.bytes_a_pixel)),
        ("bits a sample", |facts| Some(facts.source.bits.into())),
        ("JPEG quantisation", |facts| Some(facts.jpeg?.quantisation.into())),
        ("JPEG sampling", |facts| Some(facts.jpeg?.sampling.into())),
        ("progressive JPEG", |facts| Some(f64::from(u8::from(facts.jpeg?.progressive)))),
        ("JFIF density", |facts| Some(facts.jpeg?.density?.into())),
        ("EXIF", |facts| Some(f64::from(u8::from(facts.jpeg?.exif)))),
        ("colour profile", |facts| Some(f64::from(u8::from(facts.jpeg?.profile)))),
        ("age by decade", |facts| Some(facts.dicom.as_ref()?.decade?.into())),
    ];
    let words: [(&str, Word); 7] = [
        ("format", |facts| Some(facts.source.format.to_owned())),
        ("kind of pixel", |facts| Some(facts.source.mode.to_string())),
        ("maker of the machine", |facts| facts.dicom.as_ref()?.manufacturer.clone()),
        ("view", |facts| facts.dicom.as_ref()?.view.clone()),
        ("sex", |facts| facts.dicom.as_ref()?.sex.clone()),
        ("photometric interpretation", |facts| facts.dicom.as_ref()?.photometric.clone()),
        ("modality", |facts| facts.dicom.as_ref()?.modality.clone()),
    ];
    let mut columns: Vec<(&str, Vec<f64>)> = Vec::new();
    for (name, number) in numbers {
        columns.push((name, looks.iter().map(|look| number(&look.facts).unwrap_or(-1.0)).collect()));
    }
    for (name, word) in words {
        let said: Vec<Option<String>> = looks.iter().map(|look| word(&look.facts)).collect();
        let known: Vec<&String> = said.iter().flatten().collect::<BTreeSet<_>>().into_iter().collect();
        let number = |word: &Option<String>| {
            let place = word.as_ref().and_then(|word| known.binary_search(&word).ok());
            place.map_or(-1.0, |place| place as f64)
        };
        columns.push((name, said.iter().map(number).collect()));
    }
    columns.retain(|(_, values)| values.iter().any(|value| *value != values[0]));
    let values = (0..looks.len()).flat_map(|film| columns.iter().map(move |(_, values)| values[film])).collect();
    let names = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    Numbers { what: "the file alone", names: Some(names), table: Table { columns: columns.len(), values } }
}
