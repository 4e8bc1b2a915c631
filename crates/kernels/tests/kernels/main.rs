//! Every kernel against a plain twin in `f64`, on every path of the machine, and the same bits for any number of threads.

mod common;

mod conv;
mod elementwise;
mod gray;
mod halves;
mod linear;
mod norm;
mod optim;
mod paths;
mod pool;
mod shapes;
mod statistics;
