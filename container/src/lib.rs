//! The `.lbit` container: tokens of a neural video codec as a stream of checked records.
//!
//! This crate knows the format and nothing else: no networks, no media libraries. The normative text is
//! `spec/lbit-1.md`; "LBIT §n" in these pages points into it.
//!
//! | to | use |
//! |---|---|
//! | write a file or pipe | [`Writer`], with chunks as [`ChunkPlan`] cuts them |
//! | read a pipe, or a file from front to back | [`Reader`]; [`Parser`] where bytes are pushed in |
//! | read parts of a file, or look up what it holds | [`File`] |
//! | check, repair, cut, join or shrink files | [`verify_file`], [`edit`] |
//!
//! Features: `zstd` (default) for planes stored as zstd frames; `ruzstd` to read those in plain Rust; `bitvec` for planes
//! and tokens as slices of bits. Without `zstd` the crate is plain Rust and builds for any target.
//!
//! ```
//! use latentbit_container::{
//!     BundleId, ChunkPlan, Header, Limits, PixelFrames, Rational, Reader, StreamId, TokenLayout, VideoStream, Writer,
//!     WriterOptions,
//! };
//!
//! let bundle = BundleId { name: "example".into(), sha256: [7; 32] };
//! let layout = TokenLayout { bits: 36, patch: [1, 1, 1], strides: [4, 8, 8] };
//! let video = VideoStream::new([64, 48], bundle, layout)
//!     .with_bits(18)
//!     .with_constant_rate(Rational { num: 25, den: 1 });
//!
//! let header = Header::from(video.clone());
//! let mut writer = Writer::new(Vec::new(), &header, WriterOptions::default())?;
//! for planned in ChunkPlan::new(PixelFrames(40), 4, 8, 4) {
//!     let tokens = video.grid(planned.latent_frames).len();
//!     writer.write_chunk(&planned.with_tokens(&video, vec![5; tokens]))?;
//! }
//! let (file, summary) = writer.finish()?;
//! assert_eq!(summary.totals[0].frames, PixelFrames(40));
//!
//! let mut reader = Reader::new(&file[..], Limits::default())?;
//! assert_eq!(reader.header(), &header);
//! let first = reader.next_chunk()?.expect("there are three");
//! assert_eq!((first.stream, first.frame_count), (StreamId(0), PixelFrames(13)));
//! # Ok::<(), latentbit_container::Error>(())
//! ```
#![forbid(unsafe_code)]

mod attachment;
pub mod bits;
mod chunk;
mod cm;
mod coder;
mod depths;
pub mod edit;
mod end;
mod error;
mod fields;
mod file;
mod ground;
mod header;
mod index;
mod limits;
pub mod metadata;
mod packets;
mod parser;
mod plan;
mod planes;
mod problems;
mod reader;
mod record;
mod stored;
mod times;
mod track;
pub mod units;
mod verify;
mod work;
mod writer;

#[cfg(test)]
mod cost;
#[cfg(test)]
mod testing;

pub use attachment::{Attachment, AttachmentKind};
pub use chunk::{Chunk, ChunkHead, Tokens, bit_mask};
pub use coder::layers::layer_costs;
pub use coder::{Coder, Compression, StoredPlane};
pub use depths::DepthMap;
pub use end::Totals;
pub use error::{Error, ErrorKind, Result};
pub use file::{File, Needed, PacketsIn, Part};
pub use ground::{Chroma, Color, ColorRange, Rational, StreamId, TokenGrid};
pub use header::{
    BundleId, Header, MAX_BUNDLE_NAME, PacketKind, PacketStream, Stream, TokenLayout, Version, VideoStream,
};
pub use index::ChunkInfo;
pub use limits::Limits;
pub use metadata::{Chapter, Metadata};
pub use packets::{Packet, Packets};
pub use parser::{Event, Lost, Next, Parser, ReadMode, Status};
pub use plan::{ChunkPlan, PlannedChunk};
pub use planes::Planes;
pub use problems::{Problem, Problems};
pub use reader::Reader;
pub use record::{MAGIC, SYNC};
pub use stored::{LayerSizes, StoredChunk};
pub use times::{Times, rescale, ticks_of};
pub use units::{LatentFrames, PixelFrames};
pub use verify::{Verification, verify, verify_file};
pub use work::work;
#[cfg(fuzzing)]
pub use work::work_of;
pub use writer::{Summary, Writer, WriterOptions};
