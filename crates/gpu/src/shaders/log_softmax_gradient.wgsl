// The gradient of log-probabilities: `dy - exp(y) * sum(dy)`, a thread a film.

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    classes: u32,
    add: u32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

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
    let row = i * p.classes;
    var sum = 0.0;
    for (var k = 0u; k < p.classes; k++) {
        sum += dy[p.at[0].y + row + k];
    }
    for (var k = 0u; k < p.classes; k++) {
        var v = dy[p.at[0].y + row + k] - exp(y[p.at[0].x + row + k]) * sum;
        if p.add != 0u {
            v += dx[p.at[0].z + row + k];
        }
        dx[p.at[0].z + row + k] = v;
    }
}
