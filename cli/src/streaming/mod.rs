//! `.lbit` streams and what flows into and out of them: frames, packets, times.

pub mod chunk_feed;
pub mod conceal;
pub mod encoding;
pub mod frame_feed;
pub mod interleave;
pub mod lbit_input;
pub mod lbit_output;
pub mod loss_report;
pub mod memory;
pub mod presentation;
pub mod threads;
