// The gradient of a convolution to what it reads: the weights, turned to [input channels, output channels and window], by
// the gradients of all output pixels whose windows hold an input pixel.

struct P {
    at: array<vec4<u32>, 2>,
    rows: u32,
    columns: u32,
    depth: u32,
    share: u32,
    shares: u32,
    weight: u32,
    inner: u32,
    outer: u32,
    c_in: u32,
    c_out: u32,
    add: u32,
    @align(16) window: Window,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> dy: array<Y>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<X>;

var<private> of_group: u32;
// Of four input pixels: their places with the padding, and where the film's gradients begin.
var<private> padded_row: vec4<i32>;
var<private> padded_column: vec4<i32>;
var<private> film: vec4<u32>;

fn begin(part: u32, column: u32) {
    of_group = part / p.shares;
    for (var j = 0u; j < 4u; j++) {
        let c = column + j;
        let pixel = c % (p.window.h * p.window.w);
        padded_row[j] = i32(pixel / p.window.w) + p.window.top;
        padded_column[j] = i32(pixel % p.window.w) + p.window.left;
        film[j] = p.at[0].x + (c / (p.window.h * p.window.w) * p.c_out + of_group * p.outer) * p.window.out_h * p.window.out_w;
        if c >= p.columns {
            padded_row[j] = -0x10000000;
        }
    }
}

fn weight(row: u32, place: u32) -> f32 {
    if row < p.rows {
        return weights[place];
    }
    return 0.0;
}

fn left(row: u32, k: u32) -> vec4<f32> {
    let taps = p.window.kernel_h * p.window.kernel_w;
    let start = p.at[0].y + p.weight + ((of_group * p.outer + k / taps) * p.inner + row) * taps + k % taps;
    return vec4(
        weight(row, start),
        weight(row + 1u, start + taps),
        weight(row + 2u, start + 2u * taps),
        weight(row + 3u, start + 3u * taps),
    );
}

fn pixel(row: i32, column: i32, channel: u32) -> f32 {
    if row < 0 || column < 0 {
        return 0.0;
    }
    let out_row = u32(row) / p.window.stride_h;
    let out_column = u32(column) / p.window.stride_w;
    // Between two steps of the window there is nothing.
    if out_row * p.window.stride_h != u32(row) || out_column * p.window.stride_w != u32(column) {
        return 0.0;
    }
    if out_row < p.window.out_h && out_column < p.window.out_w {
        return f32(dy[channel + out_row * p.window.out_w + out_column]);
    }
    return 0.0;
}

fn right(k: u32) -> vec4<f32> {
    let taps = p.window.kernel_h * p.window.kernel_w;
    let channel = film + vec4(k / taps * p.window.out_h * p.window.out_w);
    let row = padded_row - vec4(i32(k % taps / p.window.kernel_w));
    let column = padded_column - vec4(i32(k % taps % p.window.kernel_w));
    return vec4(
        pixel(row.x, column.x, channel.x),
        pixel(row.y, column.y, channel.y),
        pixel(row.z, column.z, channel.z),
        pixel(row.w, column.w, channel.w),
    );
}

fn put_one(row: u32, column: u32, v: f32) {
    if column < p.columns {
        let pixels = p.window.h * p.window.w;
        let to = &dx[p.at[0].z + (column / pixels * p.c_in + of_group * p.inner + row) * pixels + column % pixels];
        if p.add != 0u {
            *to = X(f32(*to) + v);
        } else {
            *to = X(v);
        }
    }
}

fn put(row: u32, column: u32, v: vec4<f32>) {
    if row < p.rows {
        put_one(row, column, v.x);
        put_one(row, column + 1u, v.y);
        put_one(row, column + 2u, v.z);
        put_one(row, column + 3u, v.w);
    }
}
