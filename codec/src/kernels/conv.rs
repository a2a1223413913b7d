//! Causal convolution over (time, height, width).

use std::ops::Range;

use super::cpu::direct::{Direct, Shift};
use super::cpu::finish::Finish;
use super::cpu::operand::{Extent, Operand};
use super::cpu::winograd::Winograd;
use super::cpu::words::Format;
use super::sink::{Activation, Sink};
use crate::bundle::Weights;

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
    pub(super) fn zoom(&self) -> usize {
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
    pub(super) fn border_before(&self, axis: usize) -> usize {
        match (self.stride_space, self.upsample) {
            (1, false) => self.kernel[axis] / 2,
            (1, true) => (self.kernel[axis] / 2).div_ceil(2),
            _ => 0,
        }
    }

    /// Values of the weight.
    fn weight_len(&self) -> usize {
        self.phases * self.outputs * self.inputs * self.kernel.iter().product::<usize>()
    }
}

/// How a convolution is computed.
enum Algorithm {
    Direct(Direct),
    Winograd(Winograd),
}

/// A convolution with its weights. A linear layer is one whose extents are 1.
pub(crate) struct Conv {
    spec: ConvSpec,
    format: Format,
    bias: Vec<f32>,
    algorithm: Algorithm,
}

impl Conv {
    /// Takes `name.weight` and `name.bias`. The weight has the axes (outputs, inputs, …) of `shape`; extents that it
    /// does not name are 1.
    pub(crate) fn load(weights: &mut Weights<'_>, name: &str, spec: ConvSpec, shape: &[usize]) -> Self {
        let weight = weights.values(&format!("{name}.weight"), shape);
        let bias = weights.values(&format!("{name}.bias"), &[spec.outputs * spec.phases]);
        Self::new(weights.format(), spec, &weight, bias)
    }

    /// Takes a convolution whose weight names all of its extents.
    pub(crate) fn load_causal(weights: &mut Weights<'_>, name: &str, spec: ConvSpec) -> Self {
        let [kt, kh, kw] = spec.kernel;
        Self::load(
            weights,
            name,
            spec,
            &[spec.outputs * spec.phases, spec.inputs, kt, kh, kw],
        )
    }

    /// From a weight (phases · outputs, inputs, extents). A weight of another length, which stands for a missing one,
    /// gives a convolution that must not be run.
    pub(crate) fn new(format: Format, spec: ConvSpec, weight: &[f32], bias: Vec<f32>) -> Self {
        let weight = if weight.len() == spec.weight_len() {
            weight
        } else {
            &[]
        };
        let algorithm = if Winograd::suits(format, &spec) {
            Algorithm::Winograd(Winograd::new(format, &spec, weight))
        } else {
            Algorithm::Direct(Direct::new(format, &spec, weight))
        };
        Self {
            spec,
            format,
            bias,
            algorithm,
        }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn spec(&self) -> &ConvSpec {
        &self.spec
    }

    /// The extent of an input of `frames` new frames.
    fn extent(&self, [frames, height, width]: [usize; 3]) -> Extent {
        let spec = &self.spec;
        let [_, out_height, out_width] = spec.output([frames, height, width]);
        let before = [spec.border_before(1), spec.border_before(2)];
        let after = |axis: usize, size: usize, out: usize| match &self.algorithm {
            Algorithm::Winograd(_) => 2 * out.div_ceil(2) + 1 - size,
            Algorithm::Direct(_) if spec.upsample => before[axis],
            Algorithm::Direct(_) => ((out.max(1) - 1) * spec.stride_space + spec.kernel[axis + 1])
                .saturating_sub(size + before[axis]),
        };
        Extent {
            frames: spec.lead() + frames,
            height,
            width,
            channels: spec.inputs,
            border: [
                before[0],
                before[1],
                after(0, height, out_height),
                after(1, width, out_width),
            ],
        }
    }

    /// Words of an operand for an input of (T, H, W), and of one of its frames.
    pub(crate) fn operand_words(&self, input: [usize; 3]) -> (u64, u64) {
        Operand::words_of(self.format, self.extent(input))
    }

    /// Makes `operand` one that this convolution takes, for an input of (T, H, W).
    pub(crate) fn shape(&self, operand: &mut Operand, input: [usize; 3]) {
        operand.reshape(self.format, self.extent(input));
    }

    /// Runs it over an input of (T, H, W), of which `operand` holds the words behind [`ConvSpec::lead`] frames; of
    /// those the newest `known` count, the others are taken as zeros.
    ///
    /// # Panics
    /// If operand or sink have other extents: a mistake of the caller.
    pub(crate) fn run(&self, operand: &Operand, known: usize, input: [usize; 3], sink: Sink<'_>) {
        assert!(input[0].is_multiple_of(self.spec.stride_time) && known <= self.spec.lead());
        let output = self.spec.output(input);
        if output.contains(&0) {
            return;
        }
        self.checked(operand, input);
        let finish = Finish::new(self.format, output, self.spec.outputs, self.spec.activation, sink);
        let missing = self.spec.lead() - known;
        match &self.algorithm {
            Algorithm::Direct(direct) => {
                direct.run(operand, missing, output, &self.bias, &finish, Shift::default())
            }
            Algorithm::Winograd(winograd) => winograd.run(operand, missing, output, &self.bias, &finish),
        }
    }

    /// Runs a linear layer over the positions `from` of an operand of `all[0]` positions; outputs go to as many positions
    /// of a sink of `all[1]`, from `to` on.
    ///
    /// # Panics
    /// If operand or sink have other extents, or this is no linear layer: a mistake of the caller.
    pub(crate) fn run_part(
        &self,
        operand: &Operand,
        from: Range<usize>,
        to: usize,
        all: [usize; 2],
        sink: Sink<'_>,
    ) {
        self.checked(operand, [1, 1, all[0]]);
        assert!(from.end <= all[0] && to + from.len() <= all[1]);
        let Algorithm::Direct(direct) = &self.algorithm else {
            unreachable!("a convolution without extent is direct")
        };
        assert!(self.spec.kernel == [1; 3] && self.spec.phases == 1 && !self.spec.upsample);
        let spec = &self.spec;
        let finish = Finish::new(self.format, [1, 1, all[1]], spec.outputs, spec.activation, sink);
        let shift = Shift {
            operand: from.start,
            output: to,
        };
        direct.run(operand, 0, [1, 1, from.len()], &self.bias, &finish, shift);
    }

    fn checked(&self, operand: &Operand, input: [usize; 3]) {
        assert_eq!(operand.extent(), Some(self.extent(input)));
    }
}
