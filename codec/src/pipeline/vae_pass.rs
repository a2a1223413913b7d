//! The frozen VAE without tokens: what a file is measured against.

use std::sync::Arc;

use super::steps::{decode_step, encode_step, frames_wanted};
use crate::bundle::Bundle;
use crate::error::Result;
use crate::frame::Frame;
use crate::vae::{DecoderState, EncoderState};

/// Sends frames through the VAE's encoder and decoder, chunk by chunk, on the caller's thread.
pub struct VaePass {
    bundle: Arc<Bundle>,
    encoder: EncoderState,
    decoder: DecoderState,
}

impl VaePass {
    /// A pass at the start of a group.
    #[must_use]
    pub fn new(bundle: Arc<Bundle>) -> Self {
        Self {
            bundle,
            encoder: EncoderState::default(),
            decoder: DecoderState::default(),
        }
    }

    /// The frames of one chunk as the VAE gives them back. A chunk that is `key` starts a group; only the last chunk of
    /// a group may have fewer frames than it holds.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for a frame that is not valid, [`Error::Shape`](crate::Error::Shape)
    /// if sizes differ within a group.
    pub fn run(&mut self, frames: &[Frame], key: bool) -> Result<Vec<Frame>> {
        if key {
            self.encoder.reset();
            self.decoder.reset();
        }
        let vae = &self.bundle.vae;
        let mut out = Vec::with_capacity(frames.len());
        let mut rest = frames;
        while let Some(first) = rest.first() {
            let (step, later) = rest.split_at(frames_wanted(vae, &self.encoder).min(rest.len()));
            for frame in step {
                frame.validate()?;
                first.same_size(frame)?;
            }
            let latent = encode_step(vae, &mut step.to_vec(), &mut self.encoder, self.bundle.device())?;
            let pictures = decode_step(vae, &latent, &mut self.decoder, first.width, first.height)?;
            out.extend(pictures.into_iter().take(step.len()));
            rest = later;
        }
        Ok(out)
    }
}
