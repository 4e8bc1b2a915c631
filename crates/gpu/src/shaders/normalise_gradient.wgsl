// The gradients of a trained batch normalisation to what it reads and to what is added: a thread an element. Each goes
// nowhere (0), to a place of its own (1), is added to what is there (2), or lies over the gradient that is read (3).

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    channels: u32,
    pixels: u32,
    scale: u32,
    shift: u32,
    // Where the sums of a channel begin among the parts.
    sums: u32,
    told: u32,
    kind: u32,
    low: f32,
    high: f32,
    to_x: u32,
    to_added: u32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> x: array<X>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Y>;
@group(0) @binding(4) var<storage, read_write> dy: array<Y>;
@group(0) @binding(5) var<storage, read_write> saved: array<f32>;
@group(0) @binding(6) var<storage, read_write> parts: array<f32>;
@group(0) @binding(7) var<storage, read_write> dx: array<X>;
@group(0) @binding(8) var<storage, read_write> dadded: array<Y>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = element(group, groups, lane);
    if place >= p.count {
        return;
    }
    let channel = place / p.pixels % p.channels;
    let mean = saved[p.at[1].x + channel];
    let inverse = saved[p.at[1].x + p.channels + channel];
    let scale = weights[p.at[0].y + p.scale + channel];
    let normalised = (f32(x[p.at[0].x + place]) - mean) * inverse;
    var v = normalised * scale + weights[p.at[0].y + p.shift + channel];
    if p.told != 0u {
        v = f32(y[p.at[0].z + place]);
    }
    let g = select(0.0, f32(dy[p.at[0].w + place]), passes(p.kind, p.low, p.high, v));
    let sums = p.at[1].y + p.sums + channel * 2u;
    let to_x = scale * inverse * (g - parts[sums] - normalised * parts[sums + 1u]);
    if p.to_x == 1u {
        dx[p.at[1].z + place] = X(to_x);
    } else if p.to_x == 2u {
        let to = &dx[p.at[1].z + place];
        *to = X(f32(*to) + to_x);
    } else if p.to_x == 3u {
        dy[p.at[0].w + place] = Y(to_x);
    }
    if p.to_added == 1u {
        dadded[p.at[1].w + place] = Y(g);
    } else if p.to_added == 2u {
        let to = &dadded[p.at[1].w + place];
        *to = Y(f32(*to) + g);
    } else if p.to_added == 3u {
        dy[p.at[0].w + place] = Y(g);
    }
}
