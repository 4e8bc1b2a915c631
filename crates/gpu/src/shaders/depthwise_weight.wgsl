// The gradient of a depthwise convolution to its weights: a workgroup for each of them.

struct P {
    at: array<vec4<u32>, 2>,
    films: u32,
    channels: u32,
    add: u32,
    @align(16) window: Window,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> dy: array<Y>;
@group(0) @binding(2) var<storage, read_write> x: array<X>;
@group(0) @binding(3) var<storage, read_write> dw: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.y;
    let tap = group.x;
    let pixels = p.window.out_h * p.window.out_w;
    let top = i32(tap / p.window.kernel_w) - p.window.top;
    let left = i32(tap % p.window.kernel_w) - p.window.left;
    var sum = 0.0;
    for (var i = lane; i < p.films * pixels; i += 256u) {
        let plane = i / pixels * p.channels + channel;
        let row = i32(i % pixels / p.window.out_w * p.window.stride_h) + top;
        let column = i32(i % pixels % p.window.out_w * p.window.stride_w) + left;
        if row >= 0 && row < i32(p.window.h) && column >= 0 && column < i32(p.window.w) {
            sum += f32(dy[p.at[0].x + plane * pixels + i % pixels])
                * f32(x[p.at[0].y + plane * p.window.h * p.window.w + u32(row) * p.window.w + u32(column)]);
        }
    }
    sum = sum_of_all(lane, sum);
    if lane == 0u {
        let place = p.at[0].z + channel * p.window.kernel_h * p.window.kernel_w + tap;
        if p.add != 0u {
            sum += dw[place];
        }
        dw[place] = sum;
    }
}
