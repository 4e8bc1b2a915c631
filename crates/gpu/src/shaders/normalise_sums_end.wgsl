// The sums of each channel, of the parts that `normalise_sums` left: the gradients to scale and shift, and, after the
// parts, what `normalise_gradient` needs of them, divided by the number of pixels.

struct P {
    at: array<vec4<u32>, 2>,
    channels: u32,
    count: u32,
    parts: u32,
    scale: u32,
    shift: u32,
    add: u32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> grads: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let channel = id.x;
    if channel >= p.channels {
        return;
    }
    var sum = 0.0;
    var along = 0.0;
    for (var i = 0u; i < p.parts; i++) {
        let place = p.at[0].x + (channel * p.parts + i) * 2u;
        sum += parts[place];
        along += parts[place + 1u];
    }
    let end = p.at[0].x + p.channels * p.parts * 2u + channel * 2u;
    parts[end] = sum / f32(p.count);
    parts[end + 1u] = along / f32(p.count);
    let scale = p.at[0].y + p.scale + channel;
    let shift = p.at[0].y + p.shift + channel;
    if p.add != 0u {
        along += grads[scale];
        sum += grads[shift];
    }
    grads[scale] = along;
    grads[shift] = sum;
}
