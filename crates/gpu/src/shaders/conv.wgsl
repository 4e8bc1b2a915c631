// Convolution as a product of matrices that are never written down: the weights, [output channels, window], by the
// windows of all pixels, [window, output pixels]. A window runs over channels, rows, columns, as the weights lie.

struct P {
    at: array<vec4<u32>, 2>,
    rows: u32,
    columns: u32,
    depth: u32,
    share: u32,
    shares: u32,
    weight: u32,
    // Input and output channels of a group, and of all groups.
    inner: u32,
    outer: u32,
    c_in: u32,
    c_out: u32,
    @align(16) window: Window,
    @align(16) f: F,
}

@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> x: array<X>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Y>;
@group(0) @binding(4) var<storage, read_write> added: array<Y>;
@group(0) @binding(5) var<storage, read_write> running: array<f32>;

var<private> of_group: u32;
// Of four output pixels: the first pixel of the window, and where the film's channels begin.
var<private> top_row: vec4<i32>;
var<private> left_column: vec4<i32>;
var<private> film: vec4<u32>;

fn begin(part: u32, column: u32) {
    of_group = part / p.shares;
    for (var j = 0u; j < 4u; j++) {
        let c = column + j;
        let pixel = c % (p.window.out_h * p.window.out_w);
        top_row[j] = i32(pixel / p.window.out_w * p.window.stride_h) - p.window.top;
        left_column[j] = i32(pixel % p.window.out_w * p.window.stride_w) - p.window.left;
        film[j] = p.at[0].x + (c / (p.window.out_h * p.window.out_w) * p.c_in + of_group * p.inner) * p.window.h * p.window.w;
        if c >= p.columns {
            // Above any image.
            top_row[j] = -0x10000000;
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
    let start = p.at[0].y + p.weight + (of_group * p.outer + row) * p.depth + k;
    return vec4(
        weight(row, start),
        weight(row + 1u, start + p.depth),
        weight(row + 2u, start + 2u * p.depth),
        weight(row + 3u, start + 3u * p.depth),
    );
}

fn pixel(row: i32, column: i32, channel: u32) -> f32 {
    if row >= 0 && row < i32(p.window.h) && column >= 0 && column < i32(p.window.w) {
        return f32(x[channel + u32(row) * p.window.w + u32(column)]);
    }
    return 0.0;
}

fn right(k: u32) -> vec4<f32> {
    let taps = p.window.kernel_h * p.window.kernel_w;
    let tap = k % taps;
    let channel = film + vec4(k / taps * p.window.h * p.window.w);
    let row = top_row + vec4(i32(tap / p.window.kernel_w));
    let column = left_column + vec4(i32(tap % p.window.kernel_w));
    return vec4(
        pixel(row.x, column.x, channel.x),
        pixel(row.y, column.y, channel.y),
        pixel(row.z, column.z, channel.z),
        pixel(row.w, column.w, channel.w),
    );
}

fn put_one(channel: u32, column: u32, v: f32) {
    if column < p.columns {
        let pixels = p.window.out_h * p.window.out_w;
        let place = (column / pixels * p.c_out + channel) * pixels + column % pixels;
        y[p.at[0].z + place] = Y(finish(p.f, v, channel, place));
    }
}

fn put(row: u32, column: u32, v: vec4<f32>) {
    if row < p.rows {
        let channel = of_group * p.outer + row;
        put_one(channel, column, v.x);
        put_one(channel, column + 1u, v.y);
        put_one(channel, column + 2u, v.z);
        put_one(channel, column + 3u, v.w);
    }
}
