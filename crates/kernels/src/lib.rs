//! CPU kernels for training convolutional networks: plain slices in, plain slices out.
//!
//! Values lie channels-last (NHWC), `f32`, `n` films one after another; convolution weights
//! are handed over as OIHW and kept packed in a [`conv::Filter`]. Every function is safe, takes
//! slices of exactly the length its shape says (a wrong length panics: that is a mistake of the
//! caller's program, never of its user's data), and writes into memory the caller owns.
//!
//! Work is cut by shape and never by the number of threads, and partial sums are added in slot
//! order, so the results are the same bits in a rayon pool of any size.
//!
//! Loops are written once and compiled by `pulp` for each instruction set, chosen between at run time. Convolutions have
//! plain kernels (windows gathered for a product of matrices, direct loops) and fast ones for some shapes, see
//! [`conv::algorithm`]; both are tested against sums in `f64`.

pub mod conv;
pub mod elementwise;
pub mod linear;
pub mod machine;
pub mod norm;
pub mod optim;
pub mod peak;
pub mod pixels;
pub mod pool;
pub mod softmax;

mod act;
mod chunks;
mod prefetch;
mod product;
mod sweep;

/// Runs `f` on a thread of the current rayon pool. Kernels called from there share their work out at once; called from
/// outside, each has to be handed over and waited for, which costs more than a small layer takes.
pub fn in_pool<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| f())
}
