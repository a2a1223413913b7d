//! Tensors of a bundle file: checked, dequantized, packed for the kernels.

use std::collections::BTreeSet;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::error::{Error, Result};
use crate::kernels::Format;

/// How many problems one error message lists.
const LISTED: usize = 12;

/// The tensors of a bundle, handed out by name.
///
/// A tensor that is missing or wrong is noted and replaced by no values, so that [`Weights::finish`] can name all
/// problems at once; nothing that was built may be used before that.
pub(crate) struct Weights<'a> {
    tensors: SafeTensors<'a>,
    config: String,
    format: Format,
    taken: BTreeSet<String>,
    problems: Vec<String>,
}

impl<'a> Weights<'a> {
    pub(crate) fn parse(bytes: &'a [u8], format: Format) -> Result<Self> {
        let broken = |e| Error::bundle(format!("not a safetensors file: {e}"));
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        let config = metadata
            .metadata()
            .as_ref()
            .and_then(|m| m.get("config"))
            .cloned();
        let config = config.ok_or_else(|| Error::bundle("its metadata has no \"config\""))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(broken)?;
        Ok(Self {
            tensors,
            config,
            format,
            taken: BTreeSet::new(),
            problems: Vec::new(),
        })
    }

    /// The JSON of the config.
    pub(crate) fn config(&self) -> &str {
        &self.config
    }

    /// What operators are to be packed for.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// The values of the tensor `name`; none if it is missing or does not have exactly this shape. A first axis of int8
    /// tensors is the output channel.
    pub(crate) fn values(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        self.read(name, shape).unwrap_or_else(|problem| {
            self.problems.push(problem);
            Vec::new()
        })
    }

    fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        self.taken.insert(name.to_owned());
        let Ok(view) = self.tensors.tensor(name) else {
            return Err(format!("{name} is missing"));
        };
        if view.shape() != shape {
            return Err(format!(
                "{name} has shape {:?}, but must be {shape:?}",
                view.shape()
            ));
        }
        if view.dtype() == Dtype::I8 {
            return self.dequantize(name, &view, shape);
        }
        floats(name, &view)
    }

    fn dequantize(&mut self, name: &str, view: &TensorView<'_>, shape: &[usize]) -> Result<Vec<f32>, String> {
        let scale_name = format!("{name}.scale");
        let scale = self
            .tensors
            .tensor(&scale_name)
            .map_err(|_| format!("{scale_name} is missing"))?;
        let outputs = shape.first().copied().unwrap_or(1);
        if scale.shape() != [outputs] || scale.dtype() != Dtype::F32 {
            return Err(format!("{scale_name} must be {outputs} f32 values"));
        }
        let scale = floats(&scale_name, &scale)?;
        self.taken.insert(scale_name);
        let row = (view.data().len() / outputs.max(1)).max(1);
        let rows = view.data().chunks_exact(row).zip(scale);
        Ok(rows
            .flat_map(|(row, scale)| row.iter().map(move |&q| f32::from(q.cast_signed()) * scale))
            .collect())
    }

    /// Whether everything was there and nothing is left over.
    pub(crate) fn finish(mut self) -> Result<()> {
        for name in self.tensors.names() {
            if !self.taken.contains(name) {
                self.problems.push(format!("{name} is not known"));
            }
        }
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems.sort_unstable();
        let more = self.problems.len().saturating_sub(LISTED);
        self.problems.truncate(LISTED);
        let mut text = self.problems.join("; ");
        if more > 0 {
            text.push_str(&format!("; and {more} more"));
        }
        Err(Error::bundle(text))
    }
}

fn floats(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, String> {
    let data = view.data();
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => data
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&b| f32::from_le_bytes(b))
            .collect(),
        Dtype::BF16 => data
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&b| bf16(u16::from_le_bytes(b)))
            .collect(),
        Dtype::F16 => data
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&b| f16(u16::from_le_bytes(b)))
            .collect(),
        other => {
            return Err(format!(
                "{name} has the data type {other:?}, which is not supported"
            ));
        }
    };
    if values.iter().all(|v| v.is_finite()) {
        Ok(values)
    } else {
        Err(format!("{name} has values that are not finite"))
    }
}

fn bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

fn f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let exponent = u32::from(bits >> 10 & 0x1f);
    let mantissa = u32::from(bits & 0x3ff);
    let magnitude = match exponent {
        // Subnormal: the mantissa counts steps of 2^-24, all of which f32 holds exactly.
        0 => mantissa as f32 / 16_777_216.0,
        31 => f32::from_bits(0x7f80_0000 | mantissa << 13),
        _ => f32::from_bits((exponent + 112) << 23 | mantissa << 13),
    };
    f32::from_bits(magnitude.to_bits() | sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_floats() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x0001, 5.960_464_5e-8),
            (0x7bff, 65504.0),
            (0, 0.0),
        ] {
            assert_eq!(f16(bits), value, "{bits:#x}");
        }
        assert!(f16(0x7c00).is_infinite());
        assert_eq!(bf16(0x3fc0), 1.5);
    }
}
