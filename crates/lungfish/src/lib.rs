//! Fine-tune an ImageNet network on chest X-rays: recipe, training, evaluation, prediction, run folder.
//!
//! [`train`] takes a [`TrainRequest`] and leaves a run folder; [`test()`] scores a model on one split of a data set;
//! [`Predictor`] scores films: files, bytes or pixels, and [`ScoresFile`] keeps what it says of many. `PlotTarget` draws
//! predictions; [`import()`] makes a model of what another program trained; `fetch` brings films and weights, [`explore()`] counts what a folder holds and `preview` shows some of it;
//! [`mod@bench`] measures how fast all that is. The library knows no flags and no terminal; what happens it tells to a
//! [`Watch`]. What [`Error`] says is one sentence for a person; [`Error::kind`] is for a program.
//!
//! Programs to begin with, each short enough to read: [train], [test], [predict].
//!
//! [train]: https://docs.rs/crate/lungfish/latest/source/examples/train.rs
//! [test]: https://docs.rs/crate/lungfish/latest/source/examples/test.rs
//! [predict]: https://docs.rs/crate/lungfish/latest/source/examples/predict.rs
//!
//! ```no_run
//! let mut predictor = lungfish::Predictor::open("run".as_ref())?;
//! let said = predictor.predict_bytes(&std::fs::read("film.jpeg").unwrap())?;
//! println!("{} {:?}", said.called.words(), said.probabilities);
//! # Ok::<(), lungfish::Error>(())
//! ```
//!
//! # Features
//!
//! All are on unless `default-features = false`. Without them training, testing and predicting are all there.
//!
//! - `fetch`: the module `fetch`, which alone has a network (rustls, ring).
//! - `parquet`: [`ScoresFile`] and [`TestRequest::predictions`] as Parquet, besides CSV.
//! - `pictures`: what is drawn (resvg): the pictures of [`test()`] and [`explore()`], `PlotTarget`, `preview`.
//!
//! # Optimise it in development, too
//!
//! Kernels and decoders that are compiled without optimisation are about a hundred times slower. A program that depends on
//! this library has these lines in its `Cargo.toml`:
//!
//! ```toml
//! [profile.dev.package."*"]
//! opt-level = 3
//! ```

pub mod audit;
pub mod bench;
mod calibrate;
mod calibration;
mod cam;
mod caveat;
mod checkpoint;
mod compute;
mod data_set;
mod device;
mod ensemble;
mod epoch;
mod error;
mod evaluate;
mod events;
mod explain;
mod explore;
mod features;
#[cfg(feature = "fetch")]
pub mod fetch;
mod film_cache;
mod film_list;
mod film_memory;
mod films;
mod import;
mod judge;
mod keys;
mod lesson;
mod lineage;
mod loss_scale;
mod measures;
mod metrics;
mod micro_batch;
mod model;
mod neighbours;
mod origin;
mod patients;
mod phase;
#[cfg(feature = "pictures")]
mod picture;
#[cfg(feature = "pictures")]
mod plot;
mod point;
mod positive;
mod precision;
mod predict;
mod predictions_file;
#[cfg(feature = "pictures")]
mod preview;
mod prior;
pub mod recipe;
mod reference;
#[cfg(feature = "pictures")]
mod report;
mod room;
mod run_folder;
mod run_view;
mod sample_bits;
mod schedule;
mod scorer;
mod scores_file;
mod source;
mod study;
mod summary;
mod table;
mod targets;
mod task;
mod teacher;
mod test_log;
mod train;
mod trees;
mod tta;
pub mod tune;
mod undefined;
mod watch;
mod weights;

pub use audit::{Audit, AuditRequest, audit};
pub use calibrate::{CalibrateOutcome, CalibrateRequest, Recalibration, calibrate};
pub use calibration::Calibration;
pub use cam::{Evidence, HeatMap, MapsFolder};
pub use caveat::{Caveat, CaveatKind};
pub use device::{Device, Gpu, Gpus, Interface, computes_on_gpus, gpus, set_default_device};
pub use ensemble::{EnsembleOutcome, ensemble};
pub use epoch::{BestEpoch, EpochChoice, EpochRecord, Phase, RobustMetrics};
pub use error::{Error, ErrorKind};
pub use evaluate::{
    Changed, ClassMetrics, Comparison, Difference, Group, Groups, LabelShortcut, LookStratum, Misled, PointMetrics,
    ShortcutMetrics, StressLabel, StressTest, TestOutcome, TestRequest, UnlikeFilms, test,
};
pub use events::{Activity, Event, Transfer};
pub use explain::Explained;
pub use explore::{Exploration, ExploreRequest, explore};
pub use film_list::FilmList;
pub use film_memory::FilmMemory;
pub use import::{ImportOutcome, ImportRequest, ImportedFrom, import};
pub use judge::Why;
pub use lesson::{Lesson, LessonFilm, Proposal, Proposals};
pub use lineage::{Ancestor, Descent};
pub use measures::Measure;
pub use metrics::LabelMetrics;
pub use model::{Member, ModelInfo};
pub use neighbours::{Neighbour, Neighbours};
pub use patients::PatientsBy;
#[cfg(feature = "pictures")]
pub use picture::PictureFormats;
#[cfg(feature = "pictures")]
pub use plot::{PlotTarget, plot_prediction};
pub use point::{OperatingPoint, PointRule};
pub use precision::PrecisionRule;
pub use predict::{BadFilm, Outcome, Prediction, Predictions, Predictor};
#[cfg(feature = "pictures")]
pub use preview::{Preview, PreviewRequest, preview};
pub use recipe::{Changes, Recipe, RecipeError};
pub use run_view::{TestedFilm, TestedFilms, is_training, kept_epoch, model_written, training_log};
pub use scores_file::ScoresFile;
pub use study::{AuditFiles, Missing, ReportOutcome, ReportRequest, refuse_audit, report, write_audit, write_study};
pub use summary::{ModelSummary, SummaryOf, SummaryRequest, TrainedModel, summary};
pub use task::Called;
pub use test_log::Opened;
pub use train::{TrainOutcome, TrainRequest, train};
pub use tta::Tta;
pub use tune::{TuneOutcome, TuneRequest, tune};
pub use watch::{Observer, Silent, Watch};

// What stands in the signatures above, so that a program needs this crate alone.
pub use lungfish_data::passed_over;
pub use lungfish_data::survey::{self, Survey};
pub use lungfish_data::{
    Channels, DataError, DecodeError, Equalize, Fit, Image, PassedOver, PatientRule, Preprocess, Split, Task, Uids,
    decode, decode_file,
};
pub use lungfish_data::{Columns, Decoding, DicomView, Exif, Memory, TableRule, Uncertain};
pub use lungfish_engine::EngineError;
#[cfg(feature = "fetch")]
pub use lungfish_fetch::FetchError;
pub use lungfish_models::{Architecture, HeadConfig, ModelError, Summary, WeightsError};
#[cfg(feature = "pictures")]
pub use lungfish_pictures::{PictureError, Print, percent};
