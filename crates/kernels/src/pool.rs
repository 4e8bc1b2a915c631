//! Max-pooling over windows and average pooling over whole images.

use crate::chunks::{for_chunks, vectorised};

/// A sliding window over images `[h, w, c]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolShape {
    /// Input height, pixels.
    pub h: usize,
    /// Input width, pixels.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step.
    pub stride: [usize; 2],
    /// Top, left, bottom, right; padding never wins a maximum.
    pub pads: [usize; 4],
}

impl PoolShape {
    /// Output height and width.
    ///
    /// # Panics
    /// If the padded image is smaller than the window.
    pub fn out(&self) -> [usize; 2] {
        crate::chunks::windows([self.h, self.w], self.kernel, self.stride, self.pads)
    }

    /// Elements of one film's input.
    pub fn x_len(&self) -> usize {
        self.h * self.w * self.c
    }

    /// Elements of one film's output.
    pub fn y_len(&self) -> usize {
        let [h, w] = self.out();
        h * w * self.c
    }

    /// Offsets of the input pixels under output pixel `(row, column)`, in scan order.
    #[inline(always)]
    fn window(self, row: usize, column: usize) -> impl Iterator<Item = usize> {
        let span = |o: usize, axis: usize, size: usize| {
            let start = o * self.stride[axis];
            let (first, end) = (start.max(self.pads[axis]), (start + self.kernel[axis]).min(size + self.pads[axis]));
            first - self.pads[axis]..end.max(first) - self.pads[axis]
        };
        let columns = span(column, 1, self.w);
        span(row, 0, self.h).flat_map(move |y| columns.clone().map(move |x| (y * self.w + x) * self.c))
    }
}

/// Largest value in each window: `x` `[n, h, w, c]`, `y` `[n, out, c]`. NaN wins, as in PyTorch.
pub fn max_pool(shape: &PoolShape, n: usize, x: &[f32], y: &mut [f32]) {
    assert_eq!((x.len(), y.len()), (n * shape.x_len(), n * shape.y_len()));
    let (c, [oh, ow]) = (shape.c, shape.out());
    for_chunks(y, ow * c, |row, y| {
        let x = &x[row / oh * shape.x_len()..][..shape.x_len()];
        vectorised(|| {
            for (column, y) in y.chunks_exact_mut(c).enumerate() {
                y.fill(f32::NEG_INFINITY);
                for at in shape.window(row % oh, column) {
                    for (y, &x) in y.iter_mut().zip(&x[at..at + c]) {
                        *y = if x > *y || x.is_nan() { x } else { *y };
                    }
                }
            }
        });
    });
}

/// Gradient of [`max_pool`] to its input: each window's goes to its first maximum in scan order, as in PyTorch.
/// `y` is what `max_pool` gave for `x`. Added to `dx` if `accumulate`.
pub fn max_pool_backward(
    shape: &PoolShape,
    n: usize,
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    let (x_len, y_len, c, [_, ow]) = (shape.x_len(), shape.y_len(), shape.c, shape.out());
    assert_eq!((x.len(), y.len()), (n * x_len, n * y_len));
    assert_eq!((dx.len(), dy.len()), (n * x_len, n * y_len));
    // Windows overlap, so one film is one task.
    for_chunks(dx, x_len, |film, dx| {
        let x = &x[film * x_len..][..x_len];
        let (y, dy) = (&y[film * y_len..][..y_len], &dy[film * y_len..][..y_len]);
        if !accumulate {
            dx.fill(0.0);
        }
        let mut rest = vec![0.0; c];
        vectorised(|| {
            for (pixel, (y, dy)) in y.chunks_exact(c).zip(dy.chunks_exact(c)).enumerate() {
                // What has not yet found its maximum.
                rest.copy_from_slice(dy);
                for at in shape.window(pixel / ow, pixel % ow) {
                    let pixel = dx[at..at + c].iter_mut().zip(&x[at..at + c]);
                    for (((dx, &x), &y), rest) in pixel.zip(y).zip(rest.iter_mut()) {
                        let hit = x == y;
                        *dx += if hit { *rest } else { 0.0 };
                        *rest = if hit { 0.0 } else { *rest };
                    }
                }
            }
        });
    });
}

/// Mean over each film's `hw` pixels: `x` `[n, hw, c]`, `y` `[n, c]`.
pub fn average_pool(n: usize, hw: usize, c: usize, x: &[f32], y: &mut [f32]) {
    assert_eq!((x.len(), y.len()), (n * hw * c, n * c));
    for_chunks(y, c, |film, y| {
        let mut sums = vec![0.0f64; c];
        vectorised(|| {
            for x in x[film * hw * c..][..hw * c].chunks_exact(c) {
                sums.iter_mut().zip(x).for_each(|(sum, &x)| *sum += f64::from(x));
            }
        });
        y.iter_mut().zip(&sums).for_each(|(y, &sum)| *y = (sum / hw as f64) as f32);
    });
}

/// Gradient of [`average_pool`] to its input, added to `dx` if `accumulate`.
pub fn average_pool_backward(n: usize, hw: usize, c: usize, dy: &[f32], dx: &mut [f32], accumulate: bool) {
    assert_eq!((dy.len(), dx.len()), (n * c, n * hw * c));
    for_chunks(dx, hw * c, |film, dx| {
        let dy = &dy[film * c..][..c];
        vectorised(|| {
            for dx in dx.chunks_exact_mut(c) {
                for (dx, &dy) in dx.iter_mut().zip(dy) {
                    let value = dy / hw as f32;
                    *dx = if accumulate { *dx + value } else { value };
                }
            }
        });
    });
}
