//! The causal feature cache between chunks of a group, and the buffers of the networks.

use crate::error::{Error, Result};
use crate::kernels::{AttentionBuffers, Copies, Gpu, Input, Kept, Later, Operand, Values, over_time};
use crate::together::Together;

/// Where an operand waits for the operator that reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    /// The input of a layer.
    Input,
    /// Between the operators of a layer.
    Inner,
    /// What bypasses a layer's operators.
    Bypass,
    /// The input of a change of resolution.
    Resample,
    /// The input of a convolution that does not run in this step.
    Aside,
}

/// What one network remembers of the frames before, and the memory that it works in.
///
/// Its size is that of one step, so memory does not grow with the number of chunks.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Whether the first frame of the group has passed.
    pub(super) started: bool,
    /// Height and width of the group.
    size: Option<[usize; 2]>,
    /// Those that the memory is made for.
    made_for: Option<[usize; 2]>,
    slots: [Operand; 5],
    /// The frames that each convolution wants to see again.
    kept: Vec<Kept>,
    /// How many of them count: those before the group do not.
    known: Vec<u32>,
    /// The residual stream, and outputs that no operand holds.
    pub(super) streams: [Values; 3],
    /// What lies between the passes of a step, behind each of them.
    waiting: Vec<Waiting>,
    /// What goes around the layers of a stage.
    pub(super) bypass: Values,
    pub(super) attention: AttentionBuffers,
    /// The input of a step that waits for its turn, on a GPU.
    pub(super) input: Values,
}

/// Frames of f32 values between two passes of a step.
#[derive(Debug, Default)]
struct Waiting {
    values: Values,
    /// How many there are.
    len: usize,
    /// Where the next pass goes on.
    start: usize,
}

/// What a [`State`] remembers.
#[derive(Clone, Debug, Default)]
pub(super) struct Saved {
    /// For each convolution the frames that it keeps, in parts of words, and how many of them count.
    pub(super) kept: Vec<(Vec<Vec<u32>>, u32)>,
    /// Height and width of the group.
    pub(super) size: Option<[usize; 2]>,
}

impl State {
    fn slot(&mut self, slot: Slot) -> &mut Operand {
        &mut self.slots[slot as usize]
    }

    /// Takes an operand out, to be brought back with [`State::put`].
    pub(super) fn take(&mut self, slot: Slot) -> Operand {
        std::mem::take(self.slot(slot))
    }

    pub(super) fn put(&mut self, slot: Slot, operand: Operand) {
        *self.slot(slot) = operand;
    }

    /// Gives back memory that lies idle, if it is large.
    pub(super) fn make_room_for(&mut self, operand: &Operand) {
        self.slots.iter_mut().for_each(|slot| slot.make_room_for(operand));
    }

    /// How many frames before the next one convolution `index` knows.
    pub(super) fn known(&self, index: usize) -> usize {
        self.known.get(index).map_or(0, |&known| known as usize)
    }

    /// Gives the operand of convolution `index` the frames that it keeps, in front.
    pub(super) fn recall(&mut self, index: usize, operand: &mut Operand) -> Result<()> {
        let known = self.known(index);
        match self.kept.get_mut(index) {
            Some(kept) => kept.put(operand, known),
            None => Ok(()),
        }
    }

    /// Makes the output of the products of all taps in time of convolution `index`, which remembers sums instead of frames.
    pub(super) fn sum_over_time(
        &mut self,
        index: usize,
        size: [usize; 3],
        [taps, channels]: [usize; 2],
    ) -> Result<()> {
        self.has(index);
        let [_, output, products] = &mut self.streams;
        let known = self.known[index];
        let kept = &mut self.kept[index];
        over_time(products, size, [taps, channels], known > 0, kept, output)?;
        self.known[index] = (known + size[0] as u32).min(taps as u32 - 1);
        Ok(())
    }

    /// Makes room for what convolution `index` remembers.
    fn has(&mut self, index: usize) {
        if self.known.len() <= index {
            self.known.resize(index + 1, 0);
        }
        if self.kept.len() <= index {
            self.kept.resize_with(index + 1, Kept::default);
        }
    }

    /// Keeps the newest frames of the operand of convolution `index`: `lead` of each clip of the input. The operand needs
    /// an extent before it is used again.
    pub(super) fn remember(
        &mut self,
        index: usize,
        input: Input,
        lead: usize,
        operand: &mut Operand,
    ) -> Result<()> {
        self.has(index);
        self.known[index] = (self.known[index] + input.size[0] as u32).min(lead as u32);
        self.kept[index].take(operand, lead * input.clips)
    }

    /// Takes out what it remembers of the frames before; the memory that it works in stays. Afterwards it is to be given
    /// something to remember, or to be reset.
    pub(super) fn save(&mut self) -> Result<Saved> {
        let mut saved = Saved {
            kept: Vec::with_capacity(self.kept.len()),
            size: self.size,
        };
        for (kept, &known) in self.kept.iter_mut().zip(&self.known) {
            // What is there may be of an earlier group.
            let frames = if known == 0 { Vec::new() } else { kept.stow()? };
            saved.kept.push((frames, known));
        }
        self.reset();
        Ok(saved)
    }

    /// Makes it remember what was saved by a state of the same network.
    pub(super) fn load(&mut self, saved: Saved) {
        self.started = true;
        if let Some(size) = saved.size {
            self.set_size(size);
        }
        let (kept, known) = saved.kept.into_iter().unzip::<_, _, Vec<_>, _>();
        self.kept = kept.into_iter().map(Kept::of).collect();
        self.known = known;
    }

    /// Gives back the memory of what it remembers. Afterwards it is to be given something to remember, or to be reset.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
        self.known.clear();
    }

    /// Whether what both remember is of the same kind, so that one step can go on from both.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let known = |state: &Self| state.started.then(|| state.known.clone());
        self.size == other.size && known(self) == known(other)
    }

    /// Makes it, which is that of several clips, remember what the states of single ones do. `lead` says how many frames a
    /// convolution keeps.
    pub(super) fn gather(
        &mut self,
        gpu: &Gpu,
        lead: impl Fn(usize) -> usize,
        clips: &mut [&mut Self],
    ) -> Result<()> {
        self.reset();
        let Some(first) = clips.first() else {
            return Ok(());
        };
        (self.started, self.size) = (first.started, first.size);
        if !first.started {
            return Ok(());
        }
        self.known.clone_from(&first.known);
        let count = self.kept.len().max(self.known.len());
        self.kept.resize_with(count, Kept::default);
        let mut copies = Copies::default();
        for (index, _) in self.known.iter().enumerate().filter(|&(_, &known)| known > 0) {
            let own: Vec<_> = clips
                .iter_mut()
                .map(|clip| clip.kept[index].on(gpu).map(|kept| &*kept))
                .collect::<Result<_>>()?;
            copies.gather(lead(index), &own, self.kept[index].on(gpu)?)?;
        }
        copies.run(gpu)
    }

    /// Makes the states of single clips remember what this one does.
    pub(super) fn scatter(
        &mut self,
        gpu: &Gpu,
        lead: impl Fn(usize) -> usize,
        clips: &mut [&mut Self],
    ) -> Result<()> {
        for clip in clips.iter_mut() {
            (clip.started, clip.size) = (self.started, self.size);
            clip.known.clone_from(&self.known);
            clip.kept.resize_with(self.known.len(), Kept::default);
        }
        let mut copies = Copies::default();
        for (index, _) in self.known.iter().enumerate().filter(|&(_, &known)| known > 0) {
            let mut own: Vec<_> = clips
                .iter_mut()
                .map(|clip| clip.kept[index].on(gpu))
                .collect::<Result<_>>()?;
            copies.scatter(lead(index), self.kept[index].on(gpu)?, &mut own)?;
        }
        copies.run(gpu)
    }

    /// Has the first `len` values of the residual stream wait for the pass behind `pass`, behind those of earlier turns.
    pub(super) fn wait(&mut self, pass: usize, len: usize) -> Result<()> {
        if self.waiting.len() <= pass {
            self.waiting.resize_with(pass + 1, Waiting::default);
        }
        let (waiting, [residual, ..]) = (&mut self.waiting[pass], &mut self.streams);
        if waiting.start == waiting.len {
            // All of them were taken.
            (waiting.start, waiting.len) = (0, 0);
        }
        waiting.values.append(waiting.len, residual, len)?;
        waiting.len += len;
        Ok(())
    }

    /// The values that wait behind `pass`, and where the next `len` of them begin. They are to be put back.
    pub(super) fn resume(&mut self, pass: usize, len: usize) -> Result<(Values, usize)> {
        let waiting = self.waiting.get_mut(pass).ok_or(Error::Stopped)?;
        let start = waiting.start;
        waiting.start += len;
        Ok((std::mem::take(&mut waiting.values), start))
    }

    /// Brings back what [`State::resume`] gave.
    pub(super) fn put_back(&mut self, pass: usize, values: Values) {
        if let Some(waiting) = self.waiting.get_mut(pass) {
            waiting.values = values;
        }
    }

    /// A copy with memory of its own.
    fn try_clone(&self) -> Result<Self> {
        let [input, inner, bypass, resample, aside] = self.slots.each_ref().map(Operand::try_clone);
        let [residual, output, products] = self.streams.each_ref().map(Values::try_clone);
        Ok(Self {
            started: self.started,
            size: self.size,
            made_for: self.made_for,
            slots: [input?, inner?, bypass?, resample?, aside?],
            kept: self.kept.iter().map(Kept::try_clone).collect::<Result<_>>()?,
            known: self.known.clone(),
            streams: [residual?, output?, products?],
            // Between steps nothing waits.
            waiting: Vec::new(),
            bypass: self.bypass.try_clone()?,
            attention: self.attention.clone(),
            input: self.input.try_clone()?,
        })
    }

    /// Forgets all frames, but not the memory.
    pub(super) fn reset(&mut self) {
        self.started = false;
        self.size = None;
        self.known.fill(0);
        // After an error something may still wait.
        self.waiting
            .iter_mut()
            .for_each(|waiting| waiting.len = waiting.start);
    }

    /// Whether (height, width) are those of the group.
    pub(super) fn fits(&self, size: [usize; 2]) -> bool {
        self.size.is_none_or(|known| known == size)
    }

    /// Makes (height, width) those of the group.
    pub(super) fn set_size(&mut self, size: [usize; 2]) {
        self.size = Some(size);
        if self.made_for != self.size {
            self.made_for = self.size;
            self.slots.iter_mut().for_each(Operand::trim);
            // What is there is of an earlier group of another size.
            self.kept.iter_mut().for_each(Kept::trim);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let operands = self.slots.iter().map(Operand::bytes);
        let kept = self.kept.iter().map(Kept::bytes);
        let waiting = self.waiting.iter().map(|waiting| &waiting.values);
        let streams = self.streams.iter().chain(waiting);
        let streams = streams.chain([&self.bypass, &self.input]);
        let streams = streams.map(Values::bytes);
        operands.sum::<usize>() + kept.sum::<usize>() + streams.sum::<usize>() + self.attention.bytes()
    }
}

macro_rules! state {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name(pub(super) State);

        impl $name {
            /// Whether the next frame is the first one of a group.
            #[must_use]
            pub fn is_fresh(&self) -> bool {
                !self.0.started
            }

            /// Forgets all frames: the next one is the first one of a group. Buffers stay.
            pub fn reset(&mut self) {
                self.0.reset();
            }

            /// A copy, with memory of its own.
            ///
            /// # Errors
            /// [`Error::Device`](crate::Error::Device) if it is on a GPU that has no room for another.
            pub fn try_clone(&self) -> Result<Self> {
                Ok(Self(self.0.try_clone()?))
            }

            /// Memory that the cache and the network's buffers take, in bytes.
            #[must_use]
            pub fn bytes(&self) -> usize {
                self.0.bytes()
            }
        }
    };
}

state! {
    /// What [`WanVae::encode`](super::WanVae::encode) remembers between chunks of a group, and the memory that it works
    /// in. The default is fresh.
    EncoderState
}
state! {
    /// What [`WanVae::decode`](super::WanVae::decode) remembers between chunks of a group, and the memory that it works
    /// in. The default is fresh.
    DecoderState
}

/// Steps on a GPU that wait for their turn, and the state of all clips of a turn.
pub(super) type Steps = Together<Job, Done, State>;

/// A step of one clip, whose input is in its state.
pub(super) struct Job {
    pub(super) state: State,
    /// (T, H, W) of it, and its values.
    pub(super) size: [usize; 3],
    pub(super) len: usize,
}

/// What became of a [`Job`].
pub(super) struct Done {
    pub(super) state: State,
    pub(super) later: Result<Later>,
}
