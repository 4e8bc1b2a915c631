//! What the DICOM films of a data set say of how they were taken, counted.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::decode::DicomFacts;

/// DICOM films by the facts in their headers; films whose header does not say are under `unknown`. No fact names a person.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DicomSurvey {
    /// How many there are.
    pub films: usize,
    /// Makers of machines.
    pub manufacturers: BTreeMap<String, usize>,
    /// Views: PA, AP, LATERAL and the like.
    pub views: BTreeMap<String, usize>,
    /// Films taken from the side.
    pub lateral: usize,
    /// Ages by decade: `40-49`.
    pub ages: BTreeMap<String, usize>,
    /// `F`, `M`, `O`.
    pub sexes: BTreeMap<String, usize>,
    /// `MONOCHROME1`, `MONOCHROME2` and the like.
    pub photometric: BTreeMap<String, usize>,
    /// `CR`, `DX` and the like.
    pub modalities: BTreeMap<String, usize>,
}

impl DicomSurvey {
    pub(super) fn add(&mut self, facts: &DicomFacts) {
        self.films += 1;
        self.lateral += usize::from(facts.is_lateral());
        let age = facts.decade.map(|decade| format!("{decade}-{}", decade + 9));
        for (counts, fact) in [
            (&mut self.manufacturers, &facts.manufacturer),
            (&mut self.views, &facts.view),
            (&mut self.ages, &age),
            (&mut self.sexes, &facts.sex),
            (&mut self.photometric, &facts.photometric),
            (&mut self.modalities, &facts.modality),
        ] {
            *counts.entry(fact.clone().unwrap_or_else(|| "unknown".to_owned())).or_default() += 1;
        }
    }
}
