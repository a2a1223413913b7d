//! Causal convolution over (time, height, width).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{cpu, values, with_optional, with_values};
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
        }
    }

    /// How many frames before the first one count.
    pub(crate) fn lead(&self) -> usize {
        self.kernel[0].saturating_sub(self.stride_time)
    }

    /// Padding above and to the left.
    pub(super) fn pad(&self) -> [usize; 2] {
        if self.stride_space > 1 {
            [0, 0]
        } else {
            [self.kernel[1] / 2, self.kernel[2] / 2]
        }
    }

    /// (T, H, W) of the input after the doubling, if there is one.
    pub(super) fn source(&self, [t, h, w]: [usize; 3]) -> [usize; 3] {
        if self.upsample {
            [t, h * 2, w * 2]
        } else {
            [t, h, w]
        }
    }

    /// (T, H, W) of the output.
    pub(super) fn output(&self, input: [usize; 3]) -> [usize; 3] {
        let [t, h, w] = self.source(input);
        [
            t / self.stride_time * self.phases,
            h / self.stride_space,
            w / self.stride_space,
        ]
    }

    /// Weights as a backend's matrices: (taps · inputs, phases · outputs), from (phases · outputs, inputs, taps).
    pub(super) fn pack(&self, weight: &[f32]) -> Vec<f32> {
        let taps: usize = self.kernel.iter().product();
        let outputs = self.outputs * self.phases;
        let mut packed = vec![0.0; weight.len()];
        for (o, of_output) in weight.chunks_exact(self.inputs * taps).enumerate() {
            for (i, of_input) in of_output.chunks_exact(taps).enumerate() {
                for (tap, &value) in of_input.iter().enumerate() {
                    packed[(tap * self.inputs + i) * outputs + o] = value;
                }
            }
        }
        packed
    }
}

/// A convolution with its weights.
pub(crate) struct Conv {
    spec: ConvSpec,
    weight: Tensor,
    bias: Tensor,
}

impl Conv {
    /// Takes `name.weight` and `name.bias`. `planar` weights have no time axis.
    pub(crate) fn load(weights: &mut Weights<'_>, name: &str, spec: ConvSpec, planar: bool) -> Result<Self> {
        let [kt, kh, kw] = spec.kernel;
        let outputs = spec.outputs * spec.phases;
        let shape = [outputs, spec.inputs, kt, kh, kw];
        let planar_shape = [outputs, spec.inputs, kh, kw];
        let shape = if planar { &planar_shape[..] } else { &shape[..] };
        let weight = weights.take(&format!("{name}.weight"), shape, |w| spec.pack(&w))?;
        let bias = weights.take(&format!("{name}.bias"), &[outputs], |b| b)?;
        Ok(Self { spec, weight, bias })
    }

    pub(crate) fn spec(&self) -> &ConvSpec {
        &self.spec
    }

    /// (T, H, W, inputs) to (T', H', W', outputs), plus `residual` of that shape.
    ///
    /// `history` holds the newest frames before the first one, at most [`ConvSpec::lead`]; those it lacks are zero.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        history: Option<&Tensor>,
        residual: Option<&Tensor>,
    ) -> Result<Tensor> {
        x.contiguous()?.apply_op1_no_bwd(&ConvOp {
            conv: self,
            history,
            residual,
        })
    }
}

struct ConvOp<'a> {
    conv: &'a Conv,
    history: Option<&'a Tensor>,
    residual: Option<&'a Tensor>,
}

impl CustomOp1 for ConvOp<'_> {
    fn name(&self) -> &'static str {
        "causal-conv"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let spec = &self.conv.spec;
        let (t, h, w, c) = layout.shape().dims4()?;
        let input = [t, h, w];
        if c != spec.inputs || !t.is_multiple_of(spec.stride_time) {
            bail!("a convolution of {spec:?} cannot take {:?}", layout.shape());
        }
        let [to, ho, wo] = spec.output(input);
        let len = to * ho * wo * spec.outputs;
        let mut out = vec![0.0; len];
        let x = values(storage, layout)?;
        with_values(&self.conv.weight, |weight| {
            with_values(&self.conv.bias, |bias| {
                with_optional(self.history, |history| {
                    with_optional(self.residual, |residual| {
                        let history = history.unwrap_or_default();
                        if history.len() > spec.lead() * h * w * c
                            || !history.len().is_multiple_of((h * w * c).max(1))
                        {
                            bail!("a convolution's history does not fit its input");
                        }
                        if residual.is_some_and(|r| r.len() != len) {
                            bail!("a convolution's residual does not fit its output");
                        }
                        let operands = cpu::ConvOperands {
                            x,
                            input,
                            history,
                            weight,
                            bias,
                            residual,
                        };
                        cpu::conv(spec, &operands, &mut out);
                        Ok(())
                    })
                })
            })
        })?;
        Ok((CpuStorage::F32(out), (to, ho, wo, spec.outputs).into()))
    }
}
