//! A backend written to be read: what each step means, in plain loops over `[n, c, h, w]`, sums in `f64`, every result
//! rounded once to `f32`. Nothing is packed, shared out or skipped.
//!
//! It is the specification of each operator, and what the tests hold any other backend against.

use std::ops::Range;

use lungfish_engine::schedule::{
    Activation, BackwardStep, BatchNormStep, ConvStep, GemmStep, Kind, Norm, Schedule, Sliding, Step, dropout_mask,
};
use lungfish_engine::{AdamUpdate, Backend, Element, EngineError, Input, Normalization, Region, Shape, State};

#[derive(Clone, Copy, Debug)]
pub struct Naive;

/// A schedule's arena.
pub struct NaiveProgram {
    arena: Vec<f32>,
}

/// Values of films, one after the other.
type Values = Vec<f64>;

impl NaiveProgram {
    fn get(&self, range: Range<usize>) -> Values {
        self.arena[range].iter().map(|v| f64::from(*v)).collect()
    }

    fn put(&mut self, range: Range<usize>, values: &[f64], accumulate: bool) {
        store(&mut self.arena[range], values, accumulate);
    }
}

fn store(place: &mut [f32], values: &[f64], accumulate: bool) {
    assert_eq!(place.len(), values.len());
    for (place, value) in place.iter_mut().zip(values) {
        *place = if accumulate { *place + *value as f32 } else { *value as f32 };
    }
}

fn load(buffer: &[f32], range: &Range<usize>) -> Values {
    buffer[range.clone()].iter().map(|v| f64::from(*v)).collect()
}

/// Where element `(film, channel, row, column)` of a value of that shape lies.
fn at(shape: Shape, film: usize, c: usize, h: usize, w: usize) -> usize {
    ((film * shape.c + c) * shape.h + h) * shape.w + w
}

/// All `(film, channel, row, column)` of `n` films, in the order in which they lie.
fn every(n: usize, shape: Shape) -> impl Iterator<Item = [usize; 4]> {
    let Shape { c, h, w } = shape;
    (0..n * c * h * w).map(move |i| [i / (c * h * w), i / (h * w) % c, i / w % h, i % w])
}

/// Row or column of the input under tap `k` of the window at place `o`; `None` in the padding.
fn under(window: &Sliding, o: usize, k: usize, axis: usize) -> Option<usize> {
    let size = [window.x.h, window.x.w][axis];
    (o * window.stride[axis] + k).checked_sub(window.pads[axis]).filter(|i| *i < size)
}

/// The input pixels under an output pixel, each with its tap.
fn pixels_under(window: &Sliding, [h, w]: [usize; 2]) -> Vec<([usize; 2], [usize; 2])> {
    let [kh, kw] = window.kernel;
    let taps = (0..kh * kw).map(|tap| [tap / kw, tap % kw]);
    taps.filter_map(|[i, j]| Some(([i, j], [under(window, h, i, 0)?, under(window, w, j, 1)?]))).collect()
}

fn activate(activation: Activation, v: f64) -> f64 {
    match activation {
        Activation::Identity => v,
        Activation::Relu => v.max(0.0),
        Activation::Clip { min, max } => v.max(f64::from(min)).min(f64::from(max)),
    }
}

/// Whether an activation that gave (or got) `v` lets the gradient through.
fn passes(activation: Activation, v: f64) -> bool {
    match activation {
        Activation::Identity => true,
        Activation::Relu => v > 0.0,
        Activation::Clip { min, max } => v > f64::from(min) && v < f64::from(max),
    }
}

/// `(product of weight [out, in / groups, kh, kw], x)` of every window, forward. `visit` gets each multiplication once, as
/// the places in `y`, `x` and `weight`.
fn every_product(conv: &ConvStep, n: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let ConvStep { window, groups, .. } = conv;
    let (inner, outer) = (window.x.c / groups, window.y.c / groups);
    for [film, c, h, w] in every(n, window.y) {
        for ([i, j], [row, column]) in pixels_under(window, [h, w]) {
            for k in 0..inner {
                let x = at(window.x, film, c / outer * inner + k, row, column);
                let weight = ((c * inner + k) * window.kernel[0] + i) * window.kernel[1] + j;
                visit(at(window.y, film, c, h, w), x, weight);
            }
        }
    }
}

fn conv(conv: &ConvStep, n: usize, x: &[f64], params: &[f32]) -> Values {
    let weight = load(params, &conv.weight);
    let mut y = vec![0.0; n * conv.window.y.len()];
    every_product(conv, n, |to, from, w| y[to] += x[from] * weight[w]);
    if let Some(bias) = &conv.bias {
        let bias = load(params, bias);
        every(n, conv.window.y).zip(&mut y).for_each(|([_, c, ..], y)| *y += bias[c]);
    }
    y
}

/// `scale * (x - mean) / sqrt(var + epsilon) + bias`, a channel at a time.
fn normalise(norm: &Norm, shape: Shape, n: usize, x: &[f64], [mean, var]: [&[f64]; 2], params: &[f32]) -> Values {
    let (scale, bias) = (load(params, &norm.scale), load(params, &norm.bias));
    let one = |([_, c, ..], x): ([usize; 4], &f64)| {
        scale[c] * (x - mean[c]) / (var[c] + f64::from(norm.epsilon)).sqrt() + bias[c]
    };
    every(n, shape).zip(x).map(one).collect()
}

/// Mean and biased variance of each channel.
fn statistics(shape: Shape, n: usize, x: &[f64]) -> [Values; 2] {
    let count = (n * shape.pixels()) as f64;
    let mut mean = vec![0.0; shape.c];
    every(n, shape).zip(x).for_each(|([_, c, ..], x)| mean[c] += x / count);
    let mut var = vec![0.0; shape.c];
    every(n, shape).zip(x).for_each(|([_, c, ..], x)| var[c] += (x - mean[c]).powi(2) / count);
    [mean, var]
}

fn max_pool(window: &Sliding, n: usize, x: &[f64]) -> Values {
    let largest = |[film, c, h, w]: [usize; 4]| {
        let pixels = pixels_under(window, [h, w]).into_iter().map(|(_, [i, j])| x[at(window.x, film, c, i, j)]);
        pixels.fold(f64::NEG_INFINITY, f64::max)
    };
    every(n, window.y).map(largest).collect()
}

fn average_pool(x_shape: Shape, n: usize, x: &[f64]) -> Values {
    let mut y = vec![0.0; n * x_shape.c];
    for ([film, c, ..], x) in every(n, x_shape).zip(x) {
        y[film * x_shape.c + c] += x / x_shape.pixels() as f64;
    }
    y
}

fn gemm(gemm: &GemmStep, x: &[f64], params: &[f32]) -> Values {
    let (weight, bias) = (load(params, &gemm.weight), load(params, &gemm.bias));
    let of_film = |x: &[f64]| {
        let row = |(w, b): (&[f64], &f64)| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b;
        weight.chunks(gemm.inputs).zip(&bias).map(row).collect::<Values>()
    };
    x.chunks(gemm.inputs).flat_map(of_film).collect()
}

fn log_softmax(classes: usize, x: &[f64]) -> Values {
    let of_film = |x: &[f64]| {
        let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum = x.iter().map(|x| (x - most).exp()).sum::<f64>().ln() + most;
        x.iter().map(|x| x - sum).collect::<Values>()
    };
    x.chunks(classes).flat_map(of_film).collect()
}

/// The mask is drawn in the order film, row, column, channel.
fn mask(step: &Step, n: usize, key: [u64; 4]) -> Values {
    let Kind::Dropout(dropout) = &step.kind else { panic!("{} is no dropout", step.name) };
    let Shape { c: channels, h: height, w: width } = step.shape;
    let mut drawn = vec![0.0; n * step.shape.len()];
    dropout_mask(key, dropout, &mut drawn);
    let drawn_for = |[film, c, h, w]: [usize; 4]| ((film * height + h) * width + w) * channels + c;
    every(n, step.shape).map(|place| f64::from(drawn[drawn_for(place)])).collect()
}

impl NaiveProgram {
    fn forward(&mut self, step: &Step, state: &mut State<'_, Vec<f32>>, films: &Range<usize>, key: [u64; 4]) {
        let n = films.len();
        let x = self.get(step.x[0].films(films));
        let other = step.x.get(1).map(|region| self.get(region.films(films)));
        let finish = |mut y: Values, activation: Activation| {
            if let Some(other) = &other {
                y.iter_mut().zip(other).for_each(|(y, other)| *y += other);
            }
            y.iter().map(|y| activate(activation, *y)).collect::<Values>()
        };
        let y = match &step.kind {
            Kind::Conv(step) => {
                let mut y = conv(step, n, &x, state.params);
                if let Some(norm) = &step.fold {
                    let running = [&norm.mean, &norm.var].map(|range| load(state.buffers, range));
                    y = normalise(norm, step.window.y, n, &y, [&running[0], &running[1]], state.params);
                }
                finish(y, step.activation)
            }
            Kind::BatchNorm(BatchNormStep { norm, activation }) => {
                let [mean, var] = if step.trained {
                    let [mean, var] = statistics(step.shape, n, &x);
                    self.put(step.saved.unwrap().range(n), &[mean.clone(), var.clone()].concat(), false);
                    // PyTorch keeps the unbiased variance and normalises with the biased one.
                    let (count, m) = ((n * step.shape.pixels()) as f64, f64::from(norm.momentum));
                    let unbiased: Values = var.iter().map(|v| v * count / (count.max(2.0) - 1.0)).collect();
                    for (range, batch) in [(&norm.mean, &mean), (&norm.var, &unbiased)] {
                        let running = load(state.buffers, range);
                        let moved: Values = running.iter().zip(batch).map(|(r, b)| (1.0 - m) * r + m * b).collect();
                        store(&mut state.buffers[range.clone()], &moved, false);
                    }
                    [mean, var]
                } else {
                    [&norm.mean, &norm.var].map(|range| load(state.buffers, range))
                };
                finish(normalise(norm, step.shape, n, &x, [&mean, &var], state.params), *activation)
            }
            Kind::Activation(activation) => finish(x, *activation),
            Kind::Add => finish(x, Activation::Identity),
            Kind::MaxPool(window) => max_pool(window, n, &x),
            Kind::AveragePool(shape) => average_pool(*shape, n, &x),
            Kind::Gemm(step) => gemm(step, &x, state.params),
            Kind::Dropout(_) => {
                let mask = mask(step, n, key);
                self.put(step.saved.unwrap().films(films), &mask, false);
                x.iter().zip(&mask).map(|(x, m)| x * m).collect()
            }
            Kind::LogSoftmax(step) => log_softmax(step.classes, &x),
        };
        self.put(step.y.films(films), &y, false);
    }

    /// Gradients of the values read come back; those of the parameters go to `state`.
    fn gradients(&self, step: &Step, state: &mut State<'_, Vec<f32>>, n: usize, accumulate: bool) -> Vec<Values> {
        let dy = self.get(step.dy.unwrap().range(n));
        // Read only where the memory plan still has them.
        let x = || self.get(step.x[0].range(n));
        let y = || self.get(step.y.range(n));
        let mut learn = |range: &Range<usize>, gradient: &[f64]| {
            store(&mut state.grads.as_mut().unwrap()[range.clone()], gradient, accumulate);
        };
        match &step.kind {
            Kind::Conv(conv) => {
                if step.trained {
                    let x = x();
                    let mut dw = vec![0.0; conv.weight.len()];
                    every_product(conv, n, |to, from, w| dw[w] += dy[to] * x[from]);
                    learn(&conv.weight, &dw);
                    if let Some(bias) = &conv.bias {
                        let mut db = vec![0.0; bias.len()];
                        every(n, conv.window.y).zip(&dy).for_each(|([_, c, ..], dy)| db[c] += dy);
                        learn(bias, &db);
                    }
                }
                let weight = load(state.params, &conv.weight);
                let mut dx = vec![0.0; n * conv.window.x.len()];
                every_product(conv, n, |to, from, w| dx[from] += dy[to] * weight[w]);
                vec![dx]
            }
            Kind::BatchNorm(BatchNormStep { norm, activation }) => {
                let (shape, scale) = (step.shape, load(state.params, &norm.scale));
                let deviation = |var: &f64| (var + f64::from(norm.epsilon)).sqrt();
                if !step.trained {
                    let var = load(state.buffers, &norm.var);
                    let one = |([_, c, ..], dy): ([usize; 4], &f64)| dy * scale[c] / deviation(&var[c]);
                    return vec![every(n, shape).zip(&dy).map(one).collect()];
                }
                let (x, saved) = (x(), self.get(step.saved.unwrap().range(n)));
                let (mean, var) = saved.split_at(shape.c);
                // What the activation let through: told by the result where something was added before it.
                let told = match step.x.len() {
                    1 => normalise(norm, shape, n, &x, [mean, var], state.params),
                    _ if *activation == Activation::Identity => dy.clone(),
                    _ => y(),
                };
                let dy: Values =
                    dy.iter().zip(&told).map(|(dy, v)| if passes(*activation, *v) { *dy } else { 0.0 }).collect();
                let hat = |c: usize, x: f64| (x - mean[c]) / deviation(&var[c]);
                let (mut dscale, mut dbias) = (vec![0.0; shape.c], vec![0.0; shape.c]);
                for ([_, c, ..], (dy, x)) in every(n, shape).zip(dy.iter().zip(&x)) {
                    dscale[c] += dy * hat(c, *x);
                    dbias[c] += dy;
                }
                learn(&norm.scale, &dscale);
                learn(&norm.bias, &dbias);
                let count = (n * shape.pixels()) as f64;
                let one = |([_, c, ..], (dy, x)): ([usize; 4], (&f64, &f64))| {
                    scale[c] / deviation(&var[c]) * (dy - dbias[c] / count - hat(c, *x) * dscale[c] / count)
                };
                let dx = every(n, shape).zip(dy.iter().zip(&x)).map(one).collect();
                vec![dx, dy]
            }
            Kind::Activation(activation) => {
                let y = y();
                vec![dy.iter().zip(&y).map(|(dy, y)| if passes(*activation, *y) { *dy } else { 0.0 }).collect()]
            }
            Kind::Add => vec![dy.clone(), dy],
            Kind::MaxPool(window) => {
                let (x, y) = (x(), y());
                let mut dx = vec![0.0; n * window.x.len()];
                for ([film, c, h, w], (y, dy)) in every(n, window.y).zip(y.iter().zip(&dy)) {
                    let mut pixels =
                        pixels_under(window, [h, w]).into_iter().map(|(_, [i, j])| at(window.x, film, c, i, j));
                    // The first that is the largest.
                    if let Some(first) = pixels.find(|pixel| x[*pixel] == *y) {
                        dx[first] += dy;
                    }
                }
                vec![dx]
            }
            Kind::AveragePool(shape) => {
                let share = |[film, c, ..]: [usize; 4]| dy[film * shape.c + c] / shape.pixels() as f64;
                vec![every(n, *shape).map(share).collect()]
            }
            Kind::Gemm(gemm) => {
                let (ins, outs) = (gemm.inputs, gemm.outputs);
                if step.trained {
                    let x = x();
                    let (mut dw, mut db) = (vec![0.0; outs * ins], vec![0.0; outs]);
                    for (film, o) in (0..n).flat_map(|film| (0..outs).map(move |o| (film, o))) {
                        db[o] += dy[film * outs + o];
                        (0..ins).for_each(|i| dw[o * ins + i] += dy[film * outs + o] * x[film * ins + i]);
                    }
                    learn(&gemm.weight, &dw);
                    learn(&gemm.bias, &db);
                }
                let weight = load(state.params, &gemm.weight);
                let one = |i: usize| (0..outs).map(|o| dy[i / ins * outs + o] * weight[o * ins + i % ins]).sum();
                vec![(0..n * ins).map(one).collect()]
            }
            Kind::Dropout(_) => {
                let mask = self.get(step.saved.unwrap().range(n));
                vec![dy.iter().zip(&mask).map(|(dy, m)| dy * m).collect()]
            }
            Kind::LogSoftmax(softmax) => {
                let y = y();
                let of_film = |(dy, y): (&[f64], &[f64])| {
                    let sum: f64 = dy.iter().sum();
                    dy.iter().zip(y).map(|(dy, y)| dy - y.exp() * sum).collect::<Values>()
                };
                vec![dy.chunks(softmax.classes).zip(y.chunks(softmax.classes)).flat_map(of_film).collect()]
            }
        }
    }
}

fn fits(what: &str, got: usize, want: usize) -> Result<(), EngineError> {
    if got == want { Ok(()) } else { Err(EngineError::Length { what: what.to_owned(), got, want }) }
}

impl Backend for Naive {
    type Buffer = Vec<f32>;
    type Program = NaiveProgram;

    fn cache(&self) -> Option<usize> {
        None
    }

    fn allocate(&self, element: Element, len: usize) -> Result<Vec<f32>, EngineError> {
        assert_eq!(element, Element::F32);
        let mut buffer = Vec::new();
        let bytes = len.saturating_mul(element.bytes());
        buffer.try_reserve_exact(len).map_err(|_| EngineError::OutOfMemory { bytes })?;
        buffer.resize(len, 0.0);
        Ok(buffer)
    }

    fn upload(&self, buffer: &mut Vec<f32>, offset: usize, host: &[f32]) -> Result<(), EngineError> {
        buffer[offset..offset + host.len()].copy_from_slice(host);
        Ok(())
    }

    fn download(&self, buffer: &Vec<f32>, offset: usize, host: &mut [f32]) -> Result<(), EngineError> {
        host.copy_from_slice(&buffer[offset..offset + host.len()]);
        Ok(())
    }

    fn compile(&self, schedule: &Schedule) -> Result<NaiveProgram, EngineError> {
        Ok(NaiveProgram { arena: self.allocate(Element::F32, schedule.arena / Element::F32.bytes())? })
    }

    fn feed(
        &self,
        program: &mut NaiveProgram,
        (region, shape): (Region, Shape),
        n: usize,
        input: Input<'_>,
        normalization: &Normalization,
    ) -> Result<(), EngineError> {
        let Normalization { mean, std } = *normalization;
        if !matches!(input, Input::Values(_)) && shape.c != 3 {
            return Err(EngineError::Shape { what: format!("pixels are fed to a value of {} channels", shape.c) });
        }
        let byte = |byte: u8, c: usize| (f64::from(byte) / 255.0 - f64::from(mean[c])) / f64::from(std[c]);
        let values: Values = match input {
            Input::Gray(x) => {
                fits("gray pixels", x.len(), n * shape.pixels())?;
                every(n, shape).map(|[film, c, h, w]| byte(x[(film * shape.h + h) * shape.w + w], c)).collect()
            }
            Input::Rgb(x) => {
                fits("RGB pixels", x.len(), n * shape.len())?;
                every(n, shape)
                    .map(|[film, c, h, w]| byte(x[((film * shape.h + h) * shape.w + w) * 3 + c], c))
                    .collect()
            }
            Input::Values(x) => {
                fits("values", x.len(), n * shape.len())?;
                x.iter().map(|x| f64::from(*x)).collect()
            }
        };
        program.put(region.range(n), &values, false);
        Ok(())
    }

    fn forward(
        &self,
        program: &mut NaiveProgram,
        schedule: &Schedule,
        state: &mut State<'_, Vec<f32>>,
        n: usize,
        key: [u64; 4],
    ) -> Result<(), EngineError> {
        for stretch in &schedule.stretches {
            for films in stretch.parts(n) {
                for step in &schedule.steps[stretch.steps.clone()] {
                    program.forward(step, state, &films, key);
                }
            }
        }
        Ok(())
    }

    fn backward(
        &self,
        program: &mut NaiveProgram,
        schedule: &Schedule,
        state: &mut State<'_, Vec<f32>>,
        n: usize,
        steps: &[BackwardStep],
        accumulate: bool,
    ) -> Result<(), EngineError> {
        for back in steps {
            let step = &schedule.steps[back.step];
            // All are known before the first is written: one may lie where the step's own gradient was.
            let gradients = program.gradients(step, state, n, accumulate);
            for ((dx, gradient), add) in step.dx.iter().zip(gradients).zip(&back.accumulate) {
                if let Some(dx) = dx {
                    program.put(dx.range(n), &gradient, *add);
                }
            }
        }
        Ok(())
    }

    fn read(&self, program: &NaiveProgram, (region, _): (Region, Shape), n: usize) -> Result<Vec<f32>, EngineError> {
        Ok(program.arena[region.range(n)].to_vec())
    }

    fn adam(
        &self,
        update: &AdamUpdate,
        ranges: &[(Range<usize>, f64)],
        params: &mut Vec<f32>,
        grads: &Vec<f32>,
        m: &mut Vec<f32>,
        v: &mut Vec<f32>,
    ) -> Result<(), EngineError> {
        let AdamUpdate { beta1, beta2, epsilon, weight_decay, decoupled, step } = *update;
        let places = ranges.iter().flat_map(|(range, lr)| range.clone().map(move |i| (i, *lr)));
        for (moment, (i, lr)) in places.enumerate() {
            let (mut p, mut g) = (f64::from(params[i]), f64::from(grads[i]));
            if decoupled {
                p -= lr * weight_decay * p;
            } else {
                g += weight_decay * p;
            }
            let first = beta1 * f64::from(m[moment]) + (1.0 - beta1) * g;
            let second = beta2 * f64::from(v[moment]) + (1.0 - beta2) * g * g;
            (m[moment], v[moment]) = (first as f32, second as f32);
            let (first, second) = (first / (1.0 - beta1.powf(step as f64)), second / (1.0 - beta2.powf(step as f64)));
            params[i] = (p - lr * first / (second.sqrt() + epsilon)) as f32;
        }
        Ok(())
    }

    fn sum_of_squares(&self, buffer: &Vec<f32>, ranges: &[Range<usize>]) -> Result<f64, EngineError> {
        Ok(ranges.iter().flat_map(|range| &buffer[range.clone()]).map(|v| f64::from(*v).powi(2)).sum())
    }

    fn scale(&self, buffer: &mut Vec<f32>, ranges: &[Range<usize>], factor: f32) -> Result<(), EngineError> {
        ranges.iter().for_each(|range| buffer[range.clone()].iter_mut().for_each(|v| *v *= factor));
        Ok(())
    }
}
