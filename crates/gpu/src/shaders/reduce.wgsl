// The sum of what 256 threads of a workgroup hold, added in a fixed order: the same bits every time.

var<workgroup> summed: array<f32, 256>;

fn sum_of_all(lane: u32, value: f32) -> f32 {
    workgroupBarrier();
    summed[lane] = value;
    for (var half = 128u; half > 0u; half = half / 2u) {
        workgroupBarrier();
        if lane < half {
            summed[lane] += summed[lane + half];
        }
    }
    workgroupBarrier();
    return summed[0];
}
