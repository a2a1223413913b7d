//! The causal feature cache between chunks of a group, and the buffers of the networks.

use crate::error::Result;
use crate::kernels::{AttentionBuffers, Copies, Gpu, Input, Operand, Values};

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
    /// The convolution of this index keeps frames, and so has an operand of its own.
    Own(usize),
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
    slots: [Operand; 4],
    own: Vec<Operand>,
    /// How many frames before the next one each of `own` holds.
    known: Vec<u32>,
    /// How many frames each of `own` keeps at its front.
    kept: Vec<usize>,
    /// The residual stream, and outputs that no operand holds.
    pub(super) streams: [Values; 2],
    /// What goes around the layers of a stage.
    pub(super) bypass: Values,
    pub(super) attention: AttentionBuffers,
    /// The input of a step that waits for its turn, on a GPU.
    pub(super) input: Values,
}

/// What a [`State`] remembers.
#[derive(Clone, Debug, Default)]
pub(super) struct Saved {
    /// The frames that operands keep, one operand after the other.
    pub(super) words: Vec<u32>,
    /// For each operand how many words it keeps, and how many frames of them count.
    pub(super) parts: Vec<[u32; 2]>,
    /// Height and width of the group.
    pub(super) size: Option<[usize; 2]>,
}

impl State {
    fn slot(&mut self, slot: Slot) -> &mut Operand {
        match slot {
            Slot::Input => &mut self.slots[0],
            Slot::Inner => &mut self.slots[1],
            Slot::Bypass => &mut self.slots[2],
            Slot::Resample => &mut self.slots[3],
            Slot::Own(index) => {
                if self.own.len() <= index {
                    self.own.resize_with(index + 1, Operand::default);
                }
                &mut self.own[index]
            }
        }
    }

    /// Takes an operand out, to be brought back with [`State::put`].
    pub(super) fn take(&mut self, slot: Slot) -> Operand {
        std::mem::take(self.slot(slot))
    }

    pub(super) fn put(&mut self, slot: Slot, operand: Operand) {
        *self.slot(slot) = operand;
    }

    /// How many frames the operand of a convolution holds from before.
    pub(super) fn known(&self, slot: Slot) -> usize {
        match slot {
            Slot::Own(index) => self.known.get(index).map_or(0, |&known| known as usize),
            _ => 0,
        }
    }

    /// Says that the operand of convolution `index` got the frames of an input, of which the newest `lead` of each clip are
    /// wanted later.
    pub(super) fn remember(&mut self, index: usize, input: Input, lead: usize) -> Result<()> {
        self.slot(Slot::Own(index)).keep_newest(lead * input.clips)?;
        if self.known.len() <= index {
            self.known.resize(index + 1, 0);
            self.kept.resize(index + 1, 0);
        }
        self.known[index] = (self.known[index] + input.size[0] as u32).min(lead as u32);
        self.kept[index] = lead;
        Ok(())
    }

    /// What it remembers of the frames before, without the memory that it works in.
    pub(super) fn save(&self) -> Result<Saved> {
        let mut saved = Saved {
            size: self.size,
            ..Saved::default()
        };
        for ((own, &kept), &known) in self.own.iter().zip(&self.kept).zip(&self.known) {
            let front = own.front(kept)?;
            saved.parts.push([front.len() as u32, known]);
            saved.words.extend_from_slice(&front);
        }
        Ok(saved)
    }

    /// Makes it remember what was saved by a state of the same network.
    pub(super) fn load(&mut self, saved: &Saved) -> Result<()> {
        self.started = true;
        self.size = saved.size;
        let count = saved.parts.len();
        self.own.resize_with(count, Operand::default);
        self.known.clear();
        self.kept.resize(count, 0);
        let mut rest = &saved.words[..];
        for (own, &[len, known]) in self.own.iter_mut().zip(&saved.parts) {
            let (front, after) = rest.split_at(rest.len().min(len as usize));
            own.restore(front)?;
            self.known.push(known);
            rest = after;
        }
        Ok(())
    }

    /// Whether what both remember is of the same kind, so that one step can go on from both.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let known = |state: &Self| state.started.then(|| state.known.clone());
        self.size == other.size && known(self) == known(other)
    }

    /// Makes it, which is that of several clips, remember what the states of single ones do. `lead` says how many frames
    /// the operand of a convolution keeps.
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
        self.kept = (0..self.known.len()).map(lead).collect();
        let count = self.own.len().max(self.known.len());
        self.own.resize_with(count, Operand::default);
        let mut copies = Copies::default();
        for (index, _) in self.known.iter().enumerate().filter(|&(_, &known)| known > 0) {
            let own: Vec<_> = clips
                .iter_mut()
                .map(|clip| clip.own[index].on(gpu).map(|own| &*own))
                .collect::<Result<_>>()?;
            copies.gather(self.kept[index], own.into_iter(), self.own[index].on(gpu)?)?;
        }
        copies.run(gpu)
    }

    /// Makes the states of single clips remember what this one does.
    pub(super) fn scatter(&self, gpu: &Gpu, clips: &mut [&mut Self]) -> Result<()> {
        for clip in clips.iter_mut() {
            (clip.started, clip.size) = (self.started, self.size);
            clip.known.clone_from(&self.known);
            clip.kept.clone_from(&self.kept);
            let count = clip.own.len().max(self.known.len());
            clip.own.resize_with(count, Operand::default);
        }
        let mut copies = Copies::default();
        for (index, &kept) in self.kept.iter().enumerate().filter(|&(_, &kept)| kept > 0) {
            let own = clips.iter_mut().map(|clip| clip.own[index].on(gpu));
            let own = own.collect::<Result<Vec<_>>>()?;
            copies.scatter(kept, self.own[index].gpu()?, own.into_iter())?;
        }
        copies.run(gpu)
    }

    /// A copy with memory of its own.
    fn try_clone(&self) -> Result<Self> {
        let [input, inner, bypass, resample] = self.slots.each_ref().map(Operand::try_clone);
        let [residual, output] = self.streams.each_ref().map(Values::try_clone);
        Ok(Self {
            started: self.started,
            size: self.size,
            slots: [input?, inner?, bypass?, resample?],
            own: self.own.iter().map(Operand::try_clone).collect::<Result<_>>()?,
            known: self.known.clone(),
            kept: self.kept.clone(),
            streams: [residual?, output?],
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
    }

    /// Whether (height, width) are those of the group.
    pub(super) fn fits(&self, size: [usize; 2]) -> bool {
        self.size.is_none_or(|known| known == size)
    }

    /// Makes (height, width) those of the group.
    pub(super) fn set_size(&mut self, size: [usize; 2]) {
        self.size = Some(size);
    }

    fn bytes(&self) -> usize {
        let operands = self.slots.iter().chain(&self.own).map(Operand::bytes);
        let streams = self.streams.iter().chain([&self.bypass, &self.input]);
        let streams = streams.map(Values::bytes);
        operands.sum::<usize>() + streams.sum::<usize>() + self.attention.bytes()
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
