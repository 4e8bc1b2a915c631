//! Max-pooling over windows and average pooling over whole images.

use std::ops::Range;

use pulp::{Scalar, Simd, WithSimd};

use crate::chunks::{for_chunks, store, vectorised};
use crate::stored::Stored;

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

    /// Rows (axis 0) or columns (axis 1) of the input under place `o` of the output.
    #[inline(always)]
    fn span(self, o: usize, axis: usize) -> Range<usize> {
        let (start, size) = (o * self.stride[axis], [self.h, self.w][axis]);
        let (first, end) = (start.max(self.pads[axis]), (start + self.kernel[axis]).min(size + self.pads[axis]));
        first - self.pads[axis]..end.max(first) - self.pads[axis]
    }

    /// Offsets of the input pixels under output pixel `(row, column)`, in scan order.
    #[inline(always)]
    fn window(self, row: usize, column: usize) -> impl Iterator<Item = usize> {
        let columns = self.span(column, 1);
        self.span(row, 0).flat_map(move |y| columns.clone().map(move |x| (y * self.w + x) * self.c))
    }
}

/// Largest value in each window: `x` `[n, h, w, c]`, `y` `[n, out, c]`. NaN wins, as in PyTorch.
pub fn max_pool<T: Stored>(shape: &PoolShape, n: usize, x: &[T], y: &mut [T]) {
    assert_eq!((x.len(), y.len()), (n * shape.x_len(), n * shape.y_len()));
    let (c, [oh, ow]) = (shape.c, shape.out());
    for_chunks(y, ow * c, |row, y| {
        let x = &x[row / oh * shape.x_len()..][..shape.x_len()];
        crate::machine::arch().dispatch(MaxPool { shape, row: row % oh, x, y });
    });
}

/// One row of a film's output.
struct MaxPool<'a, T> {
    shape: &'a PoolShape,
    row: usize,
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: Stored> WithSimd for MaxPool<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (&PoolShape { w, c, .. }, lanes) = (self.shape, S::F32_LANES);
        let lines = self.shape.span(self.row, 0);
        for (column, y) in self.y.chunks_exact_mut(c).enumerate() {
            let columns = self.shape.span(column, 1);
            for (i, y) in y.chunks_mut(lanes).enumerate() {
                let mut most = simd.splat_f32s(f32::NEG_INFINITY);
                for line in lines.clone() {
                    for column in columns.clone() {
                        let x = &self.x[(line * w + column) * c + i * lanes..][..y.len()];
                        let x = if x.len() == lanes { T::load(simd, x) } else { T::load_some(simd, x) };
                        most = simd.select_f32s(simd.less_than_f32s(most, x), x, most);
                        // What is not itself is NaN.
                        most = simd.select_f32s(simd.equal_f32s(x, x), most, x);
                    }
                }
                if y.len() == lanes {
                    T::store(simd, most, y);
                } else {
                    T::store_some(simd, most, y);
                }
            }
        }
    }
}

/// Gradient of [`max_pool`] to its input: each window's goes to its first maximum in scan order, as in PyTorch.
/// `y` is what `max_pool` gave for `x`. Added to `dx` if `accumulate`.
pub fn max_pool_backward<T: Stored>(
    shape: &PoolShape,
    n: usize,
    x: &[T],
    y: &[T],
    dy: &[T],
    dx: &mut [T],
    accumulate: bool,
) {
    let (x_len, y_len) = (shape.x_len(), shape.y_len());
    assert_eq!((x.len(), y.len()), (n * x_len, n * y_len));
    assert_eq!((dx.len(), dy.len()), (n * x_len, n * y_len));
    // Windows overlap, so one film is one task.
    for_chunks(dx, x_len, |film, dx| {
        let x = &x[film * x_len..][..x_len];
        let (y, dy) = (&y[film * y_len..][..y_len], &dy[film * y_len..][..y_len]);
        crate::machine::arch().dispatch(MaxPoolBackward { shape: *shape, x, y, dy, dx, accumulate });
    });
}

/// The gradient to one film.
struct MaxPoolBackward<'a, T> {
    shape: PoolShape,
    x: &'a [T],
    y: &'a [T],
    dy: &'a [T],
    dx: &'a mut [T],
    accumulate: bool,
}

impl<T: Stored> WithSimd for MaxPoolBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (PoolShape { h, w, c, .. }, [oh, ow]) = (self.shape, self.shape.out());
        let mut pixels = Vec::with_capacity(self.shape.kernel.iter().product());
        let mut cleared = if self.accumulate { h * w * c } else { 0 };
        for row in 0..oh {
            // A row is cleared just before it is first wanted, while it is in the cache for what follows.
            let wanted = (row * self.shape.stride[0] + self.shape.kernel[0]).saturating_sub(self.shape.pads[0]).min(h);
            let wanted = if row + 1 == oh { h } else { wanted } * w * c;
            if wanted > cleared {
                self.dx[cleared..wanted].fill(T::default());
                cleared = wanted;
            }
            for column in 0..ow {
                pixels.clear();
                pixels.extend(self.shape.window(row, column));
                let (from, mut channel) = ((row * ow + column) * c, 0);
                while channel + S::F32_LANES <= c {
                    self.window(simd, &pixels, from, channel);
                    channel += S::F32_LANES;
                }
                while channel < c {
                    self.window(Scalar::new(), &pixels, from, channel);
                    channel += 1;
                }
            }
        }
    }
}

impl<T: Stored> MaxPoolBackward<'_, T> {
    /// Hands the gradient of one window, at `from` of the result, on to its pixels, for a vector of channels.
    #[inline(always)]
    fn window<S: Simd>(&mut self, simd: S, pixels: &[usize], from: usize, channel: usize) {
        let load = |values: &[T], at: usize| T::load(simd, &values[at..]);
        // What has not yet found its maximum.
        let (y, mut rest, zero) = (load(self.y, from + channel), load(self.dy, from + channel), simd.splat_f32s(0.0));
        for &at in pixels {
            let hit = simd.equal_f32s(load(self.x, at + channel), y);
            let dx = &mut self.dx[at + channel..];
            T::store(simd, simd.add_f32s(T::load(simd, dx), simd.select_f32s(hit, rest, zero)), dx);
            rest = simd.select_f32s(hit, zero, rest);
        }
    }
}

/// Mean over each film's `hw` pixels: `x` `[n, hw, c]`, `y` `[n, c]`.
pub fn average_pool<X: Stored, Y: Stored>(n: usize, hw: usize, c: usize, x: &[X], y: &mut [Y]) {
    assert_eq!((x.len(), y.len()), (n * hw * c, n * c));
    for_chunks(y, c, |film, y| {
        let mut sums = vec![0.0f64; c];
        vectorised(|| {
            for x in x[film * hw * c..][..hw * c].chunks_exact(c) {
                sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += f64::from(x.widened()));
            }
        });
        y.iter_mut().zip(&sums).for_each(|(y, &sum)| *y = Y::rounded((sum / hw as f64) as f32));
    });
}

/// Gradient of [`average_pool`] to its input, added to `dx` if `accumulate`.
pub fn average_pool_backward<X: Stored, Y: Stored>(
    n: usize,
    hw: usize,
    c: usize,
    dy: &[Y],
    dx: &mut [X],
    accumulate: bool,
) {
    assert_eq!((dy.len(), dx.len()), (n * c, n * hw * c));
    for_chunks(dx, hw * c, |film, dx| {
        let dy = &dy[film * c..][..c];
        vectorised(|| {
            for dx in dx.chunks_exact_mut(c) {
                store(dx, dy.iter().map(|dy| dy.widened() / hw as f32), accumulate);
            }
        });
    });
}
