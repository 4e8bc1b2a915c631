//! DICOM: the pixels of one film as a viewer shows them, and facts about it that are no person's.
//!
//! Stored values become light in the order of PS3.3 C.11: modality LUT, then VOI LUT, then inversion; in f64 as pydicom's
//! `apply_modality_lut` and `apply_voi_lut` compute. What a window leaves, or without one the full range that the stored
//! bits span, becomes 0 to 255. No film is stretched by its own minimum and maximum.

mod facts;
mod header;
mod light;
mod samples;
mod walk;

use super::{
    Channels, DecodeError, DecodeOptions, Decoded, DicomView, Image, Mode, Sink, Source, check_size, ycc_to_rgb,
};

pub(crate) use facts::read as facts_of_file;
pub use facts::{DicomFacts, Uids, dicom_facts, film_uid, film_uid_of, is_dicom};

use header::Header;
use light::Light;
use samples::Samples;
use walk::DataSet;

const FORMAT: &str = "DICOM";

/// Bytes of pixels, as they lie in the file.
enum PixelData<'a> {
    /// Samples one after another.
    Native(&'a [u8]),
    /// What an encoder wrote, in one piece or several.
    Encapsulated(Vec<&'a [u8]>),
}

pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    let data = DataSet::open(bytes)?;
    let mut header = Header::read(&data)?;
    if options.decoding.dicom_view == DicomView::FullRange {
        header.voi_lut = None;
        header.window = None;
    }
    check_size(FORMAT, header.columns.into(), header.rows.into())?;
    let (width, height) = (usize::from(header.columns), usize::from(header.rows));
    let samples = samples::read(&data, &header)?;
    let source = |mode| Source { format: FORMAT, mode, bits: header.bits_stored.min(255) as u8 };
    match samples {
        Samples::Gray(values) => {
            let pixels = Light::of(&header)?.levels(&values);
            let image = Image { width, height, channels: Channels::Gray, pixels };
            Ok((image.into_channels(options.channels), source(Mode::Gray)))
        }
        Samples::Colour { pixels, ycc } => {
            let mut sink = Sink::new(width, height, options.channels);
            pixels.iter().for_each(|pixel| sink.rgb(if ycc { ycc_to_rgb(*pixel) } else { *pixel }));
            Ok((sink.into_image(width, height), source(Mode::Rgb)))
        }
    }
}

fn damaged(reason: impl Into<String>) -> DecodeError {
    DecodeError::Corrupt { format: FORMAT, reason: reason.into() }
}

/// A DICOM that is no film, or one of a kind that is not read: a whole clause that begins with its article.
fn refused(what: impl Into<String>) -> DecodeError {
    DecodeError::NotAFilm(what.into())
}
