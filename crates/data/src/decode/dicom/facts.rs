//! What a DICOM says of how a film was taken, and of whom in a form that names nobody.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use dicom_dictionary_std::tags;

use super::header::{object, text};
use super::walk::DataSet;
use crate::decode::Container;

/// Headers are seldom longer than this.
const MOST_HEADER: u64 = 1 << 18;
/// What is hashed before a patient's identifier, so that the hash is of no use elsewhere.
const PATIENT: &[u8] = b"lungfish: the patient ";

/// Facts about a film that name no person: no name, no date, no identifier.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DicomFacts {
    /// The maker of the machine.
    pub manufacturer: Option<String>,
    /// `PA`, `AP`, `LL`, `LATERAL` and the like.
    pub view: Option<String>,
    /// Age in decades: 40 is 40 to 49.
    pub decade: Option<u32>,
    /// `F`, `M` or `O`.
    pub sex: Option<String>,
    /// How samples become light.
    pub photometric: Option<String>,
    /// `CR`, `DX` and the like.
    pub modality: Option<String>,
    /// 64 bits of a hash of the patient's identifier; the identifier itself is kept nowhere.
    pub patient: Option<String>,
}

impl DicomFacts {
    /// The facts of a file, whole or only as far as its pixels; none where it is no DICOM.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        if Container::of(&bytes[..bytes.len().min(132)]) != Some(Container::Dicom) {
            return None;
        }
        let object = object(&DataSet::open_header(bytes).ok()?).ok()?;
        let code = |tag| text(&object, tag).map(|text| text.to_uppercase());
        let age = text(&object, tags::PATIENT_AGE).and_then(|age| years(&age));
        let patient = text(&object, tags::PATIENT_ID).map(|id| {
            let issuer = text(&object, tags::ISSUER_OF_PATIENT_ID).unwrap_or_default();
            let hash = blake3::Hasher::new()
                .update(PATIENT)
                .update(id.as_bytes())
                .update(b"\n")
                .update(issuer.as_bytes())
                .finalize();
            let hex = hash.to_hex();
            format!("dicom-{}", &hex[..16])
        });
        Some(DicomFacts {
            manufacturer: text(&object, tags::MANUFACTURER),
            view: code(tags::VIEW_POSITION),
            decade: age.map(|years| years / 10 * 10),
            sex: code(tags::PATIENT_SEX),
            photometric: code(tags::PHOTOMETRIC_INTERPRETATION),
            modality: code(tags::MODALITY),
            patient,
        })
    }

    /// Whether the film is taken from the side.
    pub fn is_lateral(&self) -> bool {
        let view = self.view.as_deref().unwrap_or_default();
        ["LL", "RL", "LLD", "RLD", "LATERAL", "LAT"].contains(&view)
    }
}

/// Years in an age string such as `045Y` or `007M` (PS3.5, 6.2).
fn years(age: &str) -> Option<u32> {
    let (number, unit) = age.split_at_checked(age.len().checked_sub(1)?)?;
    let number: u32 = number.parse().ok()?;
    match unit {
        "Y" => Some(number),
        "M" => Some(number / 12),
        "W" => Some(number / 52),
        "D" => Some(number / 365),
        _ => None,
    }
}

/// The facts of the film at `path`, from the begin of its file.
pub(crate) fn read(path: &Path) -> Option<DicomFacts> {
    // Opening a pipe may never end.
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    let mut file = File::open(path).ok()?;
    file.by_ref().take(132).read_to_end(&mut bytes).ok()?;
    if Container::of(&bytes) != Some(Container::Dicom) {
        return None;
    }
    file.by_ref().take(MOST_HEADER).read_to_end(&mut bytes).ok()?;
    DicomFacts::of(&bytes).or_else(|| {
        file.take(super::super::MAX_FILE_BYTES).read_to_end(&mut bytes).ok()?;
        DicomFacts::of(&bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_decades() {
        assert_eq!(
            ["045Y", "007M", "100Y", "Y", "", "045"].map(years),
            [Some(45), Some(0), Some(100), None, None, None]
        );
    }
}
