// Batch normalisation, with the batch's statistics (mean and inverse deviation, `saved`) or the running ones, then another
// value added, then an activation: a thread an element.

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    channels: u32,
    pixels: u32,
    scale: u32,
    shift: u32,
    mean: u32,
    variance: u32,
    trained: u32,
    epsilon: f32,
    has_added: u32,
    kind: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> x: array<X>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Y>;
@group(0) @binding(4) var<storage, read_write> added: array<Y>;
@group(0) @binding(5) var<storage, read_write> running: array<f32>;
@group(0) @binding(6) var<storage, read_write> saved: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = element(group, groups, lane);
    if place >= p.count {
        return;
    }
    let channel = place / p.pixels % p.channels;
    var mean = 0.0;
    var inverse = 0.0;
    if p.trained != 0u {
        mean = saved[p.at[1].y + channel];
        inverse = saved[p.at[1].y + p.channels + channel];
    } else {
        mean = running[p.at[1].x + p.mean + channel];
        inverse = 1.0 / sqrt(running[p.at[1].x + p.variance + channel] + p.epsilon);
    }
    let scale = weights[p.at[0].y + p.scale + channel];
    let shift = weights[p.at[0].y + p.shift + channel];
    var v = (f32(x[p.at[0].x + place]) - mean) * inverse * scale + shift;
    if p.has_added != 0u {
        v += f32(added[p.at[0].w + place]);
    }
    y[p.at[0].z + place] = Y(activate(p.kind, p.low, p.high, v));
}
