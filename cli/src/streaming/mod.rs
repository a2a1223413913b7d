//! `.lbit` streams, and the frames, packets and times that flow into and out of them.

pub mod chunk_feed;
pub mod decoding;
pub mod depth_view;
pub mod encoding;
pub mod frame_feed;
pub mod interleave;
pub mod lbit_input;
pub mod lbit_output;
pub mod loss_report;
pub mod memory;
pub mod neighbourhood;
pub mod notes;
pub mod presentation;
pub mod rate;
#[cfg(test)]
pub mod testing;
pub mod threads;
