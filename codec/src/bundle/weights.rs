//! Tensors of a model: checked, dequantized, packed for the kernels.

use std::collections::BTreeSet;

use super::official::Naming;
use super::source::{NumberType, Source, Stored};
use crate::error::{Error, Result};
use crate::kernels::{Backend, Conv, ConvSpec, Epsilon, Norm, RmsNorm};

/// How many problems one error message lists.
const LISTED: usize = 12;

/// Which half of its networks a model is opened with. The other one takes no memory, and its tensors are only checked for
/// their names and shapes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Halves {
    /// Both.
    #[default]
    Both,
    /// Frames to latents and tokens.
    Encoder,
    /// Tokens and latents to frames.
    Decoder,
}

impl Halves {
    fn has(self, half: Self) -> bool {
        self == half || self == Self::Both
    }

    /// # Errors
    /// [`Error::Bundle`] if this half is not there.
    pub(crate) fn need(self, half: Self) -> Result<()> {
        if self.has(half) {
            return Ok(());
        }
        let name = match half {
            Self::Encoder => "encoders",
            Self::Decoder => "decoders",
            Self::Both => "encoders or its decoders",
        };
        Err(Error::bundle(format!("it was opened without its {name}")))
    }
}

/// The tensors of a model, handed out by the names that they have in a bundle.
///
/// A tensor that is missing or wrong is noted and replaced by no values, so that [`Weights::finish`] can name all
/// problems at once; nothing that was built may be used before that.
pub(crate) struct Weights<'a> {
    source: &'a dyn Source,
    naming: Naming,
    backend: &'a Backend,
    halves: Halves,
    /// Whether tensors are looked at, but not wanted.
    skips: bool,
    taken: BTreeSet<String>,
    problems: Vec<String>,
    /// What a device said first of weights that it had no room for.
    failure: Option<Error>,
}

impl<'a> Weights<'a> {
    pub(crate) fn new(source: &'a dyn Source, naming: Naming, backend: &'a Backend) -> Self {
        Self {
            source,
            naming,
            backend,
            halves: Halves::Both,
            skips: false,
            taken: BTreeSet::new(),
            problems: Vec::new(),
            failure: None,
        }
    }

    /// The same for a model of which only these halves are wanted.
    pub(crate) fn with(self, halves: Halves) -> Self {
        Self { halves, ..self }
    }

    /// Where operators are to run.
    pub(crate) fn backend(&self) -> &'a Backend {
        self.backend
    }

    /// Which halves are wanted.
    pub(crate) fn halves(&self) -> Halves {
        self.halves
    }

    /// Makes a half of the networks. If it is not wanted, it is made of no values and must not be used.
    pub(crate) fn half<T>(&mut self, half: Halves, make: impl FnOnce(&mut Self) -> T) -> T {
        self.skips = !self.halves.has(half);
        let made = make(self);
        self.skips = false;
        made
    }

    /// What was made of weights; none if that failed, which is noted.
    fn made<T>(&mut self, made: Result<T>) -> Option<T> {
        made.map_err(|error| self.failure.get_or_insert(error)).ok()
    }

    /// The convolution of `name.weight` and `name.bias`. The weight has the axes (outputs, inputs, …) of `shape`; extents
    /// that it does not name are 1.
    pub(crate) fn conv(&mut self, name: &str, spec: ConvSpec, shape: &[usize]) -> Conv {
        let weight = self.values(&format!("{name}.weight"), shape);
        let bias = self.values(&format!("{name}.bias"), &[spec.outputs * spec.phases]);
        self.conv_of(spec, &weight, bias)
    }

    /// As [`conv`](Self::conv), of a weight that names all extents.
    pub(crate) fn causal_conv(&mut self, name: &str, spec: ConvSpec) -> Conv {
        let [kt, kh, kw] = spec.kernel;
        self.conv(name, spec, &[spec.outputs * spec.phases, spec.inputs, kt, kh, kw])
    }

    /// A convolution of values that were made from weights: see [`Conv::new`].
    pub(crate) fn conv_of(&mut self, spec: ConvSpec, weight: &[f32], bias: Vec<f32>) -> Conv {
        self.made(Conv::new(self.backend, spec, weight, bias))
            .unwrap_or_else(|| Conv::nowhere(spec))
    }

    /// The norm of `name.gamma`.
    pub(crate) fn norm(&mut self, name: &str, channels: usize, epsilon: Epsilon, silu: bool) -> Norm {
        let gain = self.values(&format!("{name}.gamma"), &[channels]);
        let rms = RmsNorm { gain, epsilon, silu };
        self.made(Norm::new(self.backend, rms)).unwrap_or(Norm::Nowhere)
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
        let name = self.naming.stored(name);
        self.taken.insert(name.clone());
        let Some(found) = self.source.shape(&name) else {
            return Err(format!("{name} is missing"));
        };
        // PyTorch's gains have sides of 1, so that they spread over pictures.
        if found != shape && without_ones(&found) != without_ones(shape) {
            return Err(format!("{name} has shape {found:?}, but must be {shape:?}"));
        }
        if self.skips {
            let scale = format!("{name}.scale");
            if self.source.shape(&scale).is_some() {
                self.taken.insert(scale);
            }
            return Ok(Vec::new());
        }
        let Some(stored) = self.source.tensor(&name)? else {
            return Err(format!("{name} is missing"));
        };
        if stored.number_type == NumberType::I8 {
            return self.dequantize(&name, &stored, shape);
        }
        floats(&name, &stored)
    }

    fn dequantize(&mut self, name: &str, stored: &Stored<'_>, shape: &[usize]) -> Result<Vec<f32>, String> {
        let scale_name = format!("{name}.scale");
        let scale = self.source.tensor(&scale_name)?;
        let scale = scale.ok_or_else(|| format!("{scale_name} is missing"))?;
        let outputs = shape.first().copied().unwrap_or(1);
        if scale.shape != [outputs] || scale.number_type != NumberType::F32 {
            return Err(format!("{scale_name} must be {outputs} f32 values"));
        }
        let scale = floats(&scale_name, &scale)?;
        self.taken.insert(scale_name);
        let row = (stored.data.len() / outputs.max(1)).max(1);
        let rows = stored.data.chunks_exact(row).zip(scale);
        Ok(rows
            .flat_map(|(row, scale)| row.iter().map(move |&q| f32::from(q.cast_signed()) * scale))
            .collect())
    }

    /// Whether everything was there and nothing is left over.
    pub(crate) fn finish(mut self) -> Result<()> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        for name in self.source.names() {
            if !self.taken.contains(&name) {
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

/// A shape without sides of 1 at its end.
fn without_ones(shape: &[usize]) -> &[usize] {
    let len = shape.iter().rposition(|&side| side != 1).map_or(0, |at| at + 1);
    &shape[..len]
}

fn floats(name: &str, stored: &Stored<'_>) -> Result<Vec<f32>, String> {
    let data = &stored.data;
    let values: Vec<f32> = match stored.number_type {
        NumberType::F32 => data
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&b| f32::from_le_bytes(b))
            .collect(),
        NumberType::BF16 => data
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&b| bf16(u16::from_le_bytes(b)))
            .collect(),
        NumberType::F16 => data
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
