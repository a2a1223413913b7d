//! Buffers of a task that its thread keeps for the next one.

use std::cell::RefCell;

/// Buffers of one thread.
#[derive(Default)]
pub(in crate::kernels) struct Scratch {
    pub(in crate::kernels) words: Vec<u32>,
    pub(in crate::kernels) sums: Vec<f32>,
    pub(in crate::kernels) rows: Vec<f32>,
    pub(in crate::kernels) spare: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Runs a task with the buffers of its thread. A task must not start tasks.
pub(in crate::kernels) fn with_scratch<R>(task: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => task(&mut scratch),
        Err(_) => task(&mut Scratch::default()),
    })
}

/// At least `len` values of a buffer, whatever they are.
pub(in crate::kernels) fn at_least<T: Clone + Default>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
    &mut buffer[..len]
}
