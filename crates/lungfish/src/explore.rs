//! Looking at a folder of films before anything is learnt from it.

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;

use lungfish_data::display::escape;
use lungfish_data::{Decoding, PassedOver, PatientRule, Survey, TableRule, survey_with};
use serde::{Serialize, Serializer};

use crate::patients::KnownPatients;
use crate::source::Reading;
use crate::{Activity, Caveat, Error, Event, PatientsBy, Watch, sample_bits, source};
#[cfg(feature = "pictures")]
use {
    crate::picture::{PictureFormats, name_of, write_all},
    lungfish_data::{Split, Task, survey::ClassSurvey},
    lungfish_pictures::{ClassOverview, Heading, Picture, PictureError, overview},
};

/// What to look at.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ExploreRequest {
    /// The films, in the layout that a training takes.
    pub data: PathBuf,
    /// The patient rule, as in a recipe: a regular expression, or [`PatientRule::AUTO`], which is the default there.
    pub patient: String,
    /// The table of the labels, where they are in one that is not the folder's own `labels.csv`.
    pub labels: Option<PathBuf>,
    /// How it is read.
    pub table: TableRule,
    /// How films are decoded; without `sample_bits` they say it themselves.
    pub decoding: Decoding,
    /// Folder for `explore.png` and `explore.svg`, made where it is not there; none draws no picture.
    pub out: Option<PathBuf>,
    /// How the picture is written besides.
    #[cfg(feature = "pictures")]
    pub formats: PictureFormats,
}

impl ExploreRequest {
    /// Films whose patients known names tell, and no picture.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        ExploreRequest { data: data.into(), patient: PatientRule::AUTO.to_owned(), ..ExploreRequest::default() }
    }
}

/// What there is. Serialised, it is what `lungfish explore --json` prints.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Exploration {
    /// The films, counted.
    #[serde(flatten)]
    pub survey: Survey,
    /// Films whose patient something tells; each other film counts as a patient of its own.
    pub patient_rule_fits: usize,
    /// What tells it, of how many films.
    pub patients_by: Vec<PatientsBy>,
    /// What lies in the folder and is not among the films, by kind.
    pub passed_over: Vec<PassedOver>,
    /// What was taken for what, a sentence each.
    pub notes: Vec<String>,
    /// Bits of a sample that 16-bit films use; none where there is no such film.
    pub sample_bits: Option<u8>,
    /// What must be known beside these counts.
    pub caveats: Vec<Caveat>,
    /// The pictures written: PNG, SVG and, if asked for, PDF.
    #[serde(serialize_with = "as_texts")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub pictures: Vec<PathBuf>,
}

/// Reads every film of a folder once, counts what it finds and draws it: films a class and split, sizes, intensities.
/// Films that cannot be read are a part of the answer. A picture that cannot be made is told as a warning: the counts
/// stand without it.
///
/// # Errors
/// One sentence: no such folder, no class folders in it, a patient rule that is none, a folder for pictures that cannot
/// be made or would lie among the class folders; [`Error::Stopped`].
pub fn explore(request: &ExploreRequest, watch: &mut Watch<'_>) -> Result<Exploration, Error> {
    let folder = source::open(
        &request.data,
        &Reading { patient: request.patient.clone(), labels: request.labels.clone(), table: request.table.clone() },
    )?;
    if let Some(out) = &request.out {
        folder.refuse_among_classes(out)?;
        // Now, and not after minutes of reading films.
        fs::create_dir_all(out).map_err(|e| Error::io("create", out, e))?;
    }
    let total = folder.layout.len();
    let patients = KnownPatients::of(&folder);
    let fits = patients.told();
    let (sample_bits, stored) = sample_bits::of_training(&folder, request.decoding.sample_bits, watch);
    let decoding = Decoding { sample_bits, ..request.decoding };
    let survey = survey_with(&folder, decoding, &mut |done| {
        watch.event(&Event::Progress { task: Activity::Checking, done, total });
        if watch.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let Some(survey) = survey else { return Err(Error::Stopped) };
    #[cfg(feature = "pictures")]
    let drawn = request.out.as_ref().map(|out| write_all(out, "explore", &draw(&survey, fits)?, request.formats));
    #[cfg(not(feature = "pictures"))]
    let drawn: Option<Result<Vec<PathBuf>, Error>> = request
        .out
        .as_ref()
        .map(|_| Err(Error::Unsupported("this build of the library draws nothing (feature pictures)".to_owned())));
    let pictures = match drawn.transpose() {
        Ok(written) => written.unwrap_or_default(),
        Err(error) => {
            watch.warn(format!("there is no picture explore: {error}"));
            Vec::new()
        }
    };
    Ok(Exploration {
        survey,
        patient_rule_fits: fits,
        patients_by: patients.by(),
        passed_over: folder.passed_over,
        notes: folder.notes,
        sample_bits,
        caveats: stored.into_iter().chain(patients.caveats()).collect(),
        pictures,
    })
}

#[cfg(feature = "pictures")]
fn draw(survey: &Survey, fits: usize) -> Result<Picture, PictureError> {
    let mut subtitle = match fits {
        0 => format!("{} films; nothing tells their patients", survey.films),
        _ => format!("{} films of {} patients", survey.films, survey.patients.count),
    };
    if !survey.bad.is_empty() {
        subtitle.push_str(&format!("; {} more cannot be read", survey.bad.len()));
    }
    if survey.task == Task::AnyOf {
        subtitle.push_str("; a film counts for each label that it has");
    }
    let heading = Heading {
        title: format!("Films in {}", name_of(&survey.root)),
        subtitle: Some(subtitle),
        synthetic: survey.synthetic > 0,
    };
    let class = |(label, class): (usize, &ClassSurvey)| ClassOverview {
        name: class.name.clone(),
        counts: survey
            .splits
            .iter()
            .map(|split| (split.split.map_or("films", Split::name).to_owned(), split.films[label]))
            .collect(),
        sizes: class.sizes.clone(),
        intensity: class.intensity.clone(),
    };
    overview(&heading, &survey.classes.iter().enumerate().map(class).collect::<Vec<_>>())
}

fn as_texts<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(escape))
}
