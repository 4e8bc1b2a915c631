//! Synthetic chest films: a data set for trying the whole program where no real films are at hand.
//!
//! They teach nothing about patients. Every film bears the word DRAWN, in the same corner for every class, and the
//! folder holds a README.txt that says what it is.

mod draw;
mod plan;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use png::{BitDepth, ColorType, Compression, Encoder};
use rayon::prelude::*;

use crate::error::DataError;
use crate::label::Label;
use crate::names::Split;
use crate::source;
use plan::SyntheticFilm;

/// The two classes, as in the Kermany data set.
pub const CLASSES: [&str; 2] = ["NORMAL", "PNEUMONIA"];

/// The three labels of an any-of data set: dense clouds, faint clouds, a large heart.
pub const LABELS: [&str; 3] = ["CONSOLIDATION", "INFILTRATES", "CARDIOMEGALY"];

/// The fewest films that fill every split and class.
pub const LEAST_FILMS: usize = 20;

const README: &str = "\
DRAWN CHEST FILMS, NOT X-RAYS OF ANYBODY

These pictures were drawn by `lungfish synth`. No patient was ever in front of a machine for them. They exist to try
the program: what a network learns from them says nothing about real films. Every picture bears the word DRAWN in its
upper left corner, in both classes alike, and a text chunk that says the same.

Layout: {train,val,test}/{NORMAL,PNEUMONIA}, named as in the Kermany data set, several films for some patients.
";

const README_ANY_OF: &str = "\
DRAWN CHEST FILMS, NOT X-RAYS OF ANYBODY

These pictures were drawn by `lungfish synth`. No patient was ever in front of a machine for them. They exist to try
the program: what a network learns from them says nothing about real films. Every picture bears the word DRAWN in its
upper left corner, whatever it shows, and a text chunk that says the same.

Layout: {train,val,test}, named by patient, several films for some patients; labels.csv says of each film whether it
shows dense clouds (CONSOLIDATION), faint clouds (INFILTRATES) and a large heart (CARDIOMEGALY): 1, 0, or nothing where
nobody knows, which was left so by chance for one in ten.
";

/// What stands in every picture's first text chunk, by which this program knows its own work.
const MARK: &str = "drawn by lungfish synth, not an X-ray";

/// What [`synth`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SynthReport {
    /// Films of train, val and test.
    pub films: [usize; 3],
    /// Patients they belong to; each is on one split.
    pub patients: usize,
}

/// Draws `films` films into the folder `out`: about 70 % train, 15 % val, 15 % test, 40 % of each NORMAL. The same
/// seed draws the same films. A folder that holds an earlier data set of synthetic films and nothing else is replaced.
///
/// # Errors
/// Fewer than [`LEAST_FILMS`] films, a folder with anything else in it, or one that cannot be written.
pub fn synth(out: &Path, films: usize, seed: u64) -> Result<SynthReport, DataError> {
    make(out, films, seed, plan::one_of, README)
}

/// [`synth`] for films that each have any of three labels ([`LABELS`]): in the folders of their splits, with a table
/// [`labels.csv`](crate::source::LABELS). Each label is on about 40 % of the films, apart from the others, and unknown on
/// every tenth film.
///
/// # Errors
/// As [`synth`].
pub fn synth_any_of(out: &Path, films: usize, seed: u64) -> Result<SynthReport, DataError> {
    make(out, films, seed, plan::any_of, README_ANY_OF)
}

fn make(
    out: &Path,
    films: usize,
    seed: u64,
    plan: fn(usize, u64) -> Vec<SyntheticFilm>,
    readme: &str,
) -> Result<SynthReport, DataError> {
    if films < LEAST_FILMS {
        return Err(DataError::TooFewSynthetic { films, least: LEAST_FILMS });
    }
    for old in earlier_films(out)? {
        fs::remove_file(&old).map_err(|source| DataError::Write { path: old, source })?;
    }
    // Beside itself first, so that a full disk or a kill leaves no half of a film under a film's name.
    let write = |path: PathBuf, bytes: &[u8]| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = path.with_file_name(format!(".{name}.tmp"));
        let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, &path));
        written.map_err(|source| {
            // The error that is told is the one that matters.
            let _ = fs::remove_file(&beside);
            DataError::Write { path, source }
        })
    };
    let plan = plan(films, seed);
    let folder = |film: &SyntheticFilm| {
        let split = out.join(film.split.name());
        film.label.class().map_or(split.clone(), |class| split.join(CLASSES[class]))
    };
    for path in plan.iter().map(folder).collect::<BTreeSet<_>>() {
        fs::create_dir_all(&path).map_err(|source| DataError::Write { path, source })?;
    }
    write(out.join("README.txt"), readme.as_bytes())?;
    if let Some(table) = table(&plan) {
        write(out.join(source::LABELS), table.as_bytes())?;
    }
    let draw_one = |film: &SyntheticFilm| {
        let path = folder(film).join(&film.name);
        let picture = draw::draw(film, seed);
        let bytes = encode(&picture).map_err(|error| DataError::Write { path: path.clone(), source: error.into() })?;
        write(path, &bytes)
    };
    plan.par_iter().try_for_each(draw_one)?;

    let on = |split| plan.iter().filter(|film| film.split == split).count();
    let patients = plan.iter().map(|film| film.patient + 1).max().unwrap_or(0);
    Ok(SynthReport { films: Split::ALL.map(on), patients })
}

/// The first line of the table.
fn table_head() -> String {
    format!("path,{}\n", LABELS.join(","))
}

/// The table of films that have rows of labels.
fn table(plan: &[SyntheticFilm]) -> Option<String> {
    let mut text = table_head();
    for film in plan {
        let Label::Row(row) = &film.label else { return None };
        let cells = row.iter().map(|value| value.map_or("", |has| if has { "1" } else { "0" }));
        let cells: Vec<&str> = cells.collect();
        text.push_str(&format!("{}/{},{}\n", film.split, film.name, cells.join(",")));
    }
    Some(text)
}

fn encode(picture: &crate::decode::Image) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, picture.width as u32, picture.height as u32);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    encoder.add_text_chunk("Comment".to_string(), MARK.to_string())?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&picture.pixels)?;
    writer.finish()?;
    Ok(bytes)
}

/// The films of an earlier run in `out`, or the error that something else is there: nothing is deleted that this
/// program did not draw.
fn earlier_films(out: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut films = Vec::new();
    for entry in list(out)? {
        let name = entry.file_name().unwrap_or_default();
        let own = |text: &[u8]| [README, README_ANY_OF].iter().any(|readme| text == readme.as_bytes());
        if name == "README.txt" && fs::read(&entry).is_ok_and(|text| own(&text)) {
            continue;
        }
        // It goes with its films: it would make a table's data set of the next ones, whatever they are.
        if name == source::LABELS && fs::read(&entry).is_ok_and(|text| text.starts_with(table_head().as_bytes())) {
            films.push(entry);
            continue;
        }
        if !Split::ALL.iter().any(|split| name == split.name()) || !entry.is_dir() {
            return Err(DataError::ForeignFolder { path: out.to_path_buf(), other: entry });
        }
        for class in list(&entry)? {
            if is_own_work(&class) {
                films.push(class);
                continue;
            }
            let known = CLASSES.iter().any(|name| class.file_name().is_some_and(|class| class == *name));
            if !known || !class.is_dir() {
                return Err(DataError::ForeignFolder { path: out.to_path_buf(), other: class });
            }
            for film in list(&class)? {
                if !is_own_work(&film) {
                    return Err(DataError::ForeignFolder { path: out.to_path_buf(), other: film });
                }
                films.push(film);
            }
        }
    }
    Ok(films)
}

/// The entries of a folder, sorted; none where there is no folder.
fn list(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let error = |source| DataError::Read { path: folder.to_path_buf(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(DataError::NotAFolder { path: folder.to_path_buf() });
        }
        Err(source) => return Err(error(source)),
    };
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>().map_err(error)?;
    paths.sort();
    Ok(paths)
}

/// Bytes of a film within which its mark lies.
const MARK_WITHIN: usize = 256;

/// Whether the bytes of a film begin as those of every film that [`synth`] drew. One that was saved anew by another
/// program has lost that mark, though not the word in its corner.
pub fn is_synthetic(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(MARK_WITHIN)];
    start.windows(MARK.len()).any(|window| window == MARK.as_bytes())
}

/// [`is_synthetic`] of the film at `path`, of which only the beginning is read; false where it cannot be read.
pub fn is_synthetic_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
        && start_of(path).is_some_and(|start| is_synthetic(&start))
}

/// Whether a file is a synthetic film, or empty, as one is whose writing was cut off.
fn is_own_work(path: &Path) -> bool {
    let is_file = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    is_file && start_of(path).is_some_and(|start| start.is_empty() || is_synthetic(&start))
}

fn start_of(path: &Path) -> Option<Vec<u8>> {
    let mut start = Vec::with_capacity(MARK_WITHIN);
    fs::File::open(path).ok()?.take(MARK_WITHIN as u64).read_to_end(&mut start).ok()?;
    Some(start)
}
