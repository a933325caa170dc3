//! The binary `kv`.
fn main() {}
