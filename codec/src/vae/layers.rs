//! The building blocks of encoder and decoder. Activations are (T, H, W, C).

use candle_core::{Result, Tensor};

use super::state::Cache;
use crate::bundle::{Kernel, Weights};
use crate::kernels::{Activation, Attention, Conv, ConvSpec, Epsilon, Linear, RmsNorm};

/// The name of a layer's tensor in a bundle.
fn tensor(name: &str) -> String {
    format!("vae.{name}")
}

/// The newest `count` frames of `history` and then `x`, or all if there are fewer, in memory of their own.
fn newest(history: Option<&Tensor>, x: &Tensor, count: usize) -> Result<Tensor> {
    let frames = x.dim(0)?;
    if frames >= count {
        return x.narrow(0, frames - count, count)?.force_contiguous();
    }
    match history {
        Some(history) => {
            let known = history.dim(0)?;
            let kept = known.min(count - frames);
            Tensor::cat(&[&history.narrow(0, known - kept, kept)?, x], 0)
        }
        None => x.force_contiguous(),
    }
}

/// A causal convolution and its place in the cache.
pub(super) struct CausalConv {
    name: String,
    conv: Conv,
}

impl CausalConv {
    pub(super) fn load(weights: &mut Weights<'_>, name: &str, spec: ConvSpec) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            conv: Conv::load(weights, &tensor(name), spec, false)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, residual: Option<&Tensor>, cache: &mut Cache) -> Result<Tensor> {
        let lead = self.conv.spec().lead();
        if lead == 0 {
            return self.conv.forward(x, None, residual);
        }
        let history = cache.get(&self.name);
        let out = self.conv.forward(x, history, residual)?;
        let frames = newest(history, x, lead)?;
        cache.set(&self.name, frames);
        Ok(out)
    }
}

/// RMS norm and SiLU, as they precede every convolution but the first ones.
pub(super) fn norm_silu(weights: &mut Weights<'_>, name: &str, channels: usize) -> Result<RmsNorm> {
    RmsNorm::load(weights, &tensor(name), channels, Epsilon::Clamp, true)
}

/// One layer of a network.
pub(super) enum Layer {
    Residual(ResidualBlock),
    Attention(AttentionBlock),
    Down(Downsample),
    Up(Upsample),
}

impl Layer {
    pub(super) fn forward(&self, x: &Tensor, cache: &mut Cache) -> Result<Tensor> {
        match self {
            Self::Residual(layer) => layer.forward(x, cache),
            Self::Attention(layer) => layer.forward(x),
            Self::Down(layer) => layer.forward(x, cache),
            Self::Up(layer) => layer.forward(x, cache),
        }
    }
}

/// Norm, SiLU, convolution, twice, plus the input (through a matrix where channels change).
pub(super) struct ResidualBlock {
    norms: [RmsNorm; 2],
    convs: [CausalConv; 2],
    shortcut: Option<Linear>,
}

impl ResidualBlock {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        name: &str,
        [inputs, outputs]: [usize; 2],
        kernels: [Kernel; 2],
    ) -> Result<Self> {
        let norms = [
            norm_silu(weights, &format!("{name}.residual.0"), inputs)?,
            norm_silu(weights, &format!("{name}.residual.3"), outputs)?,
        ];
        let first = ConvSpec::new(inputs, outputs, kernels[0]);
        let second = ConvSpec::new(outputs, outputs, kernels[1]);
        let convs = [
            CausalConv::load(weights, &format!("{name}.residual.2"), first)?,
            CausalConv::load(weights, &format!("{name}.residual.6"), second)?,
        ];
        let shortcut = tensor(&format!("{name}.shortcut"));
        let shape = [outputs, inputs, 1, 1, 1];
        let shortcut =
            (inputs != outputs).then(|| Linear::load(weights, &shortcut, &shape, Activation::None));
        Ok(Self {
            norms,
            convs,
            shortcut: shortcut.transpose()?,
        })
    }

    fn forward(&self, x: &Tensor, cache: &mut Cache) -> Result<Tensor> {
        let h = self.convs[0].forward(&self.norms[0].forward(x)?, None, cache)?;
        let h = self.norms[1].forward(&h)?;
        match &self.shortcut {
            Some(shortcut) => self.convs[1].forward(&h, Some(&shortcut.forward(x, None)?), cache),
            None => self.convs[1].forward(&h, Some(x), cache),
        }
    }
}

/// Single-head self-attention over the positions of each frame.
pub(super) struct AttentionBlock {
    norm: RmsNorm,
    qkv: Linear,
    proj: Linear,
}

impl AttentionBlock {
    pub(super) fn load(weights: &mut Weights<'_>, name: &str, channels: usize) -> Result<Self> {
        let name = tensor(name);
        let norm = RmsNorm::load(weights, &format!("{name}.norm"), channels, Epsilon::Clamp, false)?;
        let mut matrix = |part: &str, outputs| {
            Linear::load(
                weights,
                &format!("{name}.{part}"),
                &[outputs, channels, 1, 1],
                Activation::None,
            )
        };
        Ok(Self {
            norm,
            qkv: matrix("to_qkv", channels * 3)?,
            proj: matrix("proj", channels)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (t, h, w, _) = x.dims4()?;
        let qkv = self.qkv.forward(&self.norm.forward(x)?, None)?;
        let seen = Attention::windowed([t, h, w], [1, h, w], [0; 3]).forward(&qkv)?;
        self.proj.forward(&seen, Some(x))
    }
}

/// What changes between two stages.
#[derive(Clone, Copy)]
pub(super) struct Halving {
    pub(super) space: bool,
    pub(super) time: bool,
}

/// Halves space, then time.
///
/// In time the first frame of a group passes unchanged; every later pair is merged with a look at the frame before it.
pub(super) struct Downsample {
    space: Option<Conv>,
    time: Option<CausalConv>,
}

impl Downsample {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        name: &str,
        channels: usize,
        halving: Halving,
    ) -> Result<Self> {
        let mut layer = Self {
            space: None,
            time: None,
        };
        if halving.space {
            let spec = ConvSpec {
                stride_space: 2,
                ..ConvSpec::new(channels, channels, [1, 3, 3])
            };
            layer.space = Some(Conv::load(
                weights,
                &tensor(&format!("{name}.resample.1")),
                spec,
                true,
            )?);
        }
        if halving.time {
            let spec = ConvSpec {
                stride_time: 2,
                ..ConvSpec::new(channels, channels, [3, 1, 1])
            };
            layer.time = Some(CausalConv::load(weights, &format!("{name}.time_conv"), spec)?);
        }
        Ok(layer)
    }

    fn forward(&self, x: &Tensor, cache: &mut Cache) -> Result<Tensor> {
        let x = match &self.space {
            Some(conv) => conv.forward(x, None, None)?,
            None => x.clone(),
        };
        let Some(conv) = &self.time else { return Ok(x) };
        if cache.started {
            return conv.forward(&x, None, cache);
        }
        let first = x.narrow(0, 0, 1)?;
        cache.set(&conv.name, first.force_contiguous()?);
        match x.dim(0)? {
            1 => Ok(x),
            frames => Tensor::cat(
                &[&first, &conv.forward(&x.narrow(0, 1, frames - 1)?, None, cache)?],
                0,
            ),
        }
    }
}

/// Doubles time, then space.
///
/// The first frame of a group stays one frame, and the convolution in time sees zeros in its place; every later one
/// becomes two.
pub(super) struct Upsample {
    space: Option<Conv>,
    time: Option<CausalConv>,
}

impl Upsample {
    /// `outputs` counts where space is doubled; else channels stay as they are.
    pub(super) fn load(
        weights: &mut Weights<'_>,
        name: &str,
        [channels, outputs]: [usize; 2],
        halving: Halving,
    ) -> Result<Self> {
        let mut layer = Self {
            space: None,
            time: None,
        };
        if halving.space {
            let spec = ConvSpec {
                upsample: true,
                ..ConvSpec::new(channels, outputs, [1, 3, 3])
            };
            layer.space = Some(Conv::load(
                weights,
                &tensor(&format!("{name}.resample.1")),
                spec,
                true,
            )?);
        }
        if halving.time {
            let spec = ConvSpec {
                phases: 2,
                ..ConvSpec::new(channels, channels, [3, 1, 1])
            };
            layer.time = Some(CausalConv::load(weights, &format!("{name}.time_conv"), spec)?);
        }
        Ok(layer)
    }

    fn forward(&self, x: &Tensor, cache: &mut Cache) -> Result<Tensor> {
        let x = match &self.time {
            Some(conv) if cache.started => conv.forward(x, None, cache)?,
            Some(conv) if x.dim(0)? > 1 => {
                let later = conv.forward(&x.narrow(0, 1, x.dim(0)? - 1)?, None, cache)?;
                Tensor::cat(&[&x.narrow(0, 0, 1)?, &later], 0)?
            }
            _ => x.clone(),
        };
        match &self.space {
            Some(conv) => conv.forward(&x, None, None),
            None => Ok(x),
        }
    }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
