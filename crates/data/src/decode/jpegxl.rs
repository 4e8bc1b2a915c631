//! JPEG XL, in its box file or bare, by the decoder of the JPEG XL project.

use jxl::api::{
    Endianness, Event, JxlBitDepth, JxlColorType, JxlDataFormat, JxlDecoder, JxlDecoderOptions, JxlOutputBuffer,
    JxlParallelRunner, JxlParallelRunnerFun, JxlPixelFormat,
};
use jxl::error::{Error, Result as JxlResult};

use super::{Channels, DecodeError, Decoded, MAX_PIXELS, Mode, Sink, Source, check_size, corrupt};

const FORMAT: &str = "JPEG XL";
/// Films of up to so many pixels may be of any length.
const SMALL: u64 = 4 << 20;
/// Of larger ones a byte holds at most so many pixels: it is one in films without loss, a hundred where little is left of them.
const MOST_PIXELS_A_BYTE: u64 = 1000;
/// More rounds of work than a film needs. A picture is made of a few pictures at most (one of small parts that come again, one
/// of low frequencies, the film), each in up to three rounds; a file of thousands, each of a few bytes and as large as the film,
/// would take hours.
const MOST_ROUNDS: usize = 24;

/// The samples of a film.
pub(super) struct Samples {
    pub(super) width: usize,
    pub(super) height: usize,
    /// One or three.
    pub(super) channels: usize,
    /// Of a sample, up to 16.
    pub(super) bits: u32,
    /// Row by row, the samples of a pixel beside each other.
    pub(super) values: Vec<u16>,
    /// Whether the colours are those that were encoded, and not JPEG XL's own made into RGB.
    pub(super) as_stored: bool,
    /// Whether there is transparency, which is dropped.
    alpha: bool,
}

/// Works in order, on this thread: films are decoded beside each other, and not in parts.
struct Rounds(usize);

impl JxlParallelRunner for Rounds {
    fn run(&mut self, num: usize, work: &JxlParallelRunnerFun<'_>) -> JxlResult<()> {
        self.run_ordered(num, None, work)
    }

    fn num_threads(&self) -> usize {
        1
    }

    fn run_ordered(&mut self, num: usize, _most: Option<usize>, work: &JxlParallelRunnerFun<'_>) -> JxlResult<()> {
        self.0 += 1;
        if self.0 > MOST_ROUNDS {
            return Err(Error::ApiUsageError("it is made of more pictures than a film is"));
        }
        (0..num).try_for_each(work)
    }
}

/// The film in a JPEG XL; `format` is what the file is called.
pub(super) fn samples(bytes: &[u8], format: &'static str) -> Result<Samples, DecodeError> {
    within(&mut Rounds(0), bytes, format)
}

fn within(rounds: &mut Rounds, bytes: &[u8], format: &'static str) -> Result<Samples, DecodeError> {
    let most = MAX_PIXELS.min(SMALL.max(MOST_PIXELS_A_BYTE * bytes.len() as u64));
    let refused = |error: Error| match error {
        Error::ImageSizeTooLarge(width, height) => beyond(bytes, format, width as u64, height as u64),
        Error::UnexpectedCodestreamBoxEnd | Error::SectionTooShort => DecodeError::Truncated { format },
        Error::ApiUsageError(why) => corrupt(format, why),
        other => corrupt(format, &other.to_string()),
    };
    let mut options = JxlDecoderOptions::default();
    // Of four channels, and with room for what lies beside the picture.
    options.sample_limit = Some(usize::try_from(5 * most).unwrap_or(usize::MAX));
    let (mut decoder, mut input) = (JxlDecoder::new(options), bytes);
    match decoder.process(&mut input, None, Some(rounds)).map_err(refused)? {
        Event::BasicInfo => {}
        _ => return Err(DecodeError::Truncated { format }),
    }
    let info = decoder.basic_info().ok_or(DecodeError::Truncated { format })?.clone();
    let (width, height) = info.size;
    check_size(format, width as u64, height as u64)?;
    if (width as u64) * (height as u64) > most {
        return Err(beyond(bytes, format, width as u64, height as u64));
    }
    if info.animation.is_some() {
        return Err(DecodeError::NotAFilm("a JPEG XL of several pictures: a film is one".to_owned()));
    }
    let bits = match info.bit_depth {
        JxlBitDepth::Int { bits_per_sample: bits @ 1..=16 } => bits,
        JxlBitDepth::Int { .. } => return Err(DecodeError::Unsupported("a JPEG XL of more than 16 bits a sample")),
        JxlBitDepth::Float { .. } => return Err(DecodeError::Unsupported("a JPEG XL of floating-point samples")),
    };
    let alpha = match &info.extra_channels[..] {
        [] => false,
        [one] if one.ec_type == jxl::api::ExtraChannel::Alpha => true,
        _ => return Err(DecodeError::Unsupported("a JPEG XL with channels beside its colours")),
    };
    let gray = decoder.embedded_color_profile().is_some_and(|profile| profile.channels() == 1);
    let (channels, color_type) = if gray { (1, JxlColorType::Grayscale) } else { (3, JxlColorType::Rgb) };
    let sample = JxlDataFormat::U16 { endianness: Endianness::LittleEndian, bit_depth: bits as u8 };
    let pixel_format = JxlPixelFormat {
        color_type,
        color_data_format: Some(sample),
        extra_channel_format: vec![None; info.extra_channels.len()],
    };
    decoder.set_pixel_format(pixel_format).map_err(refused)?;
    // Colours are whole numbers of 32 bits on their way, and three of them.
    super::budget::take((width as u64) * (height as u64) * if gray { 1 } else { 2 });
    let row = 2 * width * channels;
    let mut pixels = vec![0; row * height];
    loop {
        let mut buffers = [JxlOutputBuffer::new(&mut pixels, height, row)];
        match decoder.process(&mut input, Some(&mut buffers), Some(rounds)).map_err(refused)? {
            Event::BasicInfo | Event::FrameHeader => {}
            Event::FrameComplete { has_more_frames: false } => break,
            Event::FrameComplete { .. } => {
                return Err(DecodeError::NotAFilm("a JPEG XL of several pictures: a film is one".to_owned()));
            }
            Event::NeedMoreInput { .. } | Event::Complete => return Err(DecodeError::Truncated { format }),
        }
    }
    let values = pixels.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    Ok(Samples { width, height, channels, bits, values, as_stored: info.uses_original_profile, alpha })
}

/// Why a file cannot hold so many pixels.
fn beyond(bytes: &[u8], format: &'static str, width: u64, height: u64) -> DecodeError {
    match check_size(format, width, height) {
        Err(error) => error,
        Ok(()) => corrupt(format, &format!("its {} bytes cannot hold {width}x{height} pixels of a film", bytes.len())),
    }
}

pub(super) fn decode(bytes: &[u8], channels: Channels) -> Result<Decoded, DecodeError> {
    let film = samples(bytes, FORMAT)?;
    // The full range of a sample becomes that of 8 bits, as of other 16-bit films.
    let most = (1_u32 << film.bits) - 1;
    let level = |value: u16| ((u32::from(value) * 255 + most / 2) / most).min(255) as u8;
    let mut sink = Sink::new(film.width, film.height, channels);
    let mode = if film.channels == 1 {
        film.values.iter().for_each(|value| sink.gray(level(*value)));
        if film.alpha { Mode::GrayAlpha } else { Mode::Gray }
    } else {
        film.values.as_chunks().0.iter().for_each(|pixel: &[u16; 3]| sink.rgb(pixel.map(level)));
        if film.alpha { Mode::RgbAlpha } else { Mode::Rgb }
    };
    Ok((sink.into_image(film.width, film.height), Source { format: FORMAT, mode, bits: film.bits as u8 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/data/jpegxl/");
        std::fs::read(format!("{folder}{name}")).unwrap()
    }

    #[test]
    fn a_film_takes_few_rounds_and_one_of_many_pictures_is_refused() {
        for name in ["gray_8.jxl", "gray_16.jxl", "rgb_8.jxl", "alpha.jxl"] {
            let mut rounds = Rounds(0);
            within(&mut rounds, &golden(name), FORMAT).unwrap();
            assert!((1..=MOST_ROUNDS / 4).contains(&rounds.0), "{name}: {}", rounds.0);
            // After as many as a film may have, whatever they were for.
            let error = within(&mut Rounds(MOST_ROUNDS), &golden(name), FORMAT).err().unwrap().to_string();
            assert_eq!(error, "the JPEG XL is damaged: it is made of more pictures than a film is", "{name}");
        }
    }
}
