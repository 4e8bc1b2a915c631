// What several operators share. Every shader has a struct `P` whose first member is `at`: for each storage buffer, by its
// binding less one, the element at which what it is about begins.

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
