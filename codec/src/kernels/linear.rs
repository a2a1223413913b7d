//! Matrix times weights, with what follows it.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{cpu, values, with_optional, with_values};
use crate::bundle::Weights;

/// What is applied to a linear layer's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    None,
    /// GELU in its tanh form.
    Gelu,
}

/// A linear layer with its weights.
pub(crate) struct Linear {
    inputs: usize,
    outputs: usize,
    weight: Tensor,
    bias: Tensor,
    activation: Activation,
}

impl Linear {
    /// Takes `name.weight`, of `shape` (outputs, inputs and any number of ones), and `name.bias`.
    pub(crate) fn load(
        weights: &mut Weights<'_>,
        name: &str,
        shape: &[usize],
        activation: Activation,
    ) -> Result<Self> {
        let (outputs, inputs) = (shape[0], shape[1]);
        let weight = weights.take(&format!("{name}.weight"), shape, |w| transpose(&w, inputs))?;
        let bias = weights.take(&format!("{name}.bias"), &[outputs], |b| b)?;
        Ok(Self {
            inputs,
            outputs,
            weight,
            bias,
            activation,
        })
    }

    /// The layer of a matrix (outputs, inputs) and a bias.
    pub(crate) fn from_matrix(matrix: &[f32], bias: Vec<f32>, device: &candle_core::Device) -> Result<Self> {
        let outputs = bias.len();
        let inputs = matrix.len() / outputs.max(1);
        let weight = Tensor::from_vec(transpose(matrix, inputs), matrix.len(), device)?;
        let bias = Tensor::from_vec(bias, outputs, device)?;
        Ok(Self {
            inputs,
            outputs,
            weight,
            bias,
            activation: Activation::None,
        })
    }

    /// (…, inputs) to (…, outputs), plus `residual` of that shape.
    pub(crate) fn forward(&self, x: &Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
        x.contiguous()?.apply_op1_no_bwd(&LinearOp {
            linear: self,
            residual,
        })
    }
}

/// (outputs, inputs) to (inputs, outputs).
fn transpose(matrix: &[f32], inputs: usize) -> Vec<f32> {
    let outputs = matrix.len() / inputs.max(1);
    let mut transposed = vec![0.0; matrix.len()];
    for (o, row) in matrix.chunks_exact(inputs.max(1)).enumerate() {
        for (i, &value) in row.iter().enumerate() {
            transposed[i * outputs + o] = value;
        }
    }
    transposed
}

struct LinearOp<'a> {
    linear: &'a Linear,
    residual: Option<&'a Tensor>,
}

impl CustomOp1 for LinearOp<'_> {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Linear {
            inputs,
            outputs,
            activation,
            ..
        } = *self.linear;
        let x = values(storage, layout)?;
        let mut dims = layout.dims().to_vec();
        match dims.last_mut() {
            Some(last) if *last == inputs => *last = outputs,
            _ => bail!(
                "a linear layer of {inputs} inputs cannot take {:?}",
                layout.shape()
            ),
        }
        let mut out = vec![0.0; dims.iter().product()];
        with_values(&self.linear.weight, |weight| {
            with_values(&self.linear.bias, |bias| {
                with_optional(self.residual, |residual| {
                    if residual.is_some_and(|r| r.len() != out.len()) {
                        bail!("a linear layer's residual does not fit its output");
                    }
                    cpu::linear(x, weight, bias, activation, residual, &mut out);
                    Ok(())
                })
            })
        })?;
        Ok((CpuStorage::F32(out), dims.into()))
    }
}
