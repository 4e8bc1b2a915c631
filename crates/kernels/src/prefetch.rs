//! Prefetching: memory is asked for before it is read, a hint that changes no result. The one room with `unsafe` code.
//!
//! Processors foresee reading in order, but not beyond a page. Weights that come from memory are so many pages that a film by
//! itself waits for each.

/// Floats of a cache line, on most processors.
const LINE: usize = 16;

/// Asks for `values` to be brought into the inner cache. Does nothing where the processor cannot be asked.
#[inline(always)]
pub(crate) fn prefetch(values: &[f32]) {
    for line in values.chunks(LINE) {
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        // SAFETY: the instruction belongs to SSE, which every x86-64 processor has. It cannot fault whatever the address (this
        // one is a live reference's), and neither reads nor writes anything as far as the program can tell. The standard
        // library's own `hint::prefetch_read` is a safe function, but not yet stable.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = line;
    }
}
