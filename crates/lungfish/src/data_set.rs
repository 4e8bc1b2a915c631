//! The films of a training: listed, read once, put on splits; or found again for a run that goes on.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use lungfish_data::augment::{Interpolation, USUAL_CLIP_LIMIT};
use lungfish_data::display::escape;
use lungfish_data::synth::is_synthetic_file;
use lungfish_data::{
    Augment, Channels, CheckedFilm, ContentHash, DecodeOptions, Equalize, Film, FilmCache, FilmSet, Fit, Image, Layout,
    Preprocess, Split, SplitNotes, SplitRules, Splits, Task, check_with, contradictions, read_film, sample,
    split_after,
};
use rayon::prelude::*;

use crate::film_memory::{FilmMemory, stamp};
use crate::lineage::Lineage;
use crate::patients::KnownPatients;
use crate::source::Reading;
use crate::{Activity, BadFilm, Caveat, CaveatKind, Error, Event, Recipe, Watch, source};

/// Films read between two looks at the stop flag.
const CHUNK: usize = 256;

/// The films of a training.
#[derive(Debug)]
pub(crate) struct DataSet {
    /// The folder that holds the splits or the classes.
    pub root: PathBuf,
    /// What is asked of the films.
    pub task: Task,
    /// Names of the classes, or of the labels; a film's label has indices into them.
    pub classes: Vec<String>,
    /// The films by split.
    pub splits: Splits,
    /// Whether any film that is trained on is synthetic, made by lungfish.
    pub synthetic: bool,
    /// What must be known beside every number that comes of these films.
    pub caveats: Vec<Caveat>,
}

/// Where what reading a film tells is kept.
#[derive(Clone, Copy, Default)]
pub(crate) struct Kept<'a> {
    /// Its pixels.
    pub cache: Option<&'a FilmCache>,
    /// Its hashes, for the next training.
    pub memory: Option<&'a FilmMemory>,
}

impl DataSet {
    /// Lists films that can be trained on.
    pub(crate) fn list(root: &Path, recipe: &Recipe) -> Result<FilmSet, Error> {
        let folder = source::open(root, &Reading::from(recipe))?;
        folder.require_trainable()?;
        Ok(folder)
    }

    /// Samples, reads every film once and puts the patients on splits, those that an ancestor knows apart. What it
    /// decodes goes into the cache, so that no film that is trained on has to be decoded again. `None` where it was
    /// stopped.
    pub(crate) fn prepare(
        folder: FilmSet,
        (recipe, lineage): (&Recipe, &Lineage),
        kept: Kept<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Self>, Error> {
        source::tell(&folder, watch);
        let patients = KnownPatients::of(&folder);
        let FilmSet { root, task, classes, layout, .. } = folder;
        let layout = if recipe.limit > 0 { sample(layout, recipe.limit, recipe.seed) } else { layout };
        let preprocess = recipe.preprocess();
        let keep = |split: Option<Split>, hash: ContentHash, image: Image| {
            if let Some(cache) = kept.cache.filter(|cache| split != Some(Split::Test) && cache.has_room(hash)) {
                cache.put(hash, &preprocess.apply(image).pixels);
            }
        };
        let read = read_remembering(layout, preprocess.decode_options(), (kept.memory, &keep), watch);
        let Some((layout, bad)) = read else { return Ok(None) };
        if let (true, Some(first)) = (recipe.strict, bad.first()) {
            return Err(Error::refused(format!(
                "{} of the films in {} cannot be used, the first {}: {} (strict)",
                bad.len(),
                escape(&root),
                escape(&first.path),
                first.reason
            )));
        }
        let rules =
            SplitRules { val_fraction: recipe.val_fraction, test_fraction: recipe.test_fraction, seed: recipe.seed };
        let (layout, mut caveats) = without_contradictions(layout, &root, recipe.strict)?;
        let splits = split_after(&root, task, &classes, layout, &rules, &|film| lineage.split_of(film))?;
        refuse_unknown(&root, task, &splits)?;
        watch.note(patients.sentence());
        for note in notes(&splits, patients.all()) {
            watch.note(note);
        }
        let synthetic = any_synthetic(&splits);
        for split in [Split::Val, Split::Test] {
            missing_class(&splits, split, task, &classes).into_iter().for_each(|text| watch.warn(text));
        }
        caveats.extend(patients.caveats());
        caveats.iter().for_each(|caveat| watch.warn(caveat.to_string()));
        Ok(Some(DataSet { root, task, classes, splits, synthetic, caveats }))
    }

    /// The films of a run that goes on: those of its `split.csv`, known by their content, below `root`.
    pub(crate) fn find_again(
        split_file: &Path,
        root: &Path,
        (task, classes): (Task, Vec<String>),
        caveats: Vec<Caveat>,
    ) -> Result<Self, Error> {
        let mut splits = Splits::read_csv(split_file, root, task, &classes)?;
        let wanted: Vec<&CheckedFilm> = splits.train.iter().chain(&splits.val).collect();
        let stays = |film: &&CheckedFilm| content(&film.film.path) == Some(film.hash);
        let astray: Vec<ContentHash> = wanted.par_iter().filter(|f| !stays(f)).map(|f| f.hash).collect();
        if !astray.is_empty() {
            let below = lungfish_data::folder::films_in(root)?;
            let there: HashMap<ContentHash, PathBuf> =
                below.into_par_iter().filter_map(|path| Some((content(&path)?, path))).collect();
            for film in splits.train.iter_mut().chain(&mut splits.val) {
                if let Some(path) = there.get(&film.hash) {
                    film.film.path = path.clone();
                }
            }
            let missing: Vec<&CheckedFilm> =
                splits.train.iter().chain(&splits.val).filter(|f| !there.contains_key(&f.hash)).collect();
            if !missing.is_empty() {
                return Err(Error::refused(format!(
                    "{} of the films that this run was started with are not in {} any more, or have changed: {}",
                    missing.len(),
                    escape(root),
                    some_of(missing.iter().map(|f| &f.film.path))
                )));
            }
        }
        let synthetic = any_synthetic(&splits);
        Ok(DataSet { root: root.to_owned(), task, classes, splits, synthetic, caveats })
    }

    /// Tells of the splits, as the notebook prints its data set.
    pub(crate) fn describe(&self, preprocess: &Preprocess, augment: Option<Augment>, watch: &mut Watch<'_>) {
        for split in Split::ALL {
            let films = self.splits.of(split);
            if films.is_empty() {
                continue;
            }
            let of_class = |index| films.iter().filter(|f| f.film.label.has(index) == Some(true)).count();
            watch.event(&Event::Dataset {
                split,
                root: self.root.clone(),
                task: self.task,
                count: films.len(),
                classes: self.classes.iter().enumerate().map(|(i, name)| (name.clone(), of_class(i))).collect(),
                transforms: transforms(preprocess, augment.filter(|_| split == Split::Train)),
            });
        }
    }
}

/// What follows where a split lacks a class.
fn missing_class(splits: &Splits, split: Split, task: Task, classes: &[String]) -> Option<String> {
    let films = splits.of(split);
    let lacks = |class: &usize| !films.iter().any(|film| film.film.label.has(*class) == Some(true));
    let class = (0..classes.len()).find(lacks).filter(|_| task == Task::OneOf && !films.is_empty())?;
    let name = escape(&classes[class]);
    Some(format!("the {split} split has no film of {name}: what it says of telling {name} from others is undefined"))
}

/// Leaves out films whose content lies in two classes, or under labels that contradict each other: nobody knows which is
/// right.
fn without_contradictions(
    layout: Layout<CheckedFilm>,
    root: &Path,
    strict: bool,
) -> Result<(Layout<CheckedFilm>, Vec<Caveat>), Error> {
    let both = contradictions(&layout);
    if both.is_empty() {
        return Ok((layout, Vec::new()));
    }
    let text = format!(
        "{} films of {} lie in two classes, or under labels that contradict each other, by their content: {}",
        both.len(),
        escape(root),
        some_of(both.iter())
    );
    if strict {
        return Err(Error::refused(format!("{text} (strict)")));
    }
    let out: HashSet<&PathBuf> = both.iter().collect();
    let layout = layout.filter_map(|film| (!out.contains(&film.film.path)).then_some(film));
    Ok((layout, vec![Caveat::new(CaveatKind::TwoClasses, format!("{text}; they are left out"))]))
}

/// Refuses a validation split of which nothing is known: no epoch could be better than another.
fn refuse_unknown(root: &Path, task: Task, splits: &Splits) -> Result<(), Error> {
    let known = splits.val.iter().any(|film| film.film.label.is_known());
    if task == Task::OneOf || splits.val.is_empty() || known {
        return Ok(());
    }
    Err(Error::refused(format!(
        "no label of the {} validation films of {} is known: there is nothing to choose an epoch by",
        splits.val.len(),
        escape(root)
    )))
}

/// Whether any film of the train split is synthetic, made by lungfish.
fn any_synthetic(splits: &Splits) -> bool {
    splits.train.par_iter().any(|film| is_synthetic_file(&film.film.path))
}

/// Reads every film of a layout once; tells of the bad ones and leaves them out. The good ones are shown to `seen`, on
/// whatever thread and in whatever order. `None` where it was stopped.
pub(crate) fn read_all(
    layout: Layout<Film>,
    options: DecodeOptions,
    seen: &Seen<'_>,
    watch: &mut Watch<'_>,
) -> Option<(Layout<CheckedFilm>, Vec<BadFilm>)> {
    read_remembering(layout, options, (None, seen), watch)
}

/// Somebody who is shown films as they are read.
type Seen<'a> = dyn Fn(Option<Split>, ContentHash, Image) + Sync + 'a;

/// [`read_all`], but for films that are remembered: those are not read, nor shown to `seen`.
pub(crate) fn read_remembering(
    layout: Layout<Film>,
    options: DecodeOptions,
    (memory, seen): (Option<&FilmMemory>, &Seen<'_>),
    watch: &mut Watch<'_>,
) -> Option<(Layout<CheckedFilm>, Vec<BadFilm>)> {
    let films: Vec<(Option<Split>, &Film)> = layout.films().collect();
    let (mut good, mut bad, mut done) = (HashMap::new(), Vec::new(), 0);
    for of_split in films.chunk_by(|(a, _), (b, _)| a == b) {
        for chunk in of_split.chunks(CHUNK) {
            if watch.stopped() {
                return None;
            }
            let split = chunk.first().and_then(|(split, _)| *split);
            let mut batch: Vec<Film> = chunk.iter().map(|(_, film)| Film::clone(film)).collect();
            let mut stamps = HashMap::new();
            if let Some(memory) = memory {
                batch.retain(|film| {
                    let known = memory.content(&film.path, options);
                    good.extend(known.map(|content| (film.path.clone(), content)));
                    known.is_none()
                });
                stamps.extend(batch.iter().filter_map(|film| Some((film.path.clone(), stamp(&film.path)?))));
            }
            let (readable, damaged) = check_with(&batch, options, &|hash, image| seen(split, hash, image), &|_| {});
            if let Some(memory) = memory {
                for film in &readable {
                    if let Some(stamp) = stamps.get(&film.film.path) {
                        memory.remember(&film.film.path, options, *stamp, (film.hash, film.pixels));
                    }
                }
            }
            good.extend(readable.into_iter().map(|film| (film.film.path, (film.hash, film.pixels))));
            bad.extend(damaged.into_iter().map(|film| BadFilm::new(film.path, film.reason.to_string())));
            done += chunk.len();
            watch.event(&Event::Progress { task: Activity::Checking, done, total: films.len() });
        }
    }
    for film in &bad {
        watch.event(&Event::BadFilm { path: film.path.clone(), reason: film.reason.clone() });
    }
    if !bad.is_empty() {
        let text = format!("{} of {done} films cannot be used and are left out", bad.len());
        watch.warn(text);
    }
    let layout = layout.filter_map(|film| {
        let (hash, pixels) = *good.get(&film.path)?;
        Some(CheckedFilm { film, hash, pixels })
    });
    Some((layout, bad))
}

/// So many of them at most, from the first to the last.
pub(crate) fn evenly<T: Copy>(all: &[T], most: usize) -> Vec<T> {
    let count = most.min(all.len());
    (0..count).map(|at| all[at * all.len() / count]).collect()
}

/// A file's content hash; none where it cannot be read.
pub(crate) fn content(path: &Path) -> Option<ContentHash> {
    Some(ContentHash::of(&read_film(path).ok()?))
}

/// The first few of many paths.
pub(crate) fn some_of<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> String {
    let paths: Vec<String> = paths.map(escape).collect();
    match paths.len() {
        0..=5 => paths.join(", "),
        n => format!("{} and {} more", paths[..5].join(", "), n - 5),
    }
}

/// With fewer films than this to validate with, one of them moves the accuracy by more than five points.
const FEW: usize = 20;

/// What was done to make the splits, a sentence each.
fn notes(splits: &Splits, patients_known: bool) -> Vec<String> {
    let SplitNotes {
        train_left_for_test,
        val_left_for_test,
        train_left_for_val,
        val_joined_train,
        val_one_sided,
        test_carved,
        val_carved,
        same_content,
        known_joined_train,
    } = splits.notes;
    let whole = if patients_known { ", whole patients," } else { "" };
    let mut notes = Vec::new();
    let mut note = |n: usize, text: &str| {
        if n > 0 {
            notes.push(format!("{n} {} {text}", if n == 1 { "film" } else { "films" }));
        }
    };
    note(
        known_joined_train,
        "of the given validation and test splits joined train: the weights to start from know them, or their patients",
    );
    note(train_left_for_test, "left train because their patient is on the test split");
    note(val_left_for_test, "left val because their patient is on the test split");
    let why = if val_one_sided { "which lacks a class" } else { "too few to judge by" };
    note(val_joined_train, &format!("of the given validation split, {why}, joined train"));
    note(train_left_for_val, "left train because their patient is on the validation split");
    if test_carved {
        note(splits.test.len(), &format!("of train{whole} became the test split (there was none)"));
    }
    if val_carved {
        note(splits.val.len(), &format!("of train{whole} became the validation split"));
        if splits.val.len() < FEW {
            let share = 100.0 / splits.val.len() as f64;
            note(splits.val.len(), &format!("to validate with: each is {share:.0} % of the accuracy"));
        }
    }
    note(same_content, "with the very content of another film: their patients count as one");
    notes
}

/// What is done to a film, in torchvision's words.
pub(crate) fn transforms(preprocess: &Preprocess, augment: Option<Augment>) -> Vec<String> {
    let size = preprocess.size;
    let mut steps = Vec::new();
    if preprocess.channels == Channels::Gray {
        steps.push("Grayscale(num_output_channels=1)".to_owned());
    }
    match preprocess.fit {
        Fit::Crop => {
            steps.push(format!("Resize(size={size}, interpolation=bilinear, antialias=True)"));
            steps.push(format!("CenterCrop(size=({size}, {size}))"));
        }
        Fit::Pad => {
            steps.push(format!("Resize(longer side {size}, interpolation=bilinear, antialias=True)"));
            steps.push(format!("Pad(to ({size}, {size}), fill=0)"));
        }
        Fit::Squash => {
            steps.push(format!("Resize(size=({size}, {size}), interpolation=bilinear, antialias=True)"));
        }
    }
    match preprocess.equalize {
        Equalize::None => {}
        Equalize::Histogram => steps.push("Equalize()".to_owned()),
        Equalize::Clahe => steps.push(format!("CLAHE(clip_limit={USUAL_CLIP_LIMIT:?}, tile_grid_size=(8, 8))")),
    }
    if let Some(augment) = augment {
        steps.extend(augmentations(&augment));
    }
    steps.push("ToTensor()".to_owned());
    steps.push(format!("Normalize(mean={:?}, std={:?})", preprocess.mean, preprocess.std));
    steps
}

/// What may happen to a film, in torchvision's words where it has any.
fn augmentations(augment: &Augment) -> Vec<String> {
    let &Augment { rotation, flip, zoom, aspect, shift, interpolation, .. } = augment;
    let rotation_only = (zoom, aspect, shift) == ([1.0; 2], 0.0, 0.0) && interpolation == Interpolation::Nearest;
    let mut steps = Vec::new();
    if rotation_only && rotation > 0.0 {
        steps.push(format!(
            "RandomRotation(degrees=[-{rotation:?}, {rotation:?}], interpolation=nearest, expand=False, fill=0)"
        ));
    } else if !rotation_only && (rotation, zoom, aspect, shift) != (0.0, [1.0; 2], 0.0, 0.0) {
        let interpolation = if interpolation == Interpolation::Nearest { "nearest" } else { "bilinear" };
        steps.push(format!(
            "RandomAffine(degrees={rotation:?}, zoom={zoom:?}, aspect=e^±{aspect:?}, shift={shift:?}, \
             interpolation={interpolation}, fill=0)"
        ));
    }
    if flip > 0.0 {
        steps.push(format!("RandomHorizontalFlip(p={flip:?})"));
    }
    if augment.downsample > 1.0 && augment.downsample_p > 0.0 {
        steps.push(format!("RandomDownsample(factor=1..{:?}, p={:?})", augment.downsample, augment.downsample_p));
    }
    if augment.sharpen > 0.0 && augment.sharpen_p > 0.0 {
        steps.push(format!("RandomUnsharpMask(amount=0..{:?}, p={:?})", augment.sharpen, augment.sharpen_p));
    }
    let Augment { clahe, clahe_p, equalize_p, .. } = *augment;
    if clahe > 0.0 && clahe_p > 0.0 {
        steps.push(format!("RandomCLAHE(clip_limit=1..{clahe:?}, p={clahe_p:?})"));
    }
    if equalize_p > 0.0 {
        steps.push(format!("RandomEqualize(p={equalize_p:?})"));
    }
    let Augment { gamma, contrast, brightness, noise, erase_p, .. } = *augment;
    if (gamma, contrast, brightness) != (0.0, 0.0, 0.0) {
        steps.push(format!("RandomTone(gamma=e^±{gamma:?}, contrast=e^±{contrast:?}, brightness=±{brightness:?})"));
    }
    if noise > 0.0 {
        steps.push(format!("RandomNoise(sigma=0..{noise:?} levels)"));
    }
    if augment.jpeg > 0 && augment.jpeg_p > 0.0 {
        steps.push(format!("RandomJPEG(quality={}..{}, p={:?})", augment.jpeg, Augment::BEST_JPEG, augment.jpeg_p));
    }
    if erase_p > 0.0 {
        steps.push(format!("RandomErasing(p={erase_p:?}, value=0)"));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transforms_read_as_torchvision_prints_them() {
        let preprocess = Preprocess {
            channels: Channels::Rgb,
            fit: Fit::Crop,
            size: 224,
            equalize: Equalize::None,
            decoding: lungfish_data::Decoding::DEFAULT,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        };
        assert_eq!(
            transforms(&preprocess, Some(Augment::NOTEBOOK)),
            [
                "Resize(size=224, interpolation=bilinear, antialias=True)",
                "CenterCrop(size=(224, 224))",
                "RandomRotation(degrees=[-20.0, 20.0], interpolation=nearest, expand=False, fill=0)",
                "RandomHorizontalFlip(p=0.5)",
                "ToTensor()",
                "Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])",
            ]
        );
        assert_eq!(transforms(&preprocess, None).len(), 4);
        let even = Preprocess { equalize: Equalize::Clahe, ..preprocess };
        let augment = Augment { clahe: 4.0, clahe_p: 0.2, equalize_p: 0.1, jpeg: 40, jpeg_p: 0.3, ..Augment::NONE };
        assert_eq!(
            transforms(&even, Some(augment))[2..6],
            [
                "CLAHE(clip_limit=2.0, tile_grid_size=(8, 8))",
                "RandomCLAHE(clip_limit=1..4.0, p=0.2)",
                "RandomEqualize(p=0.1)",
                "RandomJPEG(quality=40..95, p=0.3)",
            ]
        );
    }

    #[test]
    fn only_a_few_paths_are_listed() {
        let paths: Vec<PathBuf> = (0..7).map(|i| PathBuf::from(format!("f{i}"))).collect();
        assert_eq!(some_of(paths.iter()), "f0, f1, f2, f3, f4 and 2 more");
        assert_eq!(some_of(paths[..2].iter()), "f0, f1");
    }
}
