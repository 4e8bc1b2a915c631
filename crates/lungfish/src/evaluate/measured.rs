//! Labels and what a model says of films in, every metric of a test out.

use lungfish_data::{Label, Split, Task};
use lungfish_metrics::Confusion;
use serde::Serialize;

use crate::measures::{self, Shares};
use crate::metrics::Metrics;
use crate::point::CalledAt;
use crate::undefined::{self, Whole};
use crate::{Error, LabelMetrics, Measure, ModelInfo, PointRule, Prediction, positive};

/// Metrics of one class.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClassMetrics {
    /// The class.
    pub name: String,
    /// Of the films predicted to be it, the part that is; none where none was.
    pub precision: Option<f64>,
    /// Of the films that are it, the part predicted to be; none where none is.
    pub recall: Option<f64>,
    /// Harmonic mean of the two; none where undefined.
    pub f1: Option<f64>,
    /// Films that are it.
    pub support: u64,
}

/// What an operating point of the model does to the films of a test.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PointMetrics {
    /// What it was chosen by, on films of the training or of `calibrate`.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub rule: PointRule,
    /// Any-of: the label that it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub label: Option<String>,
    /// The probability from which on a film is called.
    pub cut: f64,
    /// Share of the positive films that are called.
    pub sensitivity: Measure,
    /// Share of the other films that are not.
    pub specificity: Measure,
}

/// Films of a test and what a model says of them.
pub(super) struct Asked<'a> {
    pub info: &'a ModelInfo,
    pub called_at: &'a CalledAt,
    pub split: Split,
    pub labels: &'a [Label],
    /// A row of last values a film.
    pub rows: &'a [f32],
    pub predictions: &'a [Prediction],
    pub patients: &'a [&'a str],
    /// A share of positive films for which predictive values are told beside those of these films.
    pub prevalence: Option<f64>,
}

/// Every metric of them.
pub(super) struct Measured {
    pub metrics: Metrics,
    /// Of two classes the positive one.
    pub positive: Option<usize>,
    /// Its sensitivity and specificity.
    pub of_positive: [Option<f64>; 2],
    pub classes: Vec<ClassMetrics>,
    pub confusion: Vec<Vec<u64>>,
    pub labels: Vec<LabelMetrics>,
    pub measures: Vec<Measure>,
    pub points: Vec<PointMetrics>,
    pub undefined: Vec<String>,
}

impl Asked<'_> {
    /// All metrics; none where nothing is known of any film.
    pub(super) fn measure(&self) -> Result<Option<Measured>, Error> {
        let Asked { info, labels, rows, patients, .. } = *self;
        let (task, classes) = (info.task, info.classes.len());
        let known: Vec<&Label> = labels.iter().collect();
        // What is called is asked of rows in which the cuts lie at one half.
        let moved: Vec<f32> = rows.chunks_exact(classes.max(1)).flat_map(|row| self.called_at.moved(row)).collect();
        let (Some(metrics), Some(called)) =
            (Metrics::new(task, classes, &known, rows), Metrics::new(task, classes, &known, &moved))
        else {
            return Ok(None);
        };
        let metrics = Metrics { accuracy: called.accuracy, ..metrics };
        let confusion = (task == Task::OneOf).then(|| {
            let of: Vec<usize> = labels.iter().filter_map(Label::class).collect();
            let predicted: Vec<usize> = moved.chunks_exact(classes).map(lungfish_metrics::argmax).collect();
            Confusion::new(classes, &of, &predicted)
        });
        let positive = if task == Task::OneOf { positive::of(&info.classes, &info.recipe.positive)? } else { None };
        let recall = |class: usize| confusion.as_ref().and_then(|confusion| confusion.class(class).recall);
        // Of two classes the specificity is the recall of the other one.
        let of_positive = positive.map(|class| [recall(class), recall(1 - class)]);
        let of_classes = confusion.as_ref().map(|confusion| self.of_classes(confusion)).unwrap_or_default();
        let of_labels: Vec<LabelMetrics> = match task {
            Task::OneOf => Vec::new(),
            Task::AnyOf => {
                let of = |(index, name): (usize, &String)| LabelMetrics {
                    loss: LabelMetrics::new(name, index, &known, rows, patients).loss,
                    ..LabelMetrics::new(name, index, &known, &moved, patients)
                };
                info.classes.iter().enumerate().map(of).collect()
            }
        };
        let measures = match task {
            Task::OneOf => measures::of_films(labels, self.predictions, positive, (patients, self.prevalence)),
            Task::AnyOf => Vec::new(),
        };
        let undefined = match task {
            Task::OneOf => {
                undefined::of_classes(self.split, &of_classes, Whole { auc: metrics.auc, positive: of_positive })
            }
            Task::AnyOf => undefined::of_labels(self.split, &of_labels),
        };
        Ok(Some(Measured {
            metrics,
            positive,
            of_positive: of_positive.unwrap_or_default(),
            classes: of_classes,
            confusion: confusion.as_ref().map(Confusion::rows).unwrap_or_default(),
            labels: of_labels,
            measures,
            points: self.of_points(positive),
            undefined,
        }))
    }

    fn of_classes(&self, confusion: &Confusion) -> Vec<ClassMetrics> {
        let of = |(i, name): (usize, &String)| {
            let lungfish_metrics::ClassMetrics { precision, recall, f1, support } = confusion.class(i);
            ClassMetrics { name: name.clone(), precision, recall, f1, support }
        };
        self.info.classes.iter().enumerate().map(of).collect()
    }

    /// What each operating point of the model does to these films.
    fn of_points(&self, positive: Option<usize>) -> Vec<PointMetrics> {
        let points = self.info.calibration.iter().flat_map(|calibration| &calibration.points);
        let of = |point: &crate::OperatingPoint| {
            let index = match &point.label {
                Some(label) => self.info.classes.iter().position(|name| name == label)?,
                None => positive?,
            };
            let films = self.labels.iter().zip(self.predictions).zip(self.patients);
            let known = films.filter_map(|((label, said), patient)| {
                let (_, probability) = said.probabilities.get(index)?;
                Some((label.has(index)?, *probability, *patient))
            });
            let cut = point.cut?;
            let Shares { sensitivity, specificity } = Shares::at(cut, &known.collect::<Vec<_>>());
            Some(PointMetrics { rule: point.rule, label: point.label.clone(), cut, sensitivity, specificity })
        };
        points.filter_map(of).collect()
    }
}
