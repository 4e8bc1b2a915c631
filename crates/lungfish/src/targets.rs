//! The loss as target rows: class weights, label smoothing and the mean are all in the rows, so that
//! `-sum(t * log_probability)` is `torch.nn.CrossEntropyLoss(weight, label_smoothing)` with its mean
//! reduction, and the engine needs no other loss.

use crate::recipe::ClassWeights;

/// Makes target rows.
#[derive(Clone, Debug)]
pub(crate) struct Targets {
    /// One a class.
    weights: Vec<f64>,
    smoothing: f64,
}

impl Targets {
    /// `labels` are those of the whole train split. A class that has no film there gets weight 0.
    pub(crate) fn new(rule: ClassWeights, smoothing: f64, classes: usize, labels: &[usize]) -> Self {
        let weights = match rule {
            ClassWeights::None => vec![1.0; classes],
            ClassWeights::Balanced => {
                let mut counts = vec![0_usize; classes];
                labels.iter().for_each(|&l| counts[l] += 1);
                let weight = |&n: &usize| if n == 0 { 0.0 } else { labels.len() as f64 / (classes * n) as f64 };
                counts.iter().map(weight).collect()
            }
        };
        Targets { weights, smoothing }
    }

    /// Rows `[n, classes]` for a step's labels. As torch has it, the mean divides by the sum of the weights of the
    /// step's labels, and the smoothed part weighs each class by its own weight.
    pub(crate) fn rows(&self, labels: &[usize]) -> Vec<f32> {
        let classes = self.weights.len();
        let total: f64 = labels.iter().map(|&l| self.weights[l]).sum();
        let mut rows = Vec::with_capacity(labels.len() * classes);
        for &label in labels {
            for (class, weight) in self.weights.iter().enumerate() {
                let sure = if class == label { 1.0 - self.smoothing } else { 0.0 };
                rows.push((weight * (sure + self.smoothing / classes as f64) / total) as f32);
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    #[test]
    fn losses_and_gradients_are_torchs() {
        let golden: Value = serde_json::from_str(include_str!("../../../golden/training/losses.json")).unwrap();
        let cases = golden["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 18);
        for case in cases {
            let labels: Vec<usize> = numbers(&case["labels"]).iter().map(|&l| l as usize).collect();
            let classes = case["classes"].as_u64().unwrap() as usize;
            let weights = if case["weight"].is_null() { vec![1.0; classes] } else { numbers(&case["weight"]) };
            let targets = Targets { weights, smoothing: case["label_smoothing"].as_f64().unwrap() };
            let rows = targets.rows(&labels);
            let (mut loss, mut gradient) = (0.0, Vec::new());
            for (logits, t) in numbers(&case["logits"]).chunks(classes).zip(rows.chunks(classes)) {
                let norm = logits.iter().map(|x| x.exp()).sum::<f64>().ln();
                let mass: f64 = t.iter().map(|&t| f64::from(t)).sum();
                for (x, &t) in logits.iter().zip(t) {
                    loss -= f64::from(t) * (x - norm);
                    gradient.push(mass * (x - norm).exp() - f64::from(t));
                }
            }
            assert!((loss - case["loss"].as_f64().unwrap()).abs() < 1e-6, "{case}");
            for (ours, theirs) in gradient.iter().zip(numbers(&case["gradient"])) {
                assert!((ours - theirs).abs() < 1e-6, "{case}");
            }
        }
    }

    #[test]
    fn balanced_weights_are_scikit_learns() {
        // sklearn.utils.class_weight.compute_class_weight("balanced", classes=[0, 1], y=[0, 1, 1, 1]) = [2, 0.6667]
        let targets = Targets::new(ClassWeights::Balanced, 0.0, 2, &[0, 1, 1, 1]);
        assert!((targets.weights[0] - 2.0).abs() < 1e-12 && (targets.weights[1] - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(Targets::new(ClassWeights::Balanced, 0.0, 3, &[0, 1]).weights[2], 0.0);
    }
}
