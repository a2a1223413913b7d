//! What operators compute, in plain numbers: nothing here knows of a device.

mod attention;
mod conv;
mod dtype;
mod extent;
mod shortcut;
mod sink;

pub(crate) use attention::{AttentionSpec, RotaryTables};
pub(crate) use conv::{Activation, ConvSpec, Input};
pub use dtype::Dtype;
pub(crate) use extent::Extent;
pub(in crate::kernels) use extent::Layout;
pub(crate) use shortcut::ShortcutSpec;
pub(crate) use sink::{Buffers, Epsilon, RmsNorm, Sink, Stream, Target};
