//! Some films beside what the network sees of them.

use std::path::{Path, PathBuf};

use lungfish_data::augment::Alteration;
use lungfish_data::display::escape;
use lungfish_data::{
    Channels, CheckedFilm, ContentHash, DecodeOptions, Equalize, Film, Fit, Image, Pipeline, Preprocess, Split, Task,
    decode_file, is_synthetic_file,
};
use lungfish_pictures::{Heading, Tile, Tone, film_grid, film_pairs};

use crate::data_set::content;
use crate::features::film_key;
use crate::picture::{PictureFormats, film, has_extension, name_of, write};
use crate::{Error, Event, Recipe, Watch, keys, sample_bits, source};

/// The longest side of a film in the picture, in pixels.
const LONGEST: usize = 512;

/// What to show.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PreviewRequest {
    /// The films, in the layout that a training takes.
    pub data: PathBuf,
    /// What is done to a film before the network sees it, and the seed that chooses the films.
    pub recipe: Recipe,
    /// How many films, at least one.
    pub films: usize,
    /// Alter the films by chance as a training does.
    pub augmented: bool,
    /// The picture to write, `.png` or `.svg`.
    pub out: PathBuf,
    /// How it is written besides.
    pub formats: PictureFormats,
}

impl PreviewRequest {
    /// Six films as the default recipe sees them, not altered.
    pub fn new(data: impl Into<PathBuf>, out: impl Into<PathBuf>) -> Self {
        PreviewRequest { data: data.into(), out: out.into(), films: 6, ..PreviewRequest::default() }
    }
}

/// What is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preview {
    /// The picture.
    pub picture: PathBuf,
    /// The same as PDF, if asked for.
    pub pdf: Option<PathBuf>,
    /// The films in it.
    pub films: Vec<PathBuf>,
    /// The split they are of; none where the folder has no splits.
    pub split: Option<Split>,
}

/// Draws films of the train split (or of the first split there is), the classes in turn, each as it lies in its file and
/// as the network sees it: by the very code that feeds a training. `augmented` shows the alterations that epoch 1 of the
/// unfrozen phase makes with this recipe and seed. Films that cannot be read are told and passed over.
///
/// # Errors
/// One sentence: a picture that is neither `.png` nor `.svg`, no such folder, no film that can be read, a picture that
/// cannot be written; [`Error::Stopped`].
pub fn preview(request: &PreviewRequest, watch: &mut Watch<'_>) -> Result<Preview, Error> {
    if !["png", "svg"].iter().any(|extension| has_extension(&request.out, extension)) {
        let name = escape(&request.out);
        return Err(Error::refused(format!("{name} is no name for a picture: end it in .png or .svg")));
    }
    let folder = source::open(&request.data, &source::Reading::from(&request.recipe))?;
    // As a training decides it: over all films, and not those that are shown.
    let mut preprocess = request.recipe.preprocess();
    let paths: Vec<&Path> = folder.layout.films().map(|(_, film)| film.path.as_path()).collect();
    sample_bits::of_films(&mut preprocess.decoding, &paths, watch);
    // Beside the films of a class it would be taken for one of them.
    let beside = request.out.parent().filter(|parent| !parent.as_os_str().is_empty());
    folder.refuse_among_classes(beside.unwrap_or(Path::new(".")))?;
    let Some((split, _)) = folder.layout.films().next() else {
        return Err(Error::refused(format!("{} has no film", escape(&folder.root))));
    };
    let films: Vec<&Film> = folder.layout.films().filter(|(of, _)| *of == split).map(|(_, film)| film).collect();
    let mut chosen: Vec<(&Film, Vec<Tile>)> = Vec::new();
    // Films of which each has any labels are not told apart by one.
    let kinds = if folder.task == Task::OneOf { folder.classes.len() } else { 0 };
    for film in in_turn(&films, kinds, request.recipe.seed) {
        if chosen.len() == request.films.max(1) {
            break;
        }
        if watch.stopped() {
            return Err(Error::Stopped);
        }
        match tiles(film, &film.label.words(&folder.classes), request, preprocess) {
            Ok(tiles) => chosen.push((film, tiles)),
            Err(reason) => watch.event(&Event::BadFilm { path: film.path.clone(), reason: reason.to_string() }),
        }
    }
    let (films, mut rows): (Vec<&Film>, Vec<Vec<Tile>>) = chosen.into_iter().unzip();
    if films.is_empty() {
        return Err(Error::refused(format!("no film of {} can be read", escape(&folder.root))));
    }
    let heading = Heading {
        title: match split {
            Some(split) => format!("Films in {}, {split} split", name_of(&folder.root)),
            None => format!("Films in {}", name_of(&folder.root)),
        },
        subtitle: Some(subtitle(request)),
        synthetic: films.iter().any(|film| is_synthetic_file(&film.path)),
    };
    let picture = if request.augmented {
        drop_idle_steps(&mut rows);
        let columns = rows.iter().map(Vec::len).max().unwrap_or(1);
        film_grid(&heading, &rows.concat(), columns)?
    } else {
        let pairs: Vec<(Tile, Tile)> =
            rows.into_iter().filter_map(|row| <[Tile; 2]>::try_from(row).ok().map(Into::into)).collect();
        film_pairs(&heading, "as in its file", "as the network sees it", &pairs)?
    };
    let pdf = write(&request.out, &picture, request.formats)?.into_iter().nth(1);
    let films = films.into_iter().map(|film| film.path.clone()).collect();
    Ok(Preview { picture: request.out.clone(), pdf, films, split })
}

/// The films, each class by chance, one of each class in turn; without classes all by chance.
fn in_turn<'a>(films: &[&'a Film], classes: usize, seed: u64) -> Vec<&'a Film> {
    let of_class = |class| {
        let is = |film: &&&Film| film.label.class().is_none_or(|of| of == class);
        let films: Vec<&Film> = films.iter().filter(is).copied().collect();
        keys::previewed(seed, class, films.len()).into_iter().map(|i| films[i]).collect::<Vec<_>>()
    };
    let by_class: Vec<Vec<&Film>> = (0..classes.max(1)).map(of_class).collect();
    let rounds = by_class.iter().map(Vec::len).max().unwrap_or(0);
    (0..rounds).flat_map(|round| by_class.iter().filter_map(move |films| films.get(round).copied())).collect()
}

/// A film as it lies in its file, and as the network sees it; or, augmented, its square, that with all steps of an
/// alteration, and with each step by itself.
fn tiles(of: &Film, class: &str, request: &PreviewRequest, preprocess: Preprocess) -> Result<Vec<Tile>, Error> {
    let recipe = &request.recipe;
    let name = of.path.file_name().map(escape);
    let tile = |image, lines: Vec<String>, name| Tile { film: film(image, LONGEST), lines, name, tone: Tone::Plain };
    let failed = |reason| lungfish_data::DataError::Film { path: of.path.clone(), reason };
    let pipeline = Pipeline { preprocess, augment: None, side: None, cache: None };
    let square = pipeline.square(&of.path, None).map_err(failed)?;
    let size = |image: &Image| format!("{} × {} pixels", image.width, image.height);
    if !request.augmented {
        let raw = decode_file(&of.path, DecodeOptions { channels: Channels::Rgb, decoding: preprocess.decoding })
            .map_err(failed)?;
        let sizes = [size(&raw), size(&square)];
        let [before, after] = sizes.map(|size| vec![class.to_owned(), size]);
        return Ok(vec![tile(raw, before, name), tile(square, after, None)]);
    }
    let hash = content(&of.path).unwrap_or(ContentHash([0; 16]));
    let film = CheckedFilm { film: of.clone(), hash, pixels: None };
    let alteration = recipe.augment.draw(keys::augment(recipe.training_seed(), 1, film_key(&film)));
    let altered = |alteration: &Alteration| {
        let mut image = square.clone();
        alteration.apply(&mut image);
        image
    };
    let mut row = vec![
        tile(square.clone(), vec![class.to_owned(), "not altered".to_owned()], name),
        tile(altered(&alteration), vec![TOGETHER.to_owned()], None),
    ];
    row.extend(alteration.steps().iter().map(|step| {
        let words = step.to_string();
        tile(altered(step), words.split(", ").map(str::to_owned).collect(), None)
    }));
    Ok(row)
}

/// The words under a film with all steps.
const TOGETHER: &str = "all steps together";

/// Leaves out the steps that alter none of the films, and a single step, which is all of them together.
fn drop_idle_steps(rows: &mut [Vec<Tile>]) {
    let idle = |column: usize, rows: &[Vec<Tile>]| {
        rows.iter().all(|row| row.get(column).is_none_or(|tile| tile.lines == ["as it is"]))
    };
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let kept: Vec<bool> = (0..columns).map(|column| !idle(column, rows)).collect();
    let steps = kept.iter().skip(2).filter(|kept| **kept).count();
    for row in rows {
        let mut column = 0;
        row.retain(|_| {
            column += 1;
            kept[column - 1] && (column <= 2 || steps > 1)
        });
    }
}

/// What is done to the films.
fn subtitle(request: &PreviewRequest) -> String {
    let Recipe { channels, fit, equalize, image_size: size, augment, seed, .. } = &request.recipe;
    let fit = match fit {
        Fit::Crop => "middle cut out",
        Fit::Pad => "padded with black",
        Fit::Squash => "squashed",
    };
    let channels = match channels {
        Channels::Gray => "gray",
        Channels::Rgb => "RGB",
    };
    let mut text = format!("{fit}, {size} × {size} pixels, {channels}");
    text.push_str(match equalize {
        Equalize::None => "",
        Equalize::Histogram => ", histogram equalised",
        Equalize::Clahe => ", CLAHE",
    });
    if request.augmented {
        text.push_str(&format!(
            "; augmentation {} (seed {seed}, epoch 1)",
            augment.name().unwrap_or("of the recipe's own keys")
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use lungfish_data::Label;

    use super::*;

    #[test]
    fn classes_come_in_turn_and_the_seed_chooses() {
        let films: Vec<Film> = (0..30)
            .map(|i| {
                let label = Label::Class(usize::from(i >= 4) * 2);
                let facts = lungfish_data::FilmFacts::default();
                Film { path: format!("{i}").into(), label, group: i.to_string(), facts }
            })
            .collect();
        let films: Vec<&Film> = films.iter().collect();
        let order = in_turn(&films, 3, 0);
        assert_eq!(order.len(), 30);
        let labels: Vec<usize> = order.iter().take(10).filter_map(|film| film.label.class()).collect();
        assert_eq!(labels, [0, 2, 0, 2, 0, 2, 0, 2, 2, 2]);
        assert_eq!(order, in_turn(&films, 3, 0));
        assert_ne!(order, in_turn(&films, 3, 1));

        let rows: Vec<Film> =
            films.iter().map(|film| Film { label: Label::Row(vec![None]), ..(*film).clone() }).collect();
        let rows: Vec<&Film> = rows.iter().collect();
        let order = in_turn(&rows, 0, 0);
        assert!(order.len() == 30 && order != rows);
    }
}
