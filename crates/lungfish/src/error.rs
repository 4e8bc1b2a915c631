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
    #[error(transparent)]
    Fetch(#[from] lungfish_fetch::FetchError),
    /// A picture.
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
    /// A loss that is not a number; the last good state is kept.
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

impl Error {
    /// A file or folder that could not be read or written.
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Error::Io { action, path: path.to_owned(), source }
    }

    /// One sentence.
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Error::Refused(text.into())
    }
}
