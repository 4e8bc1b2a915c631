// Mean and inverse deviation of each channel, of the parts that `statistics` left (Chan, Golub & LeVeque 1979), and what
// they make of the running ones. PyTorch keeps the unbiased variance and normalises with the biased one.

struct P {
    at: array<vec4<u32>, 2>,
    channels: u32,
    count: u32,
    share: u32,
    parts: u32,
    mean: u32,
    variance: u32,
    momentum: f32,
    epsilon: f32,
    unbiased: f32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> saved: array<f32>;
@group(0) @binding(3) var<storage, read_write> running: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let channel = id.x;
    if channel >= p.channels {
        return;
    }
    var mean = 0.0;
    var squares = 0.0;
    var before = 0.0;
    for (var i = 0u; i < p.parts; i++) {
        let place = p.at[0].x + (channel * p.parts + i) * 2u;
        let own = f32(min(p.share, p.count - i * p.share));
        let all = before + own;
        let apart = parts[place] - mean;
        mean += apart * (own / all);
        squares += parts[place + 1u] + apart * apart * (before * own / all);
        before = all;
    }
    let variance = squares / f32(p.count);
    saved[p.at[0].y + channel] = mean;
    saved[p.at[0].y + p.channels + channel] = 1.0 / sqrt(variance + p.epsilon);
    let m = p.at[0].z + p.mean + channel;
    let v = p.at[0].z + p.variance + channel;
    running[m] = (1.0 - p.momentum) * running[m] + p.momentum * mean;
    running[v] = (1.0 - p.momentum) * running[v] + p.momentum * variance * p.unbiased;
}
