//! What a convolution does, whoever computes it.

use super::Extent;

/// What is applied to sums and bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    None,
    /// GELU in its tanh form.
    Gelu,
}

/// What an operator runs over: (T, H, W) of one clip, or of each of several that are computed together.
///
/// Frames of the clips take turns: frame t of clip n is frame t · clips + n of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    /// Above 1 on GPUs only.
    pub(crate) clips: usize,
    /// Of each clip.
    pub(crate) size: [usize; 3],
}

impl From<[usize; 3]> for Input {
    fn from(size: [usize; 3]) -> Self {
        Self { clips: 1, size }
    }
}

impl Input {
    /// (T, H, W) of all frames.
    pub(crate) fn all(self) -> [usize; 3] {
        let [t, h, w] = self.size;
        [t * self.clips, h, w]
    }

    /// The same clips with another size.
    pub(crate) fn with(self, size: [usize; 3]) -> Self {
        Self { size, ..self }
    }
}

/// What a convolution does.
///
/// All padding is with zeros. In time it is in front, as much as makes T output frames of T input frames (T / 2 with a
/// stride of 2, where it is one frame only); in space it keeps the size, or is right and below for a stride of 2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvSpec {
    pub(crate) inputs: usize,
    /// Output channels, for each phase.
    pub(crate) outputs: usize,
    /// Extents along time, height and width.
    pub(crate) kernel: [usize; 3],
    pub(crate) stride_time: usize,
    /// Of height and width.
    pub(crate) stride_space: usize,
    /// Whether height and width of the input are doubled first by repeating each value.
    pub(crate) upsample: bool,
    /// Output frames for each step in time; the weight's outputs are those of the first phase, then of the second.
    pub(crate) phases: usize,
    pub(crate) activation: Activation,
}

impl ConvSpec {
    pub(crate) fn new(inputs: usize, outputs: usize, kernel: [usize; 3]) -> Self {
        Self {
            inputs,
            outputs,
            kernel,
            stride_time: 1,
            stride_space: 1,
            upsample: false,
            phases: 1,
            activation: Activation::None,
        }
    }

    /// How many frames before the first one count.
    pub(crate) fn lead(&self) -> usize {
        self.kernel[0].saturating_sub(self.stride_time)
    }

    /// Output columns (rows) for each input column (row) or phase of it.
    pub(in crate::kernels) fn zoom(&self) -> usize {
        if self.upsample { 2 } else { 1 }
    }

    /// (T, H, W) of the output.
    pub(crate) fn output(&self, [t, h, w]: [usize; 3]) -> [usize; 3] {
        [
            t / self.stride_time * self.phases,
            h / self.stride_space * self.zoom(),
            w / self.stride_space * self.zoom(),
        ]
    }

    /// Zeros above (to the left of) the input.
    pub(in crate::kernels) fn border_before(&self, axis: usize) -> usize {
        match (self.stride_space, self.upsample) {
            (1, false) => self.kernel[axis] / 2,
            (1, true) => (self.kernel[axis] / 2).div_ceil(2),
            _ => 0,
        }
    }

    /// The extent of an operand for an input.
    pub(in crate::kernels) fn extent(&self, input: impl Into<Input>) -> Extent {
        let Input {
            clips,
            size: [frames, height, width],
        } = input.into();
        let [_, out_height, out_width] = self.output([frames, height, width]);
        let before = [self.border_before(1), self.border_before(2)];
        let after = |axis: usize, size: usize, out: usize| match self.upsample {
            true => before[axis],
            false => ((out.max(1) - 1) * self.stride_space + self.kernel[axis + 1])
                .saturating_sub(size + before[axis]),
        };
        Extent {
            frames: (self.lead() + frames) * clips,
            height,
            width,
            channels: self.inputs,
            border: [
                before[0],
                before[1],
                after(0, height, out_height),
                after(1, width, out_width),
            ],
        }
    }

    /// The row (or column) of the bordered input that tap `tap` of an axis meets at the output `place` of a position's
    /// repetitions, where the input is doubled.
    pub(in crate::kernels) fn doubled(&self, axis: usize, place: usize, tap: usize) -> usize {
        // Floor of half of what may be negative, counted from the border's edge.
        let before = self.border_before(axis);
        (place + tap + 2 * before - self.kernel[axis] / 2) / 2
    }

    /// Values of the weight.
    pub(in crate::kernels) fn weight_len(&self) -> usize {
        self.phases * self.outputs * self.inputs * self.kernel.iter().product::<usize>()
    }
}
