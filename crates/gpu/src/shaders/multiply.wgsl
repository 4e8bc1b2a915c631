// Each element times its own factor: what a dropout does, and its gradient.

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    add: u32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> x: array<X>;
@group(0) @binding(2) var<storage, read_write> mask: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Y>;

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
    var v = f32(x[p.at[0].x + i]) * mask[p.at[0].y + i];
    if p.add != 0u {
        v += f32(y[p.at[0].z + i]);
    }
    y[p.at[0].z + i] = Y(v);
}
