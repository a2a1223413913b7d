//! The Wan family of causal video VAEs, chunk by chunk.

mod batch;
mod latent;
mod layers;
mod network;
mod passes;
mod plan;
mod program;
mod reach;
mod running;
mod size;
mod state;
mod tiled;
mod tiling;

pub use running::Running;
pub use size::NetworkSize;
pub use state::{DecoderState, EncoderState};
pub use tiled::{Group, TiledState};
pub use tiling::Tiling;

use crate::bundle::{Halves, VaeConfig, Weights};
use crate::error::{Error, Result};
use crate::volume::Volume;
use network::Network;

/// A causal video VAE: frames to latent and back, chunk by chunk with the same result as in one piece.
pub struct WanVae {
    config: VaeConfig,
    halves: Halves,
    encoder: Network,
    decoder: Network,
}

impl WanVae {
    pub(crate) fn load(config: &VaeConfig, weights: &mut Weights<'_>) -> Self {
        Self {
            config: config.clone(),
            halves: weights.halves(),
            encoder: weights.half(Halves::Encoder, |weights| Network::encoder(config, weights)),
            decoder: weights.half(Halves::Decoder, |weights| Network::decoder(config, weights)),
        }
    }

    /// Its config.
    #[must_use]
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// Frames and pixels per latent position along time, height and width.
    #[must_use]
    pub fn strides(&self) -> [usize; 3] {
        self.config.strides()
    }

    /// Channels of the latent.
    #[must_use]
    pub fn latent_channels(&self) -> usize {
        self.config.latent_channels
    }

    /// Frames to normalised latent.
    ///
    /// `frames` is f32 (T, H, W, 3) with values in -1…1, H and W multiples of the spatial stride. With a time stride of s,
    /// T is 1 + s·n when `state` is fresh and s·n (n > 0) when it continues a group. Gives (T', H / stride, W / stride, C)
    /// of about zero mean and unit variance, T' = 1 + n or n.
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes; `state` is then unchanged. After any other error, reset it.
    pub fn encode(&self, frames: &Volume, state: &mut EncoderState) -> Result<Volume> {
        self.begin_encode(frames, state)?.wait()
    }

    /// As [`encode`](Self::encode), but on a GPU it does not wait for the result.
    ///
    /// # Errors
    /// As for [`encode`](Self::encode).
    pub fn begin_encode(&self, frames: &Volume, state: &mut EncoderState) -> Result<Running> {
        self.halves.need(Halves::Encoder)?;
        let [time, height, width] = self.strides();
        let fits = match frames.shape() {
            &[t, h, w, 3] => {
                let later = if state.is_fresh() {
                    t.checked_sub(1)
                } else {
                    Some(t)
                };
                let whole = later.is_some_and(|t| t.is_multiple_of(time));
                t > 0 && whole && h > 0 && w > 0 && h.is_multiple_of(height) && w.is_multiple_of(width)
            }
            _ => false,
        };
        let size = spatial(frames);
        if !fits || !state.0.fits(size) {
            let first = if state.is_fresh() { "1 + " } else { "" };
            let expected = format!(
                "f32 ({first}{time}n, {height}n, {width}n, 3), of the same height and width throughout a group"
            );
            return Err(Error::shape("frames", frames.shape(), expected));
        }
        state.0.set_size(size);
        let patch = self.config.patch;
        let [rows, columns] = size.map(|side| side / patch);
        let frame = size[0] * size[1] * 3;
        let c = self.latent_channels();
        let first = usize::from(state.is_fresh());
        let steps = first + (frames.count() - first) / time;
        let mut running = Running::new([steps, size[0] / height, size[1] / width, c]);
        let mut rest = frames.data();
        while !rest.is_empty() {
            let count = if state.is_fresh() { 1 } else { time };
            let (step, later) = rest.split_at(count * frame);
            let input = [count, rows, columns];
            let len = self.encoder.output_len(&state.0, input);
            running.push(len, |out| self.encoder.begin(&mut state.0, input, step, out))?;
            rest = later;
        }
        Ok(running)
    }

    /// Normalised latent to frames.
    ///
    /// `latent` is f32 (T', h, w, C) with any T' > 0. Gives (T, H, W, 3), nominally in -1…1 but **not clamped**;
    /// T = 1 + s·(T' - 1) when `state` is fresh and s·T' when it continues a group, for a time stride of s.
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes; `state` is then unchanged. After any other error, reset it.
    pub fn decode(&self, latent: &Volume, state: &mut DecoderState) -> Result<Volume> {
        self.begin_decode(latent, state)?.wait()
    }

    /// As [`decode`](Self::decode), but on a GPU it does not wait for the result.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode).
    pub fn begin_decode(&self, latent: &Volume, state: &mut DecoderState) -> Result<Running> {
        self.halves.need(Halves::Decoder)?;
        let fits = match latent.shape() {
            &[t, h, w, c] => t > 0 && h > 0 && w > 0 && c == self.latent_channels(),
            _ => false,
        };
        let size = spatial(latent);
        if !fits || !state.0.fits(size) {
            let expected = format!(
                "f32 (n, n, n, {}), of the same height and width throughout a group",
                self.latent_channels()
            );
            return Err(Error::shape("latent", latent.shape(), expected));
        }
        state.0.set_size(size);
        let [time, height, width] = self.strides();
        let (h, w) = (size[0] * height, size[1] * width);
        let steps = latent.count();
        let count = if state.is_fresh() {
            1 + (steps - 1) * time
        } else {
            steps * time
        };
        let mut running = Running::new([count, h, w, 3]);
        let step_len = size[0] * size[1] * self.latent_channels();
        for step in latent.data().chunks_exact(step_len) {
            let input = [1, size[0], size[1]];
            let len = self.decoder.output_len(&state.0, input);
            running.push(len, |out| self.decoder.begin(&mut state.0, input, step, out))?;
        }
        Ok(running)
    }

    /// As [`WanVae::decode`] of latent frames that come later, as the start of a group if `key`; `state` stays as it is.
    ///
    /// # Errors
    /// As for [`WanVae::decode`].
    pub fn decode_ahead(&self, latent: &Volume, key: bool, state: &mut DecoderState) -> Result<Volume> {
        let known = (!state.is_fresh()).then(|| state.0.save()).transpose()?;
        if let Some(known) = known.as_ref().filter(|_| !key) {
            state.0.load(known.clone());
        }
        let frames = self.decode(latent, state);
        match known {
            Some(known) => state.0.load(known),
            None => state.reset(),
        }
        frames
    }
}

/// Height and width of a (T, H, W, C) volume.
fn spatial(x: &Volume) -> [usize; 2] {
    match x.shape() {
        &[_, h, w, _] => [h, w],
        _ => [0; 2],
    }
}
