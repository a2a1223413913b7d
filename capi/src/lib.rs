//! LatentBit for programs in C and everything that calls C: `include/latentbit.h` is made of this crate.
//!
//! Nothing here panics across the border: `failure::run` stands around every function. Each function that takes pointers
//! is `unsafe` for the same reason, which the header states once: pointers that are not null must be valid for the call, and
//! handles must come from this library and not have been freed.
#![allow(clippy::missing_safety_doc)]

mod decoder;
mod failure;
mod file;
mod model;
mod pointers;
mod source;
mod version;
