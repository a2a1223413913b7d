//! Results of a network that may still be on their way from a GPU.

use std::collections::VecDeque;
use std::ops::Range;

use crate::error::Result;
use crate::kernels::Later;
use crate::volume::Volume;

/// Steps whose results may be on their way at once: one that is computed, one that is copied.
const STEPS: usize = 2;

/// A result that is computed, or is being computed on a GPU, step by step.
///
/// The state that it was begun with can be used for what comes next at once.
#[must_use]
pub struct Running {
    /// The result, if it was there from the start.
    done: Option<Volume>,
    shape: [usize; 4],
    values: Vec<f32>,
    coming: VecDeque<(Later, Range<usize>)>,
    /// Values that were asked for so far.
    asked: usize,
}

impl Running {
    pub(super) fn new(shape: [usize; 4]) -> Self {
        Self {
            done: None,
            shape,
            values: vec![0.0; shape.iter().product()],
            coming: VecDeque::new(),
            asked: 0,
        }
    }

    /// A result that is there.
    pub(crate) fn done(result: Volume) -> Self {
        Self {
            done: Some(result),
            ..Self::new([0; 4])
        }
    }

    /// Has the next `len` values written by what `read` begins.
    pub(super) fn push(&mut self, len: usize, read: impl FnOnce(&mut [f32]) -> Result<Later>) -> Result<()> {
        while self.coming.len() >= STEPS {
            self.wait_for_one()?;
        }
        let range = self.asked..self.asked + len;
        let later = read(&mut self.values[range.clone()])?;
        self.coming.push_back((later, range));
        self.asked += len;
        Ok(())
    }

    fn wait_for_one(&mut self) -> Result<()> {
        match self.coming.pop_front() {
            Some((later, range)) => later.wait(&mut self.values[range]),
            None => Ok(()),
        }
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if a GPU failed. Reset the state then.
    pub fn wait(mut self) -> Result<Volume> {
        if let Some(done) = self.done {
            return Ok(done);
        }
        while !self.coming.is_empty() {
            self.wait_for_one()?;
        }
        Volume::new(&self.shape, self.values)
    }
}
