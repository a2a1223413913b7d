//! How much memory the networks take, told before they run.

use std::collections::BTreeMap;

use super::WanVae;
use super::network::{FRAMES, Network};
use super::program::{Operator, Parts, Program, Reader, Values, Want};
use super::state::Slot;
use crate::kernels::{Backend, frame_bytes, is_large};

/// What a network takes for frames of a size, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkSize {
    /// Its whole state, and the memory that it works in.
    pub state: u64,
    /// What it remembers from one chunk to the next.
    pub remembered: u64,
}

impl WanVae {
    /// What the encoder takes for a latent of (height, width) positions.
    #[must_use]
    pub fn encoder_size(&self, [height, width]: [usize; 2]) -> NetworkSize {
        let [time, rows, columns] = self.strides();
        let patch = self.config().patch;
        let input = [time, height * rows / patch, width * columns / patch];
        self.encoder.size(input)
    }

    /// What the decoder takes for a latent of (height, width) positions.
    #[must_use]
    pub fn decoder_size(&self, [height, width]: [usize; 2]) -> NetworkSize {
        self.decoder.size([1, height, width])
    }
}

impl Network {
    fn size(&self, input: [usize; 3]) -> NetworkSize {
        let mut sizes = Sizes::default();
        // What a pass takes in one turn, after what its turn of the pass before left; or after all turns.
        let mut size = input;
        for (index, pass) in self.later.0.iter().enumerate() {
            let [frames, height, width] = size;
            let turn = [pass.frames(frames, FRAMES), height, width];
            if index == 0 {
                sizes.want(&self.parts, &self.entry, turn);
            }
            sizes.run(&self.parts, &pass.program, turn);
            let output = pass.program.output(&self.parts, turn);
            let next = self.later.0.get(index + 1);
            size = match next {
                Some(next) if !next.in_turns => pass.program.output(&self.parts, size),
                _ => output,
            };
            let len = |size: [usize; 3], channels| (size.iter().product::<usize>() * channels) as u64;
            match next {
                Some(_) => sizes.waiting += len(size, pass.program.channels(&self.parts)),
                None => most(
                    &mut sizes.streams[Values::Output as usize],
                    len(output, self.outputs),
                ),
            }
        }
        let input_values = match (self.parts.backend(), self.entry.reader) {
            (Backend::Gpu(_), Reader::Conv(conv)) => {
                input.iter().product::<usize>() * self.parts.convs[conv].spec().inputs
            }
            _ => 0,
        };
        let values = sizes.waiting + sizes.bypass + sizes.streams.iter().sum::<u64>() + input_values as u64;
        let remembered = sizes.remembered.values().sum::<u64>();
        NetworkSize {
            state: sizes.operands() + remembered + 4 * values + sizes.scratch,
            remembered,
        }
    }
}

/// The most that each buffer holds.
#[derive(Debug, Default)]
struct Sizes {
    /// Bytes of small operands, which keep their memory; of those whose frames are by themselves, for each size of a
    /// frame, without the frames before.
    whole: BTreeMap<Slot, u64>,
    frames: BTreeMap<(Slot, u64), u64>,
    large: Large,
    /// Bytes of the frames that convolutions keep.
    remembered: BTreeMap<usize, u64>,
    /// Values of streams.
    streams: [u64; 3],
    bypass: u64,
    waiting: u64,
    /// Bytes that operators work in.
    scratch: u64,
}

/// Large operands, whose memory is given back where it lies idle.
#[derive(Debug, Default)]
struct Large {
    /// Bytes of an operand that is in use, and of one of its frames if these are by themselves.
    used: BTreeMap<Slot, (u64, Option<u64>)>,
    /// Bytes of frames of a size that lie idle for the next use.
    idle: BTreeMap<(Slot, u64), u64>,
    /// The most that there is at a time.
    most: u64,
}

impl Large {
    /// Makes room for an operand with frames of a size.
    fn room(&mut self, frame: u64) {
        self.idle.retain(|&(_, idle), _| idle == frame);
    }

    fn take(&mut self, slot: Slot, bytes: u64, frame: Option<u64>) {
        if let Some(idle) = frame.and_then(|frame| self.idle.get_mut(&(slot, frame))) {
            *idle = idle.saturating_sub(bytes);
        }
        self.used.insert(slot, (bytes, frame));
        let used = self.used.values().map(|(bytes, _)| bytes);
        let all = used.chain(self.idle.values()).sum();
        most(&mut self.most, all);
    }

    /// An operand was read for the last time.
    fn finish(&mut self, slot: Slot) {
        if let Some((bytes, Some(frame))) = self.used.remove(&slot) {
            *self.idle.entry((slot, frame)).or_default() += bytes;
        }
    }
}

fn most(value: &mut u64, found: u64) {
    *value = (*value).max(found);
}

impl Sizes {
    fn want(&mut self, parts: &Parts, want: &Want, size: [usize; 3]) {
        let (bytes, frame) = match want.reader {
            Reader::Conv(conv) => parts.convs[conv].operand_bytes(size),
            Reader::Attention(channels) => {
                let position = parts.backend().position_bytes(3 * channels);
                ((size.iter().product::<usize>() * position) as u64, 0)
            }
        };
        let lead = match want.reader {
            Reader::Conv(conv) => {
                let lead = parts.convs[conv].spec().lead() as u64;
                most(self.remembered.entry(conv).or_default(), lead * frame);
                lead
            }
            Reader::Attention(_) => 0,
        };
        if let Backend::Gpu(_) = parts.backend() {
            most(self.whole.entry(want.slot).or_default(), bytes);
            return;
        }
        // Only frames by themselves are used again.
        self.large.room(if lead > 0 { frame } else { 0 });
        let new = bytes - lead * frame;
        match lead {
            0 if is_large(bytes) => self.large.take(want.slot, bytes, None),
            0 => most(self.whole.entry(want.slot).or_default(), bytes),
            _ if is_large(frame) => self.large.take(want.slot, new, Some(frame)),
            _ => most(self.frames.entry((want.slot, frame)).or_default(), new),
        }
    }

    fn operands(&self) -> u64 {
        let small = self.whole.values().chain(self.frames.values());
        small.sum::<u64>() + self.large.most
    }

    fn run(&mut self, parts: &Parts, program: &Program, input: [usize; 3]) {
        let mut size = input;
        for operator in &program.0 {
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
                    targets.iter().for_each(|want| self.want(parts, want, output));
                    if *add || *store {
                        let len = output.iter().product::<usize>() * spec.outputs;
                        most(&mut self.streams[*values as usize], len as u64);
                    }
                    self.large.finish(*source);
                    if !matches!(source, Slot::Bypass) {
                        size = output;
                    }
                }
                Operator::Attention { source, conv, target } => {
                    self.want(parts, &Want::of(*conv, *target, None), size);
                    let channels = parts.convs[*conv].spec().inputs;
                    most(&mut self.scratch, frame_bytes(parts.backend(), size, channels));
                    self.large.finish(*source);
                }
                Operator::OverTime { conv, taps } => {
                    let [_, height, width] = size;
                    let channels = parts.convs[*conv].spec().outputs / taps;
                    let sums = 4 * (taps - 1) * height * width * channels;
                    most(self.remembered.entry(*conv).or_default(), sums as u64);
                }
                Operator::Keep { shortcut, .. } => most(&mut self.bypass, shortcut.len(size) as u64),
                Operator::Bypass {
                    channels, targets, ..
                }
                | Operator::Resume {
                    channels, targets, ..
                } => {
                    targets.iter().for_each(|want| self.want(parts, want, size));
                    let len = size.iter().product::<usize>() * channels;
                    most(&mut self.streams[0], len as u64);
                }
                Operator::Remember { source, .. } => self.large.finish(*source),
            }
        }
    }
}
