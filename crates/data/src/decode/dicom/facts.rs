//! What a DICOM says of how a film was taken, of whom in a form that names nobody, and which film it is.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use serde::{Deserialize, Serialize};

use super::header::{object, text};
use super::walk::DataSet;
use crate::decode::Container;
use crate::folder::{is_dicom_name, is_film_name};

/// Headers are seldom longer than this.
const MOST_HEADER: u64 = 1 << 18;
/// What is hashed before a patient's identifier, so that the hash is of no use elsewhere.
const PATIENT: &[u8] = b"lungfish: the patient ";
/// What is hashed before a film's.
const FILM: &[u8] = b"lungfish: the film ";

/// How the identifiers of DICOM films (SOPInstanceUID) are told. Many have a date and a time in them, and whoever has the
/// archive finds the patient by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Uids {
    /// `dicom-` and the first 16 hexadecimal digits of the BLAKE3 of `lungfish: the film ` and the UID: who has the UIDs
    /// can hash them too, and nobody else learns them.
    #[default]
    Hashed,
    /// As they stand in the file.
    Plain,
}

impl Uids {
    /// `hashed` or `plain`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hashed => "hashed",
            Self::Plain => "plain",
        }
    }
}

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
        let object = header(bytes)?;
        let code = |tag| text(&object, tag).map(|text| text.to_uppercase());
        let age = text(&object, tags::PATIENT_AGE).and_then(|age| years(&age));
        let patient = text(&object, tags::PATIENT_ID).map(|id| {
            let issuer = text(&object, tags::ISSUER_OF_PATIENT_ID).unwrap_or_default();
            hashed(&[PATIENT, id.as_bytes(), b"\n", issuer.as_bytes()])
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

/// 64 bits of a hash of some texts, as one.
fn hashed(texts: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    texts.iter().for_each(|text| {
        hasher.update(text);
    });
    format!("dicom-{}", &hasher.finalize().to_hex()[..16])
}

/// The attributes of a file, whole or only as far as its pixels; none where it is no DICOM.
fn header(bytes: &[u8]) -> Option<InMemDicomObject> {
    if Container::of(&bytes[..bytes.len().min(132)]) != Some(Container::Dicom) {
        return None;
    }
    object(&DataSet::open_header(bytes).ok()?).ok()
}

/// The facts of the film at `path`, from the begin of its file; none where it is no DICOM, as of [`is_dicom`].
pub(crate) fn read(path: &Path) -> Option<DicomFacts> {
    read_with(path, DicomFacts::of)
}

/// The SOPInstanceUID of the film at `path`. `None` where it is no DICOM, as of [`is_dicom`], cannot be read or has none.
pub fn film_uid(path: &Path, uids: Uids) -> Option<String> {
    let uid = read_with(path, |bytes| Some(text(&header(bytes)?, tags::SOP_INSTANCE_UID)))??;
    Some(uids.tell(uid))
}

/// The same of a DICOM in memory.
pub fn film_uid_of(bytes: &[u8], uids: Uids) -> Option<String> {
    Some(uids.tell(text(&header(bytes)?, tags::SOP_INSTANCE_UID)?))
}

impl Uids {
    fn tell(self, uid: String) -> String {
        match self {
            Uids::Hashed => hashed(&[FILM, uid.as_bytes()]),
            Uids::Plain => uid,
        }
    }
}

/// The facts of the DICOM at `path`; none where it is no DICOM.
pub fn dicom_facts(path: &Path) -> Option<DicomFacts> {
    read_with(path, DicomFacts::of)
}

/// Whether the file at `path` is a DICOM, by its content. Files with names of other pictures are not opened.
pub fn is_dicom(path: &Path) -> bool {
    begun(path).is_some()
}

/// What `of` makes of the begin of the DICOM at `path`, or of all of it where it makes nothing of that.
fn read_with<T>(path: &Path, of: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    let (mut file, mut bytes) = begun(path)?;
    file.by_ref().take(MOST_HEADER).read_to_end(&mut bytes).ok()?;
    of(&bytes).or_else(|| {
        file.take(super::super::MAX_FILE_BYTES).read_to_end(&mut bytes).ok()?;
        of(&bytes)
    })
}

/// An open DICOM and the bytes by which it is known.
fn begun(path: &Path) -> Option<(File, Vec<u8>)> {
    let name = path.file_name()?;
    let other = is_film_name(name) && !is_dicom_name(name);
    // Opening a pipe may never end.
    if other || !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    let mut file = File::open(path).ok()?;
    file.by_ref().take(132).read_to_end(&mut bytes).ok()?;
    (Container::of(&bytes) == Some(Container::Dicom)).then_some((file, bytes))
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
