// A buffer towards another: `into += weight * (from - into)`; or, alone, times a factor.

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    first: u32,
    weight: f32,
    alone: u32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> into: array<f32>;
@group(0) @binding(2) var<storage, read_write> other: array<f32>;

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
    let place = p.at[0].x + p.first + i;
    if p.alone != 0u {
        into[place] *= p.weight;
    } else {
        into[place] += p.weight * (other[p.at[0].y + p.first + i] - into[place]);
    }
}
