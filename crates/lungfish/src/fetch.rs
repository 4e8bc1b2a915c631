//! Films and weights from the network to where the rest of the library looks for them.

use std::path::{Path, PathBuf};

use lungfish_data::Split;
use lungfish_fetch::kaggle::Kaggle;
use lungfish_fetch::{Client, Job, Request, download};
use lungfish_models::{Architecture, WeightsError, hub_files, hub_folder, wheel};

pub use lungfish_fetch::kaggle::DataSet;

use crate::{Error, Event, Transfer, Watch, source};

/// A data set that is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedFilms {
    /// The folder, as [`TrainRequest::data`](crate::TrainRequest::data) takes it.
    pub path: PathBuf,
    /// Files in it.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Whether anything was fetched: not if all of it was there and right.
    pub fetched: bool,
    /// What can be trained on; none where the files do not lie as class folders with films.
    pub films: Option<Films>,
}

/// The films of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Films {
    /// The names of the classes, sorted.
    pub classes: Vec<String>,
    /// Films of each split that is there; one entry without a split where there are none.
    pub splits: Vec<(Option<Split>, usize)>,
}

/// Weights that are there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedWeights {
    /// The network.
    pub architecture: Architecture,
    /// The file in torch hub's folder; none where they are inside the program.
    pub path: Option<PathBuf>,
    /// Its bytes.
    pub bytes: u64,
    /// Whether they were fetched: not if they were there and right.
    pub fetched: bool,
}

/// The variable that names another address for torch hub's files.
const HUB_VARIABLE: &str = "LUNGFISH_TORCH_HUB_URL";

/// The most bytes that a file of weights may have; the largest here has 103 million.
const MOST_BYTES: u64 = 1_000_000_000;

/// Makes the folder `out` hold a data set of Kaggle, unpacked; see [`Kaggle::fetch`] for what it may hold before.
/// Settings and credentials are those of the environment ([`Kaggle::from_env`]).
///
/// # Errors
/// [`Error::Fetch`]. Until all of it is right, `out` does not change.
pub fn films(set: &DataSet, out: &Path, watch: &mut Watch<'_>) -> Result<FetchedFilms, Error> {
    let stop = watch.flag();
    let fetched = Kaggle::from_env()?.fetch(set, out, &mut |event| tell(event, watch), stop)?;
    let films = match source::open(&fetched.path, &source::Reading::from(&crate::Recipe::default())) {
        Ok(folder) => {
            let count = |split| folder.layout.films().filter(|(of, _)| *of == split).count();
            let splits = [Some(Split::Train), Some(Split::Val), Some(Split::Test), None];
            let splits =
                splits.map(|split| (split, count(split))).into_iter().filter(|(_, films)| *films > 0).collect();
            Some(Films { classes: folder.classes, splits })
        }
        Err(error) => {
            watch.warn(format!("the films do not lie as a training wants them: {error}"));
            None
        }
    };
    Ok(FetchedFilms { path: fetched.path, files: fetched.files, bytes: fetched.bytes, fetched: fetched.fetched, films })
}

/// Puts the ImageNet weights of an architecture into torch hub's folder, where a recipe's `weights = "imagenet"` and
/// PyTorch look for them. Those that are inside the program already are not fetched.
///
/// # Errors
/// [`Error::Fetch`]; [`Error::Io`] where torch hub's folder cannot be made; [`Error::Weights`] with how to get those that
/// are in a Python wheel, which is not fetched here.
pub fn weights(architecture: Architecture, watch: &mut Watch<'_>) -> Result<FetchedWeights, Error> {
    if let Some(wheel) = wheel(architecture) {
        return Err(WeightsError::InWheel { architecture, wheel }.into());
    }
    let base = std::env::var(HUB_VARIABLE).ok().filter(|base| !base.is_empty());
    let Some(file) = hub_files(architecture).first() else {
        return Ok(FetchedWeights { architecture, path: None, bytes: 0, fetched: false });
    };
    let address = base.map_or_else(|| file.url(), |base| format!("{}/{}", base.trim_end_matches('/'), file.name));
    let folder = hub_folder();
    std::fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
    let target = folder.join(file.name);
    let request = Request {
        address: &address,
        credentials: None,
        target: &target,
        sha256: Some(file.sha256_prefix()),
        limit: MOST_BYTES,
        advice: &|_| None,
    };
    let stop = watch.flag();
    let done = download(&Client::from_env()?, &request, &mut |event| tell(event, watch), stop)?;
    Ok(FetchedWeights { architecture, path: Some(done.path), bytes: done.bytes, fetched: done.fetched })
}

fn tell(event: &lungfish_fetch::Event, watch: &mut Watch<'_>) {
    use lungfish_fetch::Event::{Note, Progress, Warning};
    match event {
        Note(text) => watch.note(text.clone()),
        Warning(text) => watch.warn(text.clone()),
        Progress { job, done, total } => {
            let transfer = match job {
                Job::Verifying => Transfer::Verifying,
                Job::Unpacking => Transfer::Unpacking,
                _ => Transfer::Downloading,
            };
            watch.event(&Event::Transferred { transfer, done: *done, total: *total });
        }
        _ => {}
    }
}
