//! CPU kernels: plain slices in, plain slices out.
