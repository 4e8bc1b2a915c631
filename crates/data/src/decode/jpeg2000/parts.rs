//! Whether all parts of a JPEG 2000 are there. Its decoder makes a picture of any beginning of a file, a film without detail or with
//! empty tiles; what is missing is told here (ISO/IEC 15444-1, A.4 and A.5).

use std::collections::BTreeMap;

const SIZ: u16 = 0xff51;
const SOT: u16 = 0xff90;
const SOD: u16 = 0xff93;
const EOC: u16 = 0xffd9;

/// Where the codestream begins: in a box file, in DICOM or by itself.
pub(in crate::decode) fn codestream(bytes: &[u8]) -> Option<&[u8]> {
    let start = bytes.windows(4).position(|window| window == [0xff, 0x4f, 0xff, 0x51])?;
    bytes.get(start..)
}

/// What is missing, as a clause; none where all is there, or where no codestream is found, which the decoder tells better.
pub(super) fn missing(bytes: &[u8]) -> Option<String> {
    let code = codestream(bytes)?;
    let tiles = tiles(code)?;
    let mut at = 2;
    while word(code, at)? != SOT {
        at += 2 + usize::from(word(code, at + 2)?);
    }
    // Of each tile, how many parts are there and how many there should be, where that is said.
    let mut parts: BTreeMap<u16, (usize, u8)> = BTreeMap::new();
    while word(code, at) == Some(SOT) {
        let Some(header) = code.get(at..at + 12) else { return Some("it ends within the header of a tile".to_owned()) };
        let tile = u16::from_be_bytes([header[4], header[5]]);
        let length = u32::from_be_bytes([header[6], header[7], header[8], header[9]]) as usize;
        let part = parts.entry(tile).or_default();
        part.0 += 1;
        part.1 = part.1.max(header[11]);
        // A length of zero is that of the last part, which goes on to the end.
        let end = if length == 0 { end_of_last(code) } else { at.checked_add(length) };
        match end {
            Some(end) if end <= code.len() => at = end.max(at + 12),
            _ => return Some(format!("it ends within tile {} of {tiles}", u64::from(tile) + 1)),
        }
    }
    if (parts.len() as u64) < tiles {
        return Some(format!("only {} of its {tiles} tiles are there", parts.len()));
    }
    let short = parts.iter().find(|(_, (there, of))| *there < usize::from(*of));
    short.map(|(tile, (there, of))| {
        format!("only {there} of the {of} parts of tile {} of {tiles} are there", u64::from(*tile) + 1)
    })
}

/// How many tiles the picture has.
fn tiles(code: &[u8]) -> Option<u64> {
    if word(code, 2)? != SIZ {
        return None;
    }
    let long = |at: usize| Some(u64::from(u32::from_be_bytes(code.get(at..at + 4)?.try_into().ok()?)));
    let [width, height, tile_width, tile_height, left, top] =
        [long(8)?, long(12)?, long(24)?, long(28)?, long(32)?, long(36)?];
    let along = |size: u64, first: u64, step: u64| {
        size.checked_sub(first)?.checked_add(step)?.checked_sub(1)?.checked_div(step)
    };
    along(width, left, tile_width)?.checked_mul(along(height, top, tile_height)?)
}

/// Where a last part of unsaid length ends: before the end marker; none where there is no such marker.
fn end_of_last(code: &[u8]) -> Option<usize> {
    let end = code.windows(2).rposition(|two| two == EOC.to_be_bytes())?;
    code.windows(2).take(end).any(|two| two == SOD.to_be_bytes()).then_some(end)
}

fn word(code: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*code.get(at)?, *code.get(at + 1)?]))
}
