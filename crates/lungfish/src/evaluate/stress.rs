//! The same films changed in ways that leave the lungs as they are: what a model then says otherwise it did not read in them.

use lungfish_data::augment::Alteration;
use lungfish_data::{Fit, Image, Label, Preprocess, statistics};
use lungfish_metrics::{Confidence, Interval, clustered};
use rayon::prelude::*;
use serde::Serialize;

use super::groups::FEW;
use crate::{Activity, Called, Error, Event, Measure, Prediction, Predictor, Watch};

/// Films at most, chosen evenly: they are kept decoded.
pub(super) const MOST: usize = 2000;
/// Films decoded between two looks at the stop flag.
const CHUNK: usize = 32;
/// Of the square's side: the border that is masked, and the corners.
const BORDER: f64 = 0.1;
const CORNER: f64 = 0.2;
/// Films are made no sharper than the one that is sharper than this share of them.
const BLUNT: f64 = 0.1;
/// Factors by which a film's resolution is reduced until it is no sharper than that.
const REDUCED: [f64; 13] = [1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 12.0];

/// What a change of the films does to what the model says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct StressTest {
    /// What was done to each film.
    pub change: String,
    /// Films that were changed and scored.
    pub films: usize,
    /// The AUC then; none of anything but two classes.
    pub auc: Measure,
    /// That AUC less the one of the same films as they are.
    pub difference: Measure,
    /// Films that are called otherwise.
    pub flipped: usize,
    /// Any-of: what it does to each label, in index order; left out of classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub labels: Vec<StressLabel>,
}

/// What a change of the films does to what the model says of one label of several.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct StressLabel {
    /// The label.
    pub label: String,
    /// The films that were changed and of which it is known.
    pub films: usize,
    /// Those that have it.
    pub positives: usize,
    /// Whether fewer than 10 of them have it or have it not, so that nothing should be concluded.
    pub too_few: bool,
    /// The AUC then; none where all are of one kind.
    pub auc: Measure,
    /// That AUC less the one of the same films as they are.
    pub difference: Measure,
    /// Of all films that were changed those of which the label is called otherwise.
    pub flipped: usize,
}

/// What is done to the network's square.
#[derive(Clone, Copy)]
enum Change {
    Border,
    Corners,
    /// All films as sharp as so much: the mean of the absolute value of the Laplacian.
    Sharpness(f64),
    Alter(Alteration),
    /// Another fit of the film into the square.
    Fit(Fit),
}

/// Films of a test, as they are and as the model said.
pub(super) struct Stressed<'a> {
    pub predictions: &'a [&'a Prediction],
    /// Of two classes the positive one.
    pub positive: Option<usize>,
    pub labels: Vec<&'a Label>,
    pub patients: Vec<&'a str>,
}

impl Stressed<'_> {
    /// Every change. Films that cannot be read any more are left out of all.
    pub(super) fn run(&self, predictor: &mut Predictor, watch: &mut Watch<'_>) -> Result<Vec<StressTest>, Error> {
        let preprocess = predictor.info().preprocess;
        let squares = self.squares(predictor, preprocess, watch)?;
        let sharpness: Vec<f64> = squares.par_iter().flatten().map(|square| statistics(square)[0]).collect();
        let changes = changes(blunt(sharpness), preprocess.fit);
        let mut found = Vec::new();
        for (done, (name, change)) in changes.iter().enumerate() {
            watch.event(&Event::Progress { task: Activity::Stressing, done, total: changes.len() });
            if watch.stopped() {
                return Err(Error::Stopped);
            }
            let (films, changed): (Vec<usize>, Vec<Vec<u8>>) = match change {
                Change::Fit(fit) => {
                    let fitted = self.squares(predictor, Preprocess { fit: *fit, ..preprocess }, watch)?;
                    fitted.into_iter().enumerate().filter_map(|(film, square)| Some((film, square?.pixels))).unzip()
                }
                _ => squares
                    .par_iter()
                    .enumerate()
                    .filter_map(|(film, square)| Some((film, change.apply(square.clone()?).pixels)))
                    .unzip(),
            };
            let said = predictor.of_squares(changed)?;
            found.extend(self.compared(name, &films, &said));
        }
        watch.event(&Event::Progress { task: Activity::Stressing, done: changes.len(), total: changes.len() });
        Ok(found)
    }

    /// The network's square of each film.
    fn squares(
        &self,
        predictor: &Predictor,
        preprocess: Preprocess,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<Option<Image>>, Error> {
        let mut squares = Vec::with_capacity(self.predictions.len());
        for chunk in self.predictions.chunks(CHUNK) {
            if watch.stopped() {
                return Err(Error::Stopped);
            }
            let square = |film: &&Prediction| predictor.square(&film.path, preprocess).ok();
            squares.par_extend(chunk.par_iter().with_max_len(1).map(square));
        }
        Ok(squares)
    }

    fn compared(&self, name: &str, films: &[usize], said: &[Prediction]) -> Option<StressTest> {
        if films.is_empty() {
            return None;
        }
        let before: Vec<&Prediction> = films.iter().map(|film| self.predictions[*film]).collect();
        let flipped = before.iter().zip(said).filter(|(before, after)| before.called != after.called).count();
        let of_label = |(index, (name, _)): (usize, &(String, f64))| {
            let (kinds, [auc, difference]) = self.aucs(index, films, said);
            let positives = kinds.iter().filter(|is| **is).count();
            StressLabel {
                label: name.clone(),
                films: kinds.len(),
                positives,
                too_few: positives.min(kinds.len() - positives) < FEW,
                auc,
                difference,
                flipped: before.iter().zip(said).filter(|(a, b)| a.called.has(name) != b.called.has(name)).count(),
            }
        };
        let labels = match said.first() {
            Some(Prediction { called: Called::Labels(_), probabilities, .. }) => {
                probabilities.iter().enumerate().map(of_label).collect()
            }
            _ => Vec::new(),
        };
        let [auc, difference] = match self.positive {
            Some(class) => self.aucs(class, films, said).1,
            None => [none(), none()],
        };
        Some(StressTest { change: name.to_owned(), films: films.len(), auc, difference, flipped, labels })
    }

    /// Of a class or label whether each film has it of which that is known, the AUC of what is said of those after a change, and that less
    /// the one before.
    fn aucs(&self, index: usize, films: &[usize], said: &[Prediction]) -> (Vec<bool>, [Measure; 2]) {
        let known = films.iter().zip(said).filter_map(|(film, after)| {
            let score = |film: &Prediction| film.probabilities[index].1;
            let scores = (score(after), score(self.predictions[*film]));
            Some((self.labels[*film].has(index)?, (scores, self.patients[*film])))
        });
        let (is, rest): (Vec<bool>, Vec<_>) = known.unzip();
        let (scores, patients): (Vec<(f64, f64)>, Vec<&str>) = rest.into_iter().unzip();
        let (after, before): (Vec<f64>, Vec<f64>) = scores.into_iter().unzip();
        let measures = match clustered::difference(&is, &after, &before, &patients) {
            Some(found) => {
                let of = |value: f64, interval: Option<Interval>| {
                    Measure::new("AUC", Some(value), interval.map(|found| [found.low, found.high]))
                };
                let interval = found.first.interval(Confidence::default()).map(|found| found.interval);
                [of(found.first.auc, interval), of(found.difference, found.interval(Confidence::default()))]
            }
            None => [none(), none()],
        };
        (is, measures)
    }
}

/// An AUC that is not defined.
fn none() -> Measure {
    Measure::new("AUC", None, None)
}

/// All changes, each with its name.
fn changes(blunt: f64, fit: Fit) -> Vec<(&'static str, Change)> {
    let none = Alteration::none();
    let other = match fit {
        Fit::Squash => ("cropped to a square instead of squashed", Change::Fit(Fit::Crop)),
        _ => ("squashed into the square instead of cropped", Change::Fit(Fit::Squash)),
    };
    vec![
        ("border masked, a tenth of each side", Change::Border),
        ("corners masked, a fifth of each side", Change::Corners),
        ("all films equally sharp", Change::Sharpness(blunt)),
        ("saved as JPEG of quality 30", Change::Alter(Alteration { jpeg: Some(30), ..none })),
        ("gamma 0.7", Change::Alter(Alteration { gamma: 0.7, ..none })),
        ("gamma 1.4", Change::Alter(Alteration { gamma: 1.4, ..none })),
        ("contrast 0.7", Change::Alter(Alteration { contrast: 0.7, ..none })),
        ("contrast 1.4", Change::Alter(Alteration { contrast: 1.4, ..none })),
        ("zoomed in by a tenth", Change::Alter(Alteration { zoom: 0.9, ..none })),
        other,
    ]
}

/// The sharpness that nine films in ten have at least.
fn blunt(mut sharpness: Vec<f64>) -> f64 {
    sharpness.sort_unstable_by(f64::total_cmp);
    let at = (BLUNT * sharpness.len() as f64) as usize;
    sharpness.get(at).copied().unwrap_or(0.0)
}

impl Change {
    fn apply(&self, mut square: Image) -> Image {
        match self {
            Change::Border => mask(&mut square, |along, across| edge(along, BORDER) || edge(across, BORDER)),
            Change::Corners => mask(&mut square, |along, across| edge(along, CORNER) && edge(across, CORNER)),
            Change::Sharpness(most) => {
                for factor in REDUCED {
                    let mut reduced = square.clone();
                    Alteration { downsample: factor, ..Alteration::none() }.apply(&mut reduced);
                    if statistics(&reduced)[0] <= *most || factor == REDUCED[REDUCED.len() - 1] {
                        return reduced;
                    }
                }
            }
            Change::Alter(alteration) => alteration.apply(&mut square),
            Change::Fit(_) => {}
        }
        square
    }
}

/// Whether a place (0 to 1 along a side) is so near to an end.
fn edge(place: f64, margin: f64) -> bool {
    place < margin || place >= 1.0 - margin
}

/// Puts the film's mean where `is` says so of a place, counted from 0 to 1 along its width and height.
fn mask(square: &mut Image, is: impl Fn(f64, f64) -> bool) {
    let channels = square.channels.count();
    let pixels = (square.width * square.height).max(1);
    for channel in 0..channels {
        let sum: usize = square.pixels.iter().skip(channel).step_by(channels).map(|value| usize::from(*value)).sum();
        let mean = ((sum + pixels / 2) / pixels) as u8;
        for (at, value) in square.pixels.iter_mut().skip(channel).step_by(channels).enumerate() {
            let (x, y) = (at % square.width, at / square.width);
            let place = |at: usize, of: usize| (at as f64 + 0.5) / of as f64;
            if is(place(x, square.width), place(y, square.height)) {
                *value = mean;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lungfish_data::Channels;

    use super::*;

    fn checkered(side: usize) -> Image {
        let pixels =
            (0..side * side).map(|at| if (at % side + at / side).is_multiple_of(2) { 200 } else { 100 }).collect();
        Image { width: side, height: side, channels: Channels::Gray, pixels }
    }

    #[test]
    fn masks_cover_what_they_say_and_nothing_else() {
        let film = checkered(20);
        let masked = Change::Border.apply(film.clone());
        let corners = Change::Corners.apply(film.clone());
        for (at, value) in film.pixels.iter().enumerate() {
            let (x, y) = (at % 20, at / 20);
            let outside = |at: usize, margin: usize| at < margin || at >= 20 - margin;
            let border = outside(x, 2) || outside(y, 2);
            assert_eq!(masked.pixels[at], if border { 150 } else { *value }, "{x}, {y}");
            let corner = outside(x, 4) && outside(y, 4);
            assert_eq!(corners.pixels[at], if corner { 150 } else { *value }, "{x}, {y}");
        }
    }

    #[test]
    fn sharp_films_are_made_as_blunt_as_the_others_and_blunt_ones_left_alone() {
        let film = checkered(224);
        let sharp = statistics(&film)[0];
        let made = Change::Sharpness(sharp / 10.0).apply(film.clone());
        assert!(statistics(&made)[0] <= sharp / 10.0);
        assert_eq!(Change::Sharpness(sharp).apply(film.clone()), film);
        assert_eq!(blunt((0..100).map(f64::from).rev().collect()), 10.0);
        assert_eq!(blunt(Vec::new()), 0.0);
    }

    /// What the masked film says is of no label; a label of which the changed model says nothing any more has an AUC of one half.
    #[test]
    fn each_label_has_its_own_change() {
        let names = ["KEPT", "LOST", "RARE"].map(str::to_owned);
        let kind = |film: usize| film.is_multiple_of(2);
        let unknown = |film: usize| film == 7;
        let label =
            |film: usize| Label::Row(vec![(!unknown(film)).then_some(kind(film)), Some(kind(film)), Some(film < 3)]);
        let said = |film: usize, lost: bool| {
            let right = |is: bool| if is { 0.9 } else { 0.2 };
            let first = if unknown(film) { 0.99 } else { right(kind(film)) };
            // Then as high for films of either kind.
            let nothing = if film % 4 < 2 { 0.6 } else { 0.8 };
            let probabilities = [first, if lost { nothing } else { right(kind(film)) }, 0.1];
            Prediction::new("", lungfish_data::Task::AnyOf, names.iter().cloned().zip(probabilities).collect())
        };
        let labels: Vec<Label> = (0..40).map(label).collect();
        let before: Vec<Prediction> = (0..40).map(|film| said(film, false)).collect();
        let after: Vec<Prediction> = (0..40).map(|film| said(film, true)).collect();
        let patients: Vec<String> = (0..40).map(|film| film.to_string()).collect();
        let stressed = Stressed {
            predictions: &before.iter().collect::<Vec<_>>(),
            positive: None,
            labels: labels.iter().collect(),
            patients: patients.iter().map(String::as_str).collect(),
        };
        let found = stressed.compared("masked", &(0..40).collect::<Vec<_>>(), &after).unwrap();
        let [kept, lost, rare] = &found.labels[..] else { panic!("{found:?}") };
        assert_eq!((found.auc.value, found.flipped, kept.label.as_str()), (None, 20, "KEPT"));
        assert_eq!((kept.films, kept.positives, kept.auc.value, kept.difference.value), (39, 20, Some(1.0), Some(0.0)));
        assert_eq!((lost.films, lost.auc.value, lost.difference.value, lost.flipped), (40, Some(0.5), Some(-0.5), 20));
        assert_eq!([kept.too_few, lost.too_few, rare.too_few], [false, false, true]);
        assert!(lost.auc.interval.is_some() && kept.flipped == 0);
    }

    #[test]
    fn the_other_fit_is_the_one_that_the_model_does_not_use() {
        let of = |fit| changes(1.0, fit).last().unwrap().0;
        assert_eq!(of(Fit::Crop), "squashed into the square instead of cropped");
        assert_eq!(of(Fit::Squash), "cropped to a square instead of squashed");
    }
}
