// The sum of two values, or of one with itself (`twice`).

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    twice: u32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> a: array<X>;
@group(0) @binding(2) var<storage, read_write> b: array<X>;
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
    let v = f32(a[p.at[0].x + i]);
    if p.twice != 0u {
        y[p.at[0].z + i] = Y(v + v);
    } else {
        y[p.at[0].z + i] = Y(v + f32(b[p.at[0].y + i]));
    }
}
