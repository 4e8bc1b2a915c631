//! How kernels share their work out to threads: it is cut by shape, never by their number, so that results never depend on
//! them.

use rayon::prelude::*;

pub(crate) use crate::scratch::with_scratch;
use crate::stored::Stored;

/// Floats in one chunk of an elementwise pass: large against rayon's cost, small against L2.
pub(crate) const ELEMENTS: usize = 1 << 14;

/// Slots of partial sums in a reduction over rows.
const SLOTS: usize = 64;

/// Runs `f` compiled for the best instruction set of this machine, chosen at run time.
#[inline(always)]
pub(crate) fn vectorised<R>(f: impl FnOnce() -> R) -> R {
    crate::machine::arch().dispatch(f)
}

/// Calls `f(index, chunk)` for consecutive chunks of `len` elements (the last may be shorter), in parallel.
pub(crate) fn for_chunks<T: Send>(y: &mut [T], len: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    if y.len() <= len {
        // A single chunk is not worth waking the pool for.
        if !y.is_empty() {
            f(0, y);
        }
    } else {
        y.par_chunks_mut(len).enumerate().for_each(|(index, chunk)| f(index, chunk));
    }
}

/// `y[i] = f(y[i], a[i])`, in parallel and vectorised.
#[inline(always)]
pub(crate) fn map1<T: Stored>(y: &mut [T], a: &[T], f: impl Fn(f32, f32) -> f32 + Sync) {
    assert_eq!(y.len(), a.len());
    for_chunks(y, ELEMENTS, |index, y| {
        let a = &a[index * ELEMENTS..][..y.len()];
        vectorised(|| y.iter_mut().zip(a).for_each(|(y, a)| *y = T::rounded(f(y.widened(), a.widened()))));
    });
}

/// `y[i] = f(a[i], b[i])`, in parallel and vectorised.
#[inline(always)]
pub(crate) fn map2<T: Stored>(y: &mut [T], a: &[T], b: &[T], f: impl Fn(f32, f32) -> f32 + Sync) {
    assert_eq!((y.len(), y.len()), (a.len(), b.len()));
    for_chunks(y, ELEMENTS, |index, y| {
        let (a, b) = (&a[index * ELEMENTS..][..y.len()], &b[index * ELEMENTS..][..y.len()]);
        vectorised(|| {
            y.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y = T::rounded(f(a.widened(), b.widened())));
        });
    });
}

/// Rows and columns of places that a window finds on an image, `pads` at top, left, bottom, right.
///
/// # Panics
/// If the padded image is smaller than the window.
pub(crate) fn windows([h, w]: [usize; 2], kernel: [usize; 2], stride: [usize; 2], pads: [usize; 4]) -> [usize; 2] {
    let padded = [h + pads[0] + pads[2], w + pads[1] + pads[3]];
    assert!(padded[0] >= kernel[0] && padded[1] >= kernel[1], "{kernel:?} window on {padded:?} pixels, padded");
    [(padded[0] - kernel[0]) / stride[0] + 1, (padded[1] - kernel[1]) / stride[1] + 1]
}

/// Rows of `c` floats in one elementwise chunk.
pub(crate) fn rows_per_chunk(c: usize) -> usize {
    (ELEMENTS / c.max(1)).max(1)
}

/// Tasks from which it makes no difference whether they are an even number.
const MANY: usize = 16;

/// Rows of a task, of `rows` in all, at most `most`: where tasks are few, an even number of them, all alike, if that can be
/// had for not much smaller ones. (A film alone has few: of 7 tasks two threads do 4 and 3.)
pub(crate) fn rows_per_task(rows: usize, most: usize) -> usize {
    let most = most.max(1);
    let even = |step: &usize| rows.is_multiple_of(2 * step);
    let few = rows.div_ceil(most) < MANY;
    (most.div_ceil(2)..=most).rev().find(even).filter(|_| few).unwrap_or(most)
}

/// Rows that one slot of partial sums takes in: at least 64.
pub(crate) fn slot_rows(rows: usize) -> usize {
    rows.div_ceil(SLOTS).max(64)
}

/// Adds slots of `width` sums in order; the first then holds the total, alone.
pub(crate) fn add_slots(partial: &mut Vec<f64>, width: usize) {
    let (total, rest) = partial.split_at_mut(width);
    for slot in rest.chunks_exact(width.max(1)) {
        total.iter_mut().zip(slot).for_each(|(total, part)| *total += part);
    }
    partial.truncate(width);
}

/// Sums `width` columns over `rows` in `f64`: `f(first_row, end_row, sums)` adds its rows to `sums`,
/// one slot at a time; the slots are then added in order.
pub(crate) fn sum_rows(rows: usize, width: usize, f: impl Fn(usize, usize, &mut [f64]) + Sync) -> Vec<f64> {
    let step = slot_rows(rows);
    let slots = rows.div_ceil(step).max(1);
    let mut partial = vec![0.0; slots * width];
    for_chunks(&mut partial, width, |slot, sums| f(slot * step, ((slot + 1) * step).min(rows), sums));
    add_slots(&mut partial, width);
    partial
}

/// Writes `values` to `y`, or adds them.
pub(crate) fn store<T: Stored>(y: &mut [T], values: impl Iterator<Item = f32>, accumulate: bool) {
    if accumulate {
        y.iter_mut().zip(values).for_each(|(y, value)| *y = T::rounded(y.widened() + value));
    } else {
        y.iter_mut().zip(values).for_each(|(y, value)| *y = T::rounded(value));
    }
}

#[cfg(test)]
mod tests {
    use super::rows_per_task;

    #[test]
    fn few_tasks_are_an_even_number_of_the_same_size() {
        for (rows, most, expected) in [(28, 4, 2), (14, 2, 1), (56, 8, 7), (14, 1, 1), (7, 2, 2), (9, 5, 5), (0, 0, 1)]
        {
            assert_eq!(rows_per_task(rows, most), expected, "{rows} rows, {most} at most");
        }
        // Of many tasks one more or less is nothing.
        assert_eq!(rows_per_task(28 * 32, 4), 4);
    }
}
