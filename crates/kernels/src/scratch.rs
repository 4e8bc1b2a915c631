//! Scratch memory of a thread.

use std::cell::RefCell;

/// Memory a thread keeps between calls, so that no call pays for fresh pages. A stack: what is asked for while another is
/// in use, or by work that a waiting rayon thread picks up, has its own.
pub(crate) fn with_scratch<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    thread_local!(static SCRATCH: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) });
    let mut scratch = SCRATCH.with_borrow_mut(|stack| stack.pop().unwrap_or_default());
    if scratch.len() < len {
        scratch.resize(len, 0.0);
    }
    let result = f(&mut scratch[..len]);
    SCRATCH.with_borrow_mut(|stack| stack.push(scratch));
    result
}
