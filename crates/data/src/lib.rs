//! A folder of chest X-rays in, batches of pixels out.
//!
//! The way of a film: a [`FilmSource`] lists it with its [`Label`] and its patient, [`sample`] may leave it out,
//! [`check`](check::check) reads it once to see that it decodes, [`split`](split::split) puts its patient on one split,
//! [`Loader`] decodes it ahead of the step that wants it, or finds it decoded in a [`FilmCache`], through the
//! [`Preprocess`] that travels with the model and, in training, a keyed [`Augment`]. [`survey`](survey::survey) counts what there is.
//!
//! Nothing here prints, and nothing here panics on a file that somebody made.

pub mod augment;
pub mod cache;
pub mod check;
mod contradiction;
pub mod decode;
pub mod display;
mod error;
mod file_facts;
mod film_set;
pub mod folder;
pub mod keys;
mod label;
pub mod loader;
pub mod memory;
mod mix;
pub mod names;
mod npz;
pub mod passed_over;
mod patient;
pub mod preprocess;
mod random;
pub mod source;
pub mod split;
mod statistics;
pub mod survey;
pub mod synth;
mod vector;

pub use augment::Augment;
pub use cache::FilmCache;
pub use check::{BadFilm, CheckedFilm, ContentHash, check, check_layout, check_with};
pub use contradiction::contradictions;
pub use decode::{
    Channels, DecodeError, DecodeOptions, Decoding, DicomFacts, DicomView, Exif, Image, Mode, Source, Span, Uids,
    decode, decode_file, dicom_facts, film_uid, film_uid_of, is_dicom, read_film, span, span_of,
};
pub use error::DataError;
pub use file_facts::{FileFacts, JpegFacts, decode_with_facts};
pub use film_set::{Film, FilmFacts, FilmSet, Layout};
pub use label::{Label, Task};
pub use loader::{Batch, Loader, LoaderItem, Pipeline};
pub use memory::Memory;
pub use mix::{Mixed, Mixing};
pub use names::Split;
pub use npz::is_npz;
pub use passed_over::PassedOver;
pub use patient::{PatientRule, PatientSource};
pub use preprocess::{Equalize, Fit, Preprocess};
pub use source::{Columns, FilmSource, TableCells, TableRule, Uncertain, table_column};
pub use split::{Known, SplitNotes, SplitRules, Splits, sample, split, split_after};
pub use statistics::{STATISTIC_NAMES, STATISTICS, statistics};
pub use survey::{Survey, survey, survey_with};
pub use synth::{SynthReport, is_synthetic, is_synthetic_file, synth, synth_any_of};
