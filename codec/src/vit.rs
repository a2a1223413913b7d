//! The transformer: pre-norm, 3D rotary positions, attention in (shifted) windows.

use std::borrow::Cow;

use crate::bundle::{Kernel, TokenizerConfig, Weights};
use crate::error::Result;
use crate::kernels::{
    Activation, Attention, AttentionBuffers, Backend, Conv, ConvSpec, Epsilon, Norm, Operand, Rotary, Sink,
    Stream, Target, Values, fill,
};

/// Tokens that pass through an MLP together, so that what is hidden in it stays in cache; on a GPU, so that it stays small.
fn block(backend: &Backend) -> usize {
    match backend {
        Backend::Cpu(_) => 1024,
        Backend::Gpu(_) => 16 * 1024,
    }
}

/// Sides of a transformer, whoever it works for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VitConfig {
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) mlp_ratio: usize,
    /// Attention window in tokens; none: every token sees every other one.
    pub(crate) window: Option<Kernel>,
    /// By how much the windows of odd layers are shifted.
    pub(crate) shift: Kernel,
    pub(crate) rope_theta: f64,
}

impl From<&TokenizerConfig> for VitConfig {
    fn from(config: &TokenizerConfig) -> Self {
        Self {
            width: config.width,
            heads: config.heads,
            mlp_ratio: config.mlp_ratio,
            window: config.window,
            shift: config.shift,
            rope_theta: config.rope_theta,
        }
    }
}

/// Attention and an MLP, each behind a norm and beside a skip.
struct Layer {
    norms: [Norm; 2],
    qkv: Conv,
    proj: Conv,
    mlp: [Conv; 2],
    shift: [usize; 3],
}

impl Layer {
    fn load(weights: &mut Weights<'_>, name: &str, config: &VitConfig, shift: [usize; 3]) -> Self {
        let width = config.width;
        let hidden = width * config.mlp_ratio;
        let norms = [
            norm(weights, &format!("{name}.norm1"), width),
            norm(weights, &format!("{name}.norm2"), width),
        ];
        let mut matrix = |part: &str, inputs, outputs, activation| {
            linear(weights, &format!("{name}.{part}"), [inputs, outputs], activation)
        };
        Self {
            norms,
            qkv: matrix("attention.qkv", width, width * 3, Activation::None),
            proj: matrix("attention.proj", width, width, Activation::None),
            mlp: [
                matrix("mlp.0", width, hidden, Activation::Gelu),
                matrix("mlp.1", hidden, width, Activation::None),
            ],
            shift,
        }
    }
}

fn norm(weights: &mut Weights<'_>, name: &str, width: usize) -> Norm {
    weights.norm(name, width, Epsilon::Add, false)
}

/// A matrix is a convolution without extent.
fn linear(
    weights: &mut Weights<'_>,
    name: &str,
    [inputs, outputs]: [usize; 2],
    activation: Activation,
) -> Conv {
    let spec = ConvSpec {
        activation,
        ..ConvSpec::new(inputs, outputs, [1; 3])
    };
    weights.conv(name, spec, &[outputs, inputs])
}

/// The memory that a transformer works in.
#[derive(Default)]
pub(crate) struct Buffers {
    /// The input of a branch, and what is between its operators.
    operands: [Operand; 2],
    qkv: Operand,
    residual: Values,
    output: Values,
    attention: AttentionBuffers,
    rotary: Option<([usize; 3], Rotary)>,
    pub(crate) patches: Vec<f32>,
}

impl Buffers {
    /// The outputs that [`Vit::forward`] left.
    pub(crate) fn output(&self, len: usize) -> Result<Cow<'_, [f32]>> {
        self.output.first(len)
    }
}

/// A transformer over a (time, rows, columns) grid of tokens.
pub(crate) struct Vit {
    embed: Conv,
    layers: Vec<Layer>,
    norm: Norm,
    head: Conv,
    /// A second head on the same features.
    side_head: Option<Conv>,
    window: Option<[usize; 3]>,
    heads: usize,
    head_width: usize,
    theta: f64,
    backend: Backend,
}

impl Vit {
    pub(crate) fn load(
        weights: &mut Weights<'_>,
        name: &str,
        config: &VitConfig,
        [inputs, outputs]: [usize; 2],
        layers: usize,
    ) -> Self {
        let width = config.width;
        let layer = |index: usize, weights: &mut Weights<'_>| {
            let shift = if index % 2 == 1 { config.shift } else { [0; 3] };
            Layer::load(weights, &format!("{name}.layers.{index}"), config, shift)
        };
        Self {
            embed: linear(
                weights,
                &format!("{name}.embed"),
                [inputs, width],
                Activation::None,
            ),
            layers: (0..layers).map(|index| layer(index, weights)).collect(),
            norm: norm(weights, &format!("{name}.norm"), width),
            head: linear(
                weights,
                &format!("{name}.head"),
                [width, outputs],
                Activation::None,
            ),
            side_head: None,
            window: config.window,
            heads: config.heads,
            head_width: width / config.heads,
            theta: config.rope_theta,
            backend: weights.backend().clone(),
        }
    }

    /// Adds a second head of the weights `name` with so many outputs.
    pub(crate) fn with_side_head(self, weights: &mut Weights<'_>, name: &str, outputs: usize) -> Self {
        let width = self.embed.spec().outputs;
        Self {
            side_head: Some(linear(weights, name, [width, outputs], Activation::None)),
            ..self
        }
    }

    /// Outputs of the second head; 0 without one.
    pub(crate) fn side_outputs(&self) -> usize {
        self.side_head.as_ref().map_or(0, |head| head.spec().outputs)
    }

    /// Bytes that each token takes in the buffers: the stream, what is read and what is between operators, and queries,
    /// keys and values, of which the latter two are packed as well.
    pub(crate) fn bytes_per_token(&self) -> usize {
        let width = self.embed.spec().outputs;
        let operand = |channels| self.backend.position_bytes(channels);
        4 * width + 2 * operand(width) + operand(3 * width) + operand(2 * width)
    }

    /// From (tokens, inputs), the patches of the buffers, of a grid or of several one after the other, which is for GPUs
    /// only. The outputs become tokens of one bit for each (set exactly when it is above zero) if `tokens` are wanted, and
    /// what the second head makes is left as [`Buffers::output`]; else the outputs are.
    pub(crate) fn forward(
        &self,
        grid: [usize; 3],
        clips: usize,
        buffers: &mut Buffers,
        tokens: Option<&mut [u64]>,
    ) -> Result<()> {
        let count = clips * grid.iter().product::<usize>();
        let size = [1, 1, count];
        let Buffers {
            operands: [input, inner],
            qkv,
            residual,
            output,
            attention: buffers,
            rotary,
            patches,
        } = buffers;
        if rotary.as_ref().is_none_or(|(known, _)| *known != grid) {
            let tables = Rotary::new(&self.backend, grid, self.head_width, self.theta)?;
            *rotary = Some((grid, tables));
        }
        let Some((_, rotary)) = &*rotary else {
            return Ok(());
        };
        let width = self.embed.spec().outputs;
        residual.reserve(&self.backend, count * width)?;

        self.embed.shape(inner, size)?;
        fill(&self.backend, patches, inner)?;
        let mut next = self.layers.first();
        let sink = self.layer_end(residual, count, false, (next, input))?;
        self.embed.run(inner, 0, size, sink)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let attention = Attention::windowed(grid, self.window.unwrap_or(grid), layer.shift)
                .heads(self.heads, rotary)
                .clips(clips);
            attention.shape(&self.backend, width, qkv)?;
            layer.qkv.run(input, 0, size, Sink::to(qkv))?;
            layer.proj.shape(inner, size)?;
            attention.run(&self.backend, qkv, buffers, inner)?;
            layer.mlp[0].shape(input, size)?;
            let sink = Sink {
                stream: Some(Stream {
                    values: residual,
                    add: true,
                    store: true,
                }),
                targets: [
                    Some(Target {
                        norm: Some(&layer.norms[1]),
                        operand: input,
                    }),
                    None,
                    None,
                ],
                tokens: None,
            };
            layer.proj.run(inner, 0, size, sink)?;
            next = self.layers.get(index + 1);
            let block = block(&self.backend);
            for start in (0..count).step_by(block) {
                let end = count.min(start + block);
                let len = end - start;
                layer.mlp[1].shape(inner, [1, 1, len])?;
                layer.mlp[0].run_part(input, start..end, 0, [count, len], Sink::to(inner))?;
                // Positions of the input that were read become those of the next layer's.
                let sink = self.layer_end(residual, count, true, (next, input))?;
                layer.mlp[1].run_part(inner, 0..len, start, [len, count], sink)?;
            }
        }
        let head = match tokens {
            Some(tokens) => {
                let sink = Sink {
                    tokens: Some(tokens),
                    ..Sink::default()
                };
                self.head.run(input, 0, size, sink)?;
                self.side_head.as_ref()
            }
            None => Some(&self.head),
        };
        let Some(head) = head else {
            return Ok(());
        };
        output.reserve(&self.backend, count * head.spec().outputs)?;
        let stream = Stream {
            values: output,
            add: false,
            store: true,
        };
        let sink = Sink {
            stream: Some(stream),
            ..Sink::default()
        };
        head.run(input, 0, size, sink)
    }

    /// Where the end of a layer over so many positions goes: to the residual stream, and to the operand of the layer `next`,
    /// or of the head.
    fn layer_end<'a>(
        &'a self,
        residual: &'a mut Values,
        positions: usize,
        add: bool,
        (next, operand): (Option<&'a Layer>, &'a mut Operand),
    ) -> Result<Sink<'a>> {
        let (reader, norm) = next.map_or((&self.head, &self.norm), |layer| (&layer.qkv, &layer.norms[0]));
        reader.shape(operand, [1, 1, positions])?;
        Ok(Sink {
            stream: Some(Stream {
                values: residual,
                add,
                store: true,
            }),
            targets: [
                Some(Target {
                    norm: Some(norm),
                    operand,
                }),
                None,
                None,
            ],
            tokens: None,
        })
    }
}
