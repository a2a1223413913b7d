//! What a GPU does for us. Everything above this trait is the same for a GPU and for the emulator of the tests.
//!
//! Work is queued: a call returns before it is done, and all work is done in the order of the calls, whichever thread
//! makes them. Addresses are those of the device; nothing on the host looks behind them.

use std::fmt;

use crate::error::Result;
use crate::kernels::spec::Dtype;

/// A function of `source/*.cu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kernel {
    Finish,
    Fill,
    Unpatchify,
    Copies,
    Border,
    Shortcut,
    Direct,
    Turn,
    Softmax,
    Attention,
}

impl Kernel {
    /// Its name in the source.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Finish => "finish",
            Self::Fill => "fill",
            Self::Unpatchify => "unpatchify",
            Self::Copies => "copies",
            Self::Border => "border",
            Self::Shortcut => "shortcut",
            Self::Direct => "direct",
            Self::Turn => "turn",
            Self::Softmax => "softmax",
            Self::Attention => "attention",
        }
    }
}

/// What the source is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Variant {
    pub(super) dtype: Dtype,
    /// Channels of an attention head, for [`Kernel::Attention`]; 0 for all others.
    pub(super) head: usize,
}

/// Threads of a block.
pub(super) const THREADS: u32 = 256;

/// A kernel to run.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub(super) kernel: Kernel,
    pub(super) variant: Variant,
    pub(super) blocks: [u32; 3],
    pub(super) threads: u32,
    /// Its one argument.
    pub(super) arguments: &'a [u8],
}

/// A convolution without padding. All tensors are packed, channels last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Convolution {
    pub(super) dtype: Dtype,
    /// Batch, depth, height, width and channels of the input.
    pub(super) input: [usize; 5],
    /// Channels of the output.
    pub(super) outputs: usize,
    /// Along depth, height and width. The weight is (outputs, extents, inputs).
    pub(super) kernel: [usize; 3],
    pub(super) stride: [usize; 3],
}

impl Convolution {
    /// Batch, depth, height, width and channels of the output.
    pub(super) fn output(&self) -> [usize; 5] {
        let [n, d, h, w, _] = self.input;
        let side = |axis: usize, size: usize| (size - self.kernel[axis]) / self.stride[axis] + 1;
        [n, side(0, d), side(1, h), side(2, w), self.outputs]
    }
}

/// `C (rows, columns) = A (rows, depth) · B`, with B (depth, columns) or, if `transposed`, (columns, depth). A and B are
/// of the number type of operands, C is f32. Strides are those of the rows in memory, in values.
///
/// There are `count` such products with the same B; `a_step` and `c_step` lead from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Product {
    pub(super) dtype: Dtype,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) depth: usize,
    pub(super) transposed: bool,
    /// Whether C is added to instead of written.
    pub(super) add: bool,
    pub(super) count: usize,
    pub(super) a_step: usize,
    pub(super) c_step: usize,
    pub(super) a_stride: usize,
    pub(super) b_stride: usize,
    pub(super) c_stride: usize,
}

/// A moment in the order of the work, known to the driver that made it.
pub(crate) type Mark = u64;

/// Bytes on their way from the device.
pub(crate) trait Download: Send {
    /// Waits for them and shows them.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if work that was queued before has failed.
    fn wait(self: Box<Self>, read: &mut dyn FnMut(&[u8])) -> Result<()>;
}

/// A GPU. All errors are [`Error::Device`](crate::Error::Device).
pub(crate) trait Driver: Send + Sync + fmt::Debug {
    /// What the device is called.
    fn name(&self) -> String;

    /// Memory of so many bytes, at a multiple of 256; what is in it is not defined.
    fn allocate(&self, bytes: usize) -> Result<u64>;

    /// Gives back what [`allocate`](Self::allocate) gave, once the work that is queued is done.
    fn free(&self, address: u64);

    /// Copies bytes between two places that do not overlap.
    fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()>;

    /// Makes bytes zero.
    fn zero(&self, at: u64, bytes: usize) -> Result<()>;

    fn launch(&self, launch: &Launch<'_>) -> Result<()>;

    /// Output from input and weight, which are at these addresses. Does nothing and gives false where the library has no
    /// way to do it.
    fn convolve(&self, convolution: &Convolution, input: u64, weight: u64, output: u64) -> Result<bool>;

    /// C from A and B, which are at these addresses.
    fn multiply(&self, product: &Product, a: u64, b: u64, c: u64) -> Result<()>;

    /// Brings bytes to the device. `read` queues the work that reads them, at the address that it is given; work that is
    /// queued later must not.
    fn upload(&self, bytes: &[u8], read: &mut dyn FnMut(u64) -> Result<()>) -> Result<()>;

    /// Remembers when the work that is queued so far is done.
    fn mark(&self) -> Result<Mark>;

    /// Waits for the second mark, and gives the seconds from the first one to it. Both are gone then.
    fn seconds(&self, marks: [Mark; 2]) -> Result<f64>;

    /// Brings bytes from the device. `write` queues the work that writes them, to the address that it is given.
    fn download(&self, bytes: usize, write: &mut dyn FnMut(u64) -> Result<()>) -> Result<Box<dyn Download>>;
}
