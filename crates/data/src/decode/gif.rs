//! GIF: the first picture, on its canvas.

use gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};

use super::{Channels, DecodeError, Decoded, MAX_PIXELS, Mode, Sink, Source, check_size};

const FORMAT: &str = "GIF";

pub(super) fn decode(bytes: &[u8], channels: Channels) -> Result<Decoded, DecodeError> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Bytes(
        std::num::NonZeroU64::new(MAX_PIXELS).unwrap_or(std::num::NonZeroU64::MIN),
    ));
    let mut decoder = options.read_info(bytes).map_err(failed)?;
    let canvas = (usize::from(decoder.width()), usize::from(decoder.height()));
    check_size(FORMAT, canvas.0 as u64, canvas.1 as u64)?;
    let global = decoder.global_palette().map(<[u8]>::to_vec);
    let frame = decoder.read_next_frame().map_err(failed)?.ok_or(DecodeError::Truncated { format: FORMAT })?;
    let palette = frame.palette.clone().or(global);
    let palette = palette.ok_or_else(|| super::corrupt(FORMAT, "it has no table of colours"))?;
    let colour = |index: u8| {
        let at = 3 * usize::from(index);
        palette.get(at..at + 3).and_then(|colour| colour.first_chunk()).copied().unwrap_or_default()
    };
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (across, down) = (usize::from(frame.width), usize::from(frame.height));
    if frame.buffer.len() < across * down {
        return Err(DecodeError::Truncated { format: FORMAT });
    }
    // A picture that reaches beyond the canvas widens it; beside the picture the canvas is transparent, or of colour 0 where
    // nothing is, as Pillow has it.
    let (width, height) = (canvas.0.max(left + across), canvas.1.max(top + down));
    check_size(FORMAT, width as u64, height as u64)?;
    let beside = frame.transparent.unwrap_or(0);
    let mut sink = Sink::new(width, height, channels);
    for y in 0..height {
        for x in 0..width {
            let inside = (left..left + across).contains(&x) && (top..top + down).contains(&y);
            sink.rgb(colour(if inside { frame.buffer[(y - top) * across + x - left] } else { beside }));
        }
    }
    Ok((sink.into_image(width, height), Source { format: FORMAT, mode: Mode::Palette, bits: 8 }))
}

fn failed(error: DecodingError) -> DecodeError {
    match error {
        DecodingError::Io(_) => DecodeError::Truncated { format: FORMAT },
        error => super::corrupt(FORMAT, &error.to_string()),
    }
}
