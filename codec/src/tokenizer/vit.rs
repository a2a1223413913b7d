//! The transformer: pre-norm, 3D rotary positions, attention in (shifted) windows.

use candle_core::{Result, Tensor};

use crate::bundle::{TokenizerConfig, Weights};
use crate::kernels::{Activation, Attention, Epsilon, Linear, RmsNorm, Rotary};

/// Attention and an MLP, each behind a norm and beside a skip.
struct Layer {
    norms: [RmsNorm; 2],
    qkv: Linear,
    proj: Linear,
    mlp: [Linear; 2],
    shift: [usize; 3],
}

impl Layer {
    fn load(
        weights: &mut Weights<'_>,
        name: &str,
        config: &TokenizerConfig,
        shift: [usize; 3],
    ) -> Result<Self> {
        let width = config.width;
        let hidden = width * config.mlp_ratio;
        let norms = [
            norm(weights, &format!("{name}.norm1"), width)?,
            norm(weights, &format!("{name}.norm2"), width)?,
        ];
        let mut linear = |part: &str, outputs, inputs, activation| {
            Linear::load(weights, &format!("{name}.{part}"), &[outputs, inputs], activation)
        };
        Ok(Self {
            norms,
            qkv: linear("attention.qkv", width * 3, width, Activation::None)?,
            proj: linear("attention.proj", width, width, Activation::None)?,
            mlp: [
                linear("mlp.0", hidden, width, Activation::Gelu)?,
                linear("mlp.1", width, hidden, Activation::None)?,
            ],
            shift,
        })
    }
}

fn norm(weights: &mut Weights<'_>, name: &str, width: usize) -> Result<RmsNorm> {
    RmsNorm::load(weights, name, width, Epsilon::Add, false)
}

/// A transformer over a (time, rows, columns) grid of tokens.
pub(super) struct Vit {
    embed: Linear,
    layers: Vec<Layer>,
    norm: RmsNorm,
    head: Linear,
    window: Option<[usize; 3]>,
    heads: usize,
    head_width: usize,
    theta: f64,
}

impl Vit {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        name: &str,
        config: &TokenizerConfig,
        [inputs, outputs]: [usize; 2],
        layers: usize,
    ) -> Result<Self> {
        let width = config.width;
        let embed = Linear::load(
            weights,
            &format!("{name}.embed"),
            &[width, inputs],
            Activation::None,
        )?;
        let layers = (0..layers).map(|index| {
            let shift = if index % 2 == 1 { config.shift } else { [0; 3] };
            Layer::load(weights, &format!("{name}.layers.{index}"), config, shift)
        });
        let layers = layers.collect::<Result<_>>()?;
        Ok(Self {
            embed,
            layers,
            norm: norm(weights, &format!("{name}.norm"), width)?,
            head: Linear::load(
                weights,
                &format!("{name}.head"),
                &[outputs, width],
                Activation::None,
            )?,
            window: config.window,
            heads: config.heads,
            head_width: width / config.heads,
            theta: config.rope_theta,
        })
    }

    /// (tokens, inputs) to (tokens, outputs).
    pub(super) fn forward(&self, x: &Tensor, grid: [usize; 3]) -> Result<Tensor> {
        let rotary = Rotary::new(grid, self.head_width, self.theta);
        let mut x = self.embed.forward(x, None)?;
        for layer in &self.layers {
            let qkv = layer.qkv.forward(&layer.norms[0].forward(&x)?, None)?;
            let seen = Attention::windowed(grid, self.window.unwrap_or(grid), layer.shift);
            let seen = seen.heads(self.heads, &rotary).forward(&qkv)?;
            x = layer.proj.forward(&seen, Some(&x))?;
            let hidden = layer.mlp[0].forward(&layer.norms[1].forward(&x)?, None)?;
            x = layer.mlp[1].forward(&hidden, Some(&x))?;
        }
        self.head.forward(&self.norm.forward(&x)?, None)
    }
}
