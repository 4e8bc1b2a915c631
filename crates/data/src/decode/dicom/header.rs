//! The attributes of a film, by dicom-object.

use dicom_core::Tag;
use dicom_core::header::HasLength;
use dicom_core::value::PrimitiveValue;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries;

use super::walk::DataSet;
use super::{damaged, refused};
use crate::decode::DecodeError;

/// A table from values to values (PS3.3, C.11.1 and C.11.2).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lut {
    /// The value that the first entry is for.
    pub(super) first: i32,
    pub(super) bits: u16,
    pub(super) entries: Vec<u16>,
}

/// How a window is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Linear,
    LinearExact,
    Sigmoid,
}

/// What is needed to show the film.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    pub(super) rows: u16,
    pub(super) columns: u16,
    pub(super) samples_per_pixel: u16,
    pub(super) photometric: String,
    pub(super) planar: bool,
    pub(super) bits_allocated: u16,
    pub(super) bits_stored: u16,
    pub(super) high_bit: u16,
    pub(super) signed: bool,
    pub(super) rescale: Option<(f64, f64)>,
    pub(super) modality_lut: Option<Lut>,
    pub(super) voi_lut: Option<Lut>,
    pub(super) window: Option<(f64, f64)>,
    pub(super) function: Function,
    pub(super) inverse: bool,
    /// Values that are no part of the film: from, to.
    pub(super) padding: Option<(i64, i64)>,
}

/// The attributes before the pixels.
pub(super) fn object(data: &DataSet<'_>) -> Result<InMemDicomObject, DecodeError> {
    let syntax = match (data.syntax.explicit, data.syntax.big) {
        (false, _) => entries::IMPLICIT_VR_LITTLE_ENDIAN.erased(),
        (true, false) => entries::EXPLICIT_VR_LITTLE_ENDIAN.erased(),
        (true, true) => entries::EXPLICIT_VR_BIG_ENDIAN.erased(),
    };
    InMemDicomObject::read_dataset_with_ts(data.header(), &syntax).map_err(|error| {
        let inner = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        super::super::corrupt(super::FORMAT, &inner)
    })
}

/// A text without what fills it; none where it is blank.
pub(super) fn text(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    let text = object.get(tag)?.to_str().ok()?.trim_matches(['\0', ' ']).to_owned();
    Some(text).filter(|text| !text.is_empty())
}

fn number(object: &InMemDicomObject, tag: Tag) -> Option<f64> {
    object.get(tag)?.to_multi_float64().ok()?.first().copied().filter(|number| number.is_finite())
}

fn whole(object: &InMemDicomObject, tag: Tag) -> Option<u16> {
    object.get(tag)?.to_int().ok()
}

impl Header {
    pub(super) fn read(data: &DataSet<'_>) -> Result<Self, DecodeError> {
        let object = object(data)?;
        let class = text(&object, tags::SOP_CLASS_UID).unwrap_or_default();
        if object.get(tags::DIRECTORY_RECORD_SEQUENCE).is_some() {
            return Err(refused("a DICOMDIR: a list of films and no film"));
        }
        let modality = text(&object, tags::MODALITY).unwrap_or_default();
        let kind = match class.as_str() {
            class if class.starts_with("1.2.840.10008.5.1.4.1.1.11.") => "a presentation state",
            class if class.starts_with("1.2.840.10008.5.1.4.1.1.88.") => "a structured report",
            "1.2.840.10008.5.1.4.1.1.104.1" => "an encapsulated PDF",
            _ => "",
        };
        if !kind.is_empty() {
            return Err(refused(format!("a DICOM that holds {kind} and no film")));
        }
        let need = |tag: Tag, name: &str| {
            whole(&object, tag).ok_or_else(|| {
                let of = if modality.is_empty() {
                    String::new()
                } else {
                    format!(" (modality {})", crate::display::escape(&modality))
                };
                refused(format!("a DICOM without pixels{of}: it has no {name}"))
            })
        };
        let frames = object.get(tags::NUMBER_OF_FRAMES).and_then(|frames| frames.to_int::<i64>().ok()).unwrap_or(1);
        let (rows, columns) = (need(tags::ROWS, "Rows")?, need(tags::COLUMNS, "Columns")?);
        if frames > 1 {
            return Err(refused(format!("a DICOM of {frames} frames: a film has one")));
        }
        let bits_allocated = need(tags::BITS_ALLOCATED, "BitsAllocated")?;
        let bits_stored = whole(&object, tags::BITS_STORED).unwrap_or(bits_allocated);
        let high_bit = whole(&object, tags::HIGH_BIT).unwrap_or(bits_stored.saturating_sub(1));
        if ![8, 16, 32].contains(&bits_allocated) {
            return Err(refused(format!("a DICOM of {bits_allocated} bits a sample; 8, 16 and 32 are read")));
        }
        if bits_stored == 0 || bits_stored > bits_allocated || high_bit >= bits_allocated || high_bit + 1 < bits_stored
        {
            return Err(damaged(format!(
                "{bits_stored} bits with the highest at {high_bit} do not fit into {bits_allocated}"
            )));
        }
        let signed = whole(&object, tags::PIXEL_REPRESENTATION) == Some(1);
        let photometric = text(&object, tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_else(|| "MONOCHROME2".to_owned());
        let samples_per_pixel = whole(&object, tags::SAMPLES_PER_PIXEL).unwrap_or(1);
        let rescale = number(&object, tags::RESCALE_SLOPE).zip(number(&object, tags::RESCALE_INTERCEPT));
        // Of angiography the modality LUT is for display of subtracted frames (PS3.3, C.8.7.1.1.2).
        let angiography = modality == "XA" || modality == "XRF" || modality == "RF";
        let modality_lut = if angiography { None } else { lut(&object, tags::MODALITY_LUT_SEQUENCE, signed)? };
        let voi_lut = lut(&object, tags::VOILUT_SEQUENCE, signed && rescale.is_none())?;
        let window = number(&object, tags::WINDOW_CENTER).zip(number(&object, tags::WINDOW_WIDTH));
        let function = match text(&object, tags::VOILUT_FUNCTION).as_deref() {
            Some("SIGMOID") => Function::Sigmoid,
            Some("LINEAR_EXACT") => Function::LinearExact,
            _ => Function::Linear,
        };
        let inverse =
            photometric == "MONOCHROME1" || text(&object, tags::PRESENTATION_LUT_SHAPE).as_deref() == Some("INVERSE");
        let sample = |tag| {
            object
                .get(tag)
                .and_then(|value| value.to_int::<i64>().ok())
                .map(|value| as_stored(value, signed, bits_stored))
        };
        let padding = sample(tags::PIXEL_PADDING_VALUE).map(|value| {
            let limit = sample(tags::PIXEL_PADDING_RANGE_LIMIT).unwrap_or(value);
            (value.min(limit), value.max(limit))
        });
        Ok(Header {
            rows,
            columns,
            samples_per_pixel,
            photometric,
            planar: whole(&object, tags::PLANAR_CONFIGURATION) == Some(1),
            bits_allocated,
            bits_stored,
            high_bit,
            signed,
            rescale,
            modality_lut,
            voi_lut,
            window,
            function,
            inverse,
            padding,
        })
    }
}

/// A value that was read as unsigned where it is not, as the samples have it.
fn as_stored(value: i64, signed: bool, bits: u16) -> i64 {
    if signed && bits <= 32 && value >= 1 << (bits - 1) && value < 1 << bits { value - (1 << bits) } else { value }
}

/// The first table of a sequence; none where it is not there or has no data, as pydicom takes it.
fn lut(object: &InMemDicomObject, sequence: Tag, signed: bool) -> Result<Option<Lut>, DecodeError> {
    let Some(item) = object.get(sequence).and_then(|sequence| sequence.items()?.first()) else { return Ok(None) };
    let (Some(descriptor), Some(data)) = (item.get(tags::LUT_DESCRIPTOR), item.get(tags::LUT_DATA)) else {
        return Ok(None);
    };
    let wrong = || damaged("the descriptor of a LUT is not three numbers");
    let numbers: Vec<i64> = descriptor.to_multi_int().map_err(|_| wrong())?;
    let &[count, first, bits] = &numbers[..] else { return Err(wrong()) };
    let count = match count & 0xffff {
        0 => 1 << 16,
        count => count as usize,
    };
    // The letters of its representation tell whether the first value is signed; in an implicit file nobody does.
    let first = if signed { i32::from(first as u16 as i16) } else { first as i32 };
    let bits = u16::try_from(bits).ok().filter(|bits| (8..=16).contains(bits));
    let bits = bits.ok_or_else(|| damaged("a LUT has entries of neither 8 nor 10 to 16 bits"))?;
    let entries = match data.value().primitive() {
        Some(PrimitiveValue::U8(bytes)) if bytes.len() >= 2 * count => {
            bytes.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect()
        }
        Some(PrimitiveValue::U8(bytes)) => bytes.iter().map(|byte| u16::from(*byte)).collect::<Vec<u16>>(),
        _ => data.to_multi_int().map_err(|_| damaged("the data of a LUT are no numbers"))?,
    };
    if entries.len() < count || data.value().length().0 == 0 {
        return Err(damaged(format!("a LUT of {count} entries has {} only", entries.len())));
    }
    Ok(Some(Lut { first, bits, entries: entries[..count].to_vec() }))
}
