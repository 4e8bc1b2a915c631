//! What can go wrong in a training, a test or a prediction. Every message is one sentence with the
//! path and the values.

use std::path::{Path, PathBuf};

use crate::recipe::RecipeError;

/// An error of the library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The films or their folder.
    #[error(transparent)]
    Data(#[from] lungfish_data::DataError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] lungfish_engine::EngineError),
    /// The network.
    #[error(transparent)]
    Model(#[from] lungfish_models::ModelError),
    /// Weights to start from, or a model file.
    #[error(transparent)]
    Weights(#[from] lungfish_models::WeightsError),
    /// Something that could not be fetched.
    #[cfg(feature = "fetch")]
    #[error(transparent)]
    Fetch(#[from] lungfish_fetch::FetchError),
    /// A picture.
    #[cfg(feature = "pictures")]
    #[error(transparent)]
    Picture(#[from] lungfish_pictures::PictureError),
    /// A file or folder that could not be read or written.
    #[error("cannot {action} {}: {source}", lungfish_data::display::escape(path))]
    Io {
        /// What was tried, a verb ("write").
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Anything else that makes the request impossible, as one sentence.
    #[error("{0}")]
    Refused(String),
    /// Something that is not there, as one sentence.
    #[error("{0}")]
    NotFound(String),
    /// A file whose content cannot be what it is meant to be, as one sentence.
    #[error("{0}")]
    Damaged(String),
    /// Something that this program, or this build of it, cannot do, as one sentence.
    #[error("{0}")]
    Unsupported(String),
    /// A device that failed while it computed: a driver that is gone or hangs; what was saved before is kept.
    #[error("{what}; {kept}")]
    DeviceFailed {
        /// What the device reports.
        what: lungfish_engine::EngineError,
        /// What is kept and how to go on.
        kept: String,
    },
    /// A loss that is not a number, or whose gradients are none in f16; the last good state is kept.
    #[error("the loss is {loss} in the {phase} phase at epoch {epoch}, step {step}: {kept}")]
    Diverged {
        /// The loss.
        loss: f64,
        /// The phase.
        phase: crate::Phase,
        /// The epoch within the phase, from 1.
        epoch: usize,
        /// The step within the epoch, from 1.
        step: usize,
        /// What is kept and what to try.
        kept: String,
    },
    /// Stopped on request (prediction and testing; a training that is stopped is an outcome).
    #[error("stopped")]
    Stopped,
}

/// What kind of thing went wrong, for a program that has to decide what to do; people read the sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A request that contradicts itself, the model, or what is there: another request may do.
    BadInput,
    /// A file or folder that is not there.
    NotFound,
    /// A file or folder that could not be read or written.
    Io,
    /// A file that is there and is not what it should be: cut, changed, of another program.
    Damaged,
    /// What this program, or this build of it, cannot do.
    Unsupported,
    /// A device that failed while it computed.
    Device,
    /// A training whose loss is no number any more.
    Diverged,
    /// The network, or a server behind it.
    Network,
    /// Stopped on request.
    Stopped,
}

impl Error {
    /// What kind of thing went wrong.
    ///
    /// ```
    /// use lungfish::{ErrorKind, Predictor};
    /// let error = Predictor::open("no-such-run".as_ref()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NotFound);
    /// ```
    pub fn kind(&self) -> ErrorKind {
        use lungfish_data::DataError;
        use lungfish_models::{ModelError, WeightsError};
        match self {
            Error::Recipe(RecipeError::Read { source, .. }) => of_io(source),
            Error::Data(DataError::NoSuchFolder { .. }) => ErrorKind::NotFound,
            Error::Data(DataError::Read { source, .. } | DataError::Write { source, .. }) => of_io(source),
            Error::Data(DataError::Threads { .. }) => ErrorKind::Io,
            Error::Data(DataError::Film { .. } | DataError::SplitFile { .. }) => ErrorKind::Damaged,
            Error::Weights(WeightsError::Io { source, .. }) => of_io(source),
            Error::Weights(WeightsError::Unreadable { .. } | WeightsError::Malformed { .. }) => ErrorKind::Damaged,
            Error::Model(ModelError::NoSuchArchitecture { .. }) => ErrorKind::Unsupported,
            #[cfg(feature = "fetch")]
            Error::Fetch(error) => of_fetch(error),
            #[cfg(feature = "pictures")]
            Error::Picture(_) => ErrorKind::BadInput,
            Error::Io { source, .. } => of_io(source),
            Error::NotFound(_) => ErrorKind::NotFound,
            Error::Damaged(_) => ErrorKind::Damaged,
            Error::Unsupported(_) => ErrorKind::Unsupported,
            Error::DeviceFailed { .. } | Error::Engine(lungfish_engine::EngineError::Device { .. }) => {
                ErrorKind::Device
            }
            Error::Diverged { .. } => ErrorKind::Diverged,
            Error::Stopped => ErrorKind::Stopped,
            _ => ErrorKind::BadInput,
        }
    }

    /// A file or folder that could not be read or written.
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Error::Io { action, path: path.to_owned(), source }
    }

    /// One sentence.
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Error::Refused(text.into())
    }

    /// Something that is not there.
    pub(crate) fn not_found(text: impl Into<String>) -> Self {
        Error::NotFound(text.into())
    }

    /// A file that is not what it should be.
    pub(crate) fn damaged(text: impl Into<String>) -> Self {
        Error::Damaged(text.into())
    }
}

fn of_io(source: &std::io::Error) -> ErrorKind {
    match source.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Io,
    }
}

#[cfg(feature = "fetch")]
fn of_fetch(error: &lungfish_fetch::FetchError) -> ErrorKind {
    use lungfish_fetch::FetchError;
    match error {
        FetchError::Stopped { .. } => ErrorKind::Stopped,
        FetchError::DiskFull { .. } | FetchError::Io { .. } | FetchError::Busy { .. } => ErrorKind::Io,
        FetchError::Checksum { .. } | FetchError::Archive { .. } => ErrorKind::Damaged,
        FetchError::Offline { .. }
        | FetchError::Status { .. }
        | FetchError::Redirect { .. }
        | FetchError::Content { .. }
        | FetchError::Connection { .. } => ErrorKind::Network,
        _ => ErrorKind::BadInput,
    }
}
