// The mean over all pixels of a channel: a thread a channel of a film.

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    pixels: u32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> x: array<X>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

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
    var sum = 0.0;
    for (var pixel = 0u; pixel < p.pixels; pixel++) {
        sum += f32(x[p.at[0].x + i * p.pixels + pixel]);
    }
    y[p.at[0].y + i] = sum / f32(p.pixels);
}
