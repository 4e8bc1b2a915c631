//! CPU kernels for training convolutional networks: plain slices in, plain slices out.
//!
//! Values lie channels-last (NHWC), `f32` or bfloat16 ([`Stored`]), `n` films one after another; convolution weights
//! are handed over as OIHW and kept packed in a [`conv::Filter`]. Every function is safe, takes
//! slices of exactly the length its shape says (a wrong length panics: that is a mistake of the
//! caller's program, never of its user's data), and writes into memory the caller owns.
//!
//! Work is cut by shape and never by the number of threads, and partial sums are added in slot
//! order, so the results are the same bits in a rayon pool of any size, on one instruction-set path ([`machine::path`]).
//!
//! Loops are written once and compiled by `pulp` for each instruction set, chosen between at run time. Convolutions have
//! plain kernels (windows gathered for a GEMM, direct loops) and fast ones for some shapes, see [`conv::Algorithm`]; both
//! are tested against sums in `f64`.
//!
//! # How the instruction sets' results relate
//!
//! AVX2, AVX-512 and NEON fuse a multiplication and the addition after it into one operation that rounds once. The scalar
//! path rounds twice; where sums of products are taken its bits are others, within the rounding of single floats. Passes that
//! do nothing of the kind (Adam, max-pooling, softmax, the rest of the elementwise ones) have the same bits on every path.
//!
//! AVX2 and AVX-512 take every sum of GEMM, of Winograd's algorithm and of gray films in the same order, so that their bits
//! are the same, with three exceptions, again within the rounding of single floats:
//!
//! - depthwise convolutions whose channels fill no whole vectors: what is left over is not fused, and of longer vectors more
//!   is left over;
//! - gradients of batch normalisations, for the same reason at the end of their rows;
//! - gradients to the weights of some pointwise convolutions, whose partial sums are cut by which operand fills the vectors
//!   better.
//!
//! With values in bfloat16 the paths relate in the same way. Products of pairs are taken by `vdpbf16ps` where the processor has
//! it ([`machine::bf16`]), else by single floats in the same order; what the two make of numbers below 1.2e-38 differs, so that
//! the path has another name ([`machine::bf16_path`]). Where the processor multiplies tiles ([`machine::tiles`]), sums are taken in another
//! order, and 3x3 convolutions by another algorithm: a third path.
//!
//! So a network's results on AVX2 and on AVX-512 are close and, as a rule, not the same bits. `tests/instruction_sets.rs`
//! holds each of these sentences to what the machine does.

#[macro_use]
mod compiled;

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
mod arch;
mod chunks;
mod gemm;
mod prefetch;
mod scratch;
mod stored;
mod sweep;

pub use stored::{Bf16, Stored};

/// Runs `f` on a thread of the current rayon pool. Kernels called from there share their work out at once; called from
/// outside, each has to be handed over and waited for, which costs more than a small layer takes.
pub fn in_pool<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| f())
}
