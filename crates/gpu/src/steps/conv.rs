//! Convolutions: products of tiles, and those of one channel each by direct loops.

use lungfish_engine::EngineError;
use lungfish_engine::schedule::{BackwardStep, ConvStep, Sliding};

use super::{Run, activation, window};
use crate::kernel::Kernel;
use crate::launch::Numbers;

/// Workgroups that keep a large GPU busy.
const WORKGROUPS: usize = 1024;
/// Most elements of the shares that a gradient to weights is summed in.
const MOST_SHARED: usize = 16 << 20;
/// Rows and columns of a tile.
const SIDE: usize = 64;
/// Depth of a tile.
const DEPTH: usize = 32;

fn depthwise(conv: &ConvStep) -> bool {
    conv.groups > 1 && conv.groups == conv.window.x.c && conv.groups == conv.window.y.c
}

/// A matrix product: rows, columns, depth, and in how many shares the depth is summed.
struct Product {
    rows: usize,
    columns: usize,
    depth: usize,
    share: usize,
    shares: usize,
}

impl Product {
    fn whole(rows: usize, columns: usize, depth: usize) -> Self {
        Product { rows, columns, depth, share: depth.next_multiple_of(DEPTH), shares: 1 }
    }

    fn tiles(&self) -> usize {
        self.rows.div_ceil(SIDE) * self.columns.div_ceil(SIDE)
    }

    fn numbers(&self) -> Numbers {
        Numbers::default().us([self.rows, self.columns, self.depth, self.share, self.shares])
    }

    /// Of all groups: workgroups, and multiplications.
    fn size(&self, groups: usize) -> ([usize; 3], u64) {
        let work = [self.rows, self.columns, self.depth, groups].iter().map(|&side| side as u64).product();
        ([self.columns.div_ceil(SIDE), self.rows.div_ceil(SIDE), groups * self.shares], work)
    }
}

/// The product that is the gradient to the weights. In how many shares it is summed depends on the shape alone.
fn to_weights(conv: &ConvStep, films: usize) -> Product {
    let Sliding { x, y, kernel, .. } = conv.window;
    let (inner, outer) = (x.c / conv.groups, y.c / conv.groups);
    let whole = Product::whole(outer, inner * kernel[0] * kernel[1], films * y.pixels());
    let most = (MOST_SHARED / (y.c * whole.columns)).max(1);
    let wanted = WORKGROUPS.div_ceil(whole.tiles() * conv.groups).min(most);
    let share = whole.depth.div_ceil(wanted).max(SIDE).next_multiple_of(DEPTH);
    Product { share, shares: whole.depth.div_ceil(share), ..whole }
}

pub(super) fn scratch(conv: &ConvStep, films: usize) -> usize {
    if depthwise(conv) { 0 } else { to_weights(conv, films).shares * conv.weight.len() }
}

/// Channels of a group, and of all.
fn channels(numbers: Numbers, conv: &ConvStep) -> Numbers {
    let Sliding { x, y, .. } = conv.window;
    numbers.us([x.c / conv.groups, y.c / conv.groups, x.c, y.c])
}

pub(super) fn forward(run: &mut Run<'_, '_>, conv: &ConvStep) -> Result<(), EngineError> {
    let Sliding { x, y, kernel, .. } = conv.window;
    let step = run.step;
    let added = step.x.get(1).copied();
    let own = added == Some(step.x[0]);
    let views = vec![
        run.view(step.x[0]),
        run.params(),
        run.view(step.y),
        added.filter(|_| !own).and_then(|region| run.view(region)),
        run.buffers(),
    ];
    let finish = |numbers: Numbers| {
        let numbers = numbers.aligned().us([y.c, y.pixels()]);
        let bias = conv.bias.as_ref();
        let numbers = numbers.u(bias.map_or(0, |bias| bias.start)).b(bias.is_some());
        let numbers = match &conv.fold {
            Some(norm) => {
                let places = [&norm.scale, &norm.bias, &norm.mean, &norm.var].map(|range| range.start);
                numbers.us(places).u(1).f(norm.epsilon)
            }
            None => numbers.us([0; 5]).f(0.0),
        };
        let numbers = numbers.u(match added {
            None => 0,
            Some(_) if own => 2,
            Some(_) => 1,
        });
        activation(numbers, conv.activation)
    };
    if depthwise(conv) {
        let numbers = window(Numbers::default().us([run.count(), conv.weight.start]), &conv.window);
        return run.each(Kernel::Depthwise, run.count(), views, finish(numbers));
    }
    let depth = x.c / conv.groups * kernel[0] * kernel[1];
    let product = Product::whole(y.c / conv.groups, run.films.len() * y.pixels(), depth);
    let numbers = window(channels(product.numbers().u(conv.weight.start), conv), &conv.window);
    run.launch(Kernel::Conv, views, finish(numbers), product.size(conv.groups))
}

pub(super) fn backward(
    run: &mut Run<'_, '_>,
    conv: &ConvStep,
    back: &BackwardStep,
    accumulate: bool,
) -> Result<(), EngineError> {
    let Sliding { x, y, kernel, .. } = conv.window;
    let (step, n, dy) = (run.step, run.films.len(), run.dy()?);
    if step.trained {
        let seen = vec![run.view(dy), run.view(step.x[0])];
        if depthwise(conv) {
            let views = [seen, vec![run.grads()?.map(|view| view.from(conv.weight.start))]].concat();
            let numbers = window(Numbers::default().us([n, x.c]).b(accumulate), &conv.window);
            let taps = kernel[0] * kernel[1];
            run.launch(Kernel::DepthwiseWeight, views, numbers, ([taps, x.c, 1], (run.count() * taps) as u64))?;
        } else {
            let product = to_weights(conv, n);
            let parts = run.program.scratch(run.device, product.shares * conv.weight.len())?;
            let views = [seen, vec![Some(parts.clone())]].concat();
            let numbers = window(channels(product.numbers(), conv), &conv.window);
            run.launch(Kernel::ConvWeight, views, numbers, product.size(conv.groups))?;
            let views = vec![Some(parts), run.grads()?.map(|view| view.from(conv.weight.start))];
            let numbers = Numbers::default().us([conv.weight.len(), product.shares]).b(accumulate);
            run.each(Kernel::SumParts, conv.weight.len(), views, numbers)?;
        }
        if let Some(bias) = &conv.bias {
            let views = vec![run.view(dy), run.grads()?.map(|view| view.from(bias.start))];
            let numbers = Numbers::default().us([n, y.c, y.pixels()]).b(accumulate);
            run.launch(Kernel::ChannelSum, views, numbers, ([y.c, 1, 1], run.count() as u64))?;
        }
    }
    let Some(dx) = step.dx[0] else { return Ok(()) };
    let views = vec![run.view(dy), run.params(), run.view(dx)];
    if depthwise(conv) {
        let count = n * x.len();
        let numbers = Numbers::default().us([count, conv.weight.start, x.c]).b(back.accumulate[0]);
        return run.each(Kernel::DepthwiseData, count, views, window(numbers, &conv.window));
    }
    let depth = y.c / conv.groups * kernel[0] * kernel[1];
    let product = Product::whole(x.c / conv.groups, n * x.pixels(), depth);
    let numbers = channels(product.numbers().u(conv.weight.start), conv).b(back.accumulate[0]);
    let numbers = window(numbers, &conv.window);
    run.launch(Kernel::ConvData, views, numbers, product.size(conv.groups))
}
