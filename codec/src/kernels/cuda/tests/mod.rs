//! The code for GPUs on an emulated one.

mod golden;
mod operators;
mod whole;
