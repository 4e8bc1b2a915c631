//! The pixels that a task reads, copied once to where each pixel of the window is an offset: *planes*, a phase of the stride each, of
//! lines with zeros between them and lines of zeros between films.
//!
//! Results are counted through all lines, the zeros between them too (*flat*): result `i` and a pixel of the window read flat
//! pixel `i` plus what is of the pixel alone. What is computed of zeros between lines is no result and goes nowhere.

use crate::arch::{PAIRS, SIDE, Steps};
use crate::conv::ConvShape;
use crate::conv::gather::forward_taps;
use crate::stored::Stored;

/// A pixel of the window: in which phase of the source, and how far from the result's own row and column there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub(super) phase: [usize; 2],
    pub(super) row: isize,
    pub(super) column: isize,
}

/// Those of the forward direction.
pub(super) fn forward_reaches(shape: &ConvShape) -> Vec<Reach> {
    let cut = |at: isize, stride: usize| {
        let stride = stride as isize;
        (at.rem_euclid(stride) as usize, at.div_euclid(stride))
    };
    let reach = |tap: crate::conv::gather::Tap| {
        let ((vertical, row), (horizontal, column)) = (cut(tap.row, shape.stride[0]), cut(tap.column, shape.stride[1]));
        Reach { phase: [vertical, horizontal], row, column }
    };
    forward_taps(shape).into_iter().map(reach).collect()
}

/// How planes are laid out.
#[derive(Clone, Debug)]
pub(super) struct Planes {
    /// Height, width and channels of a film.
    source: [usize; 3],
    stride: [usize; 2],
    /// Rows and columns of a film's results.
    pub(super) results: [usize; 2],
    /// Those that are reached.
    phases: Vec<[usize; 2]>,
    /// Plane and flat offset of each pixel of the window.
    reaches: Vec<(usize, usize)>,
    /// The first row and column that are reached.
    least: [isize; 2],
    /// Pixels of a line.
    pub(super) line: usize,
    /// Lines from one film to the next.
    pub(super) film: usize,
    /// Pairs of a pixel: whole tiles.
    pub(super) pixel: usize,
    /// The largest flat offset.
    pub(super) furthest: usize,
}

/// Rows of results, counted through all films.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    first: usize,
    rows: usize,
    /// Of 32 flat results.
    pub(super) blocks: usize,
}

impl Planes {
    /// For films `[h, w, c]` and so many rows and columns of results, which see `reaches`.
    pub(super) fn new(source: [usize; 3], stride: [usize; 2], results: [usize; 2], reaches: &[Reach]) -> Self {
        let edge = |of: fn(&Reach) -> isize| {
            let all = || reaches.iter().map(of);
            [all().min().unwrap_or(0), all().max().unwrap_or(0)]
        };
        let edges = [edge(|reach| reach.row), edge(|reach| reach.column)];
        let least = edges.map(|[least, _]| least);
        // Zeros after one line are those before the next: as many as the wider side wants, and room for every result.
        let [film, line] = [0, 1].map(|axis| {
            let ([least, most], results) = (edges[axis], results[axis]);
            let plane = source[axis].div_ceil(stride[axis]);
            (plane + (-least).max(0) as usize).max(results + most.max(0) as usize)
        });
        let mut phases: Vec<[usize; 2]> = Vec::new();
        let reaches: Vec<(usize, usize)> = reaches
            .iter()
            .map(|reach| {
                let known = phases.iter().position(|phase| *phase == reach.phase);
                let phase = known.unwrap_or_else(|| {
                    phases.push(reach.phase);
                    phases.len() - 1
                });
                (phase, (reach.row - least[0]) as usize * line + (reach.column - least[1]) as usize)
            })
            .collect();
        let furthest = reaches.iter().map(|(_, offset)| *offset).max().unwrap_or(0);
        let pixel = source[2].next_multiple_of(SIDE) / 2;
        Planes { source, stride, results, phases, reaches, least, line, film, pixel, furthest }
    }

    pub(super) fn task(&self, first: usize, rows: usize) -> Task {
        let [_, columns] = self.results;
        let mut task = Task { first, rows, blocks: 0 };
        if rows > 0 && columns > 0 {
            task.blocks = (self.flat(&task, rows - 1) + columns).div_ceil(SIDE);
        }
        task
    }

    /// The first flat result of a row of a task.
    fn flat(&self, task: &Task, row: usize) -> usize {
        let [rows, _] = self.results;
        let row = task.first + row;
        ((row / rows - task.first / rows) * self.film + row % rows - task.first % rows) * self.line
    }

    /// For each flat result what `place` says of its row, counted from the task's first, and column; `None` where it is none.
    pub(super) fn places(&self, task: &Task, place: impl Fn(usize, usize) -> usize) -> Vec<Option<usize>> {
        let mut places = vec![None; task.blocks * SIDE];
        for row in 0..task.rows {
            let flat = &mut places[self.flat(task, row)..][..self.results[1]];
            flat.iter_mut().enumerate().for_each(|(column, to)| *to = Some(place(row, column)));
        }
        places
    }

    /// Lines of a plane of a task: those that some block reads.
    fn lines(&self, task: &Task) -> usize {
        (task.blocks * SIDE + self.furthest).div_ceil(self.line)
    }

    /// Pairs of a plane.
    fn plane(&self, task: &Task) -> usize {
        self.lines(task) * self.line * self.pixel
    }

    /// Floats of scratch that [`Planes::fill`] takes.
    pub(super) fn room(&self, task: &Task) -> usize {
        self.phases.len() * self.plane(task) + PAIRS
    }

    /// Planes of `x` `[n, h, w, c]`, one after another.
    pub(super) fn fill<'a, T: Stored>(&self, task: &Task, x: &[T], room: &'a mut [f32]) -> &'a mut [f32] {
        let planes = &mut aligned(room)[..self.phases.len() * self.plane(task)];
        let ([h, w, c], [rows, _]) = (self.source, self.results);
        for (phase, plane) in self.phases.iter().zip(planes.chunks_exact_mut(self.plane(task).max(1))) {
            for (i, line) in plane.chunks_exact_mut(self.line * self.pixel).enumerate() {
                let row = i as isize + self.least[0] + (task.first % rows) as isize;
                let film = (task.first / rows) as isize + row.div_euclid(self.film as isize);
                let row = row.rem_euclid(self.film as isize) as usize * self.stride[0] + phase[0];
                let film = usize::try_from(film).ok().and_then(|film| x.get(film * h * w * c..));
                match film.filter(|film| row < h && film.len() >= h * w * c) {
                    Some(film) => self.fill_line(phase[1], &film[row * w * c..][..w * c], line),
                    None => line.fill(0.0),
                }
            }
        }
        planes
    }

    /// A line of pixels of a row, zeros before and after it.
    fn fill_line<T: Stored>(&self, phase: usize, row: &[T], line: &mut [f32]) {
        let ([_, w, c], stride) = (self.source, self.stride[1]);
        let (before, skipped) = ((-self.least[1]).max(0) as usize, self.least[1].max(0) as usize);
        let there = w.saturating_sub(phase).div_ceil(stride).saturating_sub(skipped).min(self.line - before);
        let (zeros, line) = line.split_at_mut(before * self.pixel);
        let (pixels, rest) = line.split_at_mut(there * self.pixel);
        zeros.fill(0.0);
        rest.fill(0.0);
        if there == 0 {
            return;
        }
        let pixels: &mut [T] = bytemuck::cast_slice_mut(pixels);
        let from = &row[(phase + skipped * stride) * c..];
        if stride == 1 && c == 2 * self.pixel {
            pixels.copy_from_slice(&from[..pixels.len()]);
            return;
        }
        for (to, from) in pixels.chunks_exact_mut(2 * self.pixel).zip(from.chunks(stride * c)) {
            let (own, rest) = to.split_at_mut(c);
            own.copy_from_slice(&from[..c]);
            rest.fill(T::default());
        }
    }

    /// Which pairs of the planes each step of depth takes: those of a pixel of the window, then those of the next.
    pub(super) fn steps(&self, task: &Task) -> Steps {
        let plane = self.plane(task);
        let places = self.reaches.iter().flat_map(|(phase, offset)| {
            (0..self.pixel / PAIRS).map(move |step| phase * plane + offset * self.pixel + step * PAIRS)
        });
        Steps::new(places.collect())
    }

    /// Plane and flat offset of each pixel of the window.
    pub(super) fn reaches(&self) -> &[(usize, usize)] {
        &self.reaches
    }

    /// How many planes there are.
    pub(super) fn count(&self) -> usize {
        self.phases.len()
    }
}

/// From the beginning of a cache line on: a row of a tile that lies in two takes twice as long. At most 15 floats are skipped.
pub(super) fn aligned(room: &mut [f32]) -> &mut [f32] {
    let skipped = room.as_ptr().align_offset(PAIRS * size_of::<f32>());
    &mut room[skipped..]
}
