//! What a tuning varies: keys of the recipe, each with the values that it is drawn from.

use std::fmt;
use std::str::FromStr;

use crate::recipe::KEYS;
use crate::{Changes, Error, Recipe, keys};

/// A key of the recipe with the values that trials draw from.
#[derive(Clone, Debug, PartialEq)]
pub struct Vary {
    /// The key.
    pub key: String,
    /// Its values.
    pub values: Values,
}

/// Values to draw from, each as likely as another.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Values {
    /// Numbers between two: uniform in their logarithm where both are above 0 and the ends are a factor of 10 apart or more,
    /// else uniform.
    Between(f64, f64),
    /// These, as a recipe writes them.
    Of(Vec<String>),
}

/// What is varied where nobody says what.
const USUAL: [&str; 7] = [
    "lr=1e-4..2e-3",
    "weight_decay=1e-3..0.2",
    "batch_size=16,32,64",
    "augment=robust,strong",
    "label_smoothing=0,0.05,0.1",
    "dropout=0,0.2,0.4",
    "mixup=0,0.2",
];

/// Keys that decide which films judge a trial and how, and those that the rungs set: trials that differ in them could not
/// be compared.
const SETTLED: [&str; 15] = [
    "seed",
    "member",
    "patient",
    "val_fraction",
    "test_fraction",
    "limit",
    "strict",
    "val_views",
    "best",
    "prior",
    "epochs",
    "image_size",
    "sizes",
    "checkpoint_seconds",
    "cache_features",
];

impl Vary {
    /// What is varied where nobody says what.
    pub fn usual() -> Vec<Vary> {
        USUAL.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// Refuses values that the recipe does not take.
    pub(crate) fn check(&self, base: &Recipe) -> Result<(), Error> {
        if SETTLED.contains(&self.key.as_str()) {
            let text = format!("{} is the same for all trials, or they could not be compared", self.key);
            return Err(Error::refused(text));
        }
        let values = match &self.values {
            Values::Between(low, high) => vec![format!("{low:?}"), format!("{high:?}")],
            Values::Of(values) => values.clone(),
        };
        for value in values {
            let mut changes = Changes::default();
            changes.set_key(&self.key, &value)?;
            changes.apply(base.clone())?;
        }
        Ok(())
    }

    /// The value of a trial (from 1).
    pub(crate) fn draw(&self, seed: u64, trial: usize) -> String {
        let unit = keys::tuned(seed, trial, &self.key);
        match &self.values {
            Values::Of(values) => {
                let place = (unit * values.len() as f64) as usize;
                values.get(place).or(values.last()).cloned().unwrap_or_default()
            }
            Values::Between(low, high) if self.is_logarithmic() => {
                let value = (low.ln() + unit * (high.ln() - low.ln())).exp();
                // Two digits are as many as anybody tells apart, and as read well.
                let value: f64 = format!("{value:.1e}").parse().unwrap_or(value);
                format!("{:?}", value.clamp(*low, *high))
            }
            Values::Between(low, high) => {
                let digits = (2.0 - (high - low).max(1e-12).log10().floor()).clamp(0.0, 15.0) as usize;
                let value: f64 = format!("{:.digits$}", low + unit * (high - low)).parse().unwrap_or(*low);
                format!("{:?}", value.clamp(*low, *high))
            }
        }
    }

    /// Whether it is drawn, and drawn, on a logarithm.
    pub(crate) fn is_logarithmic(&self) -> bool {
        matches!(self.values, Values::Between(low, high) if low > 0.0 && high / low >= 10.0)
    }
}

impl FromStr for Vary {
    type Err = Error;

    /// `KEY=LOW..HIGH` or `KEY=A,B,C`; `KEY` alone is one of those that are usual.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = |why: &str| Err(Error::refused(format!("\"{text}\" {why}")));
        let Some((key, values)) = text.split_once('=') else {
            let usual = USUAL.iter().find(|usual| usual.split_once('=').is_some_and(|(key, _)| key == text.trim()));
            return match usual {
                Some(usual) => usual.parse(),
                None => refused("does not say between which values: KEY=LOW..HIGH or KEY=A,B,C, such as lr=1e-4..1e-2"),
            };
        };
        let (key, values) = (key.trim().to_owned(), values.trim());
        let known = |name: &str| KEYS.iter().any(|known| known.name == name) || name == "augment";
        if !known(&key) && !key.starts_with("lr.") {
            return refused("names no key of the recipe (lungfish recipe prints them)");
        }
        if let Some((low, high)) = values.split_once("..") {
            let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
            return match (number(low), number(high)) {
                (Some(low), Some(high)) if low < high => Ok(Vary { key, values: Values::Between(low, high) }),
                _ => refused("is no range: two numbers, the smaller first, such as 1e-4..1e-2"),
            };
        }
        let values: Vec<String> = values.split(',').map(|value| value.trim().to_owned()).collect();
        if values.len() < 2 || values.iter().any(String::is_empty) {
            return refused("names fewer than two values");
        }
        Ok(Vary { key, values: Values::Of(values) })
    }
}

impl fmt::Display for Vary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.values {
            Values::Between(low, high) => write!(f, "{}={low:?}..{high:?}", self.key),
            Values::Of(values) => write!(f, "{}={}", self.key, values.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_is_read_fits_and_comes_back() {
        let usual = Vary::usual();
        assert_eq!(usual.len(), USUAL.len());
        for vary in &usual {
            vary.check(&Recipe { epochs: 8, ..Recipe::default() }).unwrap();
            assert_eq!(vary.to_string().parse::<Vary>().unwrap(), *vary);
        }
        assert_eq!("lr".parse::<Vary>().unwrap(), usual[0]);
    }

    #[test]
    fn draws_fill_the_range_and_depend_on_nothing_else() {
        let lr = &Vary::usual()[0];
        let values: Vec<f64> = (1..2000).map(|trial| lr.draw(5, trial).parse().unwrap()).collect();
        assert!(values.iter().all(|value| (1e-4..=2e-3).contains(value)));
        let below = values.iter().filter(|value| **value < (1e-4_f64 * 2e-3).sqrt()).count() as f64 / 1999.0;
        assert!((below - 0.5).abs() < 0.04, "{below}");
        assert_eq!(lr.draw(5, 7), lr.draw(5, 7));
        assert!((1..50).any(|trial| lr.draw(5, trial) != lr.draw(6, trial)));
        let decay = &Vary::usual()[1];
        assert!((1..50).map(|trial| decay.draw(5, trial)).collect::<std::collections::BTreeSet<_>>().len() > 40);
        let batch = &Vary::usual()[2];
        let counts = ["16", "32", "64"].map(|size| (1..3000).filter(|trial| batch.draw(1, *trial) == size).count());
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
        let linear: Vary = "dropout=0..0.5".parse().unwrap();
        assert!(!linear.is_logarithmic());
        assert!((1..500).all(|trial| (0.0..=0.5).contains(&linear.draw(3, trial).parse::<f64>().unwrap())));
    }

    #[test]
    fn what_cannot_be_varied_is_refused_by_name() {
        let says = |text: &str| match text.parse::<Vary>() {
            Ok(vary) => vary.check(&Recipe::default()).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(says("hidden").contains("does not say between which values"));
        assert!(says("learning=1..2").contains("names no key of the recipe"));
        assert!(says("lr=2..1").contains("no range") && says("lr=1").contains("fewer than two"));
        assert!(says("lr=-1..1").contains("must be a number above 0"));
        assert!(says("seed=1,2").contains("the same for all trials"));
        assert!(says("augment=robust,wild").contains("must be none, notebook, robust or strong"));
    }
}
