//! The command `latentbit`.
fn main() {}
