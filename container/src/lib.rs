//! The `.lbit` container: tokens of a neural video codec as a stream of checked records.
//!
//! This crate knows the format and nothing else: no networks, no media libraries. It writes and reads without
//! seeking, so both ends may be pipes. The normative text is `spec/lbit-0.md`; "LBIT §n" in these pages points
//! into it. The format is at major version 0: it may still change in any way.
//!
//! ```
//! use latentbit_container::{
//!     BundleId, Chroma, Chunk, Color, Header, LatentFrames, Limits, PixelFrames, Rational, Reader, Tokens,
//!     Writer, WriterOptions,
//! };
//!
//! let header = Header {
//!     width: 64,
//!     height: 48,
//!     frame_rate: Rational { num: 25, den: 1 },
//!     pixel_aspect: Rational { num: 1, den: 1 },
//!     color: Color::default(),
//!     chroma: Chroma::C420,
//!     chroma_location: 0,
//!     bit_depth: 8,
//!     bundle: BundleId { name: "example".into(), sha256: [7; 32] },
//!     bits: 18,
//!     bundle_bits: 36,
//!     patch: [1, 1, 1],
//!     strides: [4, 8, 8],
//!     chunk_latent_frames: 4,
//!     frame_count: None,
//! };
//! let grid = header.grid(LatentFrames(4));
//! let chunk = Chunk {
//!     sequence: 0,
//!     first_frame: PixelFrames(0),
//!     frame_count: PixelFrames(13),
//!     latent_frames: LatentFrames(4),
//!     key: true,
//!     tokens: Tokens { grid, bits: 18, values: vec![5; 4 * 6 * 8] },
//! };
//!
//! let mut writer = Writer::new(Vec::new(), &header, WriterOptions::default())?;
//! writer.write_chunk(&chunk)?;
//! let (file, summary) = writer.finish()?;
//! assert_eq!(summary.totals.frames, PixelFrames(13));
//!
//! let mut reader = Reader::new(&file[..], Limits::default())?;
//! assert_eq!(reader.header(), &header);
//! assert_eq!(reader.next_chunk()?, Some(chunk));
//! assert_eq!(reader.next_chunk()?, None);
//! # Ok::<(), latentbit_container::Error>(())
//! ```
#![forbid(unsafe_code)]

pub mod bits;
mod chunk;
mod error;
mod fields;
mod header;
mod index;
mod limits;
mod parser;
mod plan;
mod reader;
mod record;
mod stored;
mod track;
pub mod units;
mod writer;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use chunk::{Chunk, TokenGrid, Tokens};
pub use error::{Error, ErrorKind, Result};
pub use header::{BundleId, Chroma, Color, ColorRange, Header, MAX_BUNDLE_NAME, Rational, Version};
pub use index::{ChunkInfo, read_chunk_at, read_index};
pub use limits::Limits;
pub use parser::{Event, Lost, Next, Parser, ReadMode, Status, Totals};
pub use plan::{ChunkPlan, PlannedChunk};
pub use reader::{Reader, Scan, scan};
pub use record::{MAGIC, SYNC};
pub use stored::{PlaneCodec, StoredChunk, StoredPlane};
pub use units::{LatentFrames, PixelFrames};
pub use writer::{Compression, Summary, Writer, WriterOptions};
