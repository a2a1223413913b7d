//! Networks and pipeline.
#![deny(unsafe_code)]

pub mod bundle;
pub mod error;
mod frame;
// Raw pointers into matrices and wider instruction sets: the one place that needs them.
#[allow(unsafe_code)]
mod kernels;
pub mod metrics;
pub mod pipeline;
pub mod tokenizer;
pub mod vae;

pub use bundle::Bundle;
pub use candle_core::Device;
pub use error::{Error, Result};
pub use frame::Frame;
