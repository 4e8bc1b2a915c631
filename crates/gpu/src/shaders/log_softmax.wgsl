// Log-probabilities of the classes of a film: a thread a film.

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    classes: u32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
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
    let row = p.at[0].x + i * p.classes;
    var largest = x[row];
    for (var k = 1u; k < p.classes; k++) {
        largest = max(largest, x[row + k]);
    }
    var sum = 0.0;
    for (var k = 0u; k < p.classes; k++) {
        sum += exp(x[row + k] - largest);
    }
    let whole = log(sum);
    for (var k = 0u; k < p.classes; k++) {
        y[p.at[0].y + i * p.classes + k] = x[row + k] - largest - whole;
    }
}
