//! The words that recipe keys choose between.

use serde::{Deserialize, Serialize};

/// The optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// torch.optim.Adam; weight decay is added to the gradient.
    Adam,
    /// torch.optim.AdamW; weight decay shrinks the weights.
    AdamW,
}

/// How a learning rate moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// It does not.
    Constant,
    /// torch's StepLR: times gamma every step_size epochs.
    Step,
    /// torch's CosineAnnealingLR over the epochs of the phase, to zero.
    Cosine,
    /// torch's OneCycleLR over the steps of the phase: up to the full rate and down to next to nothing, Adam's beta1
    /// from 0.95 to 0.85 and back.
    OneCycle,
}

impl Schedule {
    /// The word that chooses it.
    pub fn name(self) -> &'static str {
        match self {
            Schedule::Constant => "constant",
            Schedule::Step => "step",
            Schedule::Cosine => "cosine",
            Schedule::OneCycle => "one-cycle",
        }
    }
}

/// Weight of each class in the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassWeights {
    /// All the same.
    None,
    /// films / (classes * films of the class), as scikit-learn's "balanced".
    Balanced,
}

/// How an epoch draws its training films.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// Each once.
    Shuffled,
    /// As many films, the classes equally often.
    Balanced,
}

/// The validation metric that decides which epoch is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Best {
    /// The mean of the losses on the validation films as they are and on augmented views of them.
    Robust,
    /// Accuracy; of equal ones the lower loss.
    Accuracy,
    /// Area under the ROC curve; of equal ones the lower loss.
    Auc,
}

/// For which frequency of the classes probabilities are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PriorRule {
    /// As the network gives them: that of the training films, as they are weighed.
    None,
    /// Classes that are equally frequent.
    Equal,
}
