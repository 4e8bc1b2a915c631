//! What a test found, as it is printed and written.

use std::path::PathBuf;

use lungfish_data::{PassedOver, Split, Task};
use serde::Serialize;

use super::{ClassMetrics, Comparison, Groups, LabelShortcut, PointMetrics, ShortcutMetrics, StressTest};
use crate::{BadFilm, BestEpoch, Caveat, LabelMetrics, Measure, Opened, PointRule, PrecisionRule, Tta};

/// The metrics of a test. Serialised, it is what `lungfish test --json` prints.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestOutcome {
    /// What was asked of the films.
    pub task: Task,
    /// Films scored.
    pub films: usize,
    /// Part that is right: of the films, or any-of of all labels that are known.
    pub accuracy: f64,
    /// Plain negative log-likelihood, mean over the films, or any-of over all labels that are known.
    pub loss: f64,
    /// Area under the ROC curve, of two classes the same whichever is positive; macro one-vs-rest beyond two classes; any-of the mean over the
    /// labels of which it is defined; none where undefined.
    pub auc: Option<f64>,
    /// Of two classes the positive one ([`Recipe::positive`](crate::Recipe::positive)), of which sensitivity and specificity are told; none beyond two.
    pub positive: Option<String>,
    /// Share of its films that are called so; none where there is none, or without a positive class.
    pub sensitivity: Option<f64>,
    /// Share of the other films that are not called so.
    pub specificity: Option<f64>,
    /// One-of: each class, in index order.
    pub classes: Vec<ClassMetrics>,
    /// One-of: `confusion[label][predicted]`, films.
    pub confusion: Vec<Vec<u64>>,
    /// Any-of: each label, in index order.
    pub labels: Vec<LabelMetrics>,
    /// With two classes the probability of the positive one from which on a film is called so, none beyond; any-of that of a
    /// label, none where each label has a cut of its own (in `points`).
    pub threshold: Option<f64>,
    /// The operating point at which films are called: a probability, or what the cut was chosen by.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub at: PointRule,
    /// What every operating point of the model does to these films.
    pub points: Vec<PointMetrics>,
    /// Whether probabilities are for classes that are equally frequent, although the films that taught the model were not.
    pub equal_prior: bool,
    /// The views over which what is said of a film was averaged; left out where it was scored as it is.
    #[serde(skip_serializing_if = "Tta::is_none")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub tta: Tta,
    /// The precision that was asked for; left out where it is what trained the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub precision: Option<PrecisionRule>,
    /// What must be known beside these numbers.
    pub caveats: Vec<Caveat>,
    /// The split that was scored.
    pub split: Split,
    /// The epoch whose weights were scored; left out where another program trained them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<BestEpoch>,
    /// The file that holds all this as JSON.
    #[serde(skip)]
    pub metrics: PathBuf,
    /// Whether a picture that was asked for could not be made; a warning told which, and why.
    #[serde(skip)]
    pub pictures_failed: bool,
    /// The file with one line a film.
    #[serde(skip)]
    pub predictions: PathBuf,
    /// The further file of the same that was asked for.
    #[serde(skip)]
    pub further: Option<PathBuf>,
    /// The pictures as PNG; each lies beside itself as SVG.
    #[serde(skip)]
    pub pictures: Vec<PathBuf>,
    /// One-of: each metric with its 95 % interval, of two classes fourteen of them, beyond two accuracy and loss. Any-of: they
    /// are with each label.
    pub measures: Vec<Measure>,
    /// What counts as one in the intervals: `patients`, whose films are alike, or `films`, where nothing tells patients.
    pub counted: &'static str,
    /// For the how manieth time test films were opened by models of this run; left out of other splits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub opened: Option<Opened>,
    /// How many of the films are unlike those that taught the model; left out where it cannot say that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub unlike: Option<UnlikeFilms>,
    /// What the look of the films alone would tell, and what of the model is left where that is held equal; left out where the model
    /// keeps nothing that says it, and of anything but two classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub shortcut: Option<ShortcutMetrics>,
    /// Any-of: the same of each label, in index order; left out where the model keeps nothing that says it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub label_shortcuts: Vec<LabelShortcut>,
    /// The metrics of groups of the films, as they were asked for; left out where they were not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub groups: Vec<Groups>,
    /// What changes of the films do that leave the lungs as they are; left out where that was not asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub stress: Vec<StressTest>,
    /// Another model on the same films; left out where none was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub comparison: Option<Comparison>,
    /// Films that could not be read and are not in the metrics.
    #[serde(rename = "unreadable")]
    pub bad: Vec<BadFilm>,
    /// What lies in the folder and is not among its films, by kind.
    pub passed_over: Vec<PassedOver>,
    /// Which of the metrics that are null are undefined, and why: a clause each, such as `AUC and recall of A, since no film
    /// of the test split is A`.
    pub undefined: Vec<String>,
}

/// How many films of a test are unlike those that taught the model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct UnlikeFilms {
    /// Films of which it is known.
    pub films: usize,
    /// Those that lie farther from the films of the training than every validation film.
    pub beyond: usize,
    /// The median over the films of the share of validation films that lie less far: one half where they are like those.
    pub median: f64,
}

impl UnlikeFilms {
    /// Of what is said of each film.
    pub(super) fn of(shares: impl Iterator<Item = f64>) -> Option<Self> {
        let mut shares: Vec<f64> = shares.collect();
        shares.sort_unstable_by(f64::total_cmp);
        let median = *shares.get(shares.len() / 2)?;
        Some(UnlikeFilms { films: shares.len(), beyond: shares.iter().filter(|share| **share >= 1.0).count(), median })
    }
}

/// `metrics-{split}.json`: the same object as `lungfish test --json` prints.
#[derive(Serialize)]
pub(super) struct Written<'a> {
    pub schema: &'static str,
    #[serde(flatten)]
    pub outcome: &'a TestOutcome,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CaveatKind;

    #[test]
    fn the_outcome_is_the_json_of_test() {
        let class = ClassMetrics { name: "A".to_owned(), precision: None, recall: Some(0.5), f1: None, support: 2 };
        let outcome = TestOutcome {
            task: Task::OneOf,
            films: 2,
            accuracy: 0.5,
            loss: 0.25,
            auc: None,
            positive: Some("A".to_owned()),
            sensitivity: Some(0.5),
            specificity: None,
            classes: vec![class],
            confusion: vec![vec![1, 1]],
            labels: Vec::new(),
            threshold: Some(0.5),
            at: PointRule::default(),
            points: Vec::new(),
            comparison: None,
            unlike: None,
            shortcut: None,
            label_shortcuts: Vec::new(),
            groups: Vec::new(),
            stress: Vec::new(),
            opened: None,
            equal_prior: true,
            tta: Tta::None,
            precision: None,
            caveats: vec![Caveat::new(CaveatKind::NoPatients, "nobody knows whose")],
            split: Split::Test,
            epoch: Some(BestEpoch {
                phase: crate::Phase::Frozen,
                epoch: 3,
                val_accuracy: 0.5,
                val_auc: None,
                val_loss: 0.75,
                robust: None,
                why: None,
            }),
            predictions: PathBuf::new(),
            further: None,
            metrics: PathBuf::new(),
            pictures: Vec::new(),
            pictures_failed: false,
            bad: Vec::new(),
            passed_over: Vec::new(),
            undefined: vec!["precision of A".to_owned()],
            measures: vec![Measure::new("accuracy", Some(0.5), Some([0.25, 0.75]))],
            counted: "films",
        };
        assert_eq!(
            serde_json::to_string(&outcome).unwrap(),
            concat!(
                r#"{"task":"one-of","films":2,"accuracy":0.5,"loss":0.25,"auc":null,"positive":"A","sensitivity":0.5,"specificity":null,"#,
                r#""classes":[{"name":"A","precision":null,"recall":0.5,"f1":null,"support":2}],"#,
                r#""confusion":[[1,1]],"labels":[],"threshold":0.5,"at":"0.5","points":[],"equal_prior":true,"#,
                r#""caveats":[{"kind":"no_patients","text":"nobody knows whose"}],"split":"test","#,
                r#""epoch":{"phase":"frozen","epoch":3,"val_accuracy":0.5,"val_auc":null,"val_loss":0.75,"robust":null,"why":null},"#,
                r#""measures":[{"name":"accuracy","value":0.5,"interval":[0.25,0.75]}],"counted":"films","unreadable":[],"passed_over":[],"undefined":["precision of A"]}"#
            )
        );
    }
}
