//! The histogram of a whole film made even.

use crate::decode::{Channels, Image};

/// Spreads a film's levels so that about as many pixels have each of them: Pillow's `ImageOps.equalize`, to the last bit,
/// which takes each channel by itself. A film of one level stays as it is.
pub fn equalize(image: &mut Image) {
    match image.channels {
        Channels::Gray => equalize_channels::<1>(image),
        Channels::Rgb => equalize_channels::<3>(image),
    }
}

fn equalize_channels<const C: usize>(image: &mut Image) {
    let mut counts = [[0_usize; 256]; C];
    let pixels = image.pixels.as_chunks_mut::<C>().0;
    for pixel in pixels.iter() {
        for (counts, level) in counts.iter_mut().zip(pixel) {
            counts[usize::from(*level)] += 1;
        }
    }
    let tables = counts.map(|counts| table(&counts));
    for pixel in pixels {
        for (level, table) in pixel.iter_mut().zip(&tables) {
            *level = table[usize::from(*level)];
        }
    }
}

/// What becomes of each level. Steps are whole numbers of pixels, as Pillow counts.
fn table(counts: &[usize; 256]) -> [u8; 256] {
    let brightest = counts.iter().rev().find(|count| **count > 0).copied().unwrap_or(0);
    let step = (counts.iter().sum::<usize>() - brightest) / 255;
    if step == 0 {
        return std::array::from_fn(|level| level as u8);
    }
    let mut below = step / 2;
    counts.map(|count| {
        let level = (below / step).min(255) as u8;
        below += count;
        level
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_film_of_one_level_or_of_few_pixels_stays_as_it_is() {
        for (level, side) in [(0, 40), (90, 40), (255, 40), (90, 0)] {
            let mut image = Image::black(side, side, Channels::Gray);
            image.pixels.fill(level);
            let before = image.clone();
            equalize(&mut image);
            assert_eq!(image, before);
        }
        // 100 pixels are no whole step for each of 255 levels.
        let mut few = Image::black(10, 10, Channels::Gray);
        few.pixels.iter_mut().enumerate().for_each(|(i, value)| *value = i as u8);
        let before = few.clone();
        equalize(&mut few);
        assert_eq!(few, before);
    }

    #[test]
    fn a_dull_film_takes_all_levels_up_to_white() {
        let mut image = Image::black(64, 64, Channels::Gray);
        image.pixels.iter_mut().enumerate().for_each(|(i, value)| *value = 100 + (i % 32) as u8);
        equalize(&mut image);
        assert_eq!((image.pixels.iter().min(), image.pixels.iter().max()), (Some(&0), Some(&255)));
        assert!(image.pixels[..32].is_sorted(), "what was brighter is not darker now");
    }
}
