//! Fine-tune an ImageNet network on chest X-rays: recipe, training, evaluation, prediction, run folder.
//!
//! Knows no flags, no terminal, no HTTP; it tells what happens to an [`Observer`].

mod device;
mod error;
mod evaluate;
mod events;
mod predict;
pub mod recipe;
mod train;

pub use device::{Device, Gpus};
pub use error::Error;
pub use evaluate::{ClassFigures, TestOutcome, TestRequest, test};
pub use events::{BestEpoch, EpochRecord, Event, Observer, Phase, Side, Silent, Task};
pub use predict::{BadFilm, Prediction, Predictions, Predictor};
pub use recipe::{Changes, Recipe, RecipeError};
pub use train::{TrainOutcome, TrainRequest, train};
