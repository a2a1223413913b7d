//! Causal convolution over (time, height, width), by the algorithm that suits it.

use std::ops::Range;

use super::Sink;
use super::direct::{Direct, Shift};
use super::finish::Finish;
use super::operand::Operand;
use super::winograd::Winograd;
use super::words::Format;
use crate::kernels::spec::ConvSpec;
use crate::kernels::spec::Extent;

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

    pub(crate) fn spec(&self) -> &ConvSpec {
        &self.spec
    }

    /// The extent of an input of `frames` new frames.
    fn extent(&self, input: [usize; 3]) -> Extent {
        let mut extent = self.spec.extent(input);
        if let Algorithm::Winograd(_) = &self.algorithm {
            let [_, out_height, out_width] = self.spec.output(input);
            extent.border[2] = 2 * out_height.div_ceil(2) + 1 - extent.height;
            extent.border[3] = 2 * out_width.div_ceil(2) + 1 - extent.width;
        }
        extent
    }

    /// Words of an operand for an input of (T, H, W), and of one of its frames.
    pub(crate) fn operand_words(&self, input: [usize; 3]) -> (u64, u64) {
        Operand::words_of(self.format, self.extent(input))
    }

    /// Makes `operand` one that this convolution takes, for an input of (T, H, W).
    pub(crate) fn shape(&self, operand: &mut Operand, input: [usize; 3]) {
        operand.reshape(self.format, self.extent(input), self.spec.lead());
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
