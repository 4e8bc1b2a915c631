// Of the gradients to what a trained batch normalisation gives: their sum, and their sum with the normalised values, of
// parts of a channel. A workgroup a part; `normalise_sums_end` puts them together.

struct P {
    at: array<vec4<u32>, 2>,
    channels: u32,
    pixels: u32,
    count: u32,
    share: u32,
    scale: u32,
    shift: u32,
    // Whether the result tells what the activation let through (something was added before it), or the input does.
    told: u32,
    kind: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> x: array<X>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Y>;
@group(0) @binding(4) var<storage, read_write> dy: array<Y>;
@group(0) @binding(5) var<storage, read_write> saved: array<f32>;
@group(0) @binding(6) var<storage, read_write> parts: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = group.y;
    let mean = saved[p.at[1].x + channel];
    let inverse = saved[p.at[1].x + p.channels + channel];
    let scale = weights[p.at[0].y + p.scale + channel];
    let shift = weights[p.at[0].y + p.shift + channel];
    let first = group.x * p.share;
    let end = min(p.count, first + p.share);
    var sum = 0.0;
    var along = 0.0;
    for (var i = first + lane; i < end; i += 256u) {
        let place = (i / p.pixels * p.channels + channel) * p.pixels + i % p.pixels;
        let normalised = (f32(x[p.at[0].x + place]) - mean) * inverse;
        var v = normalised * scale + shift;
        if p.told != 0u {
            v = f32(y[p.at[0].z + place]);
        }
        if passes(p.kind, p.low, p.high, v) {
            let g = f32(dy[p.at[0].w + place]);
            sum += g;
            along += g * normalised;
        }
    }
    sum = sum_of_all(lane, sum);
    along = sum_of_all(lane, along);
    if lane == 0u {
        let place = p.at[1].y + (channel * groups.x + group.x) * 2u;
        parts[place] = sum;
        parts[place + 1u] = along;
    }
}
