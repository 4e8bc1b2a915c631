//! The words that recipe keys choose between.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// The learning rate of the second phase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LearningRate {
    /// This one.
    At(f64),
    /// The one that a range test finds before the phase (Smith 2017, arXiv:1506.01186).
    Auto,
}

/// The word for [`LearningRate::Auto`].
const AUTO: &str = "auto";

impl LearningRate {
    /// Whether it is one that can be trained with.
    pub(super) fn is_valid(self) -> bool {
        match self {
            LearningRate::At(rate) => rate > 0.0 && rate.is_finite(),
            LearningRate::Auto => true,
        }
    }

    /// The rate; the one that was found, where the recipe leaves it to a range test.
    pub fn or(self, found: f64) -> f64 {
        match self {
            LearningRate::At(rate) => rate,
            LearningRate::Auto => found,
        }
    }
}

impl Serialize for LearningRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            LearningRate::At(rate) => serializer.serialize_f64(*rate),
            LearningRate::Auto => serializer.serialize_str(AUTO),
        }
    }
}

impl<'de> Deserialize<'de> for LearningRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Word(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(rate) => Ok(LearningRate::At(rate)),
            Written::Word(word) if word == AUTO => Ok(LearningRate::Auto),
            Written::Word(word) => Err(Error::custom(format!("{word} is no learning rate"))),
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
