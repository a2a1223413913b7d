//! Steps to latents.

use std::sync::Arc;

use latentbit_container::PixelFrames;

use super::Options;
use super::collect::{ChunkStart, Step};
use super::geometry::Geometry;
use super::items::LatentChunk;
use super::memory::MemoryPlan;
use super::stage::{Context, Stage};
use crate::error::{Error, Result};
use crate::model::Bundle;
use crate::vae::{EncoderState, Group, Running, TiledState};
use crate::volume::Volume;

/// A chunk in the making.
struct Building {
    start: ChunkStart,
    frames: u64,
    steps: usize,
    latents: Vec<Running>,
    /// With tiles: frames whose latents are made when there are enough of them, (T, H, W) of them, and how many steps they
    /// are.
    pixels: Vec<f32>,
    size: [usize; 3],
    waiting: usize,
    /// All frames, if they are kept.
    source: Vec<Volume>,
}

/// Runs the VAE's encoder, a latent frame at a time.
pub(super) struct VaeEncoder<O> {
    bundle: Arc<Bundle>,
    state: EncoderState,
    tiles: Option<TiledState>,
    building: Option<Building>,
    /// Steps that tiles take at once.
    at_once: usize,
    chunk_latent_frames: usize,
    /// Whether chunks carry the frames that they were made of.
    keeps_source: bool,
    out: std::marker::PhantomData<fn() -> O>,
}

impl<O: From<LatentChunk>> VaeEncoder<O> {
    pub(super) fn new(
        bundle: &Arc<Bundle>,
        geometry: &Geometry,
        options: &Options,
        keeps_source: bool,
    ) -> Self {
        let plan = options.encoder_plan.as_ref();
        Self {
            bundle: bundle.clone(),
            state: EncoderState::default(),
            tiles: plan.and_then(MemoryPlan::tiles),
            building: None,
            at_once: plan.map_or(1, |plan| plan.steps.max(1)),
            chunk_latent_frames: geometry.chunk_latent_frames.into(),
            keeps_source,
            out: std::marker::PhantomData,
        }
    }

    /// Has tiles take the steps that wait; `group` tells what comes behind them.
    fn flush(&mut self, group: Group, context: &Context<O>) -> Result<()> {
        let (Some(tiles), Some(building)) = (&mut self.tiles, &mut self.building) else {
            return Ok(());
        };
        let [t, h, w] = std::mem::take(&mut building.size);
        let pixels = std::mem::take(&mut building.pixels);
        building.waiting = 0;
        if pixels.is_empty() {
            return Ok(());
        }
        let frames = Volume::new(&[t, h, w, 3], pixels)?;
        let latent = context.compute(|| self.bundle.vae.encode_tiled(&frames, tiles, group))?;
        building.latents.push(Running::done(latent));
        Ok(())
    }

    /// Sends the chunk in the making, if there is one.
    fn send(&mut self, group: Group, context: &Context<O>) -> Result<()> {
        self.flush(group, context)?;
        let Some(Building {
            start,
            frames,
            latents,
            source,
            ..
        }) = self.building.take()
        else {
            return Ok(());
        };
        let latents = latents.into_iter().map(Running::wait);
        let chunk = LatentChunk {
            sequence: start.sequence,
            first_frame: start.first_frame,
            key: start.key,
            frame_count: PixelFrames(frames),
            latent: Volume::concat(latents.collect::<Result<Vec<_>>>()?)?,
            source: match source.is_empty() {
                true => None,
                false => Some(Volume::concat(source)?),
            },
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
            let group = if start.key { Group::Ends } else { Group::GoesOn };
            self.send(group, context)?;
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
                waiting: 0,
                source: Vec::new(),
            });
        } else if let Some(building) = &self.building
            && building.waiting >= self.at_once
        {
            self.flush(Group::GoesOn, context)?;
        }
        let at_once = self.at_once;
        let Self {
            bundle,
            state,
            tiles,
            keeps_source,
            building: Some(building),
            ..
        } = self
        else {
            return Err(Error::Stopped);
        };
        let [t, h, w] = step.size;
        if *keeps_source {
            building
                .source
                .push(Volume::new(&[t, h, w, 3], step.pixels.clone())?);
        }
        if tiles.is_some() {
            if building.pixels.is_empty() {
                let later = (at_once - 1) * bundle.vae.strides()[0];
                building.pixels.reserve_exact((t + later) * h * w * 3);
            }
            building.pixels.extend_from_slice(&step.pixels);
            building.size = [building.size[0] + t, h, w];
            building.waiting += 1;
        } else {
            let frames = Volume::new(&[t, h, w, 3], step.pixels)?;
            // On a GPU the next frames come while it computes.
            let latent = context.compute(|| bundle.vae.begin_encode(&frames, state))?;
            building.latents.push(latent);
        }
        building.frames += step.frames as u64;
        building.steps += 1;
        // With tiles, whether the group goes on is worth to be known: then their states must be kept.
        if building.steps == self.chunk_latent_frames && tiles.is_none() {
            self.send(Group::GoesOn, context)?;
        }
        Ok(())
    }

    fn finish(&mut self, context: &Context<O>) -> Result<()> {
        self.send(Group::Ends, context)
    }
}
