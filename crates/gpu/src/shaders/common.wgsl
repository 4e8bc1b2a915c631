// What several operators share. Every shader has a struct `P` whose first member is `at`: for each storage buffer, by its
// binding less one, the element at which what it is about begins.
//
// Values of a step lie as single floats or as halves (f16), which stands before each shader: `X` is what the step reads lies
// as, with the gradients to it; `Y` what the step writes, what is added to that, and the gradients from there. They are widened
// as they are read, `f32(x[i])`, and rounded as they are written, `Y(v)`, and computed with in single precision. A buffer of
// `array<f32>` is never of halves: parameters, their gradients and moments, statistics, masks, sums of parts, vectors.

const NONE = 0u;
const RELU = 1u;
const CLIP = 2u;

// A NaN stays NaN, as in PyTorch: it is neither above nor below anything.
fn activate(kind: u32, low: f32, high: f32, v: f32) -> f32 {
    if kind == RELU {
        return select(v, 0.0, v <= 0.0);
    }
    if kind == CLIP {
        return select(select(v, low, v < low), high, v > high);
    }
    return v;
}

// Whether the gradient passes an activation that gave `v`, or was given it.
fn passes(kind: u32, low: f32, high: f32, v: f32) -> bool {
    if kind == RELU {
        return v > 0.0;
    }
    if kind == CLIP {
        return v > low && v < high;
    }
    return true;
}

// Which element a thread has, of a grid of workgroups of 256 in rows.
fn element(group: vec3<u32>, groups: vec3<u32>, lane: u32) -> u32 {
    return (group.y * groups.x + group.x) * 256u + lane;
}
