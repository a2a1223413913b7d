//! How much memory a pipeline takes, and tiles for one that must do with less.

use latentbit_container::PixelFrames;
use latentbit_container::units::{LatentFrames, frames_held, latent_frames_needed};

use crate::device::Device;
use crate::error::{Error, Result};
use crate::model::Bundle;
use crate::rate::{ANCHORS, Effort, Measure};
use crate::tokenizer::ladder;
use crate::vae::{NetworkSize, TiledState, Tiling};

use super::{FRAME_QUEUE, Geometry, QUEUE};

/// Latent positions on either side of a border over which tiles are blended, where no margin makes them exact. Two of them
/// make the overlap of 64 pixels that diffusers has.
const BLEND: usize = 4;

/// The smallest side of a tile without its margins, in latent positions.
const SMALLEST: usize = 8;

/// Frames that wait outside of the pipeline, in readers and writers.
const OUTSIDE: usize = 2;

/// A turn of all tiles on disk more than one for each chunk costs as much as one part in so many of what is computed.
const TURN: u64 = 20;

/// Bytes of a pixel: three f32.
const PIXEL: u64 = 12;

/// What a pipeline does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Frames to tokens.
    Encode,
    /// Frames to tokens of an elastic stream, whose depths are chosen by what is measured.
    EncodeElastic {
        /// What is measured.
        measure: Measure,
        /// Planes from one depth to the next.
        step: u8,
        /// Whether all chunks are kept until the last one is there.
        keeps_all: bool,
    },
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
        matches!(
            self,
            Self::Encode | Self::EncodeElastic { .. } | Self::EncodeLatents
        )
    }

    /// Whether it runs the tokenizer as well.
    fn has_tokens(self) -> bool {
        matches!(self, Self::Encode | Self::EncodeElastic { .. } | Self::Decode)
    }
}

/// Where the states of tiles wait for their next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TileStates {
    /// In memory.
    InMemory,
    /// In a temporary file.
    OnDisk,
    /// Nowhere: each tile is expected to have one turn only. If it has more after all, they wait in a temporary file.
    Nowhere,
}

/// The most memory that this process can have, in bytes, as far as the system tells: what the machine has with its swap
/// space, or less where a limit is set for the process or its group.
fn machine_memory() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").map(|text| {
        let fields = ["MemTotal:", "SwapTotal:"].map(|key| {
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        });
        fields.into_iter().flatten().sum::<u64>().saturating_mul(1024)
    });
    let group = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let group = group.map(|path| read(path)?.trim().parse().ok());
    let process = read("/proc/self/limits").and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Max address space"))?;
        line.split_whitespace().next()?.parse().ok()
    });
    let all = [machine.filter(|&bytes| bytes > 0), process]
        .into_iter()
        .chain(group);
    all.flatten().min()
}

/// How a VAE's network is run: whole frames, or tiles.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryPlan {
    /// Tiles; none for whole frames.
    pub tiling: Option<Tiling>,
    /// Where the states of tiles wait.
    pub states: TileStates,
    /// Latent frames that a tile takes before the next tile has its turn, at most.
    pub steps: usize,
    /// Bytes that the pipeline will take, besides what the process has before it starts.
    pub estimate: u64,
}

impl MemoryPlan {
    /// Whole frames if they fit into `limit` bytes, else the tiles that compute least among those that do. Tiles whose
    /// states fit into memory as well are preferred; on disk, those whose states are read and written less often.
    ///
    /// `frames` is how many the video has, if that is known: a short one does not fill all queues and buffers. More than
    /// that take more memory than the estimate says.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the smallest tiles do not fit; the message says what they would take. Without a limit,
    /// [`Error::Memory`] if whole frames take more than this machine has.
    pub fn new(
        bundle: &Bundle,
        geometry: &Geometry,
        work: Work,
        frames: Option<PixelFrames>,
        limit: Option<u64>,
    ) -> Result<Self> {
        let estimates = Estimates::new(bundle, geometry, work, frames);
        let whole = Self {
            tiling: None,
            states: TileStates::InMemory,
            steps: 1,
            estimate: estimates.whole(),
        };
        let Some(limit) = limit else {
            // Not tiles: which ones would depend on the machine, and they can show in tokens.
            let there = machine_memory().filter(|_| matches!(bundle.device(), Device::Cpu));
            return match there {
                Some(there) if there < whole.estimate => Err(Error::Memory {
                    needed: whole.estimate,
                    there,
                }),
                _ => Ok(whole),
            };
        };
        if limit >= whole.estimate {
            return Ok(whole);
        }
        let reach = match work.encodes() {
            true => bundle.vae.encoder_reach(),
            false => bundle.vae.decoder_reach(),
        };
        let (margin, blend) = reach.map_or((BLEND, true), |reach| (reach, false));
        let latent = geometry.latent_size();
        let most = latent.map(|side| (side / SMALLEST).max(1));
        let chunk = estimates.chunk;
        let at_once = match estimates.in_one_chunk() {
            true => TileStates::Nowhere,
            false => TileStates::OnDisk,
        };
        // In memory states are only handed over. A file is read and written in every turn, so turns are long if they can be.
        let ways = [
            (TileStates::InMemory, 1),
            (at_once, chunk),
            (TileStates::OnDisk, chunk.div_ceil(2)),
            (TileStates::OnDisk, 1),
        ];
        let mut best: Option<((bool, u64), Self)> = None;
        let mut least = u64::MAX;
        for rows in 1..=most[0] {
            for columns in 1..=most[1] {
                let tiling = Tiling::new(latent, [rows, columns], margin, blend);
                let network = estimates.network(tiling.largest());
                for (states, steps) in ways {
                    let estimate = estimates.tiled(&tiling, &network, states, steps);
                    least = least.min(estimate);
                    let turns = chunk.div_ceil(steps) as u64;
                    let on_disk = states == TileStates::OnDisk;
                    let extra = if on_disk { turns - 1 } else { 0 };
                    let cost = (on_disk, tiling.positions() * (TURN + extra));
                    if estimate <= limit && best.as_ref().is_none_or(|(known, _)| cost < *known) {
                        let plan = Self {
                            tiling: Some(tiling.clone()),
                            states,
                            steps,
                            estimate,
                        };
                        best = Some((cost, plan));
                    }
                }
            }
        }
        best.map(|(_, plan)| plan).ok_or_else(|| {
            let measuring = match estimates.measuring {
                0 => String::new(),
                bytes => format!(", {bytes} of them to measure what depths cost (less effort takes less)"),
            };
            let reason = format!(
                "{limit} bytes are left for the pipeline, but in the smallest tiles it takes {least}{measuring}; give more, or \
                 shorter chunks"
            );
            Error::parameter("max_memory", reason)
        })
    }

    /// Tiles, and how they take turns; nothing is estimated.
    #[must_use]
    pub fn in_tiles(tiling: Tiling, states: TileStates, steps: usize) -> Self {
        Self {
            tiling: Some(tiling),
            states,
            steps,
            estimate: 0,
        }
    }

    /// What remembers the tiles' frames; none for whole frames.
    pub(super) fn tiles(&self) -> Option<TiledState> {
        let tiling = self.tiling.clone();
        tiling.map(|tiling| TiledState::new(tiling, self.states != TileStates::InMemory))
    }
}

/// What a pipeline takes, in bytes.
struct Estimates<'a> {
    bundle: &'a Bundle,
    geometry: &'a Geometry,
    work: Work,
    /// Frames and latent frames of the video, if they are known; frames with those that fill the last step.
    known: Option<(u64, LatentFrames)>,
    /// Latent frames of the longest chunk.
    chunk: usize,
    /// Of a frame.
    frame: u64,
    /// Of latents: small beside pixels, but not nothing.
    latents: u64,
    /// That the tokenizer works in.
    tokens: u64,
    /// That measuring depths takes, beside what encoding takes.
    measuring: u64,
}

impl<'a> Estimates<'a> {
    fn new(bundle: &'a Bundle, geometry: &'a Geometry, work: Work, frames: Option<PixelFrames>) -> Self {
        let [time, rows, columns] = geometry.strides;
        let [height, width] = geometry.latent_size();
        let known = frames.filter(|&PixelFrames(frames)| frames > 0).map(|frames| {
            let stride = u8::try_from(time).unwrap_or(u8::MAX);
            let latent = latent_frames_needed(frames, stride, true);
            (frames_held(latent, stride, true).0, latent)
        });
        let full = usize::from(geometry.chunk_latent_frames).max(1);
        let chunk = known.map_or(full, |(_, LatentFrames(frames))| {
            full.min(usize::try_from(frames).unwrap_or(full))
        });
        let positions = (chunk * height * width) as u64;
        let latents = 4 * positions * (bundle.vae.latent_channels() * (2 + 2 * QUEUE)) as u64;
        let tokenizer = bundle.tokenizer.as_ref().filter(|_| work.has_tokens());
        let tokens = tokenizer.map_or(0, |tokenizer| tokenizer.size([chunk, height, width]));
        let mut estimates = Self {
            bundle,
            geometry,
            work,
            known,
            chunk,
            frame: PIXEL * (height * rows * width * columns) as u64,
            latents,
            tokens,
            measuring: 0,
        };
        estimates.measuring = estimates.of_measuring();
        estimates
    }

    /// What the choice of depths takes: decoders in whole frames, each with what it remembers, the frames that two of them
    /// make of a chunk, the latents of all depths, and chunks that wait for the size of the whole file.
    fn of_measuring(&self) -> u64 {
        let Work::EncodeElastic {
            measure,
            step,
            keeps_all,
        } = self.work
        else {
            return 0;
        };
        let Some(tokenizer) = &self.bundle.tokenizer else {
            return 0;
        };
        let depths = ladder(step.into(), tokenizer.bits().into()).count() as u64;
        let [height, width] = self.geometry.latent_size();
        let known = self.known.map(|(_, latent)| latent);
        let decoder = self.bundle.vae.decoder_size([height, width], known);
        let of_tokens = match measure.effort {
            Effort::Estimated => 0,
            Effort::Scaled => 2,
            Effort::Pixels => depths + 1,
        };
        let of_source = if measure.source {
            1 + ANCHORS.len() as u64
        } else {
            0
        };
        let decoders = of_tokens + of_source;
        let positions = (self.chunk * height * width) as u64;
        let in_latents = 4 * positions * self.bundle.vae.latent_channels() as u64 * depths;
        let chunk_frames = self.frames((self.chunk * self.geometry.strides[0]) as u64, self.frame);
        let in_pixels = match decoders {
            0 => 0,
            // One of them runs, and its frames lie beside those that they are compared with.
            _ => decoders * decoder.remembered + decoder.largest() + 2 * chunk_frames,
        };
        // The source of the chunk at hand, and of those that wait for the tokenizer.
        let sources = if measure.source {
            (1 + QUEUE as u64) * chunk_frames
        } else {
            0
        };
        // A token, and its error and cost at each depth.
        let token = 8 + 8 * depths;
        let per_patch: usize = tokenizer.config().patch.iter().product();
        let kept = match (keeps_all, known) {
            (true, Some(LatentFrames(latent))) => {
                latent.saturating_mul((height * width) as u64) / (per_patch.max(1) as u64) * token
            }
            _ => positions / (per_patch.max(1) as u64) * token,
        };
        in_latents + in_pixels + sources + kept
    }

    /// Whether a chunk holds the whole video.
    fn in_one_chunk(&self) -> bool {
        self.known
            .is_some_and(|(_, LatentFrames(frames))| frames <= u64::from(self.geometry.chunk_latent_frames))
    }

    fn network(&self, latent: [usize; 2]) -> NetworkSize {
        let frames = self.known.map(|(_, frames)| frames);
        match self.work.encodes() {
            true => self.bundle.vae.encoder_size(latent, frames),
            false => self.bundle.vae.decoder_size(latent, frames),
        }
    }

    /// Frames that can be there at a step of a group, at most so many: an encoder needs those of the steps before no more, and
    /// a decoder has not yet made those of the steps after. `last` stands for all later steps, too.
    fn frames_at(&self, step: usize, last: bool, most: u64) -> u64 {
        let Some((known, _)) = self.known else {
            return most;
        };
        let time = self.geometry.strides[0] as u64;
        // The first step of a group has one frame.
        let before = (step as u64 * time).saturating_sub(time - 1);
        let frames = match (self.work.encodes(), last) {
            (true, _) => known.saturating_sub(before),
            (false, true) => known,
            (false, false) => known.min(1 + step as u64 * time),
        };
        frames.min(most)
    }

    /// Of so many frames, or of those that the video has.
    fn frames(&self, count: u64, frame: u64) -> u64 {
        self.known.map_or(count, |(known, _)| known.min(count)) * frame
    }

    /// Frames that wait in the pipeline and outside.
    fn queued(&self, tiles: bool) -> u64 {
        let time = self.geometry.strides[0] as u64;
        let within = match self.work.encodes() {
            // One in the making, one that waits; with tiles, one that shows whether the group goes on.
            true => (1 + QUEUE as u64 + u64::from(tiles)) * time,
            false => FRAME_QUEUE as u64,
        };
        within + OUTSIDE as u64
    }

    /// All that there is at a time beside what the VAE takes.
    fn all(&self, vae: u64) -> u64 {
        // Behind the only chunk the VAE's encoder is gone before the tokenizer has its turn.
        let in_turn = self.work.encodes() && self.in_one_chunk();
        self.latents
            + self.measuring
            + if in_turn {
                vae.max(self.tokens)
            } else {
                vae + self.tokens
            }
    }

    /// In whole frames.
    fn whole(&self) -> u64 {
        let most = self.geometry.strides[0] as u64 + self.queued(false);
        let states = self.network(self.geometry.latent_size()).states;
        let at_step = |(step, state): (usize, &u64)| {
            let last = step + 1 == states.len();
            state + self.frame * self.frames_at(step, last, most)
        };
        self.all(states.iter().enumerate().map(at_step).max().unwrap_or(0))
    }

    /// In tiles; `network` is that of the largest one.
    fn tiled(&self, tiling: &Tiling, network: &NetworkSize, states: TileStates, steps: usize) -> u64 {
        let [time, rows, columns] = self.geometry.strides;
        let [height, width] = tiling.largest();
        let pixels = PIXEL * (height * rows * width * columns) as u64;
        let [down, across] = tiling.counts();
        let waiting = match states {
            // The one at hand is counted already, but a look at what comes later needs a copy.
            TileStates::InMemory => (down * across - usize::from(self.work.encodes())) as u64,
            TileStates::OnDisk | TileStates::Nowhere => 0,
        };
        let turn = (steps * time) as u64;
        let frames = self.frames(turn + self.queued(true), self.frame) + self.frames(turn, pixels);
        self.all(network.largest() + waiting * network.remembered + frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::kernels::Dtype;

    /// What is asked of an encoder beside tokens is part of its plan: more for more effort, and refused where it does not fit.
    #[test]
    fn measuring_counts() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../testdata/golden/storage-int8.safetensors"
        );
        let bundle = Bundle::open(path, &Device::Cpu, Dtype::F32).unwrap();
        let geometry = Geometry::new(&bundle, 640, 480);
        let frames = Some(PixelFrames(300));
        let plan = |work, limit| MemoryPlan::new(&bundle, &geometry, work, frames, limit);
        let plain = plan(Work::Encode, None).unwrap().estimate;
        let elastic = |measure, keeps_all| Work::EncodeElastic {
            measure,
            step: 3,
            keeps_all,
        };
        let efforts = [Effort::Estimated, Effort::Scaled, Effort::Pixels].map(Measure::tokens);
        let mut last = plain;
        for measure in efforts {
            let estimate = plan(elastic(measure, false), None).unwrap().estimate;
            let with_source = plan(elastic(measure.with_source(), false), None)
                .unwrap()
                .estimate;
            let kept = plan(elastic(measure, true), None).unwrap().estimate;
            assert!(
                estimate > last && with_source > estimate && kept > estimate,
                "{measure:?}"
            );
            last = estimate;
        }
        // Tiles do not help where decoders run in whole frames.
        let error = plan(elastic(efforts[2], false), Some(plain)).unwrap_err();
        assert!(error.to_string().contains("less effort"), "{error}");
        assert!(plan(Work::Encode, Some(plain)).is_ok());
    }
}
