// Depthwise convolution, each channel by itself: a thread for each output pixel.

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    weight: u32,
    @align(16) window: Window,
    @align(16) f: F,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> x: array<X>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Y>;
@group(0) @binding(4) var<storage, read_write> added: array<Y>;
@group(0) @binding(5) var<storage, read_write> running: array<f32>;

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
    let pixels = p.window.out_h * p.window.out_w;
    let plane = place / pixels;
    let channel = plane % p.f.channels;
    let top = i32(place % pixels / p.window.out_w * p.window.stride_h) - p.window.top;
    let left = i32(place % pixels % p.window.out_w * p.window.stride_w) - p.window.left;
    let taps = p.at[0].y + p.weight + channel * p.window.kernel_h * p.window.kernel_w;
    let image = p.at[0].x + plane * p.window.h * p.window.w;
    var sum = 0.0;
    for (var i = 0u; i < p.window.kernel_h; i++) {
        let row = top + i32(i);
        if row < 0 || row >= i32(p.window.h) {
            continue;
        }
        for (var j = 0u; j < p.window.kernel_w; j++) {
            let column = left + i32(j);
            if column >= 0 && column < i32(p.window.w) {
                sum += f32(x[image + u32(row) * p.window.w + u32(column)]) * weights[taps + i * p.window.kernel_w + j];
            }
        }
    }
    y[p.at[0].z + place] = Y(finish(p.f, sum, channel, place));
}
