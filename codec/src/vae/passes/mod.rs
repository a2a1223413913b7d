//! A step of a network in several passes over its frames.
//!
//! Where frames are largest nothing but a convolution's look at the frames before connects them, so a few of them at a
//! time are enough: an encoder takes them up to where it first halves time, a decoder from where it doubled it. What lies
//! between waits as f32 values, and memory is that of a frame, not of a step.

use std::ops::Range;

use super::program::{Parts, Program};
use super::state::State;
use crate::error::Result;
use crate::kernels::Input;

/// A program, and whether it may take the frames that it is given a few at a time.
pub(super) struct Pass {
    pub(super) program: Program,
    pub(super) in_turns: bool,
}

impl Pass {
    /// How many of so many frames it takes at a time, if at most `most` make a turn.
    fn frames(&self, frames: usize, most: usize) -> usize {
        if self.in_turns { most.min(frames) } else { frames }.max(1)
    }
}

/// The passes of a step. All but the first begin with [`Resume`](super::program::Operator::Resume).
///
/// A pass that takes turns follows each turn of the pass before it; any other waits for all of its turns.
pub(super) struct Passes(pub(super) Vec<Pass>);

impl Passes {
    /// (T, H, W) of the output for an input of (T, H, W).
    pub(super) fn output(&self, parts: &Parts, input: [usize; 3]) -> [usize; 3] {
        let programs = self.0.iter().map(|pass| &pass.program);
        programs.fold(input, |size, program| program.output(parts, size))
    }

    /// Runs them over an input. `fill` makes the operands of some of its frames; `emit` takes some frames of the output. A
    /// pass that takes turns has at most `most` frames in each.
    pub(super) fn run(
        &self,
        parts: &Parts,
        state: &mut State,
        input: Input,
        most: usize,
        fill: impl FnMut(&mut State, Range<usize>) -> Result<()>,
        emit: impl FnMut(&State, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let mut computing = Computing {
            parts,
            state,
            fill,
            emit,
        };
        self.walk(parts, input, most, &mut computing)
    }

    /// Visits all turns of all passes over an input in their order.
    pub(super) fn walk(
        &self,
        parts: &Parts,
        input: Input,
        most: usize,
        visitor: &mut impl Visitor,
    ) -> Result<()> {
        let mut step = Step {
            passes: &self.0,
            parts,
            most,
            visitor,
            emitted: 0,
        };
        step.walk(0, input)
    }
}

/// What is done in the turns of a step.
pub(super) trait Visitor {
    /// Some frames of the input come in; `input` is what they are alone.
    fn fill(&mut self, frames: Range<usize>, input: Input) -> Result<()>;

    /// A pass has its turn.
    fn run(&mut self, program: &Program, input: Input) -> Result<()>;

    /// So many values of what came out wait for the pass behind `pass`.
    fn wait(&mut self, pass: usize, len: usize) -> Result<()>;

    /// Some frames of the output are there; `output` is what they are alone.
    fn emit(&mut self, frames: Range<usize>, output: Input) -> Result<()>;
}

/// Computes a step.
struct Computing<'a, F, E> {
    parts: &'a Parts,
    state: &'a mut State,
    fill: F,
    emit: E,
}

impl<F, E> Visitor for Computing<'_, F, E>
where
    F: FnMut(&mut State, Range<usize>) -> Result<()>,
    E: FnMut(&State, Range<usize>) -> Result<()>,
{
    fn fill(&mut self, frames: Range<usize>, _: Input) -> Result<()> {
        (self.fill)(self.state, frames)
    }

    fn run(&mut self, program: &Program, input: Input) -> Result<()> {
        program.run(self.parts, self.state, input)
    }

    fn wait(&mut self, pass: usize, len: usize) -> Result<()> {
        self.state.wait(pass, len)
    }

    fn emit(&mut self, frames: Range<usize>, _: Input) -> Result<()> {
        (self.emit)(self.state, frames)
    }
}

/// A step that is being walked through.
struct Step<'a, V> {
    passes: &'a [Pass],
    parts: &'a Parts,
    most: usize,
    visitor: &'a mut V,
    /// Frames of the output so far.
    emitted: usize,
}

impl<V: Visitor> Step<'_, V> {
    /// Visits the passes from `index` on over frames that wait, or are to be filled in.
    fn walk(&mut self, index: usize, input: Input) -> Result<()> {
        let Some(pass) = self.passes.get(index) else {
            return Ok(());
        };
        let next = self.passes.get(index + 1);
        let [frames, height, width] = input.size;
        let each = pass.frames(frames, self.most);
        for start in (0..frames).step_by(each) {
            let turn = start..(start + each).min(frames);
            let input = input.with([turn.len(), height, width]);
            if index == 0 {
                self.visitor.fill(turn, input)?;
            }
            self.visitor.run(&pass.program, input)?;
            let output = input.with(pass.program.output(self.parts, input.size));
            let Some(next) = next else {
                let [count, ..] = output.size;
                self.visitor.emit(self.emitted..self.emitted + count, output)?;
                self.emitted += count;
                continue;
            };
            let len = output.size.iter().product::<usize>() * pass.program.channels(self.parts);
            self.visitor.wait(index, len)?;
            if next.in_turns {
                self.walk(index + 1, output)?;
            }
        }
        if next.is_some_and(|next| !next.in_turns) {
            let output = pass.program.output(self.parts, input.size);
            self.walk(index + 1, input.with(output))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
