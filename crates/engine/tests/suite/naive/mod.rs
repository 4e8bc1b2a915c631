//! A backend written to be read: what each step means, in plain loops over `[n, c, h, w]`, sums in `f64`, every result
//! rounded once to `f32`. Nothing is packed, shared out or skipped.
//!
//! `operators` is the specification of each operator; this file fetches what a step reads and puts away what it gives. Any
//! other backend is held against it.

mod operators;

use std::ops::Range;

use lungfish_engine::schedule::{Activation, BackwardStep, BatchNormStep, Kind, Schedule, Step};
use lungfish_engine::{AdamUpdate, Backend, Element, EngineError, Input, Normalization, Region, Shape, State};

use operators::*;

#[derive(Clone, Copy, Debug)]
pub struct Naive;

/// A schedule's arena.
pub struct NaiveProgram {
    arena: Vec<f32>,
}

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
        let params = &*state.params;
        let mut learn = |range: &Range<usize>, gradient: &[f64]| {
            if step.trained {
                store(&mut state.grads.as_mut().unwrap()[range.clone()], gradient, accumulate);
            }
        };
        match &step.kind {
            Kind::Conv(conv) => {
                let [dx, dw, db] = conv_gradients(conv, n, step.trained.then(x).as_deref(), &dy, params);
                learn(&conv.weight, &dw);
                if let Some(bias) = &conv.bias {
                    learn(bias, &db);
                }
                vec![dx]
            }
            Kind::BatchNorm(BatchNormStep { norm, .. }) if !step.trained => {
                let var = load(state.buffers, &norm.var);
                vec![normalise_gradient(norm, step.shape, n, &var, &dy, params)]
            }
            Kind::BatchNorm(BatchNormStep { norm, activation }) => {
                let (x, saved) = (x(), self.get(step.saved.unwrap().range(n)));
                let (mean, var) = saved.split_at(step.shape.c);
                // What the activation let through: told by the result where something was added before it.
                let told = match step.x.len() {
                    1 => normalise(norm, step.shape, n, &x, [mean, var], params),
                    _ if *activation == Activation::Identity => dy.clone(),
                    _ => y(),
                };
                let dy = activation_gradient(*activation, &told, &dy);
                let [dx, dscale, dbias] = normalise_gradients(norm, step.shape, n, &x, [mean, var], &dy, params);
                learn(&norm.scale, &dscale);
                learn(&norm.bias, &dbias);
                vec![dx, dy]
            }
            Kind::Activation(activation) => vec![activation_gradient(*activation, &y(), &dy)],
            Kind::Add => vec![dy.clone(), dy],
            Kind::MaxPool(window) => vec![max_pool_gradient(window, n, &x(), &y(), &dy)],
            Kind::AveragePool(shape) => vec![average_pool_gradient(*shape, n, &dy)],
            Kind::Gemm(gemm) => {
                let [dx, dw, db] = gemm_gradients(gemm, n, step.trained.then(x).as_deref(), &dy, params);
                learn(&gemm.weight, &dw);
                learn(&gemm.bias, &db);
                vec![dx]
            }
            Kind::Dropout(_) => {
                let mask = self.get(step.saved.unwrap().range(n));
                vec![dy.iter().zip(&mask).map(|(dy, m)| dy * m).collect()]
            }
            Kind::LogSoftmax(softmax) => vec![log_softmax_gradient(softmax.classes, &y(), &dy)],
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

    fn blend(
        &self,
        into: &mut Vec<f32>,
        from: &Vec<f32>,
        ranges: &[Range<usize>],
        weight: f32,
    ) -> Result<(), EngineError> {
        for place in ranges.iter().cloned().flatten() {
            into[place] += weight * (from[place] - into[place]);
        }
        Ok(())
    }

    fn scale(&self, buffer: &mut Vec<f32>, ranges: &[Range<usize>], factor: f32) -> Result<(), EngineError> {
        ranges.iter().for_each(|range| buffer[range.clone()].iter_mut().for_each(|v| *v *= factor));
        Ok(())
    }
}
