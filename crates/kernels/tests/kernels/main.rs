//! Every kernel against a plain twin in `f64`, and the same bits for any number of threads.

mod common;

mod conv;
mod elementwise;
mod linear;
mod norm;
mod optim;
mod pool;
