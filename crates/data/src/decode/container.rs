//! What a file is, known by its first bytes and not by its name.

/// A kind of file that people put among films.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Jpeg,
    Png,
    Bmp,
    Tiff,
    WebP,
    Gif,
    Pnm,
    Dicom,
    /// The box file or the bare codestream.
    Jpeg2000,
    /// The box file or the bare codestream.
    JpegXl,
    Avif,
    Heic,
    /// A picture of Photoshop.
    Psd,
}

impl Container {
    /// What begins with these bytes; 132 are enough. `None` where it is no picture that anybody would know.
    pub(crate) fn of(start: &[u8]) -> Option<Self> {
        // First of all: the 128 bytes before it may be a TIFF's, for programs that know no DICOM (PS3.10, 7.1).
        if start.get(128..132) == Some(b"DICM") {
            return Some(Self::Dicom);
        }
        Some(match start {
            [0xff, 0xd8, 0xff, ..] => Self::Jpeg,
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Self::Png,
            [b'B', b'M', _, _, _, _, _, _, _, _, _, _, _, _, ..] => Self::Bmp,
            [40 | 108 | 124, 0, 0, 0, rest @ ..] if is_bare_bmp(rest) => Self::Bmp,
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Self::Tiff,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::WebP,
            [b'G', b'I', b'F', b'8', ..] => Self::Gif,
            [b'P', b'1'..=b'6', b' ' | b'\t' | b'\r' | b'\n' | b'#', ..] => Self::Pnm,
            [0xff, 0x4f, 0xff, 0x51, ..] | [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] => Self::Jpeg2000,
            [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => Self::JpegXl,
            [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand.get(..4)? {
                b"avif" | b"avis" => Self::Avif,
                b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => Self::Heic,
                _ => return None,
            },
            [b'8', b'B', b'P', b'S', 0, 1, ..] => Self::Psd,
            _ if is_bare_dicom(start) => Self::Dicom,
            _ => return None,
        })
    }

    /// As people call it, with its article.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "a JPEG",
            Self::Png => "a PNG",
            Self::Bmp => "a BMP",
            Self::Tiff => "a TIFF",
            Self::WebP => "a WebP",
            Self::Gif => "a GIF",
            Self::Pnm => "a PNM",
            Self::Dicom => "a DICOM",
            Self::Jpeg2000 => "a JPEG 2000",
            Self::JpegXl => "a JPEG XL",
            Self::Avif => "an AVIF",
            Self::Heic => "a HEIC",
            Self::Psd => "a Photoshop file",
        }
    }
}

/// Whether these bytes begin a DICOM data set without preamble: an element of group 2 or 8, little-endian, with a
/// representation in letters or a length that is no longer than a header's (PS3.10, 7.1; many archives leave the preamble
/// out).
fn is_bare_dicom(start: &[u8]) -> bool {
    let Some(&[group, zero, element, high, a, b, c, d]) = start.get(..8).and_then(|first| first.first_chunk::<8>())
    else {
        return false;
    };
    let explicit = matches!(&[a, b], b"UL" | b"OB" | b"UI" | b"CS" | b"SH" | b"DA" | b"LO");
    let implicit = c == 0 && d == 0 && b == 0 && a <= 128 && a % 2 == 0;
    zero == 0
        && high == 0
        && matches!((group, element), (2, 0..=3) | (8, 0 | 1 | 5 | 6 | 8 | 0x16))
        && (explicit || implicit)
}

/// Why a file that is no picture is here, where its first bytes tell.
pub(crate) fn what_else(start: &[u8]) -> Option<&'static str> {
    let text = start.trim_ascii_start().to_ascii_lowercase();
    let begins = |with: &str| text.starts_with(with.as_bytes());
    if begins("version https://git-lfs") {
        Some("a Git LFS pointer: git lfs pull fetches the file that it stands for")
    } else if begins("<!doctype html") || begins("<html") {
        Some("an HTML page: a download that asked for a login, perhaps")
    } else if begins("%pdf-") {
        Some("a PDF")
    } else if begins("<?xml") || begins("<svg") {
        Some("an XML or SVG text")
    } else if start.starts_with(b"PK\x03\x04") {
        Some("a ZIP archive or an Office file")
    } else if start.starts_with(&[0x1f, 0x8b]) {
        Some("a gzip archive")
    } else {
        None
    }
}

/// Whether a BMP without its file header goes on so behind the length of its header: the sides, one plane, bits a pixel and
/// how they are packed.
fn is_bare_bmp(rest: &[u8]) -> bool {
    matches!(rest.get(8..16), Some([1, 0, 1 | 4 | 8 | 16 | 24 | 32, 0, 0..=3, 0, 0, 0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_they_begin_as() {
        let bare = [&[8, 0, 5, 0][..], b"CS", &[10, 0], b"ISO_IR 100"].concat();
        let implicit = [8, 0, 8, 0, 20, 0, 0, 0, b'O', b'R'];
        let preamble = [&[0; 128][..], b"DICM"].concat();
        for (start, name) in [
            (&b"\xff\xd8\xff\xe0"[..], "a JPEG"),
            (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000"),
            (b"\xff\x4f\xff\x51\0", "a JPEG 2000"),
            (b"\0\0\0\x1cftypavif", "an AVIF"),
            (b"\0\0\0\x18ftypheic", "a HEIC"),
            (b"\xff\x0a\0", "a JPEG XL"),
            (b"\x28\0\0\0\x08\0\0\0\x08\0\0\0\x01\0\x18\0\0\0\0\0", "a BMP"),
            (&bare, "a DICOM"),
            (&implicit, "a DICOM"),
            (&preamble, "a DICOM"),
        ] {
            assert_eq!(Container::of(start).map(Container::name), Some(name), "{start:?}");
        }
        for none in [&b""[..], b"BM", b"x,y\n1,2\n", b"\0\0\0\x18ftypmp42", b"\x08\0\x05\0", b"P6"] {
            assert_eq!(Container::of(none), None, "{none:?}");
        }
        assert!(what_else(b"version https://git-lfs.github.com/spec/v1\n").unwrap().starts_with("a Git LFS pointer"));
        assert!(what_else(b"\n<!DOCTYPE html><html>").unwrap().starts_with("an HTML page"));
        assert_eq!(what_else(b"film"), None);
    }
}
