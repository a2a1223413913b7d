//! A step of a network in one or two passes over its frames.
//!
//! Where frames are largest nothing but a convolution's look at the frames before connects them, so a few of them at a
//! time are enough: an encoder takes them up to where it first halves time, a decoder from where it last doubled it. What
//! lies between waits as f32 values, and memory is that of a frame, not of a step.

use std::ops::Range;

use super::program::{Parts, Program};
use super::state::State;
use crate::error::Result;
use crate::kernels::Input;

/// A program, and whether it may take the frames of a step a few at a time.
pub(super) struct Pass {
    pub(super) program: Program,
    pub(super) in_turns: bool,
}

impl Pass {
    /// How many of so many frames it takes at a time, if at most `most` make a turn.
    pub(super) fn frames(&self, frames: usize, most: usize) -> usize {
        if self.in_turns { most.min(frames) } else { frames }.max(1)
    }
}

/// The passes of a step: one, or two of which the second begins with [`Resume`](super::program::Operator::Resume).
pub(super) struct Passes(pub(super) Vec<Pass>);

impl Passes {
    /// Of one program over all frames.
    pub(super) fn one(program: Program) -> Self {
        Self(vec![Pass {
            program,
            in_turns: false,
        }])
    }

    /// Of two programs, and which of them may take frames in turns.
    pub(super) fn two(programs: [Program; 2], turns: [bool; 2]) -> Self {
        let passes = programs.into_iter().zip(turns);
        Self(
            passes
                .map(|(program, in_turns)| Pass { program, in_turns })
                .collect(),
        )
    }

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
        mut fill: impl FnMut(&mut State, Range<usize>) -> Result<()>,
        mut emit: impl FnMut(&State, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let mut size = input.size;
        state.waiting.clear();
        for (index, pass) in self.0.iter().enumerate() {
            let [frames, height, width] = size;
            let output = pass.program.output(parts, size);
            let frame = output[1] * output[2] * pass.program.channels(parts);
            let each = pass.frames(frames, most);
            for start in (0..frames).step_by(each) {
                let turn = start..(start + each).min(frames);
                let input = input.with([turn.len(), height, width]);
                if index == 0 {
                    fill(state, turn)?;
                }
                pass.program.run(parts, state, input)?;
                let [count, ..] = pass.program.output(parts, input.size);
                if index + 1 < self.0.len() {
                    state.wait(count * frame, each >= frames)?;
                } else {
                    // Turns keep the number of frames, or there is only one.
                    emit(state, start..start + count)?;
                }
            }
            size = output;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "passes_tests.rs"]
mod tests;
