// Mean and sum of squared deviations of parts of a channel: a workgroup a part. `statistics_end` puts them together.

struct P {
    at: array<vec4<u32>, 2>,
    channels: u32,
    pixels: u32,
    // Pixels of all films, and how many of them a part has.
    count: u32,
    share: u32,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> x: array<X>;
@group(0) @binding(2) var<storage, read_write> parts: array<f32>;

fn pixel(channel: u32, i: u32) -> f32 {
    return f32(x[p.at[0].x + (i / p.pixels * p.channels + channel) * p.pixels + i % p.pixels]);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = group.y;
    let first = group.x * p.share;
    let end = min(p.count, first + p.share);
    var sum = 0.0;
    for (var i = first + lane; i < end; i += 256u) {
        sum += pixel(channel, i);
    }
    let mean = sum_of_all(lane, sum) / f32(end - first);
    var squares = 0.0;
    for (var i = first + lane; i < end; i += 256u) {
        let off = pixel(channel, i) - mean;
        squares += off * off;
    }
    squares = sum_of_all(lane, squares);
    if lane == 0u {
        let place = p.at[0].y + (channel * groups.x + group.x) * 2u;
        parts[place] = mean;
        parts[place + 1u] = squares;
    }
}
