//! What the pieces cost, one at a time: see `benches/README.md`.
fn main() {}
