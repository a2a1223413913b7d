//! The causal feature cache between chunks of a group.

use std::collections::HashMap;

use candle_core::Tensor;

/// What the layers of one network remember of the frames before.
///
/// Slots are named after their layer, so the order in which layers run does not matter. There is one slot of at most a
/// few frames for each causal convolution: memory does not grow with the number of chunks.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    /// Whether the first frame of the group has passed.
    pub(super) started: bool,
    /// Height and width of the group.
    size: Option<[usize; 2]>,
    slots: HashMap<String, Tensor>,
}

impl Cache {
    pub(super) fn get(&self, name: &str) -> Option<&Tensor> {
        self.slots.get(name)
    }

    pub(super) fn set(&mut self, name: &str, frames: Tensor) {
        match self.slots.get_mut(name) {
            Some(slot) => *slot = frames,
            None => {
                self.slots.insert(name.to_owned(), frames);
            }
        }
    }

    /// Whether a (T, H, W, C) tensor has the height and width of the group.
    pub(super) fn fits(&self, x: &Tensor) -> bool {
        self.size.is_none_or(|size| x.dims().get(1..3) == Some(&size[..]))
    }

    /// Makes the height and width of `x` those of the group.
    pub(super) fn remember(&mut self, x: &Tensor) {
        if let &[_, h, w, _] = x.dims() {
            self.size = Some([h, w]);
        }
    }

    fn bytes(&self) -> usize {
        self.slots
            .values()
            .map(|t| t.elem_count() * t.dtype().size_in_bytes())
            .sum()
    }
}

macro_rules! state {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name(pub(super) Cache);

        impl $name {
            /// Whether the next frame is the first one of a group.
            #[must_use]
            pub fn is_fresh(&self) -> bool {
                !self.0.started
            }

            /// Forgets all frames: the next one is the first one of a group.
            pub fn reset(&mut self) {
                self.0 = Cache::default();
            }

            /// Memory that the cache holds, in bytes.
            #[must_use]
            pub fn bytes(&self) -> usize {
                self.0.bytes()
            }
        }
    };
}

state! {
    /// What [`WanVae::encode`](super::WanVae::encode) remembers between chunks of a group. The default is fresh.
    EncoderState
}
state! {
    /// What [`WanVae::decode`](super::WanVae::decode) remembers between chunks of a group. The default is fresh.
    DecoderState
}
