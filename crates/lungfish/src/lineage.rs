//! Which films had a part in a model: those of its own training, and those of every model that it came from.
//!
//! A film is known by the content of its file and by its pixels, never by a name, since names can identify patients. A
//! model file carries all of it on, through any number of trainings, so that no film that ever taught a model or chose
//! between its epochs is taken for a test of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lungfish_data::display::escape;
use lungfish_data::{CheckedFilm, ContentHash, Split};
use lungfish_models::ModelFile;
use serde::{Deserialize, Serialize};

use crate::{Error, Recipe};

/// Metadata key of the models before this one.
const ANCESTORS: &str = "ancestors";
/// Byte strings with content hashes, end to end: of a model's own training and of those before it.
const OWN: [(Split, &str); 2] = [(Split::Train, "films.train"), (Split::Val, "films.val")];
const BEFORE: [(Split, &str); 2] = [(Split::Train, "ancestors.train"), (Split::Val, "ancestors.val")];
/// After the name of one of these: hashes of pixels instead of files.
const PIXELS: &str = ".pixels";

/// How a model came from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Descent {
    /// Its weights were those to start from (`weights = FILE`).
    Weights,
    /// It went on from that run (`train --from RUN`).
    From,
    /// It learnt from what that model says (`teacher = FILE`).
    Teacher,
    /// It is that network, which another program trained (`lungfish import`).
    Import,
    /// It is that model, calibrated on other films (`lungfish calibrate`).
    Calibrate,
}

/// A model that another one came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ancestor {
    /// How.
    pub how: Descent,
    /// The content hash of its file, hex.
    pub file: String,
    /// Whether it says which films trained it. What other programs wrote does not.
    pub known: bool,
}

/// Films by content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Films {
    files: BTreeSet<ContentHash>,
    pixels: BTreeSet<ContentHash>,
}

impl Films {
    /// Whether a film is among them whose file, or whose pixels, have these hashes.
    pub(crate) fn has_content(&self, file: ContentHash, pixels: Option<ContentHash>) -> bool {
        self.files.contains(&file) || pixels.is_some_and(|pixels| self.pixels.contains(&pixels))
    }

    pub(crate) fn of(films: &[CheckedFilm]) -> Self {
        Films {
            files: films.iter().map(|film| film.hash).collect(),
            pixels: films.iter().filter_map(|film| film.pixels).collect(),
        }
    }

    fn add(&mut self, other: &Films) {
        self.files.extend(&other.files);
        self.pixels.extend(&other.pixels);
    }
}

/// Films that taught, and films that chose between epochs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Parts {
    train: Films,
    val: Films,
}

impl Parts {
    fn split_of(&self, (file, pixels): (ContentHash, Option<ContentHash>)) -> Option<Split> {
        let of = |split| self.of(split).has_content(file, pixels).then_some(split);
        of(Split::Train).or_else(|| of(Split::Val))
    }

    fn of(&self, split: Split) -> &Films {
        if split == Split::Train { &self.train } else { &self.val }
    }

    fn of_mut(&mut self, split: Split) -> &mut Films {
        if split == Split::Train { &mut self.train } else { &mut self.val }
    }
}

/// The films that had a part in a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lineage {
    own: Parts,
    before: Parts,
    /// The models it came from, the first one first.
    pub ancestors: Vec<Ancestor>,
}

impl Lineage {
    /// The lineage of what starts from the weights of a recipe: nothing for those of chance or of ImageNet (also from a file
    /// that is known), what the file says of itself for a model of lungfish, and an ancestor of which nothing is known for
    /// any other file.
    pub(crate) fn of_weights(weights: &str) -> Result<Self, Error> {
        if matches!(weights, "imagenet" | "none") {
            return Ok(Self::default());
        }
        let path = Path::new(weights);
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            // Whoever loads the weights says what is wrong with the path.
            Err(_) => return Ok(Self::default()),
        };
        let file = ModelFile::from_bytes(&bytes).ok();
        let file = file.filter(|f| f.metadata.get("format").is_some_and(|format| format.starts_with("lungfish.")));
        let of = |how, known| Ancestor { how, file: ContentHash::of(&bytes).to_string(), known };
        match file {
            Some(file) => {
                let parent = Self::read(path, &file)?;
                let known = !parent.own.train.files.is_empty();
                Ok(parent.child(of(Descent::Weights, known)))
            }
            None if lungfish_models::is_published(&ContentHash::of(&bytes).to_string()) => Ok(Self::default()),
            None => Ok(Lineage { ancestors: vec![of(Descent::Weights, false)], ..Self::default() }),
        }
    }

    /// The lineage of a model that another program trained and saved as `bytes`.
    pub(crate) fn of_import(bytes: &[u8]) -> Self {
        Self::default().child(Ancestor { how: Descent::Import, file: ContentHash::of(bytes).to_string(), known: false })
    }

    /// The lineage of a run that goes on from a model whose file is `bytes`.
    pub(crate) fn of_run(&self, bytes: &[u8]) -> Self {
        self.child(Ancestor { how: Descent::From, file: ContentHash::of(bytes).to_string(), known: true })
    }

    /// The lineage of what a model teaches whose file is `bytes`.
    pub(crate) fn of_teacher(&self, bytes: &[u8]) -> Self {
        let known = !self.own.train.files.is_empty();
        self.child(Ancestor { how: Descent::Teacher, file: ContentHash::of(bytes).to_string(), known })
    }

    /// The lineage of a model whose file is `bytes`, calibrated on films.
    pub(crate) fn of_calibration(&self, bytes: &[u8], films: &[CheckedFilm]) -> Self {
        let known = !self.own.train.files.is_empty();
        let ancestor = Ancestor { how: Descent::Calibrate, file: ContentHash::of(bytes).to_string(), known };
        self.child(ancestor).with_own(&[], films)
    }

    /// What comes from this model: its films are an ancestor's.
    fn child(&self, ancestor: Ancestor) -> Self {
        let mut child = Lineage { before: self.before.clone(), ancestors: self.ancestors.clone(), ..Self::default() };
        child.before.train.add(&self.own.train);
        child.before.val.add(&self.own.val);
        child.ancestors.push(ancestor);
        child
    }

    /// With the films of a training of its own.
    pub(crate) fn with_own(mut self, train: &[CheckedFilm], val: &[CheckedFilm]) -> Self {
        self.own = Parts { train: Films::of(train), val: Films::of(val) };
        self
    }

    /// Of a model that is made of several: the films of each are its own. Train counts before val.
    pub(crate) fn merged(members: &[Lineage]) -> Self {
        let mut all = Lineage::default();
        for member in members {
            all.own.train.add(&member.own.train);
            all.own.val.add(&member.own.val);
            all.before.train.add(&member.before.train);
            all.before.val.add(&member.before.val);
            let new = member.ancestors.iter().filter(|ancestor| !all.ancestors.contains(ancestor)).cloned();
            all.ancestors.extend(new.collect::<Vec<_>>());
        }
        all
    }

    /// The split on which the model or one of its ancestors had a film; train counts before val.
    pub(crate) fn split_of(&self, film: &CheckedFilm) -> Option<Split> {
        self.split_of_content(film.hash, film.pixels)
    }

    /// The same of a film whose file and whose pixels have these hashes.
    pub(crate) fn split_of_content(&self, file: ContentHash, pixels: Option<ContentHash>) -> Option<Split> {
        match (self.own.split_of((file, pixels)), self.before.split_of((file, pixels))) {
            (Some(Split::Train), _) | (_, Some(Split::Train)) => Some(Split::Train),
            (own, before) => own.or(before),
        }
    }

    /// The split on which the model's own training had a film.
    pub(crate) fn own_split_of(&self, film: &CheckedFilm) -> Option<Split> {
        self.own.split_of((film.hash, film.pixels))
    }

    /// Films of the model's own training, of different content.
    pub(crate) fn own_len(&self) -> usize {
        self.own.train.files.len() + self.own.val.files.len()
    }

    /// Whether an ancestor does not say which films trained it.
    pub(crate) fn has_unknown_ancestor(&self) -> bool {
        self.ancestors.iter().any(|ancestor| !ancestor.known)
    }

    /// Puts it into a model file or a checkpoint.
    pub(crate) fn write(&self, file: &mut ModelFile) -> Result<(), Error> {
        let hashes = |of: &BTreeSet<ContentHash>| -> Vec<u8> { of.iter().flat_map(|hash| hash.0).collect() };
        for (parts, names) in [(&self.own, OWN), (&self.before, BEFORE)] {
            for (split, name) in names {
                let films = parts.of(split);
                file.bytes.insert(name.to_owned(), hashes(&films.files));
                file.bytes.insert(format!("{name}{PIXELS}"), hashes(&films.pixels));
            }
        }
        let json = serde_json::to_string(&self.ancestors)
            .map_err(|e| Error::refused(format!("cannot write down the models before this one: {e}")))?;
        file.metadata.insert(ANCESTORS.to_owned(), json);
        Ok(())
    }

    /// Takes it out of a model file or a checkpoint. Files of older versions know their own films only.
    pub(crate) fn read(path: &Path, file: &ModelFile) -> Result<Self, Error> {
        let bad = |what: String| Error::refused(format!("{} is damaged: {what}", escape(path)));
        let hashes = |name: String| match file.bytes.get(&name).map(|bytes| bytes.as_chunks::<16>()) {
            None => Ok(BTreeSet::new()),
            Some((whole, [])) => Ok(whole.iter().map(|hash| ContentHash(*hash)).collect()),
            Some((_, rest)) => Err(bad(format!("{name} ends in {} bytes that are no content hash", rest.len()))),
        };
        let mut lineage = Lineage::default();
        for (parts, names) in [(&mut lineage.own, OWN), (&mut lineage.before, BEFORE)] {
            for (split, name) in names {
                *parts.of_mut(split) =
                    Films { files: hashes(name.to_owned())?, pixels: hashes(format!("{name}{PIXELS}"))? };
            }
        }
        lineage.ancestors = match file.metadata.get(ANCESTORS) {
            Some(json) => serde_json::from_str(json).map_err(|e| bad(format!("\"{ANCESTORS}\" is {json}: {e}")))?,
            None => of_older_versions(&file.metadata),
        };
        Ok(lineage)
    }
}

/// Versions that wrote no ancestors down kept the name of the weights alone.
fn of_older_versions(metadata: &BTreeMap<String, String>) -> Vec<Ancestor> {
    let recipe = metadata.get("recipe").and_then(|text| Recipe::from_toml(text).ok());
    match recipe.map(|recipe| recipe.weights) {
        Some(weights) if matches!(weights.as_str(), "imagenet" | "none") => Vec::new(),
        _ => vec![Ancestor { how: Descent::Weights, file: String::new(), known: false }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lungfish_data::Film;

    fn film(number: u8) -> CheckedFilm {
        CheckedFilm {
            film: Film {
                path: format!("{number}.png").into(),
                label: lungfish_data::Label::Class(0),
                group: number.to_string(),
                facts: lungfish_data::FilmFacts::default(),
            },
            hash: ContentHash([number; 16]),
            pixels: Some(ContentHash([number ^ 0x80; 16])),
        }
    }

    fn written(lineage: &Lineage) -> ModelFile {
        let mut file = ModelFile::default();
        lineage.write(&mut file).unwrap();
        ModelFile::from_bytes(&file.to_bytes().unwrap()).unwrap()
    }

    #[test]
    fn every_film_of_every_training_is_remembered() {
        let first = Lineage::default().with_own(&[film(1), film(2)], &[film(3)]);
        let second = first.of_run(b"the first model").with_own(&[film(3), film(4)], &[film(5)]);
        let third = second.of_run(b"the second model").with_own(&[film(6)], &[film(1)]);
        let third = Lineage::read(Path::new("third"), &written(&third)).unwrap();
        let splits: Vec<Option<Split>> = (1..=7).map(|n| third.split_of(&film(n))).collect();
        let (train, val) = (Some(Split::Train), Some(Split::Val));
        assert_eq!(splits, [train, train, train, train, val, train, None]);
        assert_eq!((third.own_split_of(&film(1)), third.own_split_of(&film(2)), third.own_len()), (val, None, 2));
        assert_eq!(third.ancestors.len(), 2);
        assert!(third.ancestors.iter().all(|a| a.known && a.how == Descent::From) && !third.has_unknown_ancestor());
    }

    #[test]
    fn a_model_of_several_knows_the_films_of_each() {
        let a = Lineage::default().with_own(&[film(1)], &[film(2)]);
        let b = a.of_run(b"a").with_own(&[film(2)], &[film(3)]);
        let both = Lineage::merged(&[a, b]);
        let splits: Vec<Option<Split>> = (1..=4).map(|n| both.split_of(&film(n))).collect();
        assert_eq!(splits, [Some(Split::Train), Some(Split::Train), Some(Split::Val), None]);
        assert_eq!(both.ancestors.len(), 1);
    }

    #[test]
    fn another_container_is_no_way_round() {
        let model = Lineage::default().with_own(&[film(1)], &[]);
        let saved_anew = CheckedFilm { hash: ContentHash([77; 16]), ..film(1) };
        assert_eq!(model.split_of(&saved_anew), Some(Split::Train));
        assert_eq!(model.split_of(&CheckedFilm { pixels: None, ..saved_anew }), None);
    }

    #[test]
    fn files_of_others_and_of_older_versions_have_ancestors_of_which_nothing_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("theirs.pth");
        std::fs::write(&path, b"no model of ours").unwrap();
        let theirs = Lineage::of_weights(&path.to_string_lossy()).unwrap();
        assert!(theirs.has_unknown_ancestor());
        for weights in ["imagenet", "none"] {
            assert_eq!(Lineage::of_weights(weights).unwrap(), Lineage::default());
        }
        let old = |weights: &str| {
            let mut file = ModelFile::default();
            let recipe = Recipe { weights: weights.to_owned(), ..Recipe::default() };
            file.metadata.insert("recipe".to_owned(), recipe.to_toml());
            file.bytes.insert("films.train".to_owned(), vec![9; 32]);
            Lineage::read(Path::new("old"), &file)
        };
        assert!(!old("imagenet").unwrap().has_unknown_ancestor());
        assert!(old("other/best.safetensors").unwrap().has_unknown_ancestor());
        let mut torn = ModelFile::default();
        torn.bytes.insert("films.val".to_owned(), vec![9; 17]);
        let error = Lineage::read(Path::new("torn"), &torn).unwrap_err().to_string();
        assert_eq!(error, "torn is damaged: films.val ends in 1 bytes that are no content hash");
    }
}
