// The gradient of a max-pooling: to the first largest value of each window, as in PyTorch. A thread for each input pixel
// looks into all windows that hold it.

struct P {
    at: array<vec4<u32>, 2>,
    count: u32,
    add: u32,
    @align(16) window: Window,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> x: array<X>;
@group(0) @binding(2) var<storage, read_write> y: array<Y>;
@group(0) @binding(3) var<storage, read_write> dy: array<Y>;
@group(0) @binding(4) var<storage, read_write> dx: array<X>;

// Whether nothing before it in the window is as large.
fn first_of(image: u32, top: i32, left: i32, own_row: i32, own_column: i32, largest: f32) -> bool {
    for (var row = max(top, 0); row <= own_row; row++) {
        for (var column = max(left, 0); column < min(left + i32(p.window.kernel_w), i32(p.window.w)); column++) {
            if row == own_row && column >= own_column {
                return true;
            }
            if f32(x[image + u32(row) * p.window.w + u32(column)]) == largest {
                return false;
            }
        }
    }
    return true;
}

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
    let pixels = p.window.h * p.window.w;
    let plane = i / pixels;
    let image = p.at[0].x + plane * pixels;
    let row = i32(i % pixels / p.window.w);
    let column = i32(i % pixels % p.window.w);
    let own = f32(x[p.at[0].x + i]);
    let stride_h = i32(p.window.stride_h);
    let stride_w = i32(p.window.stride_w);
    // The first and the last window that hold it.
    let first_row = max(0, (row + p.window.top - i32(p.window.kernel_h) + stride_h) / stride_h);
    let first_column = max(0, (column + p.window.left - i32(p.window.kernel_w) + stride_w) / stride_w);
    let last_row = min(i32(p.window.out_h) - 1, (row + p.window.top) / stride_h);
    let last_column = min(i32(p.window.out_w) - 1, (column + p.window.left) / stride_w);
    var sum = 0.0;
    for (var out_row = first_row; out_row <= last_row; out_row++) {
        for (var out_column = first_column; out_column <= last_column; out_column++) {
            let place = (plane * p.window.out_h + u32(out_row)) * p.window.out_w + u32(out_column);
            if f32(y[p.at[0].y + place]) == own
                && first_of(image, out_row * stride_h - p.window.top, out_column * stride_w - p.window.left, row, column, own)
            {
                sum += f32(dy[p.at[0].z + place]);
            }
        }
    }
    if p.add != 0u {
        sum += f32(dx[p.at[0].w + i]);
    }
    dx[p.at[0].w + i] = X(sum);
}
