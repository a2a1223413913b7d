//! The Rust half of the Python package `latentbit`. `python/latentbit` is the other half, which people import.
//!
//! Whatever reads, writes or computes detaches from the interpreter, so that other Python threads can run. Arrays are
//! handed over without a copy.
#![deny(unsafe_code)]

mod arrays;
mod bundle;
mod chunk;
mod decode;
mod encode;
mod error;
mod file;
mod filters;
mod latents;
mod reader;
mod session;
mod source;
mod video;
mod writer;

use pyo3::prelude::*;

/// Reads, writes, encodes and decodes .lbit files; see the package latentbit.
#[pymodule]
fn _latentbit(module: &Bound<'_, PyModule>) -> PyResult<()> {
    error::register(module)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<bundle::Bundle>()?;
    module.add_class::<chunk::Chunk>()?;
    module.add_class::<decode::FrameStream>()?;
    module.add_class::<encode::EncodeSession>()?;
    module.add_class::<filters::FrameFilter>()?;
    module.add_class::<latents::LatentSession>()?;
    module.add_class::<reader::Reader>()?;
    module.add_class::<writer::Writer>()
}
