//! What tests share that compare with PyTorch.

// Helpers of tests fail by panicking, as tests do; not every test uses every helper.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, unreachable_pub)]

pub mod networks;
pub mod tensors;
