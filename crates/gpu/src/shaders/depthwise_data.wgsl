// The gradient of a depthwise convolution to what it reads: a thread for each input pixel.

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    weight: u32,
    channels: u32,
    add: u32,
    @align(16) window: Window,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> dy: array<Y>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<X>;

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
    let plane = place / (p.window.h * p.window.w);
    let row = i32(place % (p.window.h * p.window.w) / p.window.w) + p.window.top;
    let column = i32(place % (p.window.h * p.window.w) % p.window.w) + p.window.left;
    let taps = p.at[0].y + p.weight + plane % p.channels * p.window.kernel_h * p.window.kernel_w;
    let image = p.at[0].x + plane * p.window.out_h * p.window.out_w;
    let stride_h = i32(p.window.stride_h);
    let stride_w = i32(p.window.stride_w);
    var sum = 0.0;
    for (var i = 0u; i < p.window.kernel_h; i++) {
        let r = row - i32(i);
        if r < 0 || r % stride_h != 0 || r / stride_h >= i32(p.window.out_h) {
            continue;
        }
        for (var j = 0u; j < p.window.kernel_w; j++) {
            let c = column - i32(j);
            if c >= 0 && c % stride_w == 0 && c / stride_w < i32(p.window.out_w) {
                sum += f32(dy[image + u32(r / stride_h) * p.window.out_w + u32(c / stride_w)]) * weights[taps + i * p.window.kernel_w + j];
            }
        }
    }
    if p.add != 0u {
        sum += f32(dx[p.at[0].z + place]);
    }
    dx[p.at[0].z + place] = X(sum);
}
