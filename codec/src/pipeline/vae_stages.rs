//! Steps to latents and latents to frames.

use std::sync::Arc;

use candle_core::Tensor;
use latentbit_container::PixelFrames;
use rayon::prelude::*;

use super::Options;
use super::collect::{ChunkStart, Step};
use super::geometry::Geometry;
use super::memory::MemoryPlan;
use super::stage::{Context, Stage};
use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::tensor::with_values;
use crate::vae::{DecoderState, EncoderState, TiledState};

/// The latents of one chunk.
#[derive(Clone, Debug)]
pub struct LatentChunk {
    /// Its number in the stream.
    pub sequence: u64,
    /// The first frame that it stands for.
    pub first_frame: PixelFrames,
    /// How many frames it stands for.
    pub frame_count: PixelFrames,
    /// Whether a group begins with it: then its first latent frame stands for one frame.
    pub key: bool,
    /// f32 (T', h, w, C) of about zero mean and unit variance.
    pub latent: Tensor,
}

/// What a VAE decoder takes.
#[derive(Debug)]
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
    steps: usize,
    latents: Vec<Tensor>,
    /// With tiles: frames whose latents are made when the chunk is complete, and (T, H, W) of them.
    pixels: Vec<f32>,
    size: [usize; 3],
}

/// Runs the VAE's encoder, a latent frame at a time.
pub(super) struct VaeEncoder<O> {
    bundle: Arc<Bundle>,
    state: EncoderState,
    tiles: Option<TiledState>,
    building: Option<Building>,
    chunk_latent_frames: usize,
    out: std::marker::PhantomData<fn() -> O>,
}

impl<O: From<LatentChunk>> VaeEncoder<O> {
    /// # Errors
    /// [`Error::Io`] if there is no room on disk for the states of tiles.
    pub(super) fn new(bundle: &Arc<Bundle>, geometry: &Geometry, options: &Options) -> Result<Self> {
        let plan = options.encoder_plan.as_ref();
        Ok(Self {
            bundle: bundle.clone(),
            state: EncoderState::default(),
            tiles: plan.map(MemoryPlan::tiles).transpose()?.flatten(),
            building: None,
            chunk_latent_frames: geometry.chunk_latent_frames.into(),
            out: std::marker::PhantomData,
        })
    }

    fn send(&mut self, context: &Context<O>) -> Result<()> {
        let Some(Building {
            start,
            frames,
            mut latents,
            pixels,
            size: [t, h, w],
            ..
        }) = self.building.take()
        else {
            return Ok(());
        };
        if let Some(tiles) = &mut self.tiles {
            let frames = Tensor::from_vec(pixels, (t, h, w, 3), self.bundle.device())?;
            latents = vec![context.compute(|| self.bundle.vae.encode_tiled(&frames, tiles))?];
        }
        let chunk = LatentChunk {
            sequence: start.sequence,
            first_frame: start.first_frame,
            key: start.key,
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
                self.tiles.iter_mut().for_each(TiledState::reset);
            }
            self.building = Some(Building {
                start,
                frames: 0,
                steps: 0,
                latents: Vec::with_capacity(self.chunk_latent_frames),
                pixels: Vec::new(),
                size: [0; 3],
            });
        }
        let Self {
            bundle,
            state,
            tiles,
            building: Some(building),
            ..
        } = self
        else {
            return Err(Error::Stopped);
        };
        let [t, h, w] = step.size;
        if tiles.is_some() {
            if building.pixels.is_empty() {
                let later = (self.chunk_latent_frames - 1) * bundle.vae.strides()[0];
                building.pixels.reserve_exact((t + later) * h * w * 3);
            }
            building.pixels.extend_from_slice(&step.pixels);
            building.size = [building.size[0] + t, h, w];
        } else {
            let frames = Tensor::from_vec(step.pixels, (t, h, w, 3), bundle.device())?;
            let latent = context.compute(|| bundle.vae.encode(&frames, state))?;
            building.latents.push(latent);
        }
        building.frames += step.frames as u64;
        building.steps += 1;
        if building.steps == self.chunk_latent_frames {
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
    tiles: Option<TiledState>,
    width: usize,
    height: usize,
    /// The last frame of the chunk that came last, for what may be lost after it.
    last: Option<Frame>,
}

impl VaeDecoder {
    /// # Errors
    /// [`Error::Io`] if there is no room on disk for the states of tiles.
    pub(super) fn new(bundle: &Arc<Bundle>, geometry: &Geometry, options: &Options) -> Result<Self> {
        let plan = options.decoder_plan.as_ref();
        Ok(Self {
            bundle: bundle.clone(),
            state: DecoderState::default(),
            tiles: plan.map(MemoryPlan::tiles).transpose()?.flatten(),
            width: geometry.width as usize,
            height: geometry.height as usize,
            last: None,
        })
    }

    /// Padded frames (T, H, W, 3).
    fn decode(&mut self, latent: &Tensor, context: &Context<Frame>) -> Result<Tensor> {
        let (vae, state) = (&self.bundle.vae, &mut self.state);
        match &mut self.tiles {
            Some(tiles) => context.compute(|| vae.decode_tiled(latent, tiles)),
            None => context.compute(|| vae.decode(latent, state)),
        }
    }

    fn is_fresh(&self) -> bool {
        self.tiles
            .as_ref()
            .map_or(self.state.is_fresh(), TiledState::is_fresh)
    }

    fn chunk(&mut self, chunk: LatentChunk, context: &Context<Frame>) -> Result<()> {
        if chunk.key {
            self.state.reset();
            self.tiles.iter_mut().for_each(TiledState::reset);
        } else if self.is_fresh() {
            // The start of this group is lost. The mean latent stands for the frame that it would have begun with.
            self.decode(&chunk.latent.narrow(0, 0, 1)?.zeros_like()?, context)?;
        }
        let mut left = chunk.frame_count.0;
        let steps = chunk.latent.dim(0)?;
        // Tiles take turns, so each takes as much as there is.
        let at_once = if self.tiles.is_some() { steps } else { 1 };
        for step in (0..steps).step_by(at_once) {
            let pixels = self.decode(&chunk.latent.narrow(0, step, at_once)?, context)?;
            let (_, rows, columns, _) = pixels.dims4()?;
            let (width, height) = (self.width, self.height);
            for index in 0..pixels.dim(0)? {
                if left == 0 {
                    break;
                }
                left -= 1;
                let frame = context.compute(|| {
                    with_values(&pixels, |values| {
                        let frame = &values[index * rows * columns * 3..][..rows * columns * 3];
                        crop(frame, columns, width, height)
                    })
                })?;
                if left == 0 {
                    self.last = Some(frame.clone());
                }
                context.send(frame)?;
            }
        }
        if left == 0 {
            return Ok(());
        }
        Err(Error::Chunk {
            sequence: chunk.sequence,
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
    let mut data = vec![0.0; width * height * 3];
    let rows = values.par_chunks_exact(columns * 3);
    data.par_chunks_exact_mut(width * 3)
        .zip(rows)
        .for_each(|(into, row)| {
            for (into, value) in into.iter_mut().zip(row) {
                *into = (value * 0.5 + 0.5).clamp(0.0, 1.0);
            }
        });
    Frame { width, height, data }
}
