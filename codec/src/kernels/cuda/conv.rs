//! Convolution on a device: one product of the vendor's for each piece of the outputs, and what follows it.

use std::ops::Range;

use super::driver::{Convolution, Product};
use super::finish::{Finisher, Sums};
use super::folded::Folded;
use super::memory::Memory;
use super::{Gpu, Operand, Room, Sink, products};
use crate::error::Result;
use crate::kernels::spec::{ConvSpec, Input};

/// Bytes of sums at once, at most, if a frame needs less.
const SUMS: usize = if cfg!(test) { 1 << 14 } else { 512 << 20 };

/// A convolution with its weights on a device.
pub(crate) struct Conv {
    gpu: Gpu,
    spec: ConvSpec,
    weight: Memory,
    bias: Memory,
    folded: Folded,
}

impl Conv {
    /// From a weight (phases · outputs, inputs, extents), or none, for a convolution that must not be run.
    pub(crate) fn new(gpu: &Gpu, spec: ConvSpec, weight: &[f32], bias: &[f32]) -> Result<Self> {
        let folded = Folded::new(gpu, &spec);
        let weight = match weight.len() == spec.weight_len() {
            true => folded.weight(&spec, gpu.position(spec.inputs), weight),
            false => Vec::new(),
        };
        Ok(Self {
            gpu: gpu.clone(),
            spec,
            weight: gpu.rounded(&weight)?,
            bias: gpu.exact(bias)?,
            folded,
        })
    }

    pub(crate) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Bytes of an operand for an input of (T, H, W), and of one of its frames.
    pub(crate) fn operand_bytes(&self, input: [usize; 3]) -> (u64, u64) {
        let extent = self.spec.extent(input);
        let [above, left, below, right] = extent.border;
        let positions = (above + extent.height + below) * (left + extent.width + right);
        let frame = positions * self.gpu.position(extent.channels) * self.gpu.element();
        ((extent.frames * frame) as u64, frame as u64)
    }

    /// Bytes of the sums of an input of (T, H, W).
    pub(crate) fn sums_bytes(&self, input: [usize; 3]) -> u64 {
        let plan = self.plan(input.into());
        (plan.step.max(1) * plan.sums) as u64
    }

    /// Makes `operand` one that this convolution takes for an input.
    pub(crate) fn shape(&self, operand: &mut Operand, input: Input) -> Result<()> {
        operand.reshape(self.spec.extent(input))
    }

    /// See `dispatch::Conv::run`.
    pub(crate) fn run(&self, operand: &Operand, known: usize, input: Input, sink: Sink<'_>) -> Result<()> {
        let spec = &self.spec;
        let [frames, ..] = input.size;
        assert!(frames.is_multiple_of(spec.stride_time) && known <= spec.lead());
        assert_eq!(operand.extent(), Some(spec.extent(input)));
        let output = input.with(spec.output(input.size)).all();
        if output.contains(&0) {
            return Ok(());
        }
        // A frame of each clip.
        let frame = operand.layout().frame * input.clips;
        let missing = spec.lead() - known;
        if missing > 0 {
            let bytes = missing * frame * self.gpu.element();
            self.gpu.driver().zero(operand.at(0)?, bytes)?;
        }
        if self.is_linear() {
            let count = output.iter().product();
            return self.product(operand, 0..count, 0, output, sink);
        }
        let plan = self.plan(input);
        let steps = frames / spec.stride_time;
        let finisher = Finisher::new(&self.gpu, spec, output, sink)?;
        for first in (0..steps).step_by(plan.step) {
            let count = plan.step.min(steps - first);
            let convolution = plan.convolution(self, count);
            let from = operand.at(first * spec.stride_time * frame)?;
            let (sums, wide) = self.convolve(&convolution, from)?;
            let [step, clip, row] = plan.strides(&convolution, wide);
            let finish = Sums::Convolution {
                address: sums.address,
                bias: self.bias.address(),
                wide,
                clips: input.clips,
                step,
                clip,
                row,
                folded: self.folded,
            };
            let positions = input.clips * output[1] * output[2] * spec.phases;
            finisher.run(&finish, first * positions, count * positions)?;
        }
        finisher.end()
    }

    /// See `dispatch::Conv::run_part`.
    pub(crate) fn run_part(
        &self,
        operand: &Operand,
        from: Range<usize>,
        to: usize,
        all: [usize; 2],
        sink: Sink<'_>,
    ) -> Result<()> {
        assert_eq!(operand.extent(), Some(self.spec.extent([1, 1, all[0]])));
        assert!(self.is_linear() && from.end <= all[0] && to + from.len() <= all[1]);
        self.product(operand, from, to, [1, 1, all[1]], sink)
    }

    /// Whether it is one product of matrices.
    fn is_linear(&self) -> bool {
        let spec = &self.spec;
        let plain = spec.phases == 1 && !spec.upsample && spec.stride_time == 1 && spec.stride_space == 1;
        plain && spec.kernel == [1; 3]
    }

    /// As a product of matrices.
    fn product(
        &self,
        operand: &Operand,
        from: Range<usize>,
        to: usize,
        output: [usize; 3],
        sink: Sink<'_>,
    ) -> Result<()> {
        let stride = operand.layout().position;
        let block = self.folded.block;
        let most = (SUMS / (4 * block)).max(1);
        let finisher = Finisher::new(&self.gpu, &self.spec, output, sink)?;
        for first in from.clone().step_by(most) {
            let rows = most.min(from.end - first);
            let sums = self.gpu.sums(rows * block * 4)?;
            let product = Product {
                dtype: self.gpu.dtype(),
                rows,
                columns: block,
                depth: stride,
                transposed: true,
                add: false,
                count: 1,
                a_step: 0,
                c_step: 0,
                a_stride: stride,
                b_stride: stride,
                c_stride: block,
            };
            let a = operand.at(first * stride)?;
            self.gpu
                .driver()
                .multiply(&product, a, self.weight.address(), sums.address)?;
            let finish = Sums::Rows {
                address: sums.address,
                bias: self.bias.address(),
                stride: block,
            };
            finisher.run(&finish, to + first - from.start, rows)?;
        }
        finisher.end()
    }

    /// Queues a convolution. Gives its sums, and whether they are f32: see [`products`].
    fn convolve(&self, convolution: &Convolution, input: u64) -> Result<(Room<'_>, bool)> {
        let (gpu, weight) = (&self.gpu, self.weight.address());
        if gpu.has(convolution) {
            let count: usize = convolution.output().iter().product();
            let sums = gpu.sums(count * gpu.element())?;
            if gpu.driver().convolve(convolution, input, weight, sums.address)? {
                return Ok((sums, false));
            }
            gpu.misses(*convolution);
        }
        let sums = gpu.sums(4 * products::values(convolution))?;
        products::convolve(gpu.driver().as_ref(), convolution, input, weight, sums.address)?;
        Ok((sums, true))
    }

    fn plan(&self, input: Input) -> Plan {
        let extent = self.spec.extent(input);
        let [above, left, below, right] = extent.border;
        let (rows, columns) = (above + extent.height + below, left + extent.width + right);
        let spec = &self.spec;
        let [kt, kh, kw] = self.folded.kernel;
        // Without a depth, or without an extent in space, these are cases of two dimensions, which libraries know best.
        let form = match (kt, spec.stride_time, [kh, kw], spec.stride_space) {
            (1, 1, ..) => Form::Frames,
            (_, _, [1, 1], 1) => Form::Time,
            _ => Form::Full,
        };
        // Frames that lie one below the other are one large frame. Where a kernel reaches from one into the next, nobody
        // looks at its outputs.
        assert!(spec.stride_space == 1 || !matches!(form, Form::Full) || input.clips == 1);
        let mut plan = Plan {
            form,
            clips: input.clips,
            channels: extent.channels,
            rows,
            columns,
            sums: 0,
            step: 1,
        };
        let [step, ..] = plan.strides(&plan.convolution(self, 1), false);
        plan.sums = step * self.gpu.element();
        plan.step = (SUMS / plan.sums.max(1)).clamp(1, (input.size[0] / self.spec.stride_time).max(1));
        plan
    }
}

/// Which axes a convolution has for the library.
#[derive(Clone, Copy)]
enum Form {
    /// Each frame by itself.
    Frames,
    /// Time, and positions.
    Time,
    /// Time, height and width.
    Full,
}

/// How a convolution is cut into pieces along time.
struct Plan {
    form: Form,
    clips: usize,
    channels: usize,
    /// Of a frame of the input, with its border.
    rows: usize,
    columns: usize,
    /// Bytes of the sums of a step in time, of all clips.
    sums: usize,
    /// Steps in time that are computed together.
    step: usize,
}

impl Plan {
    /// The convolution of `steps` steps in time.
    fn convolution(&self, conv: &Conv, steps: usize) -> Convolution {
        let spec = &conv.spec;
        let [kt, kh, kw] = conv.folded.kernel;
        let position = conv.gpu.position(self.channels);
        let frames = steps * spec.stride_time + spec.lead();
        let space = spec.stride_space;
        let (input, kernel, stride) = match self.form {
            Form::Frames => (
                [frames * self.clips, 1, self.rows, self.columns, position],
                [1, kh, kw],
                [1, space, space],
            ),
            Form::Time => (
                [1, 1, frames, self.clips * self.rows * self.columns, position],
                [1, kt, 1],
                [1, spec.stride_time, 1],
            ),
            Form::Full => (
                [1, frames, self.clips * self.rows, self.columns, position],
                [kt, kh, kw],
                [spec.stride_time, space, space],
            ),
        };
        Convolution {
            dtype: conv.gpu.dtype(),
            input,
            outputs: conv.folded.blocks * conv.folded.block,
            kernel,
            stride,
        }
    }
    /// Sums from one step in time, clip and row to the next. Those of products have gaps where rows of the input have a
    /// border.
    fn strides(&self, convolution: &Convolution, wide: bool) -> [usize; 3] {
        let [_, _, height, width, channels] = match wide && products::in_one(convolution) {
            true => products::rows(convolution),
            false => convolution.output(),
        };
        let (row, clip) = match self.form {
            Form::Frames => (width, height * width),
            Form::Time => (self.columns, self.rows * self.columns),
            Form::Full => (width, self.rows * width),
        };
        let step = match self.form {
            Form::Frames | Form::Time => self.clips * clip,
            Form::Full => height * width,
        };
        [step, clip, row].map(|positions| positions * channels)
    }
}
