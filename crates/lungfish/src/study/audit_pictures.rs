//! The pictures of an audit: what tells the classes apart, doubtful labels, near-copies.

use std::path::{Path, PathBuf};

use lungfish_data::synth::is_synthetic_file;
use lungfish_data::{Channels, DecodeOptions, decode_file};
use lungfish_pictures::{
    ForestGroup, ForestLine, ForestRow, Heading, Picture, Tile, Tone, film_grid, film_pairs, forest,
};
use rayon::prelude::*;

use super::audited::{NEAR_COPIES, SHORTCUTS, SUSPECTS};
use crate::audit::{Separation, Shortcut};
use crate::picture::{PictureFormats, film, name_of, remove_all, write_all};
use crate::{Activity, Audit, Error, Event, Watch};

/// Doubtful labels that are drawn, and how many in a row.
const MOST_SUSPECTS: usize = 30;
const COLUMNS: usize = 5;
/// Pairs that are drawn.
const MOST_PAIRS: usize = 12;
/// The longer side of a drawn film in pixels.
const LONGEST: usize = 420;
/// The places of rows of the two kinds of films.
const TRAIN: usize = 0;
const TEST: usize = 1;

/// Draws what there is to draw; the PNGs, and whether one could not be made.
///
/// # Errors
/// [`Error::Stopped`].
pub(super) fn draw(
    found: &Audit,
    out: &Path,
    films: bool,
    watch: &mut Watch<'_>,
) -> Result<(Vec<PathBuf>, bool), Error> {
    let drawer = Drawer { found, name: name_of(Path::new(&found.root)) };
    let (mut written, mut failed) = (Vec::new(), false);
    let pictures = [
        (SHORTCUTS, drawer.shortcuts()),
        (NEAR_COPIES, if films { drawer.near_copies(watch)? } else { None }),
        (SUSPECTS, if films { drawer.suspects(watch)? } else { None }),
    ];
    for (name, picture) in pictures {
        let result = match picture {
            Some(picture) => picture.and_then(|picture| write_all(out, name, &picture, PictureFormats::default())),
            None => {
                remove_all(out, name);
                continue;
            }
        };
        match result {
            Ok(paths) => written.extend(paths.into_iter().next()),
            Err(error) => {
                remove_all(out, name);
                failed = true;
                watch.warn(format!("there is no picture {name}: {error}"));
            }
        }
    }
    Ok((written, failed))
}

struct Drawer<'a> {
    found: &'a Audit,
    name: String,
}

impl Drawer<'_> {
    fn shortcuts(&self) -> Option<Result<Picture, Error>> {
        let shortcuts = &self.found.shortcuts;
        let mut classes: Vec<&str> = Vec::new();
        shortcuts.iter().for_each(|found| {
            if !classes.contains(&found.class.as_str()) {
                classes.push(&found.class);
            }
        });
        if classes.is_empty() {
            return None;
        }
        let of_class = |class: &&str| ForestGroup {
            title: format!("{class}, told from all others by"),
            rows: shortcuts.iter().filter(|found| found.class == **class).flat_map(rows).collect(),
        };
        let groups: Vec<ForestGroup> = classes.iter().map(of_class).collect();
        let tested = if self.found.test > 0 { "; squares: on the test split" } else { "" };
        let subtitle = format!(
            "{}, {} films. Boosted trees, asked about films of other patients than they were fitted to{tested}. Bars are 95 % intervals",
            self.name, self.found.films
        );
        let heading = self.heading("What tells the classes apart without a look at lungs", subtitle, &[]);
        let line = ForestLine { value: 0.5, name: "nothing tells them".to_owned() };
        Some(forest(&heading, "AUC", &groups, Some(&line)).map_err(Error::from))
    }

    fn suspects(&self, watch: &mut Watch<'_>) -> Result<Option<Result<Picture, Error>>, Error> {
        let Some(suspects) = &self.found.suspects else { return Ok(None) };
        let chosen: Vec<_> = suspects.suspects.iter().take(MOST_SUSPECTS).collect();
        let paths: Vec<&Path> = chosen.iter().map(|film| film.path.as_path()).collect();
        let tiles = self.tiles(&paths, watch)?.into_iter().zip(&chosen).filter_map(|(tile, film)| {
            let lines = vec![
                format!("labelled {} ({:.2})", film.label, film.of_label),
                format!("rather {} ({:.2})", film.suggested, film.of_suggested),
            ];
            Some(Tile { lines, ..tile? })
        });
        let tiles: Vec<Tile> = tiles.collect();
        if tiles.is_empty() {
            return Ok(None);
        }
        let subtitle = format!(
            "{} of the {} films of {} of which films of other patients say that they are of another class, the most doubtful first. To \
             be looked at by somebody who can read them",
            tiles.len(),
            suspects.count,
            self.name
        );
        let heading = self.heading("Doubtful labels", subtitle, &paths);
        Ok(Some(film_grid(&heading, &tiles, COLUMNS).map_err(Error::from)))
    }

    fn near_copies(&self, watch: &mut Watch<'_>) -> Result<Option<Result<Picture, Error>>, Error> {
        let near: Vec<_> = self.found.leakage.near.iter().take(MOST_PAIRS).collect();
        let paths: Vec<&Path> = near.iter().flat_map(|pair| [pair.film_path.as_path(), &pair.copy_path]).collect();
        let tiles = self.tiles(&paths, watch)?;
        let pairs = tiles.chunks_exact(2).zip(&near).filter_map(|(tiles, near)| {
            let [Some(of_film), Some(copy)] = tiles else { return None };
            let mirrored = if near.mirrored { ", mirrored" } else { "" };
            let lines = vec![format!("shows {:.0} %{mirrored} ({:.2})", 100.0 * near.shown, near.correlation)];
            Some((of_film.clone(), Tile { lines, ..copy.clone() }))
        });
        let pairs: Vec<(Tile, Tile)> = pairs.collect();
        if pairs.is_empty() {
            return Ok(None);
        }
        let subtitle = format!(
            "{} of the {} films of {} that show all or a part of another one, the surest first",
            pairs.len(),
            self.found.leakage.near_copies,
            self.name
        );
        let heading = self.heading("Near-copies", subtitle, &paths);
        Ok(Some(film_pairs(&heading, "film", "copy", &pairs).map_err(Error::from)))
    }

    /// Films with their names; none for one that cannot be read any more.
    fn tiles(&self, paths: &[&Path], watch: &mut Watch<'_>) -> Result<Vec<Option<Tile>>, Error> {
        let mut tiles = Vec::with_capacity(paths.len());
        let options = DecodeOptions { channels: Channels::Gray, decoding: self.found.decoding };
        for chunk in paths.chunks(8) {
            if watch.stopped() {
                return Err(Error::Stopped);
            }
            let tile = |path: &&Path| {
                let film = film(decode_file(path, options).ok()?, LONGEST);
                let name = Some(name_of(path));
                Some(Tile { film, lines: Vec::new(), name, tone: Tone::Plain })
            };
            tiles.par_extend(chunk.par_iter().with_max_len(1).map(tile));
            watch.event(&Event::Progress { task: Activity::Drawing, done: tiles.len(), total: paths.len() });
        }
        Ok(tiles)
    }

    fn heading(&self, title: &str, subtitle: String, films: &[&Path]) -> Heading {
        let synthetic = films.iter().any(|path| is_synthetic_file(path));
        Heading { title: title.to_owned(), subtitle: Some(subtitle), synthetic }
    }
}

/// What a set of numbers tells of the films to learn from and of those of the test split, and the best number of it alone.
fn rows(found: &Shortcut) -> Vec<ForestRow> {
    let row = |name: String, separation: &Separation, kind: usize| ForestRow {
        name,
        value: Some(separation.auc),
        interval: separation.interval,
        note: format!("{} films", separation.films),
        kind,
    };
    let both = |name: &str, train: &Separation, test: Option<&Separation>| {
        let test = test.map(|test| row(format!("{name}, test split"), test, TEST));
        std::iter::once(row(name.to_owned(), train, TRAIN)).chain(test).collect::<Vec<_>>()
    };
    let best =
        found.alone.first().map(|alone| both(&format!("{} alone", alone.name), &alone.train, alone.test.as_ref()));
    both(&found.what, &found.train, found.test.as_ref()).into_iter().chain(best.into_iter().flatten()).collect()
}
