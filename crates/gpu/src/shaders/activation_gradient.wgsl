// The gradient of an activation, which its result tells. With `own` it is written over the gradient that is read.

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    kind: u32,
    low: f32,
    high: f32,
    own: u32,
    add: u32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> y: array<Y>;
@group(0) @binding(2) var<storage, read_write> dy: array<Y>;
@group(0) @binding(3) var<storage, read_write> dx: array<X>;

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
    var v = select(0.0, f32(dy[p.at[0].y + i]), passes(p.kind, p.low, p.high, f32(y[p.at[0].x + i])));
    if p.own != 0u {
        dy[p.at[0].y + i] = Y(v);
        return;
    }
    if p.add != 0u {
        v += f32(dx[p.at[0].z + i]);
    }
    dx[p.at[0].z + i] = X(v);
}
