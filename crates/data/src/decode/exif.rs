//! The orientation that a camera or program notes in a JPEG or PNG (Exif 2.32, tag 0x0112).

/// 1 to 8; 1, upright, where nothing is noted.
pub(super) fn orientation(bytes: &[u8]) -> u16 {
    let found = match bytes {
        [0xff, 0xd8, rest @ ..] => of_jpeg(rest),
        [0x89, b'P', b'N', b'G', _, _, _, _, rest @ ..] => of_png(rest),
        _ => None,
    };
    found.filter(|orientation| (1..=8).contains(orientation)).unwrap_or(1)
}

fn of_jpeg(mut rest: &[u8]) -> Option<u16> {
    // Segments up to the first scan.
    while let [0xff, marker, high, low, ..] = *rest {
        if marker == 0xda {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        let body = rest.get(4..2 + length)?;
        if marker == 0xe1
            && let Some(tiff) = body.strip_prefix(b"Exif\0\0")
        {
            return of_tiff(tiff);
        }
        rest = rest.get(2 + length..)?;
    }
    None
}

fn of_png(mut rest: &[u8]) -> Option<u16> {
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let body = after.get(4..4_usize.checked_add(length)?)?;
        match after.get(..4)? {
            b"eXIf" => return of_tiff(body),
            b"IDAT" | b"IEND" => return None,
            _ => rest = after.get(length.checked_add(8)?..)?,
        }
    }
    None
}

/// The tag in the first directory of a TIFF.
fn of_tiff(tiff: &[u8]) -> Option<u16> {
    let little = tiff.starts_with(b"II");
    let short = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) } as usize)
    };
    let directory = long(4)?;
    let entries = (0..usize::from(short(directory)?)).map(|entry| directory + 2 + 12 * entry);
    entries.into_iter().find(|at| short(*at) == Some(0x0112)).and_then(|at| short(at + 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orientations_are_found_in_jpegs_and_pngs() {
        let tiff = |order: &[u8], tag: [u8; 2], value: [u8; 2]| {
            let number = |n: u16| if order == b"II" { n.to_le_bytes() } else { n.to_be_bytes() };
            let offset = if order == b"II" { 8_u32.to_le_bytes() } else { 8_u32.to_be_bytes() };
            let entry = [&tag[..], &number(3), &[0, 0, 0, 1], &value, &[0, 0]].concat();
            [order, &number(42), &offset, &number(1), &entry, &[0; 4]].concat()
        };
        let (little, big) = (tiff(b"II", [0x12, 1], [6, 0]), tiff(b"MM", [1, 0x12], [0, 3]));
        let jpeg = |tiff: &[u8]| {
            let body = [b"Exif\0\0", tiff].concat();
            let length = (body.len() as u16 + 2).to_be_bytes();
            [b"\xff\xd8\xff\xe0\0\x04ab\xff\xe1", &length[..], &body, b"\xff\xda\0\x02"].concat()
        };
        let png = |tiff: &[u8]| {
            let chunk =
                |name: &[u8], body: &[u8]| [&(body.len() as u32).to_be_bytes()[..], name, body, &[0; 4]].concat();
            [b"\x89PNG\r\n\x1a\n", &chunk(b"IHDR", &[0; 13])[..], &chunk(b"eXIf", tiff), &chunk(b"IDAT", b"x")].concat()
        };
        assert_eq!([orientation(&jpeg(&little)), orientation(&jpeg(&big))], [6, 3]);
        assert_eq!([orientation(&png(&little)), orientation(&png(&big))], [6, 3]);
        assert_eq!(orientation(&jpeg(&tiff(b"II", [0x13, 1], [6, 0]))), 1);
        let whole = jpeg(&little);
        (0..whole.len()).for_each(|end| assert!((1..=8).contains(&orientation(&whole[..end]))));
    }
}
