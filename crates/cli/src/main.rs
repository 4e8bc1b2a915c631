//! The `lungfish` command.
fn main() {}
