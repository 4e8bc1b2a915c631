// An activation, or a copy where there is none. With `own` it reads where it writes.

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
@group(0) @binding(1) var<storage, read_write> x: array<X>;
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
    var v = 0.0;
    if p.own != 0u {
        v = f32(y[p.at[0].y + i]);
    } else {
        v = f32(x[p.at[0].x + i]);
    }
    v = activate(p.kind, p.low, p.high, v);
    if p.add != 0u {
        v += f32(y[p.at[0].y + i]);
    }
    y[p.at[0].y + i] = Y(v);
}
