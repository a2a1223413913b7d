//! How much memory the networks take, told before they run.
//!
//! A few steps are walked through as a network would, and what its buffers hold is counted.

use std::collections::BTreeMap;
use std::ops::Range;

use latentbit_container::units::LatentFrames;

use super::WanVae;
use super::network::{FRAMES, Network};
use super::passes::Visitor;
use super::program::{Operator, Parts, Program, Reader, Values, Want};
use super::state::Slot;
use crate::error::Result;
use crate::kernels::{Backend, Input, frame_bytes, is_large};

/// Steps from the start of a group after which every buffer and what is remembered have their final size.
const STEADY: u64 = 3;

/// What a network takes for frames of a size, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkSize {
    /// Its whole state, and the memory that it works in, by the end of each of the first steps of a group. The last one is
    /// that of all later steps, too.
    pub states: Vec<u64>,
    /// What it remembers from one chunk to the next.
    pub remembered: u64,
}

impl NetworkSize {
    /// The largest of its states.
    #[must_use]
    pub fn largest(&self) -> u64 {
        self.states.last().copied().unwrap_or(0)
    }
}

impl WanVae {
    /// What the encoder takes for a latent of (height, width) positions and of so many latent frames, if that is known.
    #[must_use]
    pub fn encoder_size(
        &self,
        [height, width]: [usize; 2],
        latent_frames: Option<LatentFrames>,
    ) -> NetworkSize {
        let [time, rows, columns] = self.strides();
        let patch = self.config().patch;
        let input = [time, height * rows / patch, width * columns / patch];
        self.encoder.size(input, latent_frames)
    }

    /// What the decoder takes for a latent of (height, width) positions and of so many latent frames, if that is known.
    #[must_use]
    pub fn decoder_size(
        &self,
        [height, width]: [usize; 2],
        latent_frames: Option<LatentFrames>,
    ) -> NetworkSize {
        self.decoder.size([1, height, width], latent_frames)
    }
}

impl Network {
    /// For steps of an input of (T, H, W), but for the first one, which has one frame.
    fn size(&self, [time, height, width]: [usize; 3], latent_frames: Option<LatentFrames>) -> NetworkSize {
        let steps = latent_frames.map_or(STEADY, |LatentFrames(known)| known.min(STEADY));
        let mut sizes = Sizes::new(self);
        let mut states = Vec::new();
        for step in 0..steps.max(1) {
            let (passes, frames) = match step {
                0 => (&self.first, 1),
                _ => (&self.later, time),
            };
            let input = [frames, height, width].into();
            // Nothing is computed that could go wrong.
            if passes.walk(&self.parts, input, FRAMES, &mut sizes).is_err() {
                return NetworkSize::default();
            }
            states.push(sizes.all());
        }
        NetworkSize {
            states,
            remembered: sizes.kept.values().map(Kept::bytes).sum(),
        }
    }
}

/// Frames that a convolution keeps.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    frames: u64,
    frame_bytes: u64,
}

impl Kept {
    fn bytes(&self) -> u64 {
        self.frames * self.frame_bytes
    }
}

/// An operand that is in use.
#[derive(Clone, Copy, Debug)]
enum Used {
    /// Large, and given back when it was read.
    Whole(u64),
    /// New frames of a convolution that keeps the last `lead` it saw.
    Frames { conv: usize, lead: u64, new: Kept },
}

impl Used {
    fn bytes(&self) -> u64 {
        match self {
            Self::Whole(bytes) => *bytes,
            Self::Frames { new, .. } => new.bytes(),
        }
    }
}

/// Values that wait between two passes.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    len: u64,
    taken: u64,
    /// The most that there were.
    most: u64,
}

/// What the buffers of a network hold.
struct Sizes<'a> {
    network: &'a Network,
    /// Bytes of small operands without frames before them, which keep their memory, and of all on a GPU.
    whole: BTreeMap<Slot, u64>,
    used: BTreeMap<Slot, Used>,
    /// What an operator reads, whose place may be that of a target.
    read: Option<Used>,
    /// Bytes of frames of a size that lie idle for the next use.
    idle: BTreeMap<(Slot, u64), u64>,
    kept: BTreeMap<usize, Kept>,
    /// Values of streams, which keep their memory.
    streams: [u64; 3],
    bypass: u64,
    waiting: BTreeMap<usize, Waiting>,
    /// Values of a step's input, on a GPU.
    input: u64,
    /// Bytes that operators work in.
    scratch: u64,
    /// The most bytes that there were at a time in operands that come and go, and of what is kept.
    most: u64,
}

fn most(value: &mut u64, found: u64) {
    *value = (*value).max(found);
}

fn count(size: [usize; 3], channels: usize) -> u64 {
    (size.iter().product::<usize>() * channels) as u64
}

impl<'a> Sizes<'a> {
    fn new(network: &'a Network) -> Self {
        Self {
            network,
            whole: BTreeMap::new(),
            used: BTreeMap::new(),
            read: None,
            idle: BTreeMap::new(),
            kept: BTreeMap::new(),
            streams: [0; 3],
            bypass: 0,
            waiting: BTreeMap::new(),
            input: 0,
            scratch: 0,
            most: 0,
        }
    }

    fn parts(&self) -> &'a Parts {
        &self.network.parts
    }

    /// Notes what there is now of that which comes and goes.
    fn note(&mut self) {
        let used = self.used.values().chain(&self.read).map(Used::bytes);
        let idle = self.idle.values().copied();
        let kept = self.kept.values().map(Kept::bytes);
        most(&mut self.most, used.chain(idle).chain(kept).sum());
    }

    /// The most that it was in all.
    fn all(&self) -> u64 {
        let waiting = self.waiting.values().map(|waiting| waiting.most);
        let values = self.streams.iter().sum::<u64>() + waiting.sum::<u64>() + self.bypass + self.input;
        self.most + self.whole.values().sum::<u64>() + 4 * values + self.scratch
    }

    /// Makes room for an operand with frames of so many bytes by themselves, or none.
    fn room(&mut self, frame: u64) {
        self.idle.retain(|&(_, idle), _| idle == frame || !is_large(idle));
    }

    fn want(&mut self, want: &Want, size: [usize; 3]) {
        let parts = self.parts();
        let (bytes, frame_bytes, lead, conv) = match want.reader {
            Reader::Conv(index) => {
                let conv = &parts.convs[index];
                let (bytes, frame) = conv.operand_bytes(size);
                (bytes, frame, conv.spec().lead() as u64, index)
            }
            Reader::Attention(channels) => {
                let position = parts.backend().position_bytes(3 * channels);
                (count(size, position), 0, 0, 0)
            }
        };
        if let Backend::Gpu(_) = parts.backend() {
            most(self.whole.entry(want.slot).or_default(), bytes);
            if lead > 0 {
                let frames = lead;
                self.kept.insert(conv, Kept { frames, frame_bytes });
            }
            return;
        }
        // Only frames by themselves are used again.
        self.room(if lead > 0 { frame_bytes } else { 0 });
        if lead > 0 {
            let frames = (bytes / frame_bytes.max(1)).saturating_sub(lead);
            let new = Kept { frames, frame_bytes };
            if let Some(idle) = self.idle.get_mut(&(want.slot, frame_bytes)) {
                *idle = idle.saturating_sub(new.bytes());
            }
            self.used.insert(want.slot, Used::Frames { conv, lead, new });
        } else if is_large(bytes) {
            self.used.insert(want.slot, Used::Whole(bytes));
        } else {
            most(self.whole.entry(want.slot).or_default(), bytes);
        }
    }

    /// An operand is read for the last time.
    fn read(&mut self, slot: Slot) {
        self.read = self.used.remove(&slot);
    }

    /// What was read is not needed any more.
    fn finish(&mut self, slot: Slot) {
        let Some(Used::Frames { conv, lead, new }) = self.read.take() else {
            return;
        };
        let kept = self.kept.entry(conv).or_default();
        kept.frame_bytes = new.frame_bytes;
        let all = kept.frames + new.frames;
        kept.frames = all.min(lead);
        let left = (all - kept.frames) * new.frame_bytes;
        *self.idle.entry((slot, new.frame_bytes)).or_default() += left;
    }

    fn operator(&mut self, operator: &Operator, size: [usize; 3]) {
        let parts = self.parts();
        match operator {
            Operator::Conv {
                conv,
                source,
                values,
                add,
                store,
                targets,
            } => {
                most(&mut self.scratch, parts.convs[*conv].sums_bytes(size));
                let spec = parts.convs[*conv].spec();
                let output = spec.output(size);
                self.read(*source);
                targets.iter().for_each(|want| self.want(want, output));
                if *add || *store {
                    most(&mut self.streams[*values as usize], count(output, spec.outputs));
                }
                self.note();
                self.finish(*source);
            }
            Operator::Attention { source, conv, target } => {
                self.read(*source);
                self.want(&Want::of(*conv, *target, None), size);
                let channels = parts.convs[*conv].spec().inputs;
                most(&mut self.scratch, frame_bytes(parts.backend(), size, channels));
                self.note();
                self.finish(*source);
            }
            Operator::OverTime { conv, taps } => {
                let [_, height, width] = size;
                let channels = parts.convs[*conv].spec().outputs / taps;
                let sums = Kept {
                    frames: *taps as u64 - 1,
                    frame_bytes: 4 * count([1, height, width], channels),
                };
                self.kept.insert(*conv, sums);
                self.note();
            }
            Operator::Keep { shortcut, .. } => most(&mut self.bypass, shortcut.len(size) as u64),
            Operator::Bypass {
                channels, targets, ..
            } => self.stream(*channels, targets, size),
            Operator::Resume {
                pass,
                channels,
                targets,
                ..
            } => {
                self.waiting.entry(*pass).or_default().taken += count(size, *channels);
                self.stream(*channels, targets, size);
            }
            Operator::Remember { source, .. } => {
                self.read(*source);
                self.finish(*source);
            }
        }
    }

    /// The residual stream goes to operands.
    fn stream(&mut self, channels: usize, targets: &[Want], size: [usize; 3]) {
        targets.iter().for_each(|want| self.want(want, size));
        most(
            &mut self.streams[Values::Residual as usize],
            count(size, channels),
        );
        self.note();
    }
}

impl Visitor for Sizes<'_> {
    fn fill(&mut self, _: Range<usize>, input: Input) -> Result<()> {
        let parts = self.parts();
        let entry = self.network.entry;
        if let (Backend::Gpu(_), Reader::Conv(conv)) = (parts.backend(), entry.reader) {
            most(
                &mut self.input,
                count(input.size, parts.convs[conv].spec().inputs),
            );
        }
        self.want(&entry, input.size);
        self.note();
        Ok(())
    }

    fn run(&mut self, program: &Program, input: Input) -> Result<()> {
        let mut size = input.size;
        for operator in &program.0 {
            self.operator(operator, size);
            size = operator.output(self.parts(), size);
        }
        Ok(())
    }

    fn wait(&mut self, pass: usize, len: usize) -> Result<()> {
        let waiting = self.waiting.entry(pass).or_default();
        if waiting.taken == waiting.len {
            (waiting.taken, waiting.len) = (0, 0);
        }
        waiting.len += len as u64;
        most(&mut waiting.most, waiting.len);
        Ok(())
    }

    fn emit(&mut self, _: Range<usize>, output: Input) -> Result<()> {
        let output = count(output.size, self.network.outputs);
        most(&mut self.streams[Values::Output as usize], output);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
