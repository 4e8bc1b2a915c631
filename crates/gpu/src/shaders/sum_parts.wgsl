// The sum of parts that lie one after the other, added in their order: into gradients.

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    parts: u32,
    add: u32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> sum: array<f32>;

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
    for (var part = 0u; part < p.parts; part++) {
        v += parts[p.at[0].x + part * p.count + i];
    }
    if p.add != 0u {
        v += sum[p.at[0].y + i];
    }
    sum[p.at[0].y + i] = v;
}
