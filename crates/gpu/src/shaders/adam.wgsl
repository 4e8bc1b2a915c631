// One step of Adam or AdamW, with torch.optim.Adam's arithmetic: a thread a parameter.

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    first: u32,
    moment: u32,
    step_size: f32,
    root: f32,
    epsilon: f32,
    to_m: f32,
    beta2: f32,
    to_v: f32,
    shrink: f32,
    decay: f32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> params: array<f32>;
@group(0) @binding(2) var<storage, read_write> grads: array<f32>;
@group(0) @binding(3) var<storage, read_write> m: array<f32>;
@group(0) @binding(4) var<storage, read_write> v: array<f32>;

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
    let place = p.first + i;
    let moment = p.moment + i;
    let old = params[p.at[0].x + place];
    let g = grads[p.at[0].y + place] + p.decay * old;
    let first = m[p.at[0].z + moment] + p.to_m * (g - m[p.at[0].z + moment]);
    let second = v[p.at[0].w + moment] * p.beta2 + p.to_v * g * g;
    m[p.at[0].z + moment] = first;
    v[p.at[0].w + moment] = second;
    params[p.at[0].x + place] = old * p.shrink - p.step_size * (first / (sqrt(second) / p.root + p.epsilon));
}
