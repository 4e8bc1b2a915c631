// Pixels of a byte, gray or red, green and blue, as values about 0: a thread a value.

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    pixels: u32,
    // Bytes a pixel: 1 or 3.
    bytes: u32,
    @align(16) mean: vec3<f32>,
    deviation: vec3<f32>,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> films: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<Y>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = element(group, groups, lane);
    if i >= p.count {
        return;
    }
    let channel = i / p.pixels % 3u;
    let pixel = i / p.pixels / 3u * p.pixels + i % p.pixels;
    var byte = pixel;
    if p.bytes == 3u {
        byte = pixel * 3u + channel;
    }
    let v = f32((films[byte / 4u] >> (byte % 4u * 8u)) & 255u);
    y[p.at[0].y + i] = Y((v / 255.0 - p.mean[channel]) / p.deviation[channel]);
}
