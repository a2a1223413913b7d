//! What becomes of an operator's outputs.

/// What keeps the root away from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Epsilon {
    /// At least 1e-12 for the L2 norm, as in the VAE.
    Clamp,
    /// 1e-6 added to the mean square, as in the ViT.
    Add,
}

/// Unit RMS over channels times a learned gain, then SiLU if wanted. It is applied where its input is produced.
#[derive(Clone, Debug)]
pub(crate) struct RmsNorm {
    pub(crate) gain: Vec<f32>,
    pub(crate) epsilon: Epsilon,
    pub(crate) silu: bool,
}

/// The types of a device's buffers. Operators of a device take only its own: a mix of two does not compile.
pub(crate) trait Buffers {
    /// f32 values of streams.
    type Values: ?Sized;
    /// An [`RmsNorm`] where the device computes.
    type Norm;
    /// Activations as an operator reads them.
    type Operand;
}

/// An operand of a later operator, written where its input is produced.
pub(crate) struct Target<'a, B: Buffers> {
    pub(crate) norm: Option<&'a B::Norm>,
    /// Of the right extent; the outputs are its last frames.
    pub(crate) operand: &'a mut B::Operand,
}

/// f32 values of the shape of the outputs.
pub(crate) struct Stream<'a, B: Buffers> {
    /// With room for all outputs.
    pub(crate) values: &'a mut B::Values,
    /// Whether its values are added to the outputs.
    pub(crate) add: bool,
    /// Whether it becomes the outputs.
    pub(crate) store: bool,
}

/// Where outputs go. In this order: bias, activation, addition of the stream, store to the stream, targets, signs.
pub(crate) struct Sink<'a, B: Buffers> {
    pub(crate) stream: Option<Stream<'a, B>>,
    pub(crate) targets: [Option<Target<'a, B>>; 3],
    /// One token for each position: bit j is set exactly when channel j is above zero.
    pub(crate) tokens: Option<&'a mut [u64]>,
}

impl<B: Buffers> Default for Sink<'_, B> {
    fn default() -> Self {
        Self {
            stream: None,
            targets: [None, None, None],
            tokens: None,
        }
    }
}

impl<'a, B: Buffers> Sink<'a, B> {
    /// One operand, as it is.
    pub(crate) fn to(operand: &'a mut B::Operand) -> Self {
        Self {
            targets: [Some(Target { norm: None, operand }), None, None],
            ..Self::default()
        }
    }
}
