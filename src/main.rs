//! driftrun.
fn main() {}
