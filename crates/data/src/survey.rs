//! What a data set holds: counted in one pass over all of its films.

mod dicom;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Serialize, Serializer};

pub use dicom::DicomSurvey;

use crate::check::ContentHash;
use crate::decode::{
    Channels, DecodeError, DecodeOptions, Decoding, DicomFacts, Image, Source, decode_with_source, is_turned, luma,
    read_film,
};
use crate::display::escape;
use crate::film_set::{Film, FilmSet, Layout};
use crate::label::{Label, Task};
use crate::names::Split;
use crate::synth::is_synthetic;

/// Films between two reports of progress, for each thread.
const CHUNK: usize = 8;

/// A pixel whose channels are further apart than this is colour. A gray film that a JPEG stores in colour stays within
/// a few levels.
const GRAY_WITHIN: u8 = 16;

/// What a folder of films holds. Films that cannot be read are in [`Self::bad`] and in [`SplitSurvey::bad`], and in no
/// other figure. Serialised, it is what `lungfish explore --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Survey {
    /// The folder that holds the splits or the classes.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub root: PathBuf,
    /// What is asked of the films.
    pub task: Task,
    /// Films that can be read.
    pub films: usize,
    /// Bytes of their files.
    pub bytes: u64,
    /// The splits that the folder has, or one without a name where it has none.
    pub splits: Vec<SplitSurvey>,
    /// The classes, in index order; any-of: the labels.
    pub classes: Vec<ClassSurvey>,
    /// Pixels a row; none where no film can be read.
    pub width: Option<Spread>,
    /// Rows.
    pub height: Option<Spread>,
    /// Bytes of a file.
    pub file_bytes: Option<Spread>,
    /// Kinds of file, the most frequent first.
    pub kinds: Vec<Kind>,
    /// Films with a pixel that is not gray.
    pub coloured: usize,
    /// Films that note an orientation other than upright (EXIF).
    pub turned: usize,
    /// Patients of the whole folder.
    pub patients: Patients,
    /// Films of the same pixels.
    pub copies: Copies,
    /// Films that this program drew ([`is_synthetic`]).
    pub synthetic: usize,
    /// What DICOM films say of how they were taken; none where there is none.
    pub dicom: Option<DicomSurvey>,
    /// Films that cannot be read, in the folder's order.
    #[serde(rename = "unreadable")]
    pub bad: Vec<BadFilm>,
}

/// One split of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SplitSurvey {
    /// Its name; none where the folder has no splits.
    pub split: Option<Split>,
    /// Films of each class, in index order; any-of: films that have each label, so that a film counts once for each.
    pub films: Vec<usize>,
    /// Films in all.
    pub count: usize,
    /// Patients they belong to.
    pub patients: usize,
    /// Bytes of their files.
    pub bytes: u64,
    /// Films that cannot be read.
    #[serde(rename = "unreadable")]
    pub bad: usize,
}

/// One class of a data set, over all splits; any-of: one label, and the films that have it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClassSurvey {
    /// Its name.
    pub name: String,
    /// Its films.
    pub films: usize,
    /// Any-of: films that are known not to have it.
    pub without: Option<usize>,
    /// Any-of: films of which nobody knows.
    pub unknown: Option<usize>,
    /// Patients they belong to.
    pub patients: usize,
    /// Mean of a pixel's gray, 0 to 255, each film counting as one; none where there is no film.
    pub brightness: Option<f64>,
    /// 256 shares of the pixels of each gray, each film counting as one; they sum to 1, or to 0 where there is no film.
    pub intensity: Vec<f64>,
    /// Width and height of each film in pixels, in the folder's order.
    #[serde(skip)]
    pub sizes: Vec<[u32; 2]>,
}

/// The least, the middle and the most of a figure over all films.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Spread {
    /// The least.
    pub least: u64,
    /// Half of the films have no more; of two middle ones the lower.
    pub median: u64,
    /// The most.
    pub most: u64,
}

/// A kind of file, and how many films are such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Kind {
    /// What the files hold.
    #[serde(flatten)]
    pub source: Source,
    /// How many do.
    pub films: usize,
}

/// Patients, as the patient rule finds them in file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Patients {
    /// How many there are.
    pub count: usize,
    /// Films of the one who has the most.
    pub most_films: usize,
    /// Patients with films on more than one split.
    pub on_two_splits: usize,
    /// Patients with films in more than one class; any-of: with films of other labels than another of theirs.
    pub in_two_classes: usize,
}

/// Films of the same pixels, whatever their files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Copies {
    /// Films beyond the first of each content.
    pub films: usize,
    /// Films of which the same is on another split too.
    pub on_two_splits: usize,
    /// Films of which the same is in another class too; any-of: with other labels.
    pub in_two_classes: usize,
}

/// A film that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BadFilm {
    /// The file.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// Looks at every film of a data set once, on all threads of the current rayon pool; the answer is the same for any
/// number of them. `progress` is told every now and then how many films are done, and may break off; then there is no
/// answer.
///
/// ```no_run
/// # use std::ops::ControlFlow;
/// # use lungfish_data::{FilmSource, PatientRule, survey};
/// let set = FilmSource::find("chest_xray".as_ref())?.list(&PatientRule::default())?;
/// let Some(survey) = survey(&set, &mut |_done| ControlFlow::Continue(())) else { return Ok(()) };
/// for class in &survey.classes {
///     println!("{}: {} films of {} patients", class.name, class.films, class.patients);
/// }
/// # Ok::<(), lungfish_data::DataError>(())
/// ```
pub fn survey(set: &FilmSet, progress: &mut dyn FnMut(usize) -> ControlFlow<()>) -> Option<Survey> {
    survey_with(set, Decoding::DEFAULT, progress)
}

/// [`survey`] of films that are decoded in a way of their own.
pub fn survey_with(
    set: &FilmSet,
    decoding: Decoding,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Option<Survey> {
    let listed: Vec<(Option<Split>, &Film)> = set.layout.films().collect();
    let mut tally = Tally::new(set);
    let mut done = 0;
    for chunk in listed.chunks(CHUNK * rayon::current_num_threads()) {
        let looks: Vec<Result<Look, DecodeError>> =
            chunk.par_iter().with_max_len(1).map(|(_, film)| look(&film.path, decoding)).collect();
        // Added up in the folder's order, so that sums of fractions come out the same.
        for (&(split, film), look) in chunk.iter().zip(looks) {
            tally.add(split, film, look);
        }
        done += chunk.len();
        if progress(done).is_break() {
            return None;
        }
    }
    Some(tally.finish())
}

/// What is seen of one film.
struct Look {
    size: [u32; 2],
    bytes: u64,
    source: Source,
    hash: ContentHash,
    synthetic: bool,
    coloured: bool,
    turned: bool,
    dicom: Option<DicomFacts>,
    /// Pixels of each gray.
    gray: Box<[u32; 256]>,
}

fn look(path: &Path, decoding: Decoding) -> Result<Look, DecodeError> {
    let bytes = read_film(path)?;
    // In colour, so that colour is seen; the gray of it is what decoding as gray gives.
    let (image, source) = decode_with_source(&bytes, DecodeOptions { channels: Channels::Rgb, decoding })?;
    let hash = ContentHash::of_pixels(&image);
    let Image { width, height, pixels, .. } = image;
    let mut gray = Box::new([0; 256]);
    let mut coloured = false;
    for &[r, g, b] in pixels.as_chunks::<3>().0 {
        gray[usize::from(luma(r, g, b))] += 1;
        coloured |= r.max(g).max(b) - r.min(g).min(b) > GRAY_WITHIN;
    }
    // 100 megapixels at most, so sides and counts fit.
    let size = [width as u32, height as u32];
    let synthetic = is_synthetic(&bytes);
    let dicom = DicomFacts::of(&bytes);
    let turned = is_turned(&bytes);
    Ok(Look { size, bytes: bytes.len() as u64, source, hash, synthetic, coloured, turned, dicom, gray })
}

/// Where films of one patient, or of one content, are.
#[derive(Default)]
struct Places<'a> {
    films: usize,
    splits: HashSet<Option<Split>>,
    labels: HashSet<&'a Label>,
}

impl<'a> Places<'a> {
    fn add(&mut self, split: Option<Split>, label: &'a Label) {
        self.films += 1;
        self.splits.insert(split);
        self.labels.insert(label);
    }
}

/// The sums so far.
struct Tally<'a> {
    survey: Survey,
    kinds: BTreeMap<Source, usize>,
    patients: HashMap<&'a str, Places<'a>>,
    contents: HashMap<ContentHash, Places<'a>>,
    file_bytes: Vec<u64>,
    /// Width and height of each film.
    sizes: Vec<[u32; 2]>,
}

impl<'a> Tally<'a> {
    fn new(set: &FilmSet) -> Self {
        let films = vec![0; set.classes.len()];
        let split = |split| SplitSurvey { split, films: films.clone(), count: 0, patients: 0, bytes: 0, bad: 0 };
        let splits = match &set.layout {
            Layout::Flat(_) => vec![split(None)],
            layout => Split::ALL.into_iter().filter(|s| layout.of(*s).is_some()).map(|s| split(Some(s))).collect(),
        };
        let of_row = (set.task == Task::AnyOf).then_some(0);
        let class = |name: &String| ClassSurvey {
            name: name.clone(),
            films: 0,
            without: of_row,
            unknown: of_row,
            patients: 0,
            brightness: None,
            intensity: vec![0.0; 256],
            sizes: Vec::new(),
        };
        let survey = Survey {
            root: set.root.clone(),
            task: set.task,
            films: 0,
            bytes: 0,
            splits,
            classes: set.classes.iter().map(class).collect(),
            width: None,
            height: None,
            file_bytes: None,
            kinds: Vec::new(),
            coloured: 0,
            turned: 0,
            patients: Patients::default(),
            copies: Copies::default(),
            synthetic: 0,
            dicom: None,
            bad: Vec::new(),
        };
        let (kinds, patients, contents, file_bytes, sizes) = Default::default();
        Self { survey, kinds, patients, contents, file_bytes, sizes }
    }

    fn add(&mut self, split: Option<Split>, film: &'a Film, look: Result<Look, DecodeError>) {
        let survey = &mut self.survey;
        let of_split = survey.splits.iter_mut().find(|of_split| of_split.split == split);
        let Some(of_split) = of_split else { return };
        let look = match look {
            Ok(look) => look,
            Err(reason) => {
                of_split.bad += 1;
                survey.bad.push(BadFilm { path: film.path.clone(), reason: reason.to_string() });
                return;
            }
        };
        of_split.count += 1;
        of_split.bytes += look.bytes;
        let pixels = f64::from(look.size[0]) * f64::from(look.size[1]);
        for (index, class) in survey.classes.iter_mut().enumerate() {
            match film.label.has(index) {
                Some(true) => {}
                Some(false) => {
                    class.without = class.without.map(|films| films + 1);
                    continue;
                }
                None => {
                    class.unknown = class.unknown.map(|films| films + 1);
                    continue;
                }
            }
            of_split.films[index] += 1;
            class.films += 1;
            class.sizes.push(look.size);
            for (sum, &count) in class.intensity.iter_mut().zip(look.gray.iter()) {
                *sum += f64::from(count) / pixels;
            }
        }
        self.sizes.push(look.size);
        survey.films += 1;
        survey.bytes += look.bytes;
        survey.coloured += usize::from(look.coloured);
        survey.turned += usize::from(look.turned);
        survey.synthetic += usize::from(look.synthetic);
        if let Some(facts) = &look.dicom {
            survey.dicom.get_or_insert_default().add(facts);
        }
        self.file_bytes.push(look.bytes);
        *self.kinds.entry(look.source).or_default() += 1;
        self.patients.entry(&film.group).or_default().add(split, &film.label);
        self.contents.entry(look.hash).or_default().add(split, &film.label);
    }

    fn finish(self) -> Survey {
        let Self { mut survey, kinds, patients, contents, file_bytes, sizes } = self;
        for class in &mut survey.classes {
            if class.films > 0 {
                class.intensity.iter_mut().for_each(|sum| *sum /= class.films as f64);
                let levels = class.intensity.iter().enumerate();
                class.brightness = Some(levels.map(|(level, share)| level as f64 * share).sum());
            }
        }
        for places in patients.values() {
            for split in &mut survey.splits {
                split.patients += usize::from(places.splits.contains(&split.split));
            }
            for (index, class) in survey.classes.iter_mut().enumerate() {
                class.patients += usize::from(places.labels.iter().any(|label| label.has(index) == Some(true)));
            }
        }
        survey.width = spread(sizes.iter().map(|size| size[0].into()).collect());
        survey.height = spread(sizes.iter().map(|size| size[1].into()).collect());
        survey.file_bytes = spread(file_bytes);
        survey.kinds = kinds.into_iter().map(|(source, films)| Kind { source, films }).collect();
        survey.kinds.sort_by_key(|kind| std::cmp::Reverse(kind.films));
        survey.patients = Patients {
            count: patients.len(),
            most_films: patients.values().map(|places| places.films).max().unwrap_or(0),
            on_two_splits: patients.values().filter(|places| places.splits.len() > 1).count(),
            in_two_classes: patients.values().filter(|places| places.labels.len() > 1).count(),
        };
        survey.copies = Copies {
            films: contents.values().map(|places| places.films - 1).sum(),
            on_two_splits: contents.values().filter(|places| places.splits.len() > 1).map(|places| places.films).sum(),
            in_two_classes: contents.values().filter(|places| places.labels.len() > 1).map(|places| places.films).sum(),
        };
        survey
    }
}

fn spread(mut values: Vec<u64>) -> Option<Spread> {
    values.sort_unstable();
    let median = *values.get(values.len().checked_sub(1)? / 2)?;
    Some(Spread { least: *values.first()?, median, most: *values.last()? })
}

fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&escape(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_films_there_are() {
        assert_eq!(spread(Vec::new()), None);
        assert_eq!(spread(vec![7]), Some(Spread { least: 7, median: 7, most: 7 }));
        assert_eq!(spread(vec![9, 1, 4, 3]), Some(Spread { least: 1, median: 3, most: 9 }));
    }
}
