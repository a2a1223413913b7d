//! Shortcuts without weights around the stages of Wan 2.2's VAE.

/// Averages groups of neighbouring values on the way down, or repeats values on the way up.
///
/// The values of a block of (time, height, width) positions are ordered by channel first, then by place in the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShortcutSpec {
    pub(in crate::kernels) inputs: usize,
    pub(in crate::kernels) outputs: usize,
    /// Extents of a block in time and in space.
    pub(in crate::kernels) time: usize,
    pub(in crate::kernels) space: usize,
    pub(in crate::kernels) up: bool,
}

impl ShortcutSpec {
    /// From `inputs` to `outputs` channels of a resolution that is lower by the factors of time and space.
    pub(crate) fn average([inputs, outputs]: [usize; 2], [time, space]: [usize; 2]) -> Self {
        Self {
            inputs,
            outputs,
            time,
            space,
            up: false,
        }
    }

    /// From `inputs` to `outputs` channels of a resolution that is higher by the factors of time and space.
    pub(crate) fn repeat([inputs, outputs]: [usize; 2], [time, space]: [usize; 2]) -> Self {
        Self {
            up: true,
            ..Self::average([inputs, outputs], [time, space])
        }
    }

    /// Values that become of (T, H, W) positions in a step that does not begin a group.
    pub(crate) fn len(&self, input: [usize; 3]) -> usize {
        self.output(false, input).iter().product::<usize>() * self.outputs
    }

    /// (T, H, W) of what becomes of (T, H, W) positions. `first` says whether the step begins a group.
    pub(in crate::kernels) fn output(&self, first: bool, [t, h, w]: [usize; 3]) -> [usize; 3] {
        let (time, space) = (self.time, self.space);
        match (self.up, first) {
            (true, true) => [(t * time).saturating_sub(time - 1), h * space, w * space],
            (true, false) => [t * time, h * space, w * space],
            (false, _) => [t.div_ceil(time), h / space, w / space],
        }
    }

    /// Frames of the input or the output that come before the first one of a group.
    pub(in crate::kernels) fn lead(&self, first: bool, [t, ..]: [usize; 3]) -> usize {
        match (self.up, first) {
            (true, true) => self.time - 1,
            (true, false) => 0,
            (false, _) => t.div_ceil(self.time) * self.time - t,
        }
    }
}
