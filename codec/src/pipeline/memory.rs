//! How much memory a pipeline takes, and tiles for one that must do with less.

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::vae::{TiledState, Tiling};

use super::{FRAME_QUEUE, Geometry, QUEUE};

/// Latent positions on either side of a border over which tiles are blended, where no margin makes them exact. Two of them
/// make the overlap of 64 pixels that diffusers has.
const BLEND: usize = 4;

/// The smallest side of a tile without its margins, in latent positions.
const SMALLEST: usize = 8;

/// Frames that wait outside of the pipeline, in readers and writers.
const OUTSIDE: usize = 3;

/// A turn of all tiles on disk more than one for each chunk costs as much as one part in so many of what is computed.
const TURN: u64 = 20;

/// Bytes of a pixel: three f32.
const PIXEL: u64 = 12;

/// What a pipeline does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Frames to tokens.
    Encode,
    /// Tokens to frames.
    Decode,
    /// Frames to latents.
    EncodeLatents,
    /// Latents to frames.
    DecodeLatents,
}

impl Work {
    /// Whether it runs the VAE's encoder, and not its decoder.
    fn encodes(self) -> bool {
        matches!(self, Self::Encode | Self::EncodeLatents)
    }

    /// Whether it runs the tokenizer as well.
    fn has_tokens(self) -> bool {
        matches!(self, Self::Encode | Self::Decode)
    }
}

/// How a VAE's network is run: whole frames, or tiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Tiles; none for whole frames.
    pub tiling: Option<Tiling>,
    /// Whether the states of tiles wait in a temporary file.
    pub on_disk: bool,
    /// Latent frames that a tile takes before the next tile has its turn, at most.
    pub steps: usize,
    /// Bytes that the pipeline will take, besides what the process has before it starts.
    pub estimate: u64,
}

impl MemoryPlan {
    /// Whole frames if they fit into `limit` bytes, else the tiles that compute least among those that do. Tiles whose
    /// states fit into memory as well are preferred; on disk, those whose states are read and written less often.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the smallest tiles do not fit; the message says what they would take.
    pub fn new(bundle: &Bundle, geometry: &Geometry, work: Work, limit: Option<u64>) -> Result<Self> {
        let whole = Self {
            tiling: None,
            on_disk: false,
            steps: 1,
            estimate: estimate(bundle, geometry, work, None),
        };
        let Some(limit) = limit.filter(|&limit| limit < whole.estimate) else {
            return Ok(whole);
        };
        let reach = match work.encodes() {
            true => bundle.vae.encoder_reach(),
            false => bundle.vae.decoder_reach(),
        };
        let (margin, blend) = reach.map_or((BLEND, true), |reach| (reach, false));
        let latent = geometry.latent_size();
        let most = latent.map(|side| (side / SMALLEST).max(1));
        let chunk = usize::from(geometry.chunk_latent_frames).max(1);
        // In memory states are only handed over. A file is read and written in every turn, so turns are long if they can be.
        let waits = [(false, 1), (true, chunk), (true, chunk.div_ceil(2)), (true, 1)];
        let mut best: Option<((bool, u64), Self)> = None;
        let mut least = u64::MAX;
        for rows in 1..=most[0] {
            for columns in 1..=most[1] {
                let tiling = Tiling::new(latent, [rows, columns], margin, blend);
                for (on_disk, steps) in waits {
                    let estimate = estimate(bundle, geometry, work, Some((&tiling, on_disk, steps)));
                    least = least.min(estimate);
                    let turns = chunk.div_ceil(steps) as u64;
                    let extra = if on_disk { turns - 1 } else { 0 };
                    let cost = (on_disk, tiling.positions() * (TURN + extra));
                    if estimate <= limit && best.as_ref().is_none_or(|(known, _)| cost < *known) {
                        let plan = Self {
                            tiling: Some(tiling.clone()),
                            on_disk,
                            steps,
                            estimate,
                        };
                        best = Some((cost, plan));
                    }
                }
            }
        }
        best.map(|(_, plan)| plan).ok_or_else(|| {
            let reason = format!(
                "{limit} bytes are left for the pipeline, but in the smallest tiles it takes {least}; give more, or shorter \
                 chunks"
            );
            Error::parameter("max_memory", reason)
        })
    }

    /// What remembers the tiles' frames; none for whole frames.
    pub(super) fn tiles(&self) -> Option<TiledState> {
        let tiling = self.tiling.clone();
        tiling.map(|tiling| TiledState::new(tiling, self.on_disk))
    }
}

/// What a pipeline takes; with tiles, whether their states wait on disk and the latent frames of a turn.
fn estimate(bundle: &Bundle, geometry: &Geometry, work: Work, tiles: Option<(&Tiling, bool, usize)>) -> u64 {
    let [time, rows, columns] = geometry.strides;
    let [height, width] = geometry.latent_size();
    let frame = PIXEL * (height * rows * width * columns) as u64;
    let size = |latent| match work.encodes() {
        true => bundle.vae.encoder_size(latent),
        false => bundle.vae.decoder_size(latent),
    };
    // Latents and tokens: small beside pixels, but not nothing.
    let chunk = u64::from(geometry.chunk_latent_frames);
    let positions = chunk * (height * width) as u64;
    let latents = 4 * positions * (bundle.vae.latent_channels() * (2 + 2 * QUEUE)) as u64;
    let chunk_size = [geometry.chunk_latent_frames.into(), height, width];
    let tokenizer = bundle.tokenizer.as_ref().filter(|_| work.has_tokens());
    let tokens = tokenizer.map_or(0, |tokenizer| tokenizer.size(chunk_size));
    let step = time as u64 * frame;
    let queued = match work.encodes() {
        // One in the making, one that waits; with tiles, one that shows whether the group goes on.
        true => (1 + QUEUE as u64 + u64::from(tiles.is_some())) * step,
        false => FRAME_QUEUE as u64 * frame,
    };
    let network = match tiles {
        None => size([height, width]).state + step,
        Some((tiling, on_disk, steps)) => {
            let [tile_height, tile_width] = tiling.largest();
            let tile = size([tile_height, tile_width]);
            let pixels = PIXEL * (tile_height * rows * tile_width * columns) as u64;
            let [down, across] = tiling.counts();
            let states = match on_disk {
                true => 0,
                // The one at hand is counted already, but a look at what comes later needs a copy.
                false => (down * across - usize::from(work.encodes())) as u64,
            };
            tile.state + states * tile.remembered + (steps * time) as u64 * (frame + pixels)
        }
    };
    network + queued + OUTSIDE as u64 * frame + latents + tokens
}
