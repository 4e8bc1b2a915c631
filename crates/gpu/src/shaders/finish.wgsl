// What a convolution does to a sum before it goes to memory: bias, a batch normalisation with its running statistics,
// another value added, an activation. `F` says which; `weights` are the parameters, `running` the running statistics.

struct F {
    channels: u32,
    pixels: u32,
    bias: u32,
    has_bias: u32,
    scale: u32,
    shift: u32,
    mean: u32,
    variance: u32,
    has_norm: u32,
    epsilon: f32,
    // 0: nothing is added; 1: what `added` holds; 2: what the convolution reads.
    added: u32,
    kind: u32,
    low: f32,
    high: f32,
}

fn finish(f: F, sum: f32, channel: u32, place: u32) -> f32 {
    var v = sum;
    if f.has_bias != 0u {
        v += weights[p.at[0].y + f.bias + channel];
    }
    if f.has_norm != 0u {
        let inverse = 1.0 / sqrt(running[p.at[1].x + f.variance + channel] + f.epsilon);
        let scale = weights[p.at[0].y + f.scale + channel] * inverse;
        v = v * scale + (weights[p.at[0].y + f.shift + channel] - running[p.at[1].x + f.mean + channel] * scale);
    }
    if f.added == 1u {
        v += f32(added[p.at[0].w + place]);
    }
    if f.added == 2u {
        v += f32(x[p.at[0].x + place]);
    }
    return activate(f.kind, f.low, f.high, v);
}
