//! The curves of a test and of the training before it.

use lungfish_data::Task;
use lungfish_metrics::{
    Confidence, NetBenefit, average_precision, calibration, decision_curve, precision_recall_curve, roc_auc, roc_curve,
};
use lungfish_pictures::{Augmented, Benefit, Curve, Epoch, ReliabilityBin};

use super::Tested;
use crate::EpochRecord;
use crate::run_folder::LOG;

/// Points nearer than this in both directions are one in any picture.
const NEAR: f64 = 1.0 / 4096.0;

/// The ROC and the precision-recall curves: of the positive one of two classes, of each class against all others beyond,
/// of each label any-of. A class
/// for which a curve is undefined has none.
pub(super) fn of_classes(tested: &Tested) -> [Vec<Curve>; 2] {
    let classes = &tested.model.classes;
    let two = tested.model.task == Task::OneOf && classes.len() == 2;
    let (mut roc, mut precision_recall) = (Vec::new(), Vec::new());
    let positive = tested.positive().filter(|_| two);
    for (class, name) in classes.iter().enumerate().filter(|(class, _)| positive.is_none_or(|own| own == *class)) {
        // Any-of: of the films of which the label is known.
        let films = tested.labels.iter().zip(tested.predictions);
        let known = films.filter_map(|(label, film)| Some((label.has(class)?, film.probabilities.get(class)?.1)));
        let (positive, scores): (Vec<bool>, Vec<f64>) = known.unzip();
        // Beyond two classes a film is called by its largest probability, which is no threshold on a curve.
        let threshold = two || tested.model.task == Task::AnyOf;
        let operating = threshold.then(|| operating_point(tested, class));
        if let Some(points) = roc_curve(&positive, &scores) {
            roc.push(Curve {
                name: name.clone(),
                points: thinned(points.iter().map(|p| [p.false_positive_rate, p.true_positive_rate])),
                area: roc_auc(&positive, &scores),
                operating: operating.map(|point| [point.false_positive_rate, point.recall]),
                baseline: None,
            });
            let points = precision_recall_curve(&positive, &scores).unwrap_or_default();
            precision_recall.push(Curve {
                name: name.clone(),
                points: thinned(points.iter().map(|p| [p.recall, p.precision])),
                area: average_precision(&positive, &scores),
                operating: operating.and_then(|point| Some([point.recall, point.precision?])),
                baseline: Some(positive.iter().filter(|is| **is).count() as f64 / positive.len() as f64),
            });
        }
    }
    [roc, precision_recall]
}

/// Bins of a reliability diagram, at most; and films that a bin has at least, so that its share says something.
const BINS: usize = 10;
const LEAST: usize = 10;

/// Whether probabilities come true and whether acting on them is worth it, of the positive one of two classes, with its name. None
/// beyond two classes, any-of, and for too few films or films of one class.
pub(super) fn of_worth(tested: &Tested) -> Option<(String, Vec<ReliabilityBin>, Vec<Benefit>)> {
    let positive = tested.positive().filter(|_| tested.model.task == Task::OneOf)?;
    let is: Vec<bool> = tested.labels.iter().map(|label| label.has(positive) == Some(true)).collect();
    let probability: Vec<f64> = tested.predictions.iter().map(|film| film.probabilities[positive].1).collect();
    if !is.contains(&true) || !is.contains(&false) {
        return None;
    }
    let bins = (is.len() / LEAST).clamp(1, BINS);
    let bins = calibration::reliability(&is, &probability, bins, Confidence::default())?;
    let bin = |bin: &calibration::ReliabilityPoint| ReliabilityBin {
        probability: bin.mean_probability,
        share: bin.share,
        interval: [bin.interval.low, bin.interval.high],
        films: bin.films,
    };
    let thresholds: Vec<f64> = (0..100).map(|percent| f64::from(percent) / 100.0).collect();
    let curve = decision_curve(&is, &probability, &thresholds, None)?;
    let benefit = |point: &NetBenefit| Benefit { threshold: point.threshold, model: point.model, all: point.all };
    Some((tested.model.classes[positive].clone(), bins.iter().map(bin).collect(), curve.iter().map(benefit).collect()))
}

/// How a class is called.
#[derive(Clone, Copy)]
struct Operating {
    false_positive_rate: f64,
    recall: f64,
    precision: Option<f64>,
}

/// From what films are called; only asked for where there are films of the class and of others.
fn operating_point(tested: &Tested, class: usize) -> Operating {
    let name = &tested.model.classes[class];
    let count = |of: bool, called: bool| -> f64 {
        let films = tested.labels.iter().zip(tested.predictions);
        films.filter(|(label, film)| label.has(class) == Some(of) && film.called.has(name) == called).count() as f64
    };
    let (hits, misses) = (count(true, true), count(true, false));
    let (alarms, rest) = (count(false, true), count(false, false));
    Operating {
        false_positive_rate: alarms / (alarms + rest),
        recall: hits / (hits + misses),
        precision: (hits + alarms > 0.0).then(|| hits / (hits + alarms)),
    }
}

/// A curve without the points that no picture could show: the first and the last stay, and any that is not next to the
/// one before.
fn thinned(points: impl ExactSizeIterator<Item = [f64; 2]>) -> Vec<[f64; 2]> {
    let last = points.len().saturating_sub(1);
    let mut kept: Vec<[f64; 2]> = Vec::new();
    for (index, point) in points.enumerate() {
        let far = |before: &[f64; 2]| (0..2).any(|axis| (point[axis] - before[axis]).abs() >= NEAR);
        if index == last || kept.last().is_none_or(far) {
            kept.push(point);
        }
    }
    kept
}

/// The epochs of the run's log and which of them is the model; none without a run or a log. Lines that are none (a log
/// that is being written) are passed over.
pub(super) fn of_learning(tested: &Tested) -> Option<(Vec<Epoch>, Option<usize>)> {
    let log = std::fs::read_to_string(tested.run?.join(LOG)).ok()?;
    let records: Vec<EpochRecord> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let model = tested.model.epoch.as_ref()?;
    let best = records.iter().position(|record| (record.phase, record.epoch) == (model.phase, model.epoch));
    let epoch = |record: EpochRecord| Epoch {
        phase: record.phase.to_string(),
        epoch: record.epoch,
        train_loss: record.train_loss,
        val_loss: record.val_loss,
        train_accuracy: record.train_accuracy,
        val_accuracy: record.val_accuracy,
        val_auc: record.val_auc,
        augmented: record.robust.map(|seen| Augmented { loss: seen.loss, accuracy: seen.accuracy, auc: seen.auc }),
        lr: record.lr,
    };
    let epochs: Vec<Epoch> = records.into_iter().map(epoch).collect();
    (!epochs.is_empty()).then_some((epochs, best))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_shape_and_its_ends() {
        let points = (0..=100_000).map(|i| [f64::from(i) / 1e5, (f64::from(i) / 1e5).sqrt()]);
        let few = thinned(points.collect::<Vec<_>>().into_iter());
        assert!((1000..10_000).contains(&few.len()), "{}", few.len());
        assert_eq!((few[0], few[few.len() - 1]), ([0.0, 0.0], [1.0, 1.0]));
        assert!(few.windows(2).all(|p| p[1][0] - p[0][0] < 2.0 * NEAR && p[1][1] - p[0][1] < 0.01));
        let corner = [[0.0, 0.0], [0.0, 0.5], [0.5, 0.5], [0.5, 1.0], [1.0, 1.0]];
        assert_eq!(thinned(corner.into_iter()), corner);
        assert_eq!(thinned([].into_iter()), Vec::<[f64; 2]>::new());
    }
}
