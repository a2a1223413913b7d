//! Frames to chunks.

use std::mem;
use std::sync::Arc;

use candle_core::Tensor;
use crossbeam_channel::Receiver;
use latentbit_container::{
    Chroma, Chunk, ChunkPlan, Color, Header, LatentFrames, PixelFrames, PlannedChunk, Rational,
};

use super::QUEUE;
use super::line::{Line, Outlet};
use super::steps::{encode_step, frames_wanted};
use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::vae::EncoderState;

/// How to encode.
#[derive(Clone, Debug)]
pub struct EncoderOptions {
    /// Bit-planes to keep, 1 to D; all of them if none is given.
    pub bits: Option<u8>,
    /// Latent frames of a full chunk, at least 1; as the bundle was trained if none is given.
    pub chunk_latent_frames: Option<u16>,
    /// Chunks of a group, which decoding can start at; 0 makes one group of the whole stream. Default 8.
    pub chunks_per_group: u32,
    /// Chunks that may wait between two stages. Default 2.
    pub queue: usize,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self {
            bits: None,
            chunk_latent_frames: None,
            chunks_per_group: 8,
            queue: QUEUE,
        }
    }
}

/// Turns frames into chunks: the VAE runs on one thread, the tokenizer on another.
pub struct Encoder {
    header: Header,
    line: Line<Frame, Chunk>,
}

impl Encoder {
    /// An encoder for frames of this size.
    ///
    /// # Errors
    /// [`Error::Parameter`] for options that the bundle cannot serve or a side of 0, [`Error::Bundle`] if the bundle
    /// has no tokenizer.
    pub fn new(bundle: Arc<Bundle>, width: u32, height: u32, options: EncoderOptions) -> Result<Self> {
        let header = header(&bundle, width, height, &options)?;
        // A plan for an endless video: the end is cut when it is known.
        let plan = ChunkPlan::new(
            PixelFrames(u64::MAX),
            header.chunk_latent_frames,
            options.chunks_per_group,
            header.strides[0],
        );
        let first = {
            let bundle = bundle.clone();
            move |frames: Receiver<Frame>, latents: Outlet<Latents>| {
                VaeStage::new(&bundle, plan).run(&frames, &latents);
            }
        };
        let bits = header.bits;
        let second = move |latents: Latents, chunks: &Outlet<Chunk>| {
            Ok(chunks.send(Ok(latents.tokenize(&bundle, bits)?)))
        };
        let frames = usize::from(header.strides[0]);
        let line = Line::start("encode", [frames, options.queue, options.queue], first, second)?;
        Ok(Self { header, line })
    }

    /// The header of the stream. Rate, aspect, colour and depth are not known here: the caller fills them in.
    #[must_use]
    pub fn header(&self) -> Header {
        self.header.clone()
    }

    /// Gives the next frame; waits while the queues are full.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a frame of another size or after [`flush`](Self::flush); whatever stopped the encoder.
    pub fn push(&mut self, frame: Frame) -> Result<()> {
        frame.validate()?;
        let (width, height) = (self.header.width as usize, self.header.height as usize);
        if (frame.width, frame.height) != (width, height) {
            let reason = format!(
                "is {}x{}, but the video is {width}x{height}",
                frame.width, frame.height
            );
            return Err(Error::parameter("frame", reason));
        }
        self.line.push(frame)
    }

    /// A chunk that is ready, or none; never waits.
    ///
    /// # Errors
    /// Whatever stopped the encoder.
    pub fn pull(&mut self) -> Result<Option<Chunk>> {
        self.line.pull()
    }

    /// Says that no more frames come.
    ///
    /// # Errors
    /// None today.
    pub fn flush(&mut self) -> Result<()> {
        self.line.flush();
        Ok(())
    }

    /// Waits for the next chunk; none after the last.
    ///
    /// # Errors
    /// [`Error::Parameter`] before [`flush`](Self::flush); whatever stopped the encoder.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        self.line.next()
    }
}

fn header(bundle: &Bundle, width: u32, height: u32, options: &EncoderOptions) -> Result<Header> {
    let tokenizer = bundle.tokenizer()?;
    let config = tokenizer.config();
    let bundle_bits = tokenizer.bits();
    let bits = options.bits.unwrap_or(bundle_bits);
    if !(1..=bundle_bits).contains(&bits) {
        let reason = format!(
            "is {bits}, but the bundle {:?} has 1 to {bundle_bits}",
            bundle.id.name
        );
        return Err(Error::parameter("bits", reason));
    }
    if options.chunk_latent_frames == Some(0) {
        return Err(Error::parameter(
            "chunk_latent_frames",
            "is 0, but must be at least 1",
        ));
    }
    let extents = |name, values: [usize; 3]| -> Result<[u8; 3]> {
        let narrow = values.map(|v| u8::try_from(v).ok());
        match narrow {
            [Some(t), Some(h), Some(w)] => Ok([t, h, w]),
            _ => Err(Error::parameter(
                name,
                format!("{values:?} do not fit the format's 1 to 255"),
            )),
        }
    };
    let trained = u16::try_from(config.chunk_latent_frames).unwrap_or(u16::MAX);
    let unknown = Rational { num: 0, den: 1 };
    let header = Header {
        width,
        height,
        frame_rate: unknown,
        pixel_aspect: unknown,
        color: Color::default(),
        chroma: Chroma::Rgb,
        chroma_location: 0,
        bit_depth: 8,
        bundle: bundle.id.clone(),
        bits,
        bundle_bits,
        patch: extents("patch", config.patch)?,
        strides: extents("strides", bundle.vae.strides())?,
        chunk_latent_frames: options.chunk_latent_frames.unwrap_or(trained),
        frame_count: None,
    };
    header.validate()?;
    Ok(header)
}

/// The latent of one chunk.
struct Latents {
    planned: PlannedChunk,
    latent: Tensor,
}

impl Latents {
    fn tokenize(self, bundle: &Bundle, bits: u8) -> Result<Chunk> {
        let mut tokens = bundle.tokenizer()?.encode(&self.latent)?;
        tokens.truncate_bits(bits);
        let planned = self.planned;
        Ok(Chunk {
            sequence: planned.sequence,
            first_frame: planned.first_frame,
            frame_count: planned.frames,
            latent_frames: planned.latent_frames,
            key: planned.key,
            tokens,
        })
    }
}

/// Frames to the latents of chunks.
struct VaeStage<'a> {
    bundle: &'a Bundle,
    plan: ChunkPlan,
    state: EncoderState,
    /// Frames that do not make a latent frame yet.
    waiting: Vec<Frame>,
    /// Latent frames of the chunk at hand, and the frames in them.
    steps: Vec<Tensor>,
    frames: PixelFrames,
    planned: Option<PlannedChunk>,
}

impl<'a> VaeStage<'a> {
    fn new(bundle: &'a Bundle, plan: ChunkPlan) -> Self {
        Self {
            bundle,
            plan,
            state: EncoderState::default(),
            waiting: Vec::new(),
            steps: Vec::new(),
            frames: PixelFrames(0),
            planned: None,
        }
    }

    fn run(mut self, frames: &Receiver<Frame>, latents: &Outlet<Latents>) {
        for frame in frames {
            let goes_on = match self.take(frame) {
                Ok(None) => true,
                Ok(Some(chunk)) => latents.send(Ok(chunk)),
                Err(error) => latents.send(Err(error)),
            };
            if !goes_on {
                return;
            }
        }
        if let Some(rest) = self.finish().transpose() {
            latents.send(rest);
        }
    }

    fn take(&mut self, frame: Frame) -> Result<Option<Latents>> {
        if self.planned.is_none() {
            self.planned = self.plan.next();
            if self.planned.is_some_and(|planned| planned.key) {
                self.state.reset();
            }
        }
        self.waiting.push(frame);
        self.frames += PixelFrames(1);
        if self.waiting.len() == frames_wanted(&self.bundle.vae, &self.state) {
            self.step()?;
        }
        let full = self.planned.is_some_and(|planned| self.frames == planned.frames);
        if full { self.cut() } else { Ok(None) }
    }

    fn finish(mut self) -> Result<Option<Latents>> {
        if !self.waiting.is_empty() {
            self.step()?;
        }
        if self.steps.is_empty() {
            Ok(None)
        } else {
            self.cut()
        }
    }

    fn step(&mut self) -> Result<()> {
        let vae = &self.bundle.vae;
        let latent = encode_step(vae, &mut self.waiting, &mut self.state, self.bundle.device())?;
        self.steps.push(latent);
        Ok(())
    }

    fn cut(&mut self) -> Result<Option<Latents>> {
        let steps = mem::take(&mut self.steps);
        let frames = mem::take(&mut self.frames);
        let latent = Tensor::cat(&steps, 0)?;
        Ok(self.planned.take().map(|planned| Latents {
            planned: PlannedChunk {
                frames,
                latent_frames: LatentFrames(steps.len() as u64),
                ..planned
            },
            latent,
        }))
    }
}
