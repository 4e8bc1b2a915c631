// Largest value in each window: a thread for each output pixel.

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    @align(16) window: Window,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> x: array<X>;
@group(0) @binding(2) var<storage, read_write> y: array<Y>;

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
    let pixels = p.window.out_h * p.window.out_w;
    let image = p.at[0].x + i / pixels * p.window.h * p.window.w;
    let top = i32(i % pixels / p.window.out_w * p.window.stride_h) - p.window.top;
    let left = i32(i % pixels % p.window.out_w * p.window.stride_w) - p.window.left;
    var largest = 0.0;
    var none = true;
    for (var row = max(top, 0); row < min(top + i32(p.window.kernel_h), i32(p.window.h)); row++) {
        for (var column = max(left, 0); column < min(left + i32(p.window.kernel_w), i32(p.window.w)); column++) {
            let v = f32(x[image + u32(row) * p.window.w + u32(column)]);
            // A NaN is larger than anything, as in PyTorch.
            if none || v > largest || v != v {
                largest = v;
                none = false;
            }
        }
    }
    y[p.at[0].y + i] = Y(largest);
}
