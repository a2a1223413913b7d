//! Frames to chunks and back, in stages on threads of their own with short queues between them.
//!
//! Every pipeline has two halves: an input to push into and an output to pull from, for two threads of the caller, or
//! for one that pulls when there is something. A push waits while the queues are full, so memory does not grow with
//! the length of the video; a chunk comes out as soon as its last frame went in and was computed. Frames that are too
//! large for that are cut into tiles, a chunk at a time: see [`MemoryPlan`].
//!
//! ```text
//! encoder   push frames ─▶ steps ─▶ VAE encoder ─▶ ViT encoder ─▶ pull chunks
//! decoder   push chunks ─▶ concealer ─▶ ViT decoder ─▶ VAE decoder ─▶ pull frames
//! vae_only  push frames ─▶ steps ─▶ VAE encoder ─▶ VAE decoder ─▶ pull frames
//!
//! latent_encoder  push frames ─▶ steps ─▶ VAE encoder ─▶ pull latents
//! latent_decoder  push latents ─▶ VAE decoder ─▶ pull frames
//! ```

mod collect;
mod conceal;
mod geometry;
mod items;
mod keys;
mod memory;
mod queue;
mod scene;
mod stage;
mod tokenizer_stages;
mod vae_decoder;
mod vae_encoder;

use std::ops::Range;
use std::sync::Arc;

use latentbit_container::{Chunk, VideoStream};

pub use collect::FrameInput;
pub use conceal::{Conceal, Fidelity, MAX_CONCEALED_CHUNKS, Method};
pub use geometry::{Geometry, check_bundle, video_stream_for};
pub use items::{DecodedFrame, LatentChunk};
pub use keys::KeyFrames;
pub use memory::{MemoryPlan, TileStates, Work};

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::model::Bundle;
use crate::rate::{ElasticChunk, Measure, Meter};
use collect::Collector;
use conceal::Concealer;
use items::Latents;
use queue::{Inlet, Outlet, queue};
use stage::{Pool, spawn};
use tokenizer_stages::{Encoded, TokenDecoder, TokenEncoder};
use vae_decoder::VaeDecoder;
use vae_encoder::VaeEncoder;

/// Chunks of a group unless the caller wants another number: with 4 latent frames a chunk, 125 frames.
pub const DEFAULT_CHUNKS_PER_GROUP: u32 = 8;

/// Items that wait between two stages: one in the making, one ready.
const QUEUE: usize = 1;

/// Frames that wait to be pulled. A latent frame gives four; those that find no room wait where they were computed.
const FRAME_QUEUE: usize = 2;

/// How a pipeline runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Threads that compute; 0 for one on each core.
    pub threads: usize,
    /// Chunks that share the VAE's cache; 0 makes one group of the whole stream. Only a pipeline that takes frames
    /// looks at it.
    pub chunks_per_group: u32,
    /// Frames at which a group begins besides. Only a pipeline that takes frames looks at it.
    pub key_frames: KeyFrames,
    /// Bit-planes that a decoder looks at, at most; none: all that there are.
    pub kept_bits: Option<u8>,
    /// What a decoder puts in the place of lost chunks.
    pub conceal: Conceal,
    /// Whether a decoder fills lost chunks in at once, from what came before them, instead of waiting for the chunk after
    /// them.
    pub low_delay: bool,
    /// How the VAE's encoder is run; none: whole frames.
    pub encoder_plan: Option<MemoryPlan>,
    /// How the VAE's decoder is run; none: whole frames.
    pub decoder_plan: Option<MemoryPlan>,
}

impl Default for Options {
    /// All cores, [`DEFAULT_CHUNKS_PER_GROUP`], no other key frames, all planes, lost chunks frozen over, whole frames.
    fn default() -> Self {
        Self {
            threads: 0,
            chunks_per_group: DEFAULT_CHUNKS_PER_GROUP,
            key_frames: KeyFrames::None,
            kept_bits: None,
            conceal: Conceal::Freeze,
            low_delay: false,
            encoder_plan: None,
            decoder_plan: None,
        }
    }
}

impl Options {
    /// Sets [`threads`](Self::threads).
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// Sets [`chunks_per_group`](Self::chunks_per_group).
    #[must_use]
    pub fn chunks_per_group(self, chunks_per_group: u32) -> Self {
        Self {
            chunks_per_group,
            ..self
        }
    }

    /// Sets [`key_frames`](Self::key_frames).
    #[must_use]
    pub fn key_frames(self, key_frames: KeyFrames) -> Self {
        Self { key_frames, ..self }
    }

    /// Sets [`kept_bits`](Self::kept_bits).
    #[must_use]
    pub fn kept_bits(self, kept_bits: Option<u8>) -> Self {
        Self { kept_bits, ..self }
    }

    /// Sets [`conceal`](Self::conceal).
    #[must_use]
    pub fn conceal(self, conceal: Conceal) -> Self {
        Self { conceal, ..self }
    }

    /// Sets [`low_delay`](Self::low_delay).
    #[must_use]
    pub fn low_delay(self, low_delay: bool) -> Self {
        Self { low_delay, ..self }
    }

    /// Sets [`encoder_plan`](Self::encoder_plan).
    #[must_use]
    pub fn encoder_plan(self, encoder_plan: Option<MemoryPlan>) -> Self {
        Self { encoder_plan, ..self }
    }

    /// Sets [`decoder_plan`](Self::decoder_plan).
    #[must_use]
    pub fn decoder_plan(self, decoder_plan: Option<MemoryPlan>) -> Self {
        Self { decoder_plan, ..self }
    }
}

/// What is pushed into a decoder.
#[derive(Clone, Debug)]
pub enum Coded {
    /// The next chunk.
    Chunk(Chunk),
    /// Chunks that are lost, at least one, of at least one frame each.
    Lost {
        /// Their numbers.
        chunks: Range<u64>,
        /// The indices of their frames.
        frames: Range<u64>,
    },
}

/// Starts a pipeline from frames to chunks, as `stream` describes them; see [`video_stream_for`].
///
/// # Errors
/// As for [`check_bundle`]; [`Error::Bundle`] if the bundle has no tokenizer.
pub fn encoder(
    bundle: &Arc<Bundle>,
    stream: &VideoStream,
    options: &Options,
) -> Result<(FrameInput, Output<Chunk>)> {
    to_tokens(bundle, stream, options, None)
}

/// Starts a pipeline from frames to chunks of an elastic stream: tokens with all their planes, and what each depth would
/// cost in quality, as `measure` has it looked at. [`RateControl`](crate::rate::RateControl) chooses among them. The bundle
/// needs both halves.
///
/// # Errors
/// As for [`encoder`]; [`Error::Parameter`] if `stream` is plain.
pub fn elastic_encoder(
    bundle: &Arc<Bundle>,
    stream: &VideoStream,
    options: &Options,
    measure: Measure,
) -> Result<(FrameInput, Output<ElasticChunk>)> {
    let step = stream
        .depth_step
        .ok_or_else(|| Error::parameter("depth step", "a plain stream has no depths to choose"))?;
    to_tokens(bundle, stream, options, Some(Meter::new(step, measure)))
}

fn to_tokens<O: Encoded>(
    bundle: &Arc<Bundle>,
    stream: &VideoStream,
    options: &Options,
    meter: Option<Meter>,
) -> Result<(FrameInput, Output<O>)> {
    check_bundle(bundle, stream)?;
    let pool = Pool::new(options.threads)?;
    let keeps_source = meter.as_ref().is_some_and(Meter::needs_source);
    let (input, latents) = to_latents(bundle, &Geometry::from(stream), options, &pool, keeps_source)?;
    let (chunks, output) = queue(QUEUE);
    let stage = TokenEncoder::new(bundle, stream, meter)?;
    spawn("vit-encode", &pool, latents, chunks, stage)?;
    Ok((input, Output(output)))
}

/// Starts a pipeline from the chunks of a stream to frames.
///
/// Lost chunks are covered as [`Options::conceal`] says; each frame tells whether it is right.
///
/// # Errors
/// As for [`check_bundle`]; [`Error::Bundle`] if the bundle has no tokenizer.
pub fn decoder(
    bundle: &Arc<Bundle>,
    stream: &VideoStream,
    options: &Options,
) -> Result<(ChunkInput, Output<DecodedFrame>)> {
    check_bundle(bundle, stream)?;
    let pool = Pool::new(options.threads)?;
    let (chunks, input) = queue(QUEUE);
    let (parts, tokens) = queue(QUEUE);
    let (latents, output) = queue(QUEUE);
    let stage = Concealer::new(stream, options);
    spawn("conceal", &pool, input, parts, stage)?;
    let stage = TokenDecoder::new(bundle, stream, options.kept_bits)?;
    spawn("vit-decode", &pool, tokens, latents, stage)?;
    let geometry = Geometry::from(stream);
    Ok((
        ChunkInput(chunks),
        to_frames(bundle, &geometry, options, &pool, output)?,
    ))
}

/// Starts a pipeline through the VAE alone: what frames would be if tokens cost nothing.
///
/// # Errors
/// [`Error::Parameter`] for a geometry that is not the bundle's.
pub fn vae_only(
    bundle: &Arc<Bundle>,
    geometry: &Geometry,
    options: &Options,
) -> Result<(FrameInput, Output<Frame>)> {
    geometry.check(bundle)?;
    let pool = Pool::new(options.threads)?;
    let (input, latents) = to_latents(bundle, geometry, options, &pool, false)?;
    Ok((input, to_frames(bundle, geometry, options, &pool, latents)?))
}

/// Starts a pipeline from frames to latents. It needs no tokenizer.
///
/// # Errors
/// As for [`vae_only`].
pub fn latent_encoder(
    bundle: &Arc<Bundle>,
    geometry: &Geometry,
    options: &Options,
) -> Result<(FrameInput, Output<LatentChunk>)> {
    geometry.check(bundle)?;
    let pool = Pool::new(options.threads)?;
    let (input, latents) = to_latents(bundle, geometry, options, &pool, false)?;
    Ok((input, Output(latents)))
}

/// Starts a pipeline from latents to frames. It needs no tokenizer.
///
/// # Errors
/// As for [`vae_only`].
pub fn latent_decoder(
    bundle: &Arc<Bundle>,
    geometry: &Geometry,
    options: &Options,
) -> Result<(LatentInput, Output<Frame>)> {
    geometry.check(bundle)?;
    let pool = Pool::new(options.threads)?;
    let (latents, input) = queue(QUEUE);
    Ok((
        LatentInput(latents),
        to_frames(bundle, geometry, options, &pool, input)?,
    ))
}

/// Starts the stages from frames to the latents of chunks.
fn to_latents<T: From<LatentChunk> + Send + 'static>(
    bundle: &Arc<Bundle>,
    geometry: &Geometry,
    options: &Options,
    pool: &Pool,
    keeps_source: bool,
) -> Result<(FrameInput, Inlet<T>)> {
    let (steps, input) = queue(QUEUE);
    let (latents, output) = queue(QUEUE);
    spawn(
        "vae-encode",
        pool,
        input,
        latents,
        VaeEncoder::new(bundle, geometry, options, keeps_source),
    )?;
    let collector = Collector::new(geometry, options.chunks_per_group);
    Ok((FrameInput::new(collector, &options.key_frames, steps), output))
}

/// Starts the stage from the latents of chunks to frames.
fn to_frames<T: From<DecodedFrame> + Send + 'static>(
    bundle: &Arc<Bundle>,
    geometry: &Geometry,
    options: &Options,
    pool: &Pool,
    latents: Inlet<Latents>,
) -> Result<Output<T>> {
    let (frames, output) = queue(FRAME_QUEUE);
    spawn(
        "vae-decode",
        pool,
        latents,
        frames,
        VaeDecoder::new(bundle, geometry, options),
    )?;
    Ok(Output(output))
}

/// The input of a decoder.
#[derive(Debug)]
pub struct ChunkInput(Outlet<Coded>);

impl ChunkInput {
    /// Gives the decoder the next part of the stream, in order; waits while the queues are full.
    ///
    /// # Errors
    /// [`Error::Closed`] when the pipeline has ended early; [`Output::pull`] says why.
    pub fn push(&mut self, part: Coded) -> Result<()> {
        self.0.send(part)
    }

    /// Says that there is no more. Without this call the output ends with [`Error::Stopped`].
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    pub fn flush(self) -> Result<()> {
        self.0.end()
    }
}

/// The input of a pipeline that takes latents.
#[derive(Debug)]
pub struct LatentInput(Outlet<Latents>);

impl LatentInput {
    /// Gives the next latents, in order; waits while the queues are full.
    ///
    /// # Errors
    /// As for [`ChunkInput::push`].
    pub fn push(&mut self, latents: LatentChunk) -> Result<()> {
        self.0.send(latents.into())
    }

    /// Says that there is no more. Without this call the output ends with [`Error::Stopped`].
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    pub fn flush(self) -> Result<()> {
        self.0.end()
    }
}

/// The output of a pipeline. Dropping it ends the pipeline.
#[derive(Debug)]
pub struct Output<T>(Inlet<T>);

impl<T> Output<T> {
    /// The next item; waits for it. `None` after the last one.
    ///
    /// # Errors
    /// What stopped the pipeline. Nothing comes after an error.
    pub fn pull(&mut self) -> Result<Option<T>> {
        self.0.next()
    }
}

impl<T> Iterator for Output<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.pull().transpose()
    }
}

#[cfg(test)]
mod tests;
