//! The bytes of a film in (JPEG, PNG, TIFF, BMP, DICOM, WebP, GIF, JPEG 2000, JPEG XL), gray or RGB pixels out, as Pillow's `Image.open(..).convert("L" | "RGB")`
//! gives them: EXIF orientation is not applied (a TIFF's own orientation is), transparency is dropped.

mod bmp;
mod budget;
mod container;
mod dicom;
mod exif;
mod gif;
pub(crate) mod jpeg;
mod jpeg2000;
#[cfg(feature = "jpegxl")]
mod jpegxl;
mod options;
mod png;
pub(crate) mod raw;
mod source;
mod tiff;
mod webp;

use std::fs::{self, File};
use std::io::{self, Read};
use std::panic::{self, UnwindSafe};
use std::path::Path;

use serde::{Deserialize, Serialize};

pub(crate) use container::{Container, what_else};
pub(crate) use dicom::facts_of_file;
pub use dicom::{DicomFacts, Uids, dicom_facts, film_uid, film_uid_of, is_dicom};
pub use options::{DecodeOptions, Decoding, DicomView, Exif};
pub use source::{Mode, Source};

use crate::npz;

/// The most pixels that a film may have. Refused from the header, before memory is taken.
pub const MAX_PIXELS: u64 = 100_000_000;

/// The longest file that is read: 100 megapixels of 16-bit RGBA, uncompressed.
const MAX_FILE_BYTES: u64 = 8 * MAX_PIXELS;

/// What a pixel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// One byte, Pillow's `L`.
    #[default]
    Gray,
    /// Three bytes: red, green, blue.
    Rgb,
}

impl Channels {
    /// Bytes a pixel.
    pub fn count(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::Rgb => 3,
        }
    }
}

/// A picture in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// What a pixel holds.
    pub channels: Channels,
    /// Row by row from the top, `[height, width]` or `[height, width, 3]`.
    pub pixels: Vec<u8>,
}

impl Image {
    /// A black picture.
    pub fn black(width: usize, height: usize, channels: Channels) -> Self {
        Self { width, height, channels, pixels: vec![0; width * height * channels.count()] }
    }

    /// The same picture in these channels, by the rules of [`decode`]: gray from colour is Pillow's `L`, colour from
    /// gray is three times the same.
    pub fn into_channels(self, channels: Channels) -> Self {
        let pixels = match (self.channels, channels) {
            (Channels::Rgb, Channels::Gray) => {
                self.pixels.as_chunks().0.iter().map(|&[r, g, b]| luma(r, g, b)).collect()
            }
            (Channels::Gray, Channels::Rgb) => self.pixels.iter().flat_map(|&v| [v; 3]).collect(),
            _ => self.pixels,
        };
        Self { channels, pixels, ..self }
    }

    /// Bytes a row.
    pub fn stride(&self) -> usize {
        self.width * self.channels.count()
    }
}

/// What is read, for sentences.
const READ: &str = match cfg!(feature = "jpegxl") {
    true => "JPEG, PNG, TIFF, BMP, DICOM, WebP, GIF, JPEG 2000",
    false => "JPEG, PNG, TIFF, BMP, DICOM, WebP, GIF",
};
/// The last of it.
const LAST: &str = if cfg!(feature = "jpegxl") { "JPEG XL" } else { "JPEG 2000" };

/// Why a film does not decode; together with its path a whole sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A file of zero bytes.
    #[error("the file is empty (0 bytes)")]
    Empty,
    /// No picture that anybody would know.
    #[error("not an image: neither {READ} nor {LAST}")]
    NotAnImage,
    /// No picture, but a file that many would know.
    #[error("not an image but {0}")]
    SomethingElse(&'static str),
    /// A picture that is no film, or of a kind that is not read; why, with its article.
    #[error("{0}")]
    NotAFilm(String),
    /// A picture, but of a kind that is not read.
    #[error("{0} is not supported; {READ} and {LAST} are")]
    Unsupported(&'static str),
    /// The file ends before the picture does.
    #[error("the {format} is truncated: the file ends before the picture does")]
    Truncated {
        /// JPEG, PNG, TIFF or BMP.
        format: &'static str,
    },
    /// The file goes on to its end, but not all of the picture is in it.
    #[error("{what} holds {}", share(*.rows, *.of))]
    Incomplete {
        /// The file, or the part of it that is not whole, with its article.
        what: String,
        /// Rows from the top that are whole.
        rows: usize,
        /// Rows that it says it has.
        of: usize,
    },
    /// The file contradicts its own format.
    #[error("the {format} is damaged: {reason}")]
    Corrupt {
        /// JPEG, PNG, TIFF or BMP.
        format: &'static str,
        /// What the decoder found.
        reason: String,
    },
    /// More pixels than [`MAX_PIXELS`].
    #[error("{width}x{height} pixels are more than the 100 megapixels allowed")]
    TooLarge {
        /// Pixels a row.
        width: u64,
        /// Rows.
        height: u64,
    },
    /// A file that is too long to be a film.
    #[error("the file has {bytes} bytes, more than any film of 100 megapixels")]
    FileTooLarge {
        /// Its length.
        bytes: u64,
    },
    /// A folder, a pipe, a device.
    #[error("not a regular file")]
    NotAFile,
    /// The system cannot read the file.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
}

/// Decodes a film, known by its first bytes and not by its name.
///
/// Gray from colour is Pillow's `L`: `(19595 R + 38470 G + 7471 B + 32768) >> 16`. A PNG or TIFF of 16 bits a sample is
/// divided by 257 and rounded, and a TIFF whose zero is white is inverted, that of 16 bits too. Samples of a TIFF that are
/// wider, signed or floating-point become light by rules that are the same for every film, or are refused. CMYK becomes
/// RGB as Pillow computes it, without a colour profile; in a JPEG it is stored inverted, as Adobe's programs do.
///
/// # Errors
/// See [`DecodeError`]; whatever the bytes are, this does not panic.
pub fn decode(bytes: &[u8], options: impl Into<DecodeOptions>) -> Result<Image, DecodeError> {
    decode_with_source(bytes, options).map(|(image, _)| image)
}

/// [`decode`], and what the file itself holds.
///
/// # Errors
/// As [`decode`].
pub fn decode_with_source(bytes: &[u8], options: impl Into<DecodeOptions>) -> Result<(Image, Source), DecodeError> {
    let options = options.into();
    caught(|| decode_by_magic(bytes, &options)).unwrap_or_else(|| {
        Err(DecodeError::Corrupt { format: "image", reason: "the decoder gave up on it".to_string() })
    })
}

/// Decoders by others: should one of them panic on a hostile file, it is that film's fault.
fn caught<T>(decode: impl FnOnce() -> T + UnwindSafe) -> Option<T> {
    panic::catch_unwind(|| budget::film(decode)).ok()
}

/// Reads and decodes the film at `path`.
///
/// # Errors
/// See [`DecodeError`]. A film that is not a regular file is refused unopened, since opening a pipe may never end.
pub fn decode_file(path: &Path, options: impl Into<DecodeOptions>) -> Result<Image, DecodeError> {
    decode(&read_film(path)?, options)
}

/// The bytes of the film at `path`, which may be a place in a `.npz`.
///
/// # Errors
/// See [`DecodeError`].
pub fn read_film(path: &Path) -> Result<Vec<u8>, DecodeError> {
    if let Some(film) = npz::read(path) {
        return film;
    }
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(DecodeError::NotAFile);
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(DecodeError::FileTooLarge { bytes: metadata.len() });
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    File::open(path)?.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What each decoder answers.
type Decoded = (Image, Source);

fn decode_by_magic(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    let channels = options.channels;
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    if raw::is_raw(bytes) {
        return raw::decode(bytes, channels);
    }
    let (image, source) = match Container::of(&bytes[..bytes.len().min(132)]) {
        Some(Container::Jpeg) => jpeg::decode(bytes, channels),
        Some(Container::Png) => png::decode(bytes, options),
        Some(Container::Bmp) => bmp::decode(bytes, channels),
        Some(Container::Tiff) => tiff::decode(bytes, options),
        Some(Container::Dicom) => dicom::decode(bytes, options),
        Some(Container::WebP) => webp::decode(bytes, channels),
        Some(Container::Gif) => gif::decode(bytes, channels),
        Some(Container::Jpeg2000) => jpeg2000::decode(bytes, channels),
        #[cfg(feature = "jpegxl")]
        Some(Container::JpegXl) => jpegxl::decode(bytes, channels),
        #[cfg(not(feature = "jpegxl"))]
        Some(Container::JpegXl) => {
            let how = "which is read by a program that is built with its feature jpegxl";
            Err(DecodeError::NotAFilm(format!("a JPEG XL, {how} (cargo install --path crates/cli --features jpegxl)")))
        }
        Some(other) => Err(DecodeError::Unsupported(other.name())),
        None => {
            Err(what_else(&bytes[..bytes.len().min(512)]).map_or(DecodeError::NotAnImage, DecodeError::SomethingElse))
        }
    }?;
    match options.decoding.exif {
        Exif::Apply => Ok((turned(image, exif::orientation(bytes)), source)),
        Exif::Ignore => Ok((image, source)),
    }
}

/// Whether the film notes that it is to be turned: a JPEG or PNG by EXIF. Of other files nobody is asked.
pub(crate) fn is_turned(bytes: &[u8]) -> bool {
    exif::orientation(bytes) != 1
}

/// The bits that the samples of a film of 16 bits a sample use, and the greatest of them; none for any other film. A TIFF of
/// wider samples that is read as one of 16 bits is such a film.
///
/// # Errors
/// See [`DecodeError`].
pub fn span(path: &Path) -> Result<Option<Span>, DecodeError> {
    let mut start = Vec::with_capacity(64);
    if !fs::metadata(path)?.is_file() {
        return Err(DecodeError::NotAFile);
    }
    File::open(path)?.take(64).read_to_end(&mut start)?;
    match Container::of(&start) {
        Some(Container::Png) if start.get(24) != Some(&16) => Ok(None),
        Some(Container::Png | Container::Tiff) => span_of(&read_film(path)?),
        _ => Ok(None),
    }
}

/// [`span`] of a file in memory.
///
/// # Errors
/// See [`DecodeError`].
pub fn span_of(bytes: &[u8]) -> Result<Option<Span>, DecodeError> {
    match Container::of(&bytes[..bytes.len().min(132)]) {
        // The bit depth stands in the first chunk.
        Some(Container::Png) if bytes.get(24) == Some(&16) => caught(|| png::span(bytes)).unwrap_or(Ok(None)),
        Some(Container::Tiff) => caught(|| tiff::span(bytes)).unwrap_or(Ok(None)),
        _ => Ok(None),
    }
}

/// Of a film of 16 bits a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The bits that the file says are used (PNG's sBIT).
    pub said: Option<u8>,
    /// The greatest sample.
    pub most: u16,
}

impl Span {
    /// The bits that a data set of such films uses: what all files say, else 8, 12 or 14 where no sample is above their
    /// most, else 16. `None` where there is no such film.
    pub fn bits(spans: &[Span]) -> Option<u8> {
        let said = spans.first()?.said.filter(|said| spans.iter().all(|span| span.said == Some(*said)));
        let most = spans.iter().map(|span| span.most).max()?;
        let fits = |bits: &u8| u32::from(most) < 1 << bits;
        said.filter(fits).or_else(|| [8, 12, 14].into_iter().find(fits)).or(Some(16))
    }
}

/// How many rows of a picture are there.
fn share(rows: usize, of: usize) -> String {
    match rows {
        0 => format!("not one whole row of its {of}"),
        _ => format!("only the first {rows} of its {of} rows ({} %)", 100 * rows / of.max(1)),
    }
}

/// A decoder's own words as a part of one sentence: on one line, without a full stop.
fn corrupt(format: &'static str, said: &str) -> DecodeError {
    let words = said.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let reason = words.collect::<Vec<_>>().join(" ");
    DecodeError::Corrupt { format, reason: reason.trim_end_matches('.').to_owned() }
}

/// Refuses sides of zero and pictures beyond [`MAX_PIXELS`], and waits until there is memory for the others; every decoder asks
/// before it takes any.
fn check_size(format: &'static str, width: u64, height: u64) -> Result<(), DecodeError> {
    if width == 0 || height == 0 {
        return Err(DecodeError::Corrupt { format, reason: format!("it has {width}x{height} pixels") });
    }
    match width.checked_mul(height) {
        Some(pixels) if pixels <= MAX_PIXELS => {
            budget::take(pixels);
            Ok(())
        }
        _ => Err(DecodeError::TooLarge { width, height }),
    }
}

/// Pillow's `L` of a colour.
#[inline(always)]
pub(crate) fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

/// A sample of 16 bits as 8, rounded: 65535 is 255 times 257.
fn eight_bits(sample: u16) -> u8 {
    ((u32::from(sample) + 128) / 257) as u8
}

/// libjpeg's RGB of a colour given as luma and two chromas, to the last bit (`jdcolor.c`).
#[inline(always)]
fn ycc_to_rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let r = y + ((91_881 * cr + 0x8000) >> 16);
    let g = y + ((-22_554 * cb - 46_802 * cr + 0x8000) >> 16);
    let b = y + ((116_130 * cb + 0x8000) >> 16);
    [r.clamp(0, 255) as u8, g.clamp(0, 255) as u8, b.clamp(0, 255) as u8]
}

/// Pillow's RGB of a colour in four inks, 255 the most of each (`src/libImaging/Convert.c`).
fn cmyk_to_rgb([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    let white = 255 - u32::from(k);
    [c, m, y].map(|ink| {
        let product = u32::from(ink) * white + 128;
        (white - (((product >> 8) + product) >> 8)) as u8
    })
}

/// Collects the pixels of a decoder in the channels asked for, whatever it has.
struct Sink {
    channels: Channels,
    pixels: Vec<u8>,
}

impl Sink {
    fn new(width: usize, height: usize, channels: Channels) -> Self {
        Self { channels, pixels: Vec::with_capacity(width * height * channels.count()) }
    }

    fn gray(&mut self, v: u8) {
        match self.channels {
            Channels::Gray => self.pixels.push(v),
            Channels::Rgb => self.pixels.extend([v; 3]),
        }
    }

    fn rgb(&mut self, [r, g, b]: [u8; 3]) {
        match self.channels {
            Channels::Gray => self.pixels.push(luma(r, g, b)),
            Channels::Rgb => self.pixels.extend([r, g, b]),
        }
    }

    fn into_image(self, width: usize, height: usize) -> Image {
        Image { width, height, channels: self.channels, pixels: self.pixels }
    }
}

/// Turned and mirrored as an orientation asks (TIFF 6.0, tag 274).
fn turned(image: Image, orientation: u16) -> Image {
    if !(2..=8).contains(&orientation) {
        return image;
    }
    let (width, height, n) = (image.width, image.height, image.channels.count());
    let (new_width, new_height) = if orientation >= 5 { (height, width) } else { (width, height) };
    let mut pixels = Vec::with_capacity(image.pixels.len());
    for y in 0..new_height {
        for x in 0..new_width {
            let (x, y) = match orientation {
                2 => (width - 1 - x, y),
                3 => (width - 1 - x, height - 1 - y),
                4 => (x, height - 1 - y),
                5 => (y, x),
                6 => (y, height - 1 - x),
                7 => (width - 1 - y, height - 1 - x),
                _ => (width - 1 - y, x),
            };
            pixels.extend_from_slice(&image.pixels[(y * width + x) * n..][..n]);
        }
    }
    Image { width: new_width, height: new_height, channels: image.channels, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_set_of_sixteen_bit_films_spans_what_its_films_use() {
        let span = |most, said| Span { most, said };
        assert_eq!(Span::bits(&[]), None);
        assert_eq!(Span::bits(&[span(4095, None), span(17, None)]), Some(12));
        assert_eq!(Span::bits(&[span(4096, None), span(17, None)]), Some(14));
        assert_eq!(Span::bits(&[span(255, None), span(17, None)]), Some(8));
        assert_eq!(Span::bits(&[span(256, None), span(17, None)]), Some(12));
        assert_eq!(Span::bits(&[span(16384, None)]), Some(16));
        assert_eq!(Span::bits(&[span(900, Some(10)), span(1023, Some(10))]), Some(10));
        assert_eq!(Span::bits(&[span(900, Some(10)), span(1023, None)]), Some(12));
        assert_eq!(Span::bits(&[span(2000, Some(10))]), Some(12), "what a film says must be true");
    }

    #[test]
    fn a_decoders_words_are_part_of_one_sentence() {
        let said = corrupt("TIFF", "compressed data is corrupt: expected 1\nbut\u{1b} found 0\n").to_string();
        assert_eq!(said, "the TIFF is damaged: compressed data is corrupt: expected 1 but found 0");
        assert_eq!(corrupt("PNG", "CRC error.").to_string(), "the PNG is damaged: CRC error");
    }

    #[test]
    fn sixteen_bits_round_to_the_nearest_eighth_bit() {
        for sample in 0..=u16::MAX {
            assert_eq!(eight_bits(sample), (f64::from(sample) / 257.0).round() as u8, "{sample}");
        }
    }

    #[test]
    fn inks_take_light_away() {
        assert_eq!(cmyk_to_rgb([0; 4]), [255; 3]);
        assert_eq!(cmyk_to_rgb([0, 0, 0, 255]), [0; 3]);
        assert_eq!(cmyk_to_rgb([255, 0, 0, 0]), [0, 255, 255]);
        for ink in 0..=255 {
            let exact = f64::from(255 - ink) * 155.0 / 255.0;
            let [r, ..] = cmyk_to_rgb([ink, 0, 0, 100]);
            assert!((f64::from(r) - exact).abs() <= 0.51, "{ink}: {r} for {exact}");
        }
    }
}
