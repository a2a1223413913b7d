//! Media files as cameras, recorders and other programs make them, and what the reader makes of them. Most begin as a report
//! about some program that got them wrong.
#![cfg(feature = "libav")]
// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod content;
mod ends;
mod pictures;
mod sound;
mod support;
mod times;
