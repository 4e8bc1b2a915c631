//! Moving pixels without mixing them: torchvision's `CenterCrop`, and what the augmentation needs.

use crate::decode::Image;

/// torchvision's `CenterCrop((height, width))` on a Pillow image: black is added around where the image is smaller
/// (the odd pixel at the right and bottom), then the middle is cut out (halves rounded to the even pixel, as Python's
/// `round` does).
pub fn center_crop(image: Image, width: usize, height: usize) -> Image {
    if (image.width, image.height) == (width, height) {
        return image;
    }
    let (left, x) = window(image.width, width);
    let (top, y) = window(image.height, height);
    let channels = image.channels.count();
    let mut out = Image::black(width, height, image.channels);
    let columns = (image.width - left).min(width - x) * channels;
    let rows = (image.height - top).min(height - y);
    for row in 0..rows {
        let from = (top + row) * image.stride() + left * channels;
        let to = (y + row) * out.stride() + x * channels;
        out.pixels[to..][..columns].copy_from_slice(&image.pixels[from..][..columns]);
    }
    out
}

/// Along one axis: the first pixel that is taken, and where it goes.
pub(super) fn window(from: usize, to: usize) -> (usize, usize) {
    if to > from {
        return (0, (to - from) / 2);
    }
    let spare = from - to;
    let half = spare / 2;
    (if spare % 2 == 1 && half % 2 == 1 { half + 1 } else { half }, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_the_even_pixel() {
        // Python: round(0.5) = 0, round(1.5) = 2, round(2.5) = 2, round(3.5) = 4.
        let firsts: Vec<usize> = (0..8).map(|spare| window(10 + spare, 10).0).collect();
        assert_eq!(firsts, [0, 0, 1, 2, 2, 2, 3, 4]);
        assert_eq!(window(7, 10), (0, 1));
    }
}
