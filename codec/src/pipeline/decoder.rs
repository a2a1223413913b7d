//! Chunks to frames.

use std::sync::Arc;

use candle_core::Tensor;
use crossbeam_channel::Receiver;
use latentbit_container::{Chunk, Header, LatentFrames};

use super::QUEUE;
use super::line::{Line, Outlet};
use super::steps::decode_step;
use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::vae::DecoderState;

/// How to decode.
#[derive(Clone, Debug)]
pub struct DecoderOptions {
    /// Use at most this many bit-planes; all that the chunks have if none is given.
    pub bits: Option<u8>,
    /// Chunks that may wait between two stages. Default 2.
    pub queue: usize,
}

impl Default for DecoderOptions {
    fn default() -> Self {
        Self {
            bits: None,
            queue: QUEUE,
        }
    }
}

/// Turns chunks into frames: the tokenizer runs on one thread, the VAE on another.
pub struct Decoder {
    header: Header,
    /// The chunk that continues the group at hand.
    continues: Option<u64>,
    line: Line<Chunk, Frame>,
}

impl Decoder {
    /// A decoder for the stream with this header.
    ///
    /// # Errors
    /// [`Error::WrongBundle`] if the stream was made with another bundle, [`Error::Bundle`] if this one has no
    /// tokenizer, [`Error::Parameter`] if the header is not valid or does not fit the bundle.
    pub fn new(bundle: Arc<Bundle>, header: &Header, options: DecoderOptions) -> Result<Self> {
        check(&bundle, header)?;
        let kept = options.bits.unwrap_or(header.bundle_bits);
        let first = {
            let (bundle, header) = (bundle.clone(), header.clone());
            move |chunks: Receiver<Chunk>, latents: Outlet<Latent>| {
                for chunk in chunks {
                    if !latents.send(Latent::of(chunk, &bundle, &header, kept)) {
                        break;
                    }
                }
            }
        };
        let (width, height) = (header.width as usize, header.height as usize);
        let mut state = DecoderState::default();
        let second = move |latent: Latent, frames: &Outlet<Frame>| {
            if latent.key {
                state.reset();
            }
            let mut left = latent.frames;
            for at in 0..latent.tensor.dim(0)? {
                let step = latent.tensor.narrow(0, at, 1)?.contiguous()?;
                for frame in decode_step(&bundle.vae, &step, &mut state, width, height)? {
                    // The rest is padding.
                    if left == 0 {
                        break;
                    }
                    left -= 1;
                    if !frames.send(Ok(frame)) {
                        return Ok(false);
                    }
                }
            }
            Ok(true)
        };
        let frames = usize::from(header.strides[0]);
        Ok(Self {
            header: header.clone(),
            continues: None,
            line: Line::start("decode", [options.queue, options.queue, frames], first, second)?,
        })
    }

    /// Gives the next chunk; waits while the queues are full.
    ///
    /// # Errors
    /// [`Error::Chunk`] for a chunk that does not fit the header, or that continues a group whose last chunk was not
    /// given; it is then not taken. [`Error::Parameter`] after [`flush`](Self::flush); whatever stopped the decoder.
    pub fn push(&mut self, chunk: Chunk) -> Result<()> {
        let sequence = chunk.sequence;
        let refuse = |reason: String| Err(Error::Chunk { sequence, reason });
        let header = &self.header;
        if chunk.tokens.grid != header.grid(chunk.latent_frames) || chunk.latent_frames == LatentFrames(0) {
            return refuse(format!(
                "its token grid {} is not that of its header",
                chunk.tokens.grid
            ));
        }
        if chunk.tokens.bits > header.bundle_bits {
            return refuse(format!(
                "has {} bits per token, but the bundle makes {}",
                chunk.tokens.bits, header.bundle_bits
            ));
        }
        if chunk.frame_count > header.frames_held(chunk.latent_frames, chunk.key) {
            return refuse(format!(
                "says that it has {} frames, more than its latent frames hold",
                chunk.frame_count
            ));
        }
        if let Err(error) = chunk.tokens.validate() {
            return refuse(error.to_string());
        }
        if !chunk.key && self.continues != Some(sequence) {
            return refuse(
                "continues a group, but the chunk before it was not given; start at a key chunk".to_owned(),
            );
        }
        self.continues = sequence.checked_add(1);
        self.line.push(chunk)
    }

    /// A frame that is ready, or none; never waits.
    ///
    /// # Errors
    /// Whatever stopped the decoder.
    pub fn pull(&mut self) -> Result<Option<Frame>> {
        self.line.pull()
    }

    /// Says that no more chunks come.
    ///
    /// # Errors
    /// None today.
    pub fn flush(&mut self) -> Result<()> {
        self.line.flush();
        Ok(())
    }

    /// Waits for the next frame; none after the last.
    ///
    /// # Errors
    /// [`Error::Parameter`] before [`flush`](Self::flush); whatever stopped the decoder.
    pub fn next_frame(&mut self) -> Result<Option<Frame>> {
        self.line.next()
    }
}

/// Whether the stream was made with this bundle.
fn check(bundle: &Bundle, header: &Header) -> Result<()> {
    if bundle.id.sha256 != header.bundle.sha256 {
        return Err(Error::WrongBundle {
            needed: Box::new(header.bundle.clone()),
            given: Box::new(bundle.id.clone()),
        });
    }
    header.validate()?;
    let tokenizer = bundle.tokenizer()?;
    let said = (
        header.bundle_bits,
        header.patch.map(usize::from),
        header.strides.map(usize::from),
    );
    let has = (tokenizer.bits(), tokenizer.config().patch, bundle.vae.strides());
    if said != has {
        let reason = format!(
            "names the bundle {:?}, but says bits, patch and strides {said:?} where the bundle has {has:?}",
            bundle.id.name
        );
        return Err(Error::parameter("header", reason));
    }
    Ok(())
}

/// The latent of one chunk.
struct Latent {
    tensor: Tensor,
    frames: u64,
    key: bool,
}

impl Latent {
    fn of(chunk: Chunk, bundle: &Bundle, header: &Header, kept: u8) -> Result<Self> {
        let [_, s_h, s_w] = bundle.vae.strides();
        // The grid fits, so the number of latent frames is at most that of its tokens times the patch.
        let time = chunk.latent_frames.0 as usize;
        let size = [
            time,
            (header.height as usize).div_ceil(s_h),
            (header.width as usize).div_ceil(s_w),
        ];
        let tokens = &chunk.tokens;
        let tensor = bundle
            .tokenizer()?
            .decode(&tokens.values, tokens.grid, kept.min(tokens.bits), size)?;
        Ok(Self {
            tensor,
            frames: chunk.frame_count.0,
            key: chunk.key,
        })
    }
}
