// The gradient of a mean over pixels: a thread a pixel.

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    pixels: u32,
    add: u32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<X>;

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
    var v = dy[p.at[0].x + i / p.pixels] / f32(p.pixels);
    if p.add != 0u {
        v += f32(dx[p.at[0].y + i]);
    }
    dx[p.at[0].y + i] = X(v);
}
