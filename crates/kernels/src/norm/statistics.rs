//! The statistics of a batch, mean and variance of each channel, from sums over pieces of a value: one that is there, or one
//! while it is being written and its pieces are in the cache.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Normalised;
use crate::chunks::{add_slots, for_chunks, slot_rows, vectorised, with_scratch};
use crate::stored::Stored;
use crate::sweep::{BLOCK, period, vectors, vectors_mut};

/// Sums and sums of squares of the channels of a value `[rows, c]`, taken by
/// [`conv::forward_with_statistics`](crate::conv::forward_with_statistics) or from the value itself. The memory serves one value
/// after another.
#[derive(Debug, Default)]
pub struct BatchStatistics {
    /// `[slots, 2, c]`; the slots are added in order, so that no result depends on who filled them when.
    sums: Vec<f64>,
    rows: usize,
    gathered: bool,
}

impl BatchStatistics {
    /// Takes those of `x` `[rows, c]`.
    pub fn read<T: Normalised>(&mut self, rows: usize, c: usize, x: &[T]) {
        T::read(self, rows, c, x);
    }

    pub(crate) fn take<T: Stored>(&mut self, rows: usize, c: usize, x: &[T]) {
        assert_eq!(x.len(), rows * c);
        let step = slot_rows(rows);
        self.begin(rows, c, rows.div_ceil(step));
        self.gathered = false;
        for_chunks(&mut self.sums, 2 * c, |slot, sums| {
            sum(c, &x[slot * step * c..((slot + 1) * step).min(rows) * c], sums);
        });
    }

    /// Whether they were taken while the value was written, and not in a pass of their own over it.
    pub fn gathered(&self) -> bool {
        self.gathered
    }

    /// Mean and biased variance of each channel.
    ///
    /// # Panics
    /// Unless there is room for as many channels as the sums were taken of.
    pub fn mean_and_variance(&mut self, mean: &mut [f32], var: &mut [f32]) {
        let c = mean.len();
        assert_eq!(var.len(), c);
        assert!(
            self.sums.len() >= 2 * c && self.sums.len().is_multiple_of(2 * c.max(1)),
            "statistics of other channels"
        );
        vectorised(|| add_slots(&mut self.sums, 2 * c));
        let (sums, squares) = self.sums.split_at(c);
        for ((mean, var), (sum, square)) in mean.iter_mut().zip(var).zip(sums.iter().zip(squares)) {
            let m = sum / self.rows as f64;
            *mean = m as f32;
            // f64 leaves 29 bits over f32's, so the difference of squares is harmless here.
            *var = (square / self.rows as f64 - m * m).max(0.0) as f32;
        }
    }

    fn begin(&mut self, rows: usize, c: usize, slots: usize) {
        self.sums.resize(slots * 2 * c, 0.0);
        (self.rows, self.gathered) = (rows, true);
    }
}

/// Where the tasks that write a value leave the sums of what they wrote: a slot each, or nowhere.
pub(crate) struct Slots<'a> {
    c: usize,
    sums: Option<&'a mut [f64]>,
}

impl<'a> Slots<'a> {
    /// For `tasks` tasks that write `rows` rows in all; each must [`take`](Slots::take) what it wrote.
    pub(crate) fn new(statistics: Option<&'a mut BatchStatistics>, rows: usize, c: usize, tasks: usize) -> Self {
        let sums = statistics.map(|statistics| {
            statistics.begin(rows, c, tasks);
            &mut statistics.sums[..]
        });
        Slots { c, sums }
    }

    /// Those of the first `tasks` tasks, and the others.
    pub(crate) fn split_at(self, tasks: usize) -> (Self, Self) {
        let c = self.c;
        let (left, right) = self.sums.map(|sums| sums.split_at_mut(tasks * 2 * c)).unzip();
        (Slots { c, sums: left }, Slots { c, sums: right })
    }

    /// One for each task, in order.
    pub(crate) fn each(self) -> impl Iterator<Item = Self> {
        let c = self.c;
        let mut sums = self.sums.map(|sums| sums.chunks_exact_mut(2 * c));
        std::iter::repeat_with(move || Slots { c, sums: sums.as_mut().and_then(Iterator::next) })
    }

    /// As [`for_chunks`], where each chunk is a task.
    pub(crate) fn for_chunks<T: Stored>(self, y: &mut [T], len: usize, f: impl Fn(usize, &mut [T]) + Sync) {
        match self.sums {
            None => for_chunks(y, len, f),
            Some(sums) => {
                let tasks = y.par_chunks_mut(len).zip(sums.par_chunks_mut(2 * self.c));
                tasks.enumerate().for_each(|(index, (y, sums))| {
                    f(index, y);
                    sum(self.c, y, sums);
                });
            }
        }
    }

    /// Takes what the one task has written.
    pub(crate) fn take<T: Stored>(self, y: &[T]) {
        if let Some(sums) = self.sums {
            sum(self.c, y, sums);
        }
    }
}

/// As [`for_chunks`], of rows of `c` channels; the statistics of what is written are taken where they are wanted.
pub(crate) fn for_chunks_of<T: Stored>(
    y: &mut [T],
    len: usize,
    c: usize,
    statistics: Option<&mut BatchStatistics>,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    Slots::new(statistics, y.len() / c.max(1), c, y.len().div_ceil(len)).for_chunks(y, len, f);
}

/// Writes the sums and the sums of squares of the channels of `x` to `sums` `[2, c]`.
fn sum<T: Stored>(c: usize, x: &[T], sums: &mut [f64]) {
    let period = period(c);
    with_scratch(3 * period, |scratch| {
        let (pivot, few) = scratch.split_at_mut(period);
        crate::machine::arch().dispatch(Sum { c, x, pivot, few, sums });
    });
}

/// Rows whose mean is near enough to that of all.
const NEAR: usize = 8;

/// Vectors of accumulators.
const VECTORS: usize = 4;

struct Sum<'a, T> {
    c: usize,
    x: &'a [T],
    /// A value near the mean, for each place of a period: against it squares lose nothing far from zero.
    pivot: &'a mut [f32],
    /// `[2, period]`: sums over a few rows, which may be taken in `f32`.
    few: &'a mut [f32],
    sums: &'a mut [f64],
}

impl<T: Stored> WithSimd for Sum<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (c, period) = (self.c, self.pivot.len());
        self.place_pivot();
        self.sums.fill(0.0);
        for block in self.x.chunks(BLOCK * period) {
            let mut at = 0;
            while at + VECTORS * S::F32_LANES <= period {
                self.columns::<S, VECTORS>(simd, block, at);
                at += VECTORS * S::F32_LANES;
            }
            while at < period {
                self.columns::<S, 1>(simd, block, at);
                at += S::F32_LANES;
            }
            let rest = block.chunks_exact(period).remainder();
            let (sums, squares) = self.few.split_at_mut(period);
            for ((x, pivot), (sum, square)) in rest.iter().zip(&*self.pivot).zip(sums.iter_mut().zip(&mut *squares)) {
                let x = x.widened() - pivot;
                *sum += x;
                *square += x * x;
            }
            for (few, sums) in self.few.chunks_exact(period).zip(self.sums.chunks_exact_mut(c)) {
                for few in few.chunks_exact(c) {
                    sums.iter_mut().zip(few).for_each(|(sum, &few)| *sum += f64::from(few));
                }
            }
        }
        let (rows, (sums, squares)) = ((self.x.len() / c) as f64, self.sums.split_at_mut(c));
        for ((sum, square), &pivot) in sums.iter_mut().zip(squares).zip(&*self.pivot) {
            let pivot = f64::from(pivot);
            *square += pivot * (2.0 * *sum + rows * pivot);
            *sum += rows * pivot;
        }
    }
}

impl<T: Stored> Sum<'_, T> {
    /// The mean of the first rows.
    #[inline(always)]
    fn place_pivot(&mut self) {
        let (first, others) = self.pivot.split_at_mut(self.c);
        let near = &self.x[..self.x.len().min(NEAR * self.c)];
        let share = 1.0 / (near.len() / self.c).max(1) as f32;
        first.fill(0.0);
        for x in near.chunks_exact(self.c) {
            first.iter_mut().zip(x).for_each(|(pivot, x)| *pivot += x.widened() * share);
        }
        others.chunks_exact_mut(self.c).for_each(|other| other.copy_from_slice(first));
    }

    /// The sums of `V` vectors of the period over the whole periods of a block.
    #[inline(always)]
    fn columns<S: Simd, const V: usize>(&mut self, simd: S, block: &[T], at: usize) {
        let (period, len) = (self.pivot.len(), V * S::F32_LANES);
        let mut accumulators = [[simd.splat_f32s(0.0); V]; 2];
        let pivot = vectors::<S>(self.pivot, at, len);
        for x in block.chunks_exact(period) {
            let x = &x[at..][..len];
            for v in 0..V {
                let x = simd.sub_f32s(T::load(simd, &x[v * S::F32_LANES..]), pivot[v]);
                accumulators[0][v] = simd.add_f32s(accumulators[0][v], x);
                accumulators[1][v] = simd.mul_add_e_f32s(x, x, accumulators[1][v]);
            }
        }
        for (few, accumulators) in self.few.chunks_exact_mut(period).zip(accumulators) {
            vectors_mut::<S>(few, at, len).copy_from_slice(&accumulators);
        }
    }
}
