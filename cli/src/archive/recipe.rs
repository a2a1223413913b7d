//! What is made of each clip.

use latentbit_codec::pipeline::Options;
use latentbit_container::WriterOptions;
use serde_json::{Map, Value, json};

use crate::args::ArchiveArgs;
use latentbit_media::Filters;

use super::shard::Full;
use super::store::Form;

/// How clips are made, whichever they are.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub full: Full,
    /// Whether tokens are wanted as arrays of numpy, too.
    pub npy: bool,
    /// Bits of each token to keep; all by default.
    pub bits: Option<u8>,
    /// Latent frames of a chunk; what the bundle has by default.
    pub chunk: Option<u16>,
    pub options: Options,
    pub writer_options: WriterOptions,
    pub filters: Filters,
    pub audio: bool,
    pub subtitles: bool,
    /// Frames that a clip must have.
    pub min_frames: u64,
    /// Pixels that the short side of its pictures must have.
    pub min_size: u32,
    /// Measure the quality of every so many clips; 0 for none.
    pub quality_sample: u64,
    /// Bytes of memory that a clip in the making may take.
    pub memory: Option<u64>,
}

impl Recipe {
    /// What a command line asks for, with `threads` for each clip and at most `memory` bytes.
    pub fn new(args: &ArchiveArgs, threads: usize, memory: Option<u64>) -> Self {
        Self {
            full: Full {
                bytes: args.shard_size,
                clips: args.shard_clips,
            },
            npy: args.tokens.is_some(),
            bits: args.bits,
            chunk: args.chunk,
            options: Options {
                threads,
                ..args.groups.options()
            },
            writer_options: args.coder.writer_options(),
            filters: Filters {
                seconds: None,
                rate: args.fps,
                resize: args.scale,
                crop: args.crop,
            },
            audio: !args.carry.no_audio,
            subtitles: !args.carry.no_subtitles,
            min_frames: args.min_frames,
            min_size: args.min_size,
            quality_sample: args.quality_sample,
            memory,
        }
    }
}

/// All that decides what an archive holds, by the names of the options: runs that differ in it cannot go on with each
/// other's work. How many clips are made at once is none of it.
pub fn settings(args: &ArchiveArgs, bundle: &str, dtype: &str) -> Map<String, Value> {
    let debug = |value: &dyn std::fmt::Debug| Value::from(format!("{value:?}"));
    let shards = args.format == Form::Webdataset;
    let settings = json!({
        "--format": debug(&args.format),
        "--tokens": debug(&args.tokens),
        "--shard-size": shards.then_some(args.shard_size),
        "--shard-clips": shards.then_some(args.shard_clips),
        "--bits": args.bits,
        "--chunk": args.chunk,
        "--group": args.groups.group,
        "--no-scene-cuts": args.groups.no_scene_cuts,
        "--coder": debug(&args.coder),
        "--fps": debug(&args.fps),
        "--scale": debug(&args.scale),
        "--crop": debug(&args.crop),
        "--no-audio": args.carry.no_audio,
        "--no-subtitles": args.carry.no_subtitles,
        "--min-frames": args.min_frames,
        "--min-size": args.min_size,
        "--quality-sample": args.quality_sample,
        "--max-memory": args.memory.max_memory,
        "--model": bundle,
        "--dtype": dtype,
    });
    match settings {
        Value::Object(settings) => settings,
        _ => Map::new(),
    }
}
