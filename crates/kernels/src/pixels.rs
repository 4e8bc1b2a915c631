//! Bytes of films to normalised floats, and tensors from channels first to channels last and back.

use crate::chunks::{for_chunks, vectorised};
use crate::conv::gray::Gray;
use crate::stored::Stored;

/// What `(v / 255 - mean) / std` gives for each byte `v`, in torchvision's order of operations
/// (`ToTensor`, then `Normalize`).
fn table(mean: [f32; 3], std: [f32; 3]) -> [[f32; 3]; 256] {
    std::array::from_fn(|v| std::array::from_fn(|c| (v as f32 / 255.0 - mean[c]) / std[c]))
}

/// Pixels in one task.
const PIXELS: usize = 1 << 13;

/// Gray bytes `[n, hw]` repeated to three channels `[n, hw, 3]`, each with its own mean and standard deviation.
pub fn normalise_gray<T: Stored>(n: usize, hw: usize, pixels: &[u8], mean: [f32; 3], std: [f32; 3], y: &mut [T]) {
    assert_eq!((pixels.len(), y.len()), (n * hw, n * hw * 3));
    let table = table(mean, std).map(|of_byte| of_byte.map(T::rounded));
    for_chunks(y, PIXELS * 3, |index, y| {
        for (y, &v) in y.chunks_exact_mut(3).zip(&pixels[index * PIXELS..]) {
            y.copy_from_slice(&table[usize::from(v)]);
        }
    });
}

/// Gray bytes `[n, hw]` to one value a pixel, `byte / 255 - centre`, of which [`Gray`] says what the channels are.
pub fn gray_plane(pixels: &[u8], gray: &Gray, z: &mut [f32]) {
    assert_eq!(pixels.len(), z.len());
    let table: [f32; 256] = std::array::from_fn(|v| v as f32 / 255.0 - gray.centre);
    for_chunks(z, PIXELS, |index, z| {
        z.iter_mut().zip(&pixels[index * PIXELS..]).for_each(|(z, &v)| *z = table[usize::from(v)]);
    });
}

/// Interleaved RGB bytes `[n, hw, 3]` to `[n, hw, 3]`, each channel with its own mean and standard deviation.
pub fn normalise_rgb<T: Stored>(n: usize, hw: usize, pixels: &[u8], mean: [f32; 3], std: [f32; 3], y: &mut [T]) {
    assert_eq!((pixels.len(), y.len()), (n * hw * 3, n * hw * 3));
    let table = table(mean, std).map(|of_byte| of_byte.map(T::rounded));
    for_chunks(y, PIXELS * 3, |index, y| {
        for (y, v) in y.chunks_exact_mut(3).zip(pixels[index * PIXELS * 3..].chunks_exact(3)) {
            for c in 0..3 {
                y[c] = table[usize::from(v[c])][c];
            }
        }
    });
}

/// `[n, c, hw]` to `[n, hw, c]`.
pub fn nchw_to_nhwc<T: Stored>(n: usize, c: usize, hw: usize, x: &[f32], y: &mut [T]) {
    assert_eq!((x.len(), y.len()), (n * c * hw, n * c * hw));
    transpose_films(c, hw, x, y);
}

/// `[n, hw, c]` to `[n, c, hw]`.
pub fn nhwc_to_nchw<T: Stored>(n: usize, c: usize, hw: usize, x: &[T], y: &mut [f32]) {
    assert_eq!((x.len(), y.len()), (n * c * hw, n * c * hw));
    transpose_films(hw, c, x, y);
}

/// Each film `[rows, columns]` to `[columns, rows]`.
fn transpose_films<X: Stored, Y: Stored>(rows: usize, columns: usize, x: &[X], y: &mut [Y]) {
    /// Side of the tiles in which both sides stay in the cache.
    const TILE: usize = 16;
    let len = rows * columns;
    for_chunks(y, len, |film, y| {
        let x = &x[film * len..][..len];
        vectorised(|| {
            for first in (0..columns).step_by(TILE) {
                let last = (first + TILE).min(columns);
                for start in (0..rows).step_by(TILE) {
                    let end = (start + TILE).min(rows);
                    for column in first..last {
                        for (y, row) in y[column * rows..][start..end].iter_mut().zip(start..end) {
                            *y = Y::rounded(x[row * columns + column].widened());
                        }
                    }
                }
            }
        });
    });
}
