//! Latents to chunks of tokens and back.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

use latentbit_container::{Chunk, ChunkHead, LatentFrames, StreamId, Tokens, VideoStream, bit_mask};

use super::conceal::{MadeUp, Part};
use super::geometry::Geometry;
use super::items::{LatentChunk, Latents, Next, Predicted};
use super::stage::{Context, Stage};
use crate::error::{Error, Result};
use crate::model::Bundle;
use crate::rate::{ElasticChunk, Meter};

/// Runs the ViT's encoder and takes signs.
pub(super) struct TokenEncoder<O> {
    bundle: Arc<Bundle>,
    stream: VideoStream,
    /// Measures the errors of tokens that may be cut.
    meter: Option<Meter>,
    out: PhantomData<fn() -> O>,
}

/// What goes out for a chunk.
pub(super) trait Encoded: Send + 'static + Sized {
    /// A chunk of a plain stream.
    fn plain(chunk: Chunk) -> Result<Self>;

    /// A chunk of an elastic stream.
    fn elastic(chunk: ElasticChunk) -> Self;
}

impl Encoded for Chunk {
    fn plain(chunk: Chunk) -> Result<Self> {
        Ok(chunk)
    }

    fn elastic(chunk: ElasticChunk) -> Self {
        chunk.chunk
    }
}

impl Encoded for ElasticChunk {
    fn plain(_: Chunk) -> Result<Self> {
        Err(Error::parameter(
            "depth step",
            "a plain stream has no depths to choose",
        ))
    }

    fn elastic(chunk: ElasticChunk) -> Self {
        chunk
    }
}

impl<O: Encoded> TokenEncoder<O> {
    /// # Errors
    /// [`Error::Bundle`] if the bundle has no tokenizer.
    pub(super) fn new(bundle: &Arc<Bundle>, stream: &VideoStream, meter: Option<Meter>) -> Result<Self> {
        bundle.tokenizer()?;
        Ok(Self {
            bundle: bundle.clone(),
            stream: stream.clone(),
            meter,
            out: PhantomData,
        })
    }
}

impl<O: Encoded> Stage for TokenEncoder<O> {
    type In = LatentChunk;
    type Out = O;

    fn take(&mut self, item: LatentChunk, context: &Context<O>) -> Result<()> {
        let tokenizer = self.bundle.tokenizer()?;
        let (mut tokens, estimates) = context.compute(|| tokenizer.analyse(&item.latent))?;
        tokens.truncate_bits(self.stream.bits);
        let LatentChunk {
            sequence,
            first_frame,
            key,
            ref latent,
            ref source,
            ..
        } = item;
        let chunk = Chunk {
            head: ChunkHead {
                stream: StreamId(0),
                segment: 0,
                sequence,
                first_frame,
                frame_count: item.frame_count,
                latent_frames: LatentFrames(latent.count() as u64),
                key,
            },
            times: self.stream.constant_times(first_frame),
            tokens,
        };
        let Some(meter) = &mut self.meter else {
            return context.send(O::plain(chunk)?);
        };
        let bundle = &self.bundle;
        let elastic = context.compute(|| -> Result<_> {
            let errors = meter.measure(bundle, latent, (&chunk.tokens, estimates.as_ref()), key)?;
            let mut elastic = ElasticChunk::new(chunk, errors)?;
            if let Some(source) = source {
                elastic.source = Some(meter.source_error(bundle, latent, source, &elastic)?);
            }
            Ok(elastic)
        })?;
        context.send(O::elastic(elastic))
    }
}

/// Runs the ViT's decoder.
pub(super) struct TokenDecoder {
    bundle: Arc<Bundle>,
    /// Height and width of the latent.
    size: [usize; 2],
    kept_bits: Option<u8>,
    /// What waits for the chunk that follows it.
    waiting: Option<Predicted>,
}

impl TokenDecoder {
    /// # Errors
    /// [`Error::Bundle`] if the bundle has no tokenizer.
    pub(super) fn new(bundle: &Arc<Bundle>, stream: &VideoStream, kept_bits: Option<u8>) -> Result<Self> {
        bundle.tokenizer()?;
        Ok(Self {
            bundle: bundle.clone(),
            size: Geometry::from(stream).latent_size(),
            kept_bits,
            waiting: None,
        })
    }

    /// The latent of a chunk; where there are `draws` of its tokens, the mean of theirs.
    fn chunk(&self, chunk: &Chunk, draws: &[Vec<u64>], context: &Context<Latents>) -> Result<LatentChunk> {
        let tokenizer = self.bundle.tokenizer()?;
        let mut tokens = Cow::Borrowed(&chunk.tokens);
        if let Some(kept) = self.kept_bits {
            tokens.to_mut().truncate_bits(kept.max(1));
        }
        let latent_frames = usize::try_from(chunk.latent_frames.0).unwrap_or(usize::MAX);
        let size = [latent_frames, self.size[0], self.size[1]];
        let decode = |tokens: &Tokens| {
            context
                .compute(|| tokenizer.decode(tokens, size))
                .map_err(|error| Error::Chunk {
                    sequence: chunk.sequence,
                    reason: error.to_string(),
                })
        };
        let latent = match draws {
            [] => decode(&tokens)?,
            [first, others @ ..] => {
                // A draw has all bits, also those that its token has lost.
                let drawn = |values: &[u64]| {
                    let kept = bit_mask(tokens.bits);
                    let values = values.iter().map(|value| value & kept).collect();
                    decode(&Tokens::new(tokens.grid, tokens.bits, values))
                };
                let mut mean = drawn(first)?;
                for draw in others {
                    let draw = drawn(draw)?;
                    let pairs = mean.data_mut().iter_mut().zip(draw.data());
                    pairs.for_each(|(sum, value)| *sum += value);
                }
                let share = (1.0 / draws.len() as f64) as f32;
                mean.data_mut().iter_mut().for_each(|value| *value *= share);
                mean
            }
        };
        Ok(LatentChunk {
            sequence: chunk.sequence,
            first_frame: chunk.first_frame,
            key: chunk.key,
            frame_count: chunk.frame_count,
            latent,
            source: None,
        })
    }
}

impl Stage for TokenDecoder {
    type In = Part;
    type Out = Latents;

    fn take(&mut self, item: Part, context: &Context<Latents>) -> Result<()> {
        match item {
            Part::Chunk(chunk) => {
                let chunk = self.chunk(&chunk, &[], context)?;
                self.release(Some(&chunk), context)?;
                context.send(Latents::Chunk(chunk))
            }
            Part::MadeUp(MadeUp {
                chunk,
                draws,
                before,
                after,
            }) => {
                let chunk = self.chunk(&chunk, &draws, context)?;
                if let (Some(waiting), true) = (&mut self.waiting, after) {
                    waiting.chunks.push(chunk);
                    return Ok(());
                }
                self.release(Some(&chunk), context)?;
                let predicted = Predicted {
                    chunks: vec![chunk],
                    before,
                    next: None,
                };
                if after {
                    self.waiting = Some(predicted);
                    return Ok(());
                }
                context.send(Latents::Predicted(predicted))
            }
            Part::Gap(gap) => {
                self.release(None, context)?;
                context.send(Latents::Gap(gap))
            }
        }
    }

    fn finish(&mut self, context: &Context<Latents>) -> Result<()> {
        self.release(None, context)
    }
}

impl TokenDecoder {
    /// Sends what waits for `next`.
    fn release(&mut self, next: Option<&LatentChunk>, context: &Context<Latents>) -> Result<()> {
        let Some(mut predicted) = self.waiting.take() else {
            return Ok(());
        };
        if let Some(LatentChunk { latent, key, .. }) = next {
            predicted.next = Some(Next {
                latent: latent.part(0..1)?,
                key: *key,
            });
        }
        context.send(Latents::Predicted(predicted))
    }
}
