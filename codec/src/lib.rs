//! The codec: networks that turn frames into tokens and back, and the streaming pipeline around them.
//!
//! [`Bundle`] is a model, [`pipeline`] runs it on video of any length, [`metrics`] tells how good the result is. For one
//! chunk at a time without threads there are [`vae::WanVae`] and [`tokenizer::Tokenizer`].
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use latentbit_codec::{Bundle, Device, Dtype, Frame, pipeline};
//!
//! let bundle = Arc::new(Bundle::open("models/default.safetensors", &Device::Cpu, Dtype::auto()?)?);
//! let stream = pipeline::video_stream_for(&bundle, 128, 128)?;
//! let (mut input, chunks) = pipeline::encoder(&bundle, &stream, &pipeline::Options::default())?;
//! let pushing = std::thread::spawn(move || {
//!     for _ in 0..100 {
//!         input.push(&Frame { width: 128, height: 128, data: vec![0.5; 128 * 128 * 3] })?;
//!     }
//!     input.flush()
//! });
//! for chunk in chunks {
//!     let chunk = chunk?;
//!     println!("{} frames are {} tokens", chunk.frame_count, chunk.tokens.values.len());
//! }
//! pushing.join().expect("the pushing thread does not panic")?;
//! # Ok::<(), latentbit_codec::Error>(())
//! ```
#![deny(unsafe_code)]

// Tests that run both inside and outside of this crate name it the same way.
#[cfg(test)]
extern crate self as latentbit_codec;
#[cfg(test)]
#[path = "../tests/shared/mod.rs"]
mod shared;

#[doc(hidden)]
pub mod bench;
pub mod bundle;
#[cfg(feature = "candle")]
mod candle;
mod device;
pub mod error;
mod frame;
// Raw pointers into matrices and wider instruction sets: the one place that needs them.
#[allow(unsafe_code)]
mod kernels;
pub mod maskgit;
pub mod metrics;
mod model;
pub mod pipeline;
pub mod rate;
mod together;
pub mod tokenizer;
pub mod vae;
mod vit;
mod volume;

pub use device::{CpuInfo, Cuda, Device};
pub use error::{Error, Result};
pub use frame::Frame;
pub use kernels::{Dtype, EndingAllocator, OperatorTime, return_large_blocks, stdout_is_closed};
pub use maskgit::Predictor;
pub use model::Bundle;
pub use volume::Volume;
