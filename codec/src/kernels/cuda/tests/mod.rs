//! The code for GPUs on an emulated one.

mod golden;
