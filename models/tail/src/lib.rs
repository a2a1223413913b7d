//! The second half of the model that LatentBit ships; `latentbit-model` joins it to the first.

/// The second half of `default.safetensors`.
///
/// A constant, so that a program holds only what `latentbit-model` makes of it.
pub const TAIL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/default.part"));
