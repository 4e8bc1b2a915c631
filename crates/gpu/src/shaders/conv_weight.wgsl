// The gradient of a convolution to its weights: the gradients of all output pixels, [output channels, output pixels], by
// the windows they saw, [output pixels, window]. The pixels are many and the weights few, so several workgroups sum a
// share of the pixels each; `sum_parts` adds the shares.

struct P {
    at: array<vec4<u32>, 2>,
    rows: u32,
    columns: u32,
    depth: u32,
    share: u32,
    shares: u32,
    inner: u32,
    outer: u32,
    c_in: u32,
    c_out: u32,
    @align(16) window: Window,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> dy: array<Y>;
@group(0) @binding(2) var<storage, read_write> x: array<X>;
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;

var<private> of_group: u32;
var<private> of_share: u32;
// Of four weights: row and column in the window, less the padding, and the channel's place in a film.
var<private> window_row: vec4<i32>;
var<private> window_column: vec4<i32>;
var<private> channel: vec4<u32>;

fn begin(part: u32, column: u32) {
    of_group = part / p.shares;
    of_share = part % p.shares;
    for (var j = 0u; j < 4u; j++) {
        let c = column + j;
        let tap = c % (p.window.kernel_h * p.window.kernel_w);
        window_row[j] = i32(tap / p.window.kernel_w) - p.window.top;
        window_column[j] = i32(tap % p.window.kernel_w) - p.window.left;
        channel[j] = (of_group * p.inner + c / (p.window.kernel_h * p.window.kernel_w)) * p.window.h * p.window.w;
        if c >= p.columns {
            window_row[j] = -0x10000000;
        }
    }
}

fn gradient(row: u32, place: u32) -> f32 {
    if row < p.rows {
        return f32(dy[place]);
    }
    return 0.0;
}

fn left(row: u32, k: u32) -> vec4<f32> {
    let pixels = p.window.out_h * p.window.out_w;
    let start = p.at[0].x + (k / pixels * p.c_out + of_group * p.outer + row) * pixels + k % pixels;
    return vec4(
        gradient(row, start),
        gradient(row + 1u, start + pixels),
        gradient(row + 2u, start + 2u * pixels),
        gradient(row + 3u, start + 3u * pixels),
    );
}

fn pixel(row: i32, column: i32, channel: u32) -> f32 {
    if row >= 0 && row < i32(p.window.h) && column >= 0 && column < i32(p.window.w) {
        return f32(x[channel + u32(row) * p.window.w + u32(column)]);
    }
    return 0.0;
}

fn right(k: u32) -> vec4<f32> {
    let pixels = p.window.out_h * p.window.out_w;
    let place = channel + vec4(p.at[0].y + k / pixels * p.c_in * p.window.h * p.window.w);
    let row = window_row + vec4(i32(k % pixels / p.window.out_w * p.window.stride_h));
    let column = window_column + vec4(i32(k % pixels % p.window.out_w * p.window.stride_w));
    return vec4(
        pixel(row.x, column.x, place.x),
        pixel(row.y, column.y, place.y),
        pixel(row.z, column.z, place.z),
        pixel(row.w, column.w, place.w),
    );
}

fn put_one(place: u32, column: u32, v: f32) {
    if column < p.columns {
        parts[place + column] = v;
    }
}

fn put(row: u32, column: u32, v: vec4<f32>) {
    if row < p.rows {
        let start = p.at[0].z + (of_share * p.c_out + of_group * p.outer + row) * p.columns;
        put_one(start, column, v.x);
        put_one(start, column + 1u, v.y);
        put_one(start, column + 2u, v.z);
        put_one(start, column + 3u, v.w);
    }
}
