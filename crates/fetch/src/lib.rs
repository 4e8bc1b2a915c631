//! Verified, resumable downloads, and archives unpacked with care.
//!
//! [`download()`] brings one file, goes on where a cut left it and takes nothing whose checksum is wrong;
//! [`unpack()`] opens a zip archive and refuses what could harm; [`kaggle`] puts both together for a data set. What
//! happens is told as [`Event`]s to a function of the caller's; nothing here prints.
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//!
//! use lungfish_fetch::kaggle::{DataSet, Kaggle};
//!
//! let stop = AtomicBool::new(false);
//! let done = Kaggle::from_env()?.fetch(&DataSet::pneumonia(), "chest_xray".as_ref(), &mut |_| {}, &stop)?;
//! assert!(done.files > 0);
//! # Ok::<(), lungfish_fetch::FetchError>(())
//! ```

mod address;
mod checksum;
mod client;
mod connection;
mod credentials;
mod disk;
mod download;
mod error;
mod event;
pub mod kaggle;
mod manifest;
mod part;
mod proxy;
mod retry;
mod text;
mod unpack;
mod verify;

pub use client::{Client, Settings};
pub use credentials::{Credentials, Secret};
pub use download::{Download, Request, download};
pub use error::FetchError;
pub use event::{Event, Job, Observer};
pub use unpack::{Limits, Unpacked, unpack};
