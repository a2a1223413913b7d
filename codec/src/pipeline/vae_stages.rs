//! Steps to latents and latents to frames.

use std::sync::Arc;

use candle_core::Tensor;
use latentbit_container::{PixelFrames, VideoStream};
use rayon::prelude::*;

use super::collect::{ChunkStart, Step};
use super::stage::{Context, Stage};
use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::tensor::with_values;
use crate::vae::{DecoderState, EncoderState};

/// The latent of one chunk.
#[derive(Debug)]
pub(super) struct LatentChunk {
    pub(super) start: ChunkStart,
    pub(super) frame_count: PixelFrames,
    /// (T', h, w, C).
    pub(super) latent: Tensor,
}

/// What a VAE decoder takes.
pub(super) enum Latents {
    Chunk(LatentChunk),
    Lost(PixelFrames),
}

impl From<LatentChunk> for Latents {
    fn from(chunk: LatentChunk) -> Self {
        Self::Chunk(chunk)
    }
}

/// A chunk in the making.
struct Building {
    start: ChunkStart,
    frames: u64,
    latents: Vec<Tensor>,
}

/// Runs the VAE's encoder, a latent frame at a time.
pub(super) struct VaeEncoder<O> {
    bundle: Arc<Bundle>,
    state: EncoderState,
    building: Option<Building>,
    chunk_latent_frames: usize,
    out: std::marker::PhantomData<fn() -> O>,
}

impl<O: From<LatentChunk>> VaeEncoder<O> {
    pub(super) fn new(bundle: &Arc<Bundle>, stream: &VideoStream) -> Self {
        Self {
            bundle: bundle.clone(),
            state: EncoderState::default(),
            building: None,
            chunk_latent_frames: stream.chunk_latent_frames.into(),
            out: std::marker::PhantomData,
        }
    }

    fn send(&mut self, context: &Context<O>) -> Result<()> {
        let Some(Building {
            start,
            frames,
            latents,
        }) = self.building.take()
        else {
            return Ok(());
        };
        let chunk = LatentChunk {
            start,
            frame_count: PixelFrames(frames),
            latent: Tensor::cat(&latents, 0)?,
        };
        context.send(chunk.into())
    }
}

impl<O: From<LatentChunk> + Send + 'static> Stage for VaeEncoder<O> {
    type In = Step;
    type Out = O;

    fn take(&mut self, step: Step, context: &Context<O>) -> Result<()> {
        if let Some(start) = step.start {
            // A group can end before its last chunk is full.
            self.send(context)?;
            if start.key {
                self.state.reset();
            }
            self.building = Some(Building {
                start,
                frames: 0,
                latents: Vec::with_capacity(self.chunk_latent_frames),
            });
        }
        let Self {
            bundle,
            state,
            building: Some(building),
            ..
        } = self
        else {
            return Err(Error::Stopped);
        };
        let [t, h, w] = step.size;
        let frames = Tensor::from_vec(step.pixels, (t, h, w, 3), bundle.device())?;
        let latent = context.compute(|| bundle.vae.encode(&frames, state))?;
        building.latents.push(latent);
        building.frames += step.frames as u64;
        if building.latents.len() == self.chunk_latent_frames {
            self.send(context)?;
        }
        Ok(())
    }

    fn finish(&mut self, context: &Context<O>) -> Result<()> {
        self.send(context)
    }
}

/// Runs the VAE's decoder, a latent frame at a time.
pub(super) struct VaeDecoder {
    bundle: Arc<Bundle>,
    state: DecoderState,
    width: usize,
    height: usize,
    /// The last frame of the chunk that came last, for what may be lost after it.
    last: Option<Frame>,
}

impl VaeDecoder {
    pub(super) fn new(bundle: &Arc<Bundle>, stream: &VideoStream) -> Self {
        Self {
            bundle: bundle.clone(),
            state: DecoderState::default(),
            width: stream.width as usize,
            height: stream.height as usize,
            last: None,
        }
    }

    fn decode(&mut self, latent: &Tensor, context: &Context<Frame>) -> Result<Vec<Frame>> {
        let (bundle, state) = (&self.bundle, &mut self.state);
        let [width, height] = [self.width, self.height];
        context.compute(|| {
            let pixels = bundle.vae.decode(latent, state)?;
            let (_, rows, columns, _) = pixels.dims4()?;
            with_values(&pixels, |values| {
                let frames = values.par_chunks_exact(rows * columns * 3);
                frames
                    .map(|values| crop(values, columns, width, height))
                    .collect()
            })
        })
    }

    fn chunk(&mut self, chunk: LatentChunk, context: &Context<Frame>) -> Result<()> {
        if chunk.start.key {
            self.state.reset();
        } else if self.state.is_fresh() {
            // The start of this group is lost. The mean latent stands for the frame that it would have begun with.
            self.decode(&chunk.latent.narrow(0, 0, 1)?.zeros_like()?, context)?;
        }
        let mut left = chunk.frame_count.0;
        for step in 0..chunk.latent.dim(0)? {
            for frame in self.decode(&chunk.latent.narrow(0, step, 1)?, context)? {
                if left > 0 {
                    left -= 1;
                    if left == 0 {
                        self.last = Some(frame.clone());
                    }
                    context.send(frame)?;
                }
            }
        }
        if left == 0 {
            return Ok(());
        }
        Err(Error::Chunk {
            sequence: chunk.start.sequence,
            reason: format!(
                "its tokens give {left} frames less than the {} that it counts",
                chunk.frame_count
            ),
        })
    }
}

impl Stage for VaeDecoder {
    type In = Latents;
    type Out = Frame;

    fn take(&mut self, item: Latents, context: &Context<Frame>) -> Result<()> {
        match item {
            Latents::Chunk(chunk) => self.chunk(chunk, context),
            Latents::Lost(frames) => {
                let frame = self.last.clone().unwrap_or_else(|| Frame {
                    width: self.width,
                    height: self.height,
                    data: vec![0.0; self.width * self.height * 3],
                });
                (0..frames.0).try_for_each(|_| context.send(frame.clone()))
            }
        }
    }
}

/// The picture within a padded one, from -1…1 to 0…1.
fn crop(values: &[f32], columns: usize, width: usize, height: usize) -> Frame {
    let mut data = Vec::with_capacity(width * height * 3);
    for row in values.chunks_exact(columns * 3).take(height) {
        data.extend(row[..width * 3].iter().map(|v| (v * 0.5 + 0.5).clamp(0.0, 1.0)));
    }
    Frame { width, height, data }
}
