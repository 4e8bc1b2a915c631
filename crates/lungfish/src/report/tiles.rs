//! The films of a test as tiles: some of each class, and those that the model has most wrong.

use std::path::Path;

use lungfish_data::decode_file;
use lungfish_data::display::escape;
use lungfish_pictures::{Film, Heading, Picture, PictureError, Tile, Tone, film_grid, percent};
use rayon::prelude::*;

use super::Tested;
use crate::picture::film;
use crate::{Activity, Error, Event, Watch};

/// Films a picture.
const MOST: usize = 16;
pub(super) const COLUMNS: usize = 4;
/// The longer side of a tile's film in pixels: enough for twice the size at which it is drawn.
pub(super) const LONGEST: usize = 560;
/// Films decoded between two looks at the stop flag.
const CHUNK: usize = 8;

/// Films by their index: some of each class, and the worst.
pub(super) struct Chosen {
    some: Vec<usize>,
    worst: Vec<usize>,
}

/// Some films of each class, evenly from its first to its last and the classes in turn; and the films that are called
/// wrong, highest loss first. Where none is wrong, those with the highest loss.
pub(super) fn choose(tested: &Tested) -> Chosen {
    let classes = tested.model.classes.len();
    let of_class: Vec<Vec<usize>> = (0..classes)
        .map(|class| (0..tested.labels.len()).filter(|&i| tested.labels[i].has(class) == Some(true)).collect())
        .collect();
    let of_class: Vec<&Vec<usize>> = of_class.iter().filter(|films| !films.is_empty()).collect();
    // More rounds than a class has films pass it over; the next class gets its place.
    let mut some: Vec<usize> = Vec::new();
    let mut each = MOST.div_ceil(of_class.len().max(1));
    loop {
        let evenly = |films: &&Vec<usize>| {
            let n = each.min(films.len());
            (0..n).map(|i| films[i * films.len() / n]).collect::<Vec<usize>>()
        };
        let picked: Vec<Vec<usize>> = of_class.iter().map(evenly).collect();
        let rounds = (0..each).flat_map(|i| picked.iter().filter_map(move |films| films.get(i).copied()));
        some.clear();
        some.extend(rounds.take(MOST));
        if some.len() >= MOST.min(tested.labels.len()) {
            break;
        }
        each *= 2;
    }
    let mut worst: Vec<usize> = (0..tested.labels.len()).collect();
    worst.sort_by(|&a, &b| tested.loss(b).total_cmp(&tested.loss(a)).then(a.cmp(&b)));
    if tested.errors() > 0 {
        worst.retain(|&film| !tested.is_right(film));
    }
    worst.truncate(MOST);
    Chosen { some, worst }
}

/// The tiles of both, each film decoded once more. One that cannot be read any more is left out.
pub(super) fn tiles(tested: &Tested, chosen: &Chosen, watch: &mut Watch<'_>) -> Result<[Vec<Tile>; 2], Error> {
    let wanted: Vec<usize> = chosen.some.iter().chain(&chosen.worst).copied().collect();
    let mut films: Vec<Option<Film>> = Vec::with_capacity(wanted.len());
    for chunk in wanted.chunks(CHUNK) {
        if watch.stopped() {
            return Err(Error::Stopped);
        }
        let decode = |&i: &usize| {
            let image = decode_file(&tested.predictions[i].path, tested.model.preprocess.decode_options());
            Some(film(image.ok()?, LONGEST))
        };
        films.par_extend(chunk.par_iter().with_max_len(1).map(decode));
        watch.event(&Event::Progress { task: Activity::Drawing, done: films.len(), total: wanted.len() });
    }
    let mut films = films.into_iter();
    let some = chosen.some.iter().zip(films.by_ref().take(chosen.some.len()).collect::<Vec<_>>());
    let some = some.filter_map(|(&i, film)| Some(tested.tile(i, film?, tested.lines(i))));
    let worst = chosen.worst.iter().zip(films);
    let worst = worst.filter_map(|(&i, film)| Some(tested.tile(i, film?, tested.lines_of_error(i))));
    Ok([some.collect(), worst.collect()])
}

/// Of the worst those that are called wrong.
pub(super) fn errors(tested: &Tested, chosen: Chosen) -> Vec<usize> {
    chosen.worst.into_iter().filter(|&film| !tested.is_right(film)).collect()
}

pub(super) fn grid(heading: &Heading, tiles: &[Tile]) -> Result<Picture, PictureError> {
    film_grid(heading, tiles, COLUMNS)
}

/// Title and subtitle of the films.
pub(super) fn words_of_films(tested: &Tested, shown: usize) -> (&'static str, String) {
    let shown = if shown < tested.labels.len() { format!("; {shown} of them are shown") } else { String::new() };
    ("Films and what the model calls them", format!("{}{shown}", tested.on_films()))
}

/// Title and subtitle of the worst.
pub(super) fn words_of_worst(tested: &Tested, shown: usize) -> (&'static str, String) {
    let on_films = tested.on_films();
    match tested.errors() {
        0 => ("Highest losses", format!("{on_films}; none is called wrong, the highest losses first")),
        1 => ("Worst errors", format!("{on_films}; 1 is called wrong")),
        errors if shown < errors => {
            ("Worst errors", format!("{on_films}; {errors} are called wrong, the {shown} with the highest loss"))
        }
        errors => ("Worst errors", format!("{on_films}; {errors} are called wrong, the highest loss first")),
    }
}

impl Tested<'_> {
    fn is_right(&self, film: usize) -> bool {
        self.predictions[film].called.words() == self.class_of(film)
    }

    /// The name of what it is.
    fn class_of(&self, film: usize) -> String {
        self.labels[film].words(&self.model.classes)
    }

    fn errors(&self) -> usize {
        (0..self.labels.len()).filter(|&film| !self.is_right(film)).count()
    }

    /// Minus the logarithm of the probability of what the film is.
    fn loss(&self, film: usize) -> f64 {
        0.0 - self.of_label(film).ln()
    }

    fn of_label(&self, film: usize) -> f64 {
        let class = self.labels[film].class();
        class.and_then(|class| self.predictions[film].probabilities.get(class)).map_or(f64::NAN, |(_, p)| *p)
    }

    fn tile(&self, film: usize, pixels: Film, lines: Vec<String>) -> Tile {
        Tile {
            film: pixels,
            lines,
            name: Some(file_name(&self.predictions[film].path)),
            tone: if self.is_right(film) { Tone::Right } else { Tone::Wrong },
        }
    }

    /// What it is called, and what it is. Numbers first: a long name loses its end.
    pub(super) fn lines(&self, film: usize) -> Vec<String> {
        let prediction = &self.predictions[film];
        let called = prediction.probabilities.iter().find(|(class, _)| prediction.called.has(class));
        let probability = percent(called.map_or(f64::NAN, |(_, p)| *p));
        vec![format!("{probability} {}", prediction.called.words()), format!("true class: {}", self.class_of(film))]
    }

    fn lines_of_error(&self, film: usize) -> Vec<String> {
        let mut lines = self.lines(film);
        lines.push(format!("true class at {}: loss {:.2}", percent(self.of_label(film)), self.loss(film)));
        lines
    }
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map(escape).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use lungfish_data::{Label, Split};

    use super::*;
    use crate::report::tests::{model, prediction};

    /// A test of films whose class 1 has the given probabilities.
    fn with<T>(films: &[(usize, f64)], look: impl Fn(&Tested) -> T) -> T {
        let model = model();
        let labels: Vec<Label> = films.iter().map(|(label, _)| Label::Class(*label)).collect();
        let predictions: Vec<_> = films.iter().map(|(_, p)| prediction(*p)).collect();
        look(&Tested {
            model: &model,
            model_name: "run".to_owned(),
            run: None,
            data_name: "films".to_owned(),
            split: Split::Test,
            name: "test",
            caveats: &[],
            labels: &labels,
            predictions: &predictions,
            confusion: &[],
            accuracy: 0.0,
            auc: None,
            groups: &[],
            stress: &[],
        })
    }

    #[test]
    fn the_worst_errors_come_first_and_right_films_only_where_there_is_no_error() {
        let films = [(0, 0.6), (1, 0.9), (1, 0.1), (0, 0.2), (1, 0.4)];
        with(&films, |tested| {
            assert_eq!(choose(tested).worst, [2, 0, 4]);
            assert_eq!(words_of_worst(tested, 3).0, "Worst errors");
            let lines = tested.lines_of_error(2);
            assert_eq!(lines, ["90.0 % A", "true class: B", "true class at 10.0 %: loss 2.30"]);
            let pixels = Film { width: 1, height: 1, channels: 1, pixels: vec![0] };
            assert_eq!(tested.tile(2, pixels, lines).name.as_deref(), Some("film.png"));
        });
        with(&[(0, 0.2), (1, 0.6)], |tested| {
            assert_eq!(choose(tested).worst, [1, 0]);
            assert_eq!(words_of_worst(tested, 2).0, "Highest losses");
        });
    }

    #[test]
    fn some_films_are_of_each_class_in_turn_and_as_many_as_there_are() {
        let films: Vec<(usize, f64)> = (0..100).map(|i| (usize::from(i >= 3), 0.5)).collect();
        with(&films, |tested| {
            let some = choose(tested).some;
            assert_eq!(some.len(), MOST);
            assert_eq!(some.iter().filter(|&&i| i < 3).count(), 3);
            assert!(some[0] < 3 && some[1] >= 3 && some[2] < 3, "{some:?}");
            assert!(some.iter().any(|&i| i > 70), "from the whole split: {some:?}");
            let different: std::collections::HashSet<_> = some.iter().collect();
            assert_eq!(different.len(), MOST);
        });
        with(&films[..5], |tested| assert_eq!(choose(tested).some.len(), 5));
        with(&films[4..], |tested| assert_eq!(choose(tested).some.len(), MOST));
    }
}
