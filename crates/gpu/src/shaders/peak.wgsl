// Multiply-adds with nothing to wait for: sixteen chains of them a thread, of which none hangs on another.

struct P {
    at: array<vec4<u32>, 2>,
    rounds: u32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = element(group, groups, lane);
    // Nothing that could be worked out beforehand, and nothing that grows.
    let factor = vec4(y[i % 4u] * 0.5 + 0.25);
    let term = vec4(f32(lane) * 1e-3);
    var a = term;
    var b = term + 1.0;
    var c = term + 2.0;
    var d = term + 3.0;
    for (var round = 0u; round < p.rounds; round++) {
        for (var k = 0u; k < 16u; k++) {
            a = fma(a, factor, term);
            b = fma(b, factor, term);
            c = fma(c, factor, term);
            d = fma(d, factor, term);
        }
    }
    let sum = a + b + c + d;
    y[i] = sum.x + sum.y + sum.z + sum.w;
}
