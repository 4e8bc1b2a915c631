// The gradient of a batch normalisation that uses its running statistics: `dy * scale / deviation`.

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    channels: u32,
    pixels: u32,
    scale: u32,
    variance: u32,
    epsilon: f32,
    add: u32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> dy: array<Y>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<X>;
@group(0) @binding(4) var<storage, read_write> running: array<f32>;

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
    let inverse = 1.0 / sqrt(running[p.at[0].w + p.variance + channel] + p.epsilon);
    var v = f32(dy[p.at[0].x + place]) * (weights[p.at[0].y + p.scale + channel] * inverse);
    if p.add != 0u {
        v += f32(dx[p.at[0].z + place]);
    }
    dx[p.at[0].z + place] = X(v);
}
