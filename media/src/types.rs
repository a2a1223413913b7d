//! The few value types that media shares with the container and the codec.
//!
//! They come in through this one module, so that nothing else here cares where they are defined.

pub use latentbit_codec::Frame;
pub use latentbit_container::{Chroma, Color, ColorRange, Packet, PacketStream, Rational};
