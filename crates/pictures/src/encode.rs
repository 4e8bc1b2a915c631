//! Pixels to PNG, as small as the format allows without losing any.

use std::collections::BTreeSet;

use png::{BitDepth, ColorType, Compression, Encoder, Filter, PixelDimensions, Unit};

use crate::PictureError;

/// Key and text of the chunk by which a picture is known.
pub(crate) const SOFTWARE: [&str; 2] = ["Software", "lungfish"];
/// Bytes of a picture within which that chunk ends: before it are a few short ones and a palette.
const WITHIN: usize = 2048;

/// Whether the bytes of a file (or the first two thousand of them) are those of a PNG that [`Picture::png`] gave or of a
/// PDF that [`Picture::pdf`] gave: such a file can be replaced by another picture, where a film must not be.
///
/// [`Picture::png`]: crate::Picture::png
/// [`Picture::pdf`]: crate::Picture::pdf
pub fn is_picture(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(WITHIN)];
    let has = |mark: String| start.windows(mark.len()).any(|window| window == mark.as_bytes());
    let [key, name] = SOFTWARE;
    start.starts_with(b"\x89PNG") && has(format!("{key}\0{name}"))
        || start.starts_with(b"%PDF-") && has(format!("/Producer ({name})"))
}

/// What a PDF takes over from a PNG.
pub(crate) struct PngParts {
    /// Red, green and blue of each colour; empty where there is no palette.
    pub palette: Vec<u8>,
    /// The compressed rows, each after the number of its filter.
    pub data: Vec<u8>,
}

/// The parts of a PNG that [`encode`] wrote.
pub(crate) fn parts(png: &[u8]) -> PngParts {
    let mut parts = PngParts { palette: Vec::new(), data: Vec::new() };
    // After the signature: length, name, contents and checksum of each chunk.
    let mut rest = png.get(8..).unwrap_or_default();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (Some(name), Some(contents)) = (after.get(..4), after.get(4..4 + length)) else { break };
        match name {
            b"PLTE" => parts.palette.extend(contents),
            b"IDAT" => parts.data.extend(contents),
            _ => {}
        }
        rest = after.get(8 + length..).unwrap_or_default();
    }
    parts
}

/// A PNG of `channels` 1 (gray) or 3 (red, green, blue) bytes a pixel, `density` pixels a metre when printed. Up to 256
/// colours are written as a palette.
pub(crate) fn encode(
    (width, height): (u32, u32),
    pixels: &[u8],
    channels: usize,
    density: Option<u32>,
) -> Result<Vec<u8>, PictureError> {
    let palette = if channels == 3 { Palette::of(pixels) } else { None };
    let write = |filter: Filter| -> Result<Vec<u8>, PictureError> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, width, height);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_compression(Compression::High);
        encoder.set_filter(filter);
        encoder.set_pixel_dims(density.map(|density| PixelDimensions {
            xppu: density,
            yppu: density,
            unit: Unit::Meter,
        }));
        // A film inside a picture has no density of its own, and is no picture.
        if density.is_some() {
            let [key, text] = SOFTWARE.map(str::to_owned);
            encoder.add_text_chunk(key, text)?;
        }
        let pixels = match &palette {
            Some(Palette { colours, indices }) => {
                encoder.set_color(ColorType::Indexed);
                encoder.set_palette(colours.as_slice());
                indices
            }
            None => {
                encoder.set_color(if channels == 1 { ColorType::Grayscale } else { ColorType::Rgb });
                pixels
            }
        };
        let mut writer = encoder.write_header()?;
        writer.write_image_data(pixels)?;
        writer.finish()?;
        Ok(file)
    };
    // Films are smaller with a filter, lines and letters without one.
    let (filtered, plain) = (write(Filter::Adaptive)?, write(Filter::NoFilter)?);
    Ok(if plain.len() < filtered.len() { plain } else { filtered })
}

struct Palette {
    /// Red, green and blue of each colour.
    colours: Vec<u8>,
    /// The colour of each pixel.
    indices: Vec<u8>,
}

impl Palette {
    /// The colours of the pixels, dark to light, so that neighbours in a film stay neighbours; `None` past 256.
    fn of(pixels: &[u8]) -> Option<Palette> {
        let weighed = |pixel: &[u8]| {
            let [red, green, blue] = [0, 1, 2].map(|channel| u32::from(pixel[channel]));
            // Luma first, then the colour itself: every colour has its own number.
            ((299 * red + 587 * green + 114 * blue) as u64) << 24 | u64::from(red << 16 | green << 8 | blue)
        };
        let mut colours: BTreeSet<u64> = BTreeSet::new();
        for pixel in pixels.chunks_exact(3) {
            if colours.insert(weighed(pixel)) && colours.len() > 256 {
                return None;
            }
        }
        let sorted: Vec<u64> = colours.into_iter().collect();
        // cannot fail: every pixel's colour was put into the set, which has 256 at most.
        let indices =
            pixels.chunks_exact(3).map(|pixel| sorted.binary_search(&weighed(pixel)).unwrap_or(0) as u8).collect();
        let colours =
            sorted.iter().flat_map(|colour| [(colour >> 16) as u8, (colour >> 8) as u8, *colour as u8]).collect();
        Some(Palette { colours, indices })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(file: &[u8]) -> (png::ColorType, Vec<u8>) {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
        let kept = decoder.read_header_info().unwrap().color_type;
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        (kept, pixels)
    }

    #[test]
    fn no_pixel_changes_with_few_colours_or_many() {
        for (colours, kept) in [(2, ColorType::Indexed), (256, ColorType::Indexed), (257, ColorType::Rgb)] {
            let pixels: Vec<u8> = (0..40 * 30_u32)
                .flat_map(|at| {
                    let at = at % colours * 31;
                    [at as u8, (at >> 8) as u8, 200 - (at >> 8) as u8]
                })
                .collect();
            let file = encode((40, 30), &pixels, 3, None).unwrap();
            assert_eq!(decode(&file), (kept, pixels));
        }
        let gray: Vec<u8> = (0..=255).collect();
        let colours: Vec<u8> = (0..256_u32).flat_map(|at| [at as u8, 0, 255 - at as u8]).collect();
        assert!(is_picture(&encode((16, 16), &colours, 3, Some(5669)).unwrap()), "behind the longest palette");
        assert!(!is_picture(&encode((16, 16), &gray, 1, None).unwrap()) && !is_picture(b""));
        assert_eq!(decode(&encode((16, 16), &gray, 1, Some(5669)).unwrap()), (ColorType::Grayscale, gray));
    }
}
