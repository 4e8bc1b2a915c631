//! The run-length codes of BMP, RLE8 and RLE4: indices of a palette, row after row from the first of the file.

use super::FORMAT;
use crate::decode::DecodeError;

/// The index of each pixel. What the codes pass over, and what comes after their mark of the end, has index 0.
///
/// As in Pillow, codes go on from row to row, and of a run that is longer than its row the rest is dropped.
pub(super) fn indices(data: &[u8], nibbles: bool, width: usize, height: usize) -> Result<Vec<u8>, DecodeError> {
    let truncated = || DecodeError::Truncated { format: FORMAT };
    let all = width * height;
    let mut out = Vec::new();
    // Counted by itself, since pixels that are given one by one may go on in the next row.
    let mut x = 0;
    let mut rest = data;
    while out.len() < all {
        let [count, value, after @ ..] = rest else { return Err(truncated()) };
        rest = after;
        match (*count, *value) {
            (0, 0) => {
                // A row of which nothing is told is left out as a whole.
                let end = if x == 0 { out.len() + width } else { out.len().next_multiple_of(width) };
                out.resize(end.min(all), 0);
                x = 0;
            }
            // The end; a picture may leave out what follows, but hardly nine tenths of it: a few bytes may claim any size.
            (0, 1) if 10 * out.len() < all => {
                return Err(DecodeError::Incomplete {
                    what: format!("the {FORMAT}"),
                    rows: out.len() / width,
                    of: height,
                });
            }
            (0, 1) => out.resize(all, 0),
            (0, 2) => {
                let [right, down, after @ ..] = rest else { return Err(truncated()) };
                rest = after;
                out.resize(all.min(out.len() + usize::from(*right) + usize::from(*down) * width), 0);
                x = out.len() % width;
            }
            (0, count) => {
                let count = usize::from(count);
                let bytes = if nibbles { count.div_ceil(2) } else { count };
                let pixels = rest.get(..bytes).ok_or_else(truncated)?;
                let taken = count.min(all - out.len());
                out.extend((0..taken).map(|i| value_of(pixels[if nibbles { i / 2 } else { i }], nibbles, i)));
                x += count;
                // From two bytes to two bytes.
                rest = rest.get(bytes.next_multiple_of(2)..).unwrap_or_default();
            }
            (count, value) => {
                let count = usize::from(count).min(width.saturating_sub(x)).min(all - out.len());
                out.extend((0..count).map(|i| value_of(value, nibbles, i)));
                x += count;
            }
        }
    }
    Ok(out)
}

/// The index of the pixel of a run: a byte, or its halves in turn, the high one first.
fn value_of(byte: u8, nibbles: bool, i: usize) -> u8 {
    match (nibbles, i % 2) {
        (false, _) => byte,
        (true, 0) => byte >> 4,
        (true, _) => byte & 15,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_pixels_and_moves_are_followed() {
        let eight = |data: &[u8], width, height| indices(data, false, width, height).ok();
        assert_eq!(eight(&[2, 7, 1, 8, 0, 0, 3, 9], 3, 2).unwrap(), [7, 7, 8, 9, 9, 9]);
        assert_eq!(eight(&[0, 0, 3, 9], 3, 2).unwrap(), [0, 0, 0, 9, 9, 9]);
        // Three pixels one by one, of which the fourth byte is padding; then the end.
        assert_eq!(eight(&[0, 3, 1, 2, 3, 99, 0, 1], 3, 2).unwrap(), [1, 2, 3, 0, 0, 0]);
        // One to the right and one down.
        assert_eq!(eight(&[1, 5, 0, 2, 1, 1, 1, 6, 0, 1], 3, 2).unwrap(), [5, 0, 0, 0, 0, 6]);
        // A run beyond its row is cut.
        assert_eq!(eight(&[9, 5, 0, 0, 3, 6], 3, 2).unwrap(), [5, 5, 5, 6, 6, 6]);
        assert_eq!(
            indices(&[5, 0x12, 0, 0, 0, 4, 0x34, 0x56, 1, 0x70], true, 5, 2).unwrap(),
            [1, 2, 1, 2, 1, 3, 4, 5, 6, 7]
        );
        let error = indices(&[3, 7, 0, 0, 0, 1], false, 3, 40).unwrap_err();
        assert_eq!(error.to_string(), "the BMP holds only the first 1 of its 40 rows (2 %)");
        for cut in [&[][..], &[2], &[0, 2, 1], &[0, 3, 1, 2], &[2, 7]] {
            let error = indices(cut, false, 3, 2).unwrap_err();
            assert!(matches!(error, DecodeError::Truncated { .. }), "{cut:?}: {error}");
        }
    }
}
