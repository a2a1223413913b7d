//! What becomes of an operator's outputs.

use super::cpu;
use super::norm::Norm;
use super::operand::Operand;
use super::values::Values;
use crate::error::Result;

/// An operand of a later operator, written where its input is produced.
pub(crate) struct Target<'a> {
    pub(crate) norm: Option<&'a Norm>,
    /// Of the right extent; the outputs are its last frames.
    pub(crate) operand: &'a mut Operand,
}

/// f32 values of the shape of the outputs.
pub(crate) struct Stream<'a> {
    /// With room for all outputs.
    pub(crate) values: &'a mut Values,
    /// Whether its values are added to the outputs.
    pub(crate) add: bool,
    /// Whether it becomes the outputs.
    pub(crate) store: bool,
}

/// Where outputs go. In this order: bias, activation, addition of the stream, store to the stream, targets, signs.
#[derive(Default)]
pub(crate) struct Sink<'a> {
    pub(crate) stream: Option<Stream<'a>>,
    pub(crate) targets: [Option<Target<'a>>; 3],
    /// One token for each position: bit j is set exactly when channel j is above zero.
    pub(crate) tokens: Option<&'a mut [u64]>,
}

impl<'a> Sink<'a> {
    /// One operand, as it is.
    pub(crate) fn to(operand: &'a mut Operand) -> Self {
        Self {
            targets: [Some(Target { norm: None, operand }), None, None],
            ..Self::default()
        }
    }

    /// The same on the CPU, for `len` outputs.
    pub(super) fn cpu(self, len: usize) -> Result<cpu::Sink<'a>> {
        let stream = self.stream.map(|stream| -> Result<_> {
            Ok(cpu::Stream {
                values: &mut stream.values.cpu_mut()?[..len],
                add: stream.add,
                store: stream.store,
            })
        });
        let [a, b, c] = self.targets.map(|target| {
            target.map(|target| -> Result<_> {
                Ok(cpu::Target {
                    norm: target.norm.map(|norm| &norm.rms),
                    operand: target.operand.cpu_mut()?,
                })
            })
        });
        Ok(cpu::Sink {
            stream: stream.transpose()?,
            targets: [a.transpose()?, b.transpose()?, c.transpose()?],
            tokens: self.tokens,
        })
    }
}
