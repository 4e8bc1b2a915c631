//! Fine-tune an ImageNet network on chest X-rays: recipe, training, evaluation, prediction, run folder.
//!
//! [`train`] takes a [`TrainRequest`] and leaves a run folder; [`test()`] scores a model on one split of a data set;
//! [`Predictor`] scores films, and [`PlotTarget`] draws what it says; [`fetch`] brings films and weights, [`explore()`]
//! counts what a folder holds and [`preview()`] shows some of it; [`mod@bench`] measures how fast all that is. The
//! library knows no flags and no terminal; what happens it tells to an [`Watch`].

pub mod bench;
mod caveat;
mod checkpoint;
mod data_set;
mod device;
mod epoch;
mod error;
mod evaluate;
mod events;
mod explore;
mod features;
pub mod fetch;
mod film_cache;
mod films;
mod judge;
mod keys;
mod lineage;
mod memory;
mod metrics;
mod model;
mod phase;
mod picture;
mod plot;
mod predict;
mod predictions_file;
mod preview;
pub mod recipe;
mod report;
mod room;
mod run_folder;
mod schedule;
mod summary;
mod targets;
mod train;
mod watch;
mod weights;

pub use caveat::{Caveat, CaveatKind};
pub use device::{Device, Gpus};
pub use epoch::{BestEpoch, EpochChoice, EpochRecord, Phase};
pub use error::Error;
pub use evaluate::{ClassMetrics, TestOutcome, TestRequest, test};
pub use events::{Activity, Event, Transfer};
pub use explore::{Exploration, ExploreRequest, explore};
pub use judge::Why;
pub use lineage::{Ancestor, Descent};
pub use lungfish_data::Split;
pub use lungfish_pictures::{Print, percent};
pub use memory::Memory;
pub use model::ModelInfo;
pub use picture::PictureFormats;
pub use plot::{PlotTarget, plot_prediction};
pub use predict::{BadFilm, Prediction, Predictions, Predictor};
pub use preview::{Preview, PreviewRequest, preview};
pub use recipe::{Changes, Recipe, RecipeError};
pub use summary::{ModelSummary, SummaryOf, SummaryRequest, TrainedModel, summary};
pub use train::{TrainOutcome, TrainRequest, train};
pub use watch::{Observer, Silent, Watch};
