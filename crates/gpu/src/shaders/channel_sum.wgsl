// The sum of all pixels of a channel, of all films: the gradient to a bias. A workgroup a channel.

struct P {
    at: array<vec4<u32>, 2>,
    films: u32,
    channels: u32,
    pixels: u32,
    add: u32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> dy: array<Y>;
@group(0) @binding(2) var<storage, read_write> sum: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.x;
    var v = 0.0;
    for (var i = lane; i < p.films * p.pixels; i += 256u) {
        v += f32(dy[p.at[0].x + (i / p.pixels * p.channels + channel) * p.pixels + i % p.pixels]);
    }
    v = sum_of_all(lane, v);
    if lane == 0u {
        if p.add != 0u {
            v += sum[p.at[0].y + channel];
        }
        sum[p.at[0].y + channel] = v;
    }
}
