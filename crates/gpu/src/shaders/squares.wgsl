// Sums of squares of parts of a buffer: a workgroup a part.

struct P {
    at: array<vec4<u32>, 2>,
    first: u32,
    count: u32,
    share: u32,
    to: u32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = group.x * p.share + lane; i < min(p.count, (group.x + 1u) * p.share); i += 256u) {
        let v = x[p.at[0].x + p.first + i];
        sum += v * v;
    }
    sum = sum_of_all(lane, sum);
    if lane == 0u {
        sums[p.at[0].y + p.to + group.x] = sum;
    }
}
