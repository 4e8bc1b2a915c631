//! JPEG XL where the program is built without it: what is one is called by its name, and how to read it is said.

use super::{Channels, DecodeError, Decoded};

/// The samples of a film, of which there are none here.
pub(super) struct Samples {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) channels: usize,
    pub(super) bits: u32,
    pub(super) values: Vec<u16>,
    pub(super) as_stored: bool,
}

fn refused() -> DecodeError {
    let what = "a JPEG XL, which is read by a program that is built with its feature jpegxl";
    DecodeError::NotAFilm(format!("{what} (cargo install --path crates/cli --features jpegxl)"))
}

/// Refused.
pub(super) fn samples(_: &[u8], _: &'static str) -> Result<Samples, DecodeError> {
    Err(refused())
}

/// Refused.
pub(super) fn decode(_: &[u8], _: Channels) -> Result<Decoded, DecodeError> {
    Err(refused())
}
