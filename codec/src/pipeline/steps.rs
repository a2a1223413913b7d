//! The smallest causal steps of the VAE, so that memory is that of one latent frame.

use crate::error::Result;
use crate::frame::{Frame, from_tensor, to_tensor};
use crate::vae::{DecoderState, EncoderState, WanVae};
use candle_core::{Device, Tensor};

/// Frames that the next step of the encoder takes.
pub(super) fn frames_wanted(vae: &WanVae, state: &EncoderState) -> usize {
    if state.is_fresh() { 1 } else { vae.strides()[0] }
}

/// One latent frame (1, h, w, C) of at most [`frames_wanted`] frames; the last one is repeated where some are missing,
/// and so are the last row and column up to the spatial strides.
pub(super) fn encode_step(
    vae: &WanVae,
    frames: &mut Vec<Frame>,
    state: &mut EncoderState,
    device: &Device,
) -> Result<Tensor> {
    let [_, s_h, s_w] = vae.strides();
    if let Some(last) = frames.last().cloned() {
        frames.resize(frames_wanted(vae, state), last);
    }
    let (height, width) = frames.first().map_or((0, 0), |f| (f.height, f.width));
    let size = [height.next_multiple_of(s_h), width.next_multiple_of(s_w)];
    let tensor = to_tensor(frames, size, device)?;
    frames.clear();
    vae.encode(&tensor, state)
}

/// The frames of one latent frame (1, h, w, C), cropped.
pub(super) fn decode_step(
    vae: &WanVae,
    latent: &Tensor,
    state: &mut DecoderState,
    width: usize,
    height: usize,
) -> Result<Vec<Frame>> {
    from_tensor(&vae.decode(latent, state)?, width, height)
}
