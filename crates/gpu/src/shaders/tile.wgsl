// A product of two matrices that the shader after this one describes: a tile of 64 by 64 elements a workgroup, 4 by 4 a
// thread, 32 deep at a time. `P` has `rows`, `columns`, `depth`, `share` (what part of the depth a workgroup sums) and
// `shares` (how many parts there are). The other shader has:
//
//     fn begin(part: u32, column: u32)            that columns `column` to `column + 3` are next, of this part
//     fn left(row: u32, k: u32) -> vec4<f32>      rows `row` to `row + 3` of the first matrix, at depth `k`
//     fn right(k: u32) -> vec4<f32>               those four columns of the second, at depth `k`
//     fn put(row: u32, column: u32, v: vec4<f32>) takes row `row` of the product, columns `column` to `column + 3`
//
// Beyond the edge of a matrix `left` and `right` give 0, and `put` does nothing.

const SIDE = 64u;
const DEPTH = 32u;

// Each deep slice has 16 fours of rows, and 16 fours of columns.
var<workgroup> left_tile: array<vec4<f32>, 512>;
var<workgroup> right_tile: array<vec4<f32>, 512>;

// Turned from slice to slice, so that threads that write one below another do not wait for each other.
fn place(k: u32, four: u32) -> u32 {
    return k * 16u + ((four + k) & 15u);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let high = lane / 16u;
    let low = lane % 16u;
    let row = group.y * SIDE;
    let column = group.x * SIDE;
    begin(group.z, column + low * 4u);

    let first = (group.z % p.shares) * p.share;
    let end = min(p.depth, first + p.share);
    var row0 = vec4<f32>();
    var row1 = vec4<f32>();
    var row2 = vec4<f32>();
    var row3 = vec4<f32>();
    for (var k = first; k < end; k += DEPTH) {
        // Neighbours read what lies side by side: the first matrix along its depth, the second along its columns.
        var left0 = vec4<f32>();
        var left1 = vec4<f32>();
        var right0 = vec4<f32>();
        var right1 = vec4<f32>();
        if k + low < end {
            left0 = left(row + high * 4u, k + low);
        }
        if k + low + 16u < end {
            left1 = left(row + high * 4u, k + low + 16u);
        }
        if k + high < end {
            right0 = right(k + high);
        }
        if k + high + 16u < end {
            right1 = right(k + high + 16u);
        }
        workgroupBarrier();
        left_tile[place(low, high)] = left0;
        left_tile[place(low + 16u, high)] = left1;
        right_tile[high * 16u + low] = right0;
        right_tile[(high + 16u) * 16u + low] = right1;
        workgroupBarrier();
        for (var i = 0u; i < DEPTH; i++) {
            let x = left_tile[place(i, high)];
            let y = right_tile[i * 16u + low];
            row0 += x.x * y;
            row1 += x.y * y;
            row2 += x.z * y;
            row3 += x.w * y;
        }
    }
    put(row + high * 4u, column + low * 4u, row0);
    put(row + high * 4u + 1u, column + low * 4u, row1);
    put(row + high * 4u + 2u, column + low * 4u, row2);
    put(row + high * 4u + 3u, column + low * 4u, row3);
}
