//! Where the films of a phase come from: the kept features of the frozen parts, or pixels through the whole network.

use std::ops::Range;

use lungfish_data::{Channels, Loader};
use lungfish_engine::{Input, Plan};

use crate::Error;
use crate::compute::Compute;
use crate::features::Features;
use crate::scorer::{Scorer, input};

/// What a phase trains on, and how its validation runs.
pub(crate) enum Source {
    /// The features of the frozen parts, and the head's inference.
    Features(Box<Features>, Box<Plan<Compute>>),
    /// Pixels through the whole network.
    Pixels(Box<Scorer>),
}

/// The films of an epoch, a step after the other.
pub(crate) enum Batches<'a> {
    /// Rows of each view, `[films, width]`, and the view of each film.
    Features { rows: Vec<&'a [f32]>, views: Vec<usize>, width: usize },
    /// Films decoded ahead, in the epoch's order.
    Pixels(Loader),
}

/// The films of a step.
pub(crate) enum Films {
    Features(Vec<f32>),
    Pixels(Vec<u8>, Channels),
}

impl Batches<'_> {
    /// The films of the next step, given by their indices on the train split.
    pub(crate) fn next(&mut self, indices: &[usize]) -> Result<Films, Error> {
        match self {
            Batches::Features { rows, views, width } => {
                let row = |&i: &usize| &rows[views[i]][i * *width..(i + 1) * *width];
                Ok(Films::Features(indices.iter().flat_map(row).copied().collect()))
            }
            Batches::Pixels(loader) => {
                let (mut pixels, mut channels, mut n) = (Vec::new(), Channels::Gray, 0);
                // A last film by itself comes as a batch of its own and may belong to this step, see `keys::steps`.
                while n < indices.len() {
                    let Some(batch) = loader.next().transpose()? else { break };
                    n += batch.len();
                    channels = batch.channels;
                    pixels.extend(batch.pixels);
                }
                Ok(Films::Pixels(pixels, channels))
            }
        }
    }
}

impl Films {
    /// Some of the `n` films, as the engine takes them.
    pub(crate) fn part(&self, films: &Range<usize>, n: usize) -> Input<'_> {
        fn of<'a, T>(all: &'a [T], films: &Range<usize>, n: usize) -> &'a [T] {
            let each = all.len() / n.max(1);
            &all[films.start * each..films.end * each]
        }
        match self {
            Films::Features(rows) => Input::Values(of(rows, films, n)),
            Films::Pixels(pixels, channels) => input(of(pixels, films, n), *channels),
        }
    }

    /// As the engine takes them.
    pub(crate) fn input(&self) -> Input<'_> {
        match self {
            Films::Features(rows) => Input::Values(rows),
            Films::Pixels(pixels, channels) => input(pixels, *channels),
        }
    }
}
