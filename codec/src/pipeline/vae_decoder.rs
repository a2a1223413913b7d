//! Latents to frames, and frames where there are no latents.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use latentbit_container::PixelFrames;
use rayon::prelude::*;

use super::Options;
use super::conceal::{Cover, Fidelity, Gap, LostChunk, Method, Wait, Way, blended_latents};
use super::geometry::Geometry;
use super::items::{DecodedFrame, LatentChunk, Latents, Next, Predicted};
use super::memory::MemoryPlan;
use super::stage::{Context, Stage};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::model::Bundle;
use crate::vae::{DecoderState, Group, Running, TiledState};
use crate::volume::Volume;

/// Runs the VAE's decoder, a latent frame at a time.
pub(super) struct VaeDecoder<O> {
    bundle: Arc<Bundle>,
    state: DecoderState,
    tiles: Option<TiledState>,
    /// Latent frames that are decoded at once, at most.
    at_once: usize,
    /// With tiles: what waits until the next item shows whether the group goes on.
    held: Option<Latents>,
    width: usize,
    height: usize,
    /// The last frame and the last latent frame (1, h, w, C) that went by, for what may be lost after them.
    last: Option<Frame>,
    last_latent: Option<Volume>,
    /// Whether something was lost since the last intact key chunk.
    affected: bool,
    /// A gap that what comes next helps to cover.
    waiting: Option<OpenGap>,
    /// What predicted frames are mixed with.
    way: Option<Way>,
    out: PhantomData<fn() -> O>,
}

/// A gap that waits.
enum OpenGap {
    ForFrame(Range<u64>),
    ForLatent(Vec<LostChunk>),
}

impl<O: From<DecodedFrame>> VaeDecoder<O> {
    pub(super) fn new(bundle: &Arc<Bundle>, geometry: &Geometry, options: &Options) -> Self {
        let plan = options.decoder_plan.as_ref();
        Self {
            bundle: bundle.clone(),
            state: DecoderState::default(),
            tiles: plan.and_then(MemoryPlan::tiles),
            at_once: plan.map_or(1, |plan| plan.steps.max(1)),
            held: None,
            width: geometry.width as usize,
            height: geometry.height as usize,
            last: None,
            last_latent: None,
            affected: false,
            waiting: None,
            way: None,
            out: PhantomData,
        }
    }

    /// Padded frames (T, H, W, 3).
    fn decode(&mut self, latent: &Volume, group: Group, context: &Context<O>) -> Result<Volume> {
        let (vae, state) = (&self.bundle.vae, &mut self.state);
        match &mut self.tiles {
            Some(tiles) => context.compute(|| vae.decode_tiled(latent, tiles, group)),
            None => context.compute(|| vae.decode(latent, state)),
        }
    }

    fn begin(&mut self, latent: &Volume, context: &Context<O>) -> Result<Running> {
        let (vae, state) = (&self.bundle.vae, &mut self.state);
        context.compute(|| vae.begin_decode(latent, state))
    }

    fn is_fresh(&self) -> bool {
        self.tiles
            .as_ref()
            .map_or(self.state.is_fresh(), TiledState::is_fresh)
    }

    /// Makes the state that of the chunk's start.
    fn enter(&mut self, chunk: &LatentChunk, context: &Context<O>) -> Result<()> {
        if chunk.key {
            self.state.reset();
            self.tiles.iter_mut().for_each(TiledState::reset);
        } else if self.is_fresh() {
            self.affected = true;
            // The start of this group is lost. The mean latent stands for the frame that it would have begun with.
            let mean = Volume::zeros(chunk.latent.part(0..1)?.shape())?;
            self.decode(&mean, Group::GoesOn, context)?;
        }
        Ok(())
    }

    /// What the frames of a chunk are.
    fn fidelity(&mut self, key: bool, made_up: Option<Method>) -> Fidelity {
        self.affected = made_up.is_some() || (self.affected && !key);
        match made_up {
            Some(method) => Fidelity::Concealed(method),
            None if self.affected => Fidelity::Affected,
            None => Fidelity::Exact,
        }
    }

    /// Decodes a chunk; `group` tells what comes behind it.
    fn chunk(
        &mut self,
        chunk: &LatentChunk,
        made_up: Option<Method>,
        group: Group,
        context: &Context<O>,
    ) -> Result<()> {
        self.enter(chunk, context)?;
        let fidelity = self.fidelity(chunk.key, made_up);
        let mut left = chunk.frame_count.0;
        let steps = chunk.latent.count();
        // A GPU computes the next step while frames of this one are looked after.
        let looks_ahead = self.tiles.is_none() && matches!(self.bundle.device(), Device::Cuda(_));
        let mut ahead = None;
        for step in (0..steps).step_by(self.at_once) {
            let at_once = self.at_once.min(steps - step);
            let part = |step| chunk.latent.part(step..step + at_once);
            let group = if step + at_once < steps {
                Group::GoesOn
            } else {
                group
            };
            let pixels = if looks_ahead {
                let now = match ahead.take() {
                    Some(running) => running,
                    None => self.begin(&part(step)?, context)?,
                };
                if step + at_once < steps {
                    ahead = Some(self.begin(&part(step + at_once)?, context)?);
                }
                now.wait()?
            } else {
                self.decode(&part(step)?, group, context)?
            };
            for index in 0..pixels.count() {
                if left == 0 {
                    break;
                }
                let mut frame = self.frame(&pixels, index, context)?;
                if let Some(OpenGap::ForFrame(frames)) = self.waiting.take() {
                    self.blend(frames, Some(&frame), context)?;
                }
                let index = chunk.first_frame.0 + (chunk.frame_count.0 - left);
                if let Some(way) = &self.way {
                    context.compute(|| way.mix_into(index, &mut frame));
                }
                left -= 1;
                if left == 0 {
                    self.last = Some(frame.clone());
                }
                send(index, fidelity, frame, context)?;
            }
        }
        self.last_latent = Some(chunk.latent.part(steps.saturating_sub(1)..steps)?);
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

    /// A frame of (T, H, W, 3) without its padding.
    fn frame(&self, pixels: &Volume, index: usize, context: &Context<O>) -> Result<Frame> {
        let [_, rows, columns, _] = pixels.four_sides("frames")?;
        let frame = &pixels.data()[index * rows * columns * 3..][..rows * columns * 3];
        Ok(context.compute(|| crop(frame, columns, self.width, self.height)))
    }

    /// Predicted chunks. Their frames are mixed with those on the way from the frame before to the one after them, of which
    /// one is held where the other is missing: where pictures are calm the way errs less, and errors of the two have
    /// little in common.
    fn predicted(&mut self, predicted: &Predicted, context: &Context<O>) -> Result<()> {
        let Predicted { chunks, before, next } = predicted;
        let before = self.last.clone().filter(|_| *before);
        let after = match next {
            Some(next) => Some(self.first_frame_of(next, context)?),
            None => None,
        };
        let ends = match (before, after) {
            (Some(before), Some(after)) => Some((before, after)),
            (Some(one), None) | (None, Some(one)) => Some((one.clone(), one)),
            (None, None) => None,
        };
        self.way = ends.zip(chunks.first()).map(|((before, after), first)| {
            let count: u64 = chunks.iter().map(|chunk| chunk.frame_count.0).sum();
            let first = first.first_frame.0;
            Way::new(before, after, first..first + count)
        });
        let method = Some(Method::MaskGit);
        let result = chunks
            .iter()
            .try_for_each(|chunk| self.chunk(chunk, method, Group::GoesOn, context));
        self.way = None;
        result
    }

    /// The first frame of a chunk that comes later.
    fn first_frame_of(&mut self, next: &Next, context: &Context<O>) -> Result<Frame> {
        let (vae, state) = (&self.bundle.vae, &mut self.state);
        let pixels = match &mut self.tiles {
            Some(tiles) => context.compute(|| vae.decode_tiled_ahead(&next.latent, next.key, tiles)),
            None => context.compute(|| vae.decode_ahead(&next.latent, next.key, state)),
        }?;
        self.frame(&pixels, 0, context)
    }

    fn gap(&mut self, gap: Gap, context: &Context<O>) -> Result<()> {
        self.affected = true;
        match gap.cover {
            Cover::Nothing => Ok(()),
            Cover::Freeze => self.freeze(gap.frames, context),
            Cover::Blend => {
                self.waiting = Some(OpenGap::ForFrame(gap.frames));
                Ok(())
            }
            Cover::Latent(chunks, Wait::ForNext) => {
                self.waiting = Some(OpenGap::ForLatent(chunks));
                Ok(())
            }
            Cover::Latent(chunks, Wait::No) => self.bridge(&chunks, None, context),
        }
    }

    /// Copies of the last frame; black, if there is none.
    fn freeze(&mut self, frames: Range<u64>, context: &Context<O>) -> Result<()> {
        let frame = self.last.clone().unwrap_or_else(|| Frame {
            width: self.width,
            height: self.height,
            data: vec![0.0; self.width * self.height * 3],
        });
        for index in frames {
            send(index, Fidelity::Concealed(Method::Freeze), frame.clone(), context)?;
        }
        Ok(())
    }

    /// Frames between the last one and `after`.
    fn blend(&mut self, frames: Range<u64>, after: Option<&Frame>, context: &Context<O>) -> Result<()> {
        let (Some(before), Some(after)) = (&self.last, after) else {
            return self.freeze(frames, context);
        };
        let way = Way::new(before.clone(), after.clone(), frames.clone());
        for index in frames {
            let frame = context.compute(|| way.frame(index));
            send(index, Fidelity::Concealed(Method::Blend), frame, context)?;
        }
        Ok(())
    }

    /// Chunks of latents between the last one and `after`.
    fn bridge(&mut self, chunks: &[LostChunk], after: Option<&Volume>, context: &Context<O>) -> Result<()> {
        let steps = chunks.iter().map(|chunk| chunk.latent_frames.0);
        let steps = usize::try_from(steps.sum::<u64>()).unwrap_or(usize::MAX);
        let Some(latents) = blended_latents(self.last_latent.as_ref(), after, steps)? else {
            return chunks.iter().try_for_each(|chunk| {
                let first = chunk.first_frame.0;
                self.freeze(first..first + chunk.frame_count.0, context)
            });
        };
        let mut at = 0;
        for chunk in chunks {
            let steps = usize::try_from(chunk.latent_frames.0).unwrap_or(usize::MAX);
            let made_up = LatentChunk {
                sequence: chunk.sequence,
                first_frame: chunk.first_frame,
                key: chunk.key,
                frame_count: chunk.frame_count,
                latent: latents.part(at..at + steps)?,
                source: None,
            };
            at += steps;
            self.chunk(&made_up, Some(Method::Latent), Group::GoesOn, context)?;
        }
        Ok(())
    }
}

impl<O: From<DecodedFrame>> VaeDecoder<O> {
    fn item(&mut self, item: Latents, group: Group, context: &Context<O>) -> Result<()> {
        match item {
            Latents::Gap(gap) => self.gap(gap, context),
            Latents::Predicted(predicted) => self.predicted(&predicted, context),
            Latents::Chunk(chunk) => {
                match self.waiting.take() {
                    Some(OpenGap::ForLatent(lost)) => {
                        let first = chunk.latent.part(0..1)?;
                        self.bridge(&lost, Some(&first), context)?;
                    }
                    other => self.waiting = other,
                }
                self.chunk(&chunk, None, group, context)
            }
        }
    }
}

impl<O: From<DecodedFrame> + Send + 'static> Stage for VaeDecoder<O> {
    type In = Latents;
    type Out = O;

    fn take(&mut self, item: Latents, context: &Context<O>) -> Result<()> {
        if self.tiles.is_none() {
            return self.item(item, Group::GoesOn, context);
        }
        let group = match &item {
            Latents::Chunk(chunk) if chunk.key => Group::Ends,
            _ => Group::GoesOn,
        };
        match self.held.replace(item) {
            Some(held) => self.item(held, group, context),
            None => Ok(()),
        }
    }

    fn finish(&mut self, context: &Context<O>) -> Result<()> {
        if let Some(held) = self.held.take() {
            self.item(held, Group::Ends, context)?;
        }
        match self.waiting.take() {
            Some(OpenGap::ForFrame(frames)) => self.blend(frames, None, context),
            Some(OpenGap::ForLatent(lost)) => self.bridge(&lost, None, context),
            None => Ok(()),
        }
    }
}

fn send<O: From<DecodedFrame>>(
    index: u64,
    fidelity: Fidelity,
    frame: Frame,
    context: &Context<O>,
) -> Result<()> {
    let index = PixelFrames(index);
    context.send(
        DecodedFrame {
            index,
            fidelity,
            frame,
        }
        .into(),
    )
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
