//! Models of which only a part is wanted.

use crate::error::{Error, Result};

/// Which half of its networks a model is opened with. The other one takes no memory, and its tensors are only checked for
/// their names and shapes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Halves {
    /// Both.
    #[default]
    Both,
    /// Frames to latents and tokens.
    Encoder,
    /// Tokens and latents to frames.
    Decoder,
}

impl Halves {
    pub(super) fn has(self, half: Self) -> bool {
        self == half || self == Self::Both
    }

    /// # Errors
    /// [`Error::Bundle`] if this half is not there.
    pub(crate) fn need(self, half: Self) -> Result<()> {
        if self.has(half) {
            return Ok(());
        }
        let name = match half {
            Self::Encoder => "encoders",
            Self::Decoder => "decoders",
            Self::Both => "encoders or its decoders",
        };
        Err(Error::bundle(format!("it was opened without its {name}")))
    }
}
