//! In which precision networks compute: what may be asked for, what it comes to on this machine, and which kernels run then.

use std::fmt;
use std::str::FromStr;

use lungfish_engine::Precision;
use lungfish_kernels::machine;
use serde::{Deserialize, Serialize};

use crate::Error;

/// In which precision a network computes, as it may be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PrecisionRule {
    /// Single precision everywhere.
    Fp32,
    /// bfloat16 between the layers, as PyTorch's autocast; single precision for weights, sums, statistics and the loss.
    Bf16,
    /// Half-precision floats between the layers, in the same way, and a loss that is scaled; for GPUs.
    F16,
    /// Of a training that begins, what suits the processor ([`PrecisionRule::settled`]); of a model, what trained it.
    #[default]
    Auto,
}

impl PrecisionRule {
    /// All there are.
    pub const ALL: [PrecisionRule; 4] =
        [PrecisionRule::Fp32, PrecisionRule::Bf16, PrecisionRule::F16, PrecisionRule::Auto];

    /// The word that chooses it.
    pub fn name(self) -> &'static str {
        match self {
            PrecisionRule::Fp32 => "fp32",
            PrecisionRule::Bf16 => "bf16",
            PrecisionRule::F16 => "f16",
            PrecisionRule::Auto => "auto",
        }
    }

    /// What it is for a training that begins here: `auto` is bf16 where the processor multiplies bfloat16, else fp32.
    ///
    /// ```
    /// use lungfish::PrecisionRule;
    /// assert_ne!(PrecisionRule::Auto.settled(), PrecisionRule::Auto);
    /// assert_eq!(PrecisionRule::Fp32.settled(), PrecisionRule::Fp32);
    /// ```
    pub fn settled(self) -> Self {
        match self {
            PrecisionRule::Auto if machine::bf16() => PrecisionRule::Bf16,
            PrecisionRule::Auto => PrecisionRule::Fp32,
            asked => asked,
        }
    }

    /// That of plans. Where nobody settled it, a version wrote the recipe that knew of nothing but fp32.
    pub(crate) fn precision(self) -> Precision {
        match self {
            PrecisionRule::Bf16 => Precision::Bf16,
            PrecisionRule::F16 => Precision::F16,
            PrecisionRule::Fp32 | PrecisionRule::Auto => Precision::Fp32,
        }
    }
}

impl From<Precision> for PrecisionRule {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Fp32 => PrecisionRule::Fp32,
            Precision::Bf16 => PrecisionRule::Bf16,
            Precision::F16 => PrecisionRule::F16,
        }
    }
}

impl fmt::Display for PrecisionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PrecisionRule {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = || Error::refused(format!("\"{name}\" is no precision: fp32, bf16, f16 or auto"));
        PrecisionRule::ALL.into_iter().find(|rule| rule.name() == name).ok_or_else(known)
    }
}

/// The path that the kernels take on this machine in a precision: what bits depend on beside the operands.
pub(crate) fn path(precision: Precision) -> &'static str {
    match precision {
        // Nothing here computes in f16.
        Precision::Fp32 | Precision::F16 => machine::path(),
        Precision::Bf16 => machine::bf16_path(),
    }
}

/// What there is to say of a training that begins in bf16 or f16; nothing of fp32.
pub(crate) fn sentence(precision: Precision) -> Option<String> {
    let why = match (precision, machine::bf16()) {
        (Precision::Fp32, _) => return None,
        (Precision::F16, _) => return Some("computing in f16 (precision), with a loss that is scaled".to_owned()),
        (Precision::Bf16, true) => "which this processor multiplies by an instruction of its own",
        (Precision::Bf16, false) => "for which this processor has no instruction: fp32 is faster here",
    };
    Some(format!("computing in bf16 (precision), {why}"))
}

/// What the first network that computes in another precision than trained it computes in; `None` where there is none.
pub(crate) fn other(now: &[Precision], trained: &[Precision]) -> Option<PrecisionRule> {
    now.iter().zip(trained).find(|(now, trained)| now != trained).map(|(now, _)| (*now).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_networks_the_one_that_computes_otherwise_is_told() {
        use Precision::{Bf16, F16, Fp32};
        assert_eq!(other(&[F16, Fp32], &[F16, Bf16]), Some(PrecisionRule::Fp32));
        assert_eq!(other(&[Bf16, Fp32], &[Bf16, F16]), Some(PrecisionRule::Fp32));
        assert_eq!(other(&[Bf16, Bf16], &[Fp32, Bf16]), Some(PrecisionRule::Bf16));
        assert_eq!(other(&[F16, Fp32], &[F16, Fp32]), None);
    }

    #[test]
    fn auto_is_what_the_processor_can_do_and_a_recipe_that_nobody_settled_is_fp32() {
        let here = if machine::bf16() { PrecisionRule::Bf16 } else { PrecisionRule::Fp32 };
        let settled = [PrecisionRule::Fp32, PrecisionRule::Bf16, PrecisionRule::F16, here];
        assert_eq!(PrecisionRule::ALL.map(PrecisionRule::settled), settled);
        let of_plans = PrecisionRule::ALL.map(|rule| rule.precision().name());
        assert_eq!(of_plans, ["fp32", "bf16", "f16", "fp32"]);
        for rule in PrecisionRule::ALL {
            assert_eq!(rule.to_string().parse::<PrecisionRule>().unwrap(), rule);
        }
        let refused = "fp16".parse::<PrecisionRule>().unwrap_err().to_string();
        assert_eq!(refused, "\"fp16\" is no precision: fp32, bf16, f16 or auto");
    }

    #[test]
    fn each_precision_has_its_path() {
        assert_eq!(path(Precision::Fp32), machine::path());
        assert_eq!(path(Precision::Bf16), machine::bf16_path());
        assert_eq!(path(Precision::Fp32) != path(Precision::Bf16), machine::bf16() || machine::tiles());
        assert_eq!(sentence(Precision::Fp32), None);
        for (precision, name) in [(Precision::Bf16, "bf16"), (Precision::F16, "f16")] {
            assert!(sentence(precision).unwrap().starts_with(&format!("computing in {name} (precision), ")));
        }
    }
}
