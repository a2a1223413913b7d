//! Encoder and decoder: the order of their layers.

use std::ops::Range;

use super::latent::{Affine, from_latent, moments, to_latent};
use super::layers::{Halving, Layer, causal, norm_silu, tensor};
use super::passes::Passes;
use super::plan::{Entry, Head, Plan};
use super::program::{Parts, Values, Want};
use super::state::{State, Steps};
use crate::bundle::{StageConfig, VaeConfig, Weights};
use crate::error::Result;
use crate::kernels::{
    Backend, Conv, ConvSpec, Input, Later, Operand, ShortcutSpec, fill_patches, unpatchify,
};

/// Frames of a turn, where passes take turns.
pub(super) const FRAMES: usize = 1;

/// One of the two networks, ready to run step by step.
pub(super) struct Network {
    pub(super) parts: Parts,
    /// The convolution that reads the network's input, and where.
    pub(super) entry: Want,
    /// For the step that begins a group, of one frame, and for later ones.
    pub(super) first: Passes,
    pub(super) later: Passes,
    /// Channels of the output.
    pub(super) outputs: usize,
    /// Sides of the patches of its input and of its output.
    pub(super) patches: [usize; 2],
    /// Those that wait on a GPU.
    pub(super) steps: Steps,
}

impl Network {
    /// Patches of frames (T, H, W, 3 · patch²) to normalised latent (T', H', W', C).
    pub(super) fn encoder(config: &VaeConfig, weights: &mut Weights<'_>) -> Self {
        let mut parts = Parts::new(weights.backend());
        let mut channels = config.stages.first().map_or(0, |s| s.channels);
        let spec = ConvSpec::new(3 * config.patch * config.patch, channels, config.io_kernel);
        let entry = causal(&mut parts, weights, "encoder.conv1", spec);
        let mut layers = Vec::new();
        let mut names = Names::new("encoder.downsamples", config.shortcuts);
        for stage in &config.stages {
            let inputs = channels;
            let start = layers.len();
            for _ in 0..stage.encoder_blocks {
                let sides = [channels, stage.channels];
                layers.push(Layer::residual(
                    &mut parts,
                    weights,
                    &names.next(),
                    sides,
                    stage.kernels,
                ));
                channels = stage.channels;
            }
            if let Some(halving) = halving(stage) {
                layers.extend(Layer::down(&mut parts, weights, &names.next(), channels, halving));
            }
            if config.shortcuts {
                let shortcut = ShortcutSpec::average([inputs, channels], stage.factors());
                around(&mut layers, start, shortcut, channels);
            }
            names.end_stage();
        }
        layers.extend(middle("encoder", config, channels, &mut parts, weights));
        let norm = norm_silu(&mut parts, weights, "encoder.head.0", channels);
        let spec = ConvSpec::new(channels, config.latent_channels, config.io_kernel);
        let conv = head_to_latent(config, weights, spec);
        let head = Head {
            conv: parts.conv(conv),
            taps: 1,
        };
        Self::new(parts, [config.patch, 1], None, entry, layers, norm, head)
    }

    /// Normalised latent (T', H', W', C) to patches of frames (T, H, W, 3 · patch²).
    pub(super) fn decoder(config: &VaeConfig, weights: &mut Weights<'_>) -> Self {
        let mut parts = Parts::new(weights.backend());
        let latent = config.latent_channels;
        let Affine { matrix, bias } = from_latent(config, weights);
        let spec = ConvSpec::new(latent, latent, [1; 3]);
        let before = parts.conv(weights.conv_of(spec, &matrix, bias));
        let mut channels = config.stages.last().map_or(0, StageConfig::decoder_channels);
        let spec = ConvSpec::new(latent, channels, config.io_kernel);
        let entry = causal(&mut parts, weights, "decoder.conv1", spec);
        let mut layers = middle("decoder", config, channels, &mut parts, weights);
        let mut names = Names::new("decoder.upsamples", config.shortcuts);
        for (index, stage) in config.stages.iter().enumerate().rev() {
            let inputs = channels;
            let start = layers.len();
            for _ in 0..stage.decoder_blocks {
                let sides = [channels, stage.decoder_channels()];
                layers.push(Layer::residual(
                    &mut parts,
                    weights,
                    &names.next(),
                    sides,
                    stage.kernels,
                ));
                channels = stage.decoder_channels();
            }
            let above = index.checked_sub(1).and_then(|above| config.stages.get(above));
            if let Some((above, halving)) = above.and_then(|above| Some((above, halving(above)?))) {
                let halves = halving.space && !config.shortcuts;
                let outputs = if halves { channels / 2 } else { channels };
                layers.extend(Layer::up(
                    &mut parts,
                    weights,
                    &names.next(),
                    [channels, outputs],
                    halving,
                ));
                channels = outputs;
                if config.shortcuts {
                    let shortcut = ShortcutSpec::repeat([inputs, channels], above.factors());
                    around(&mut layers, start, shortcut, channels);
                }
            }
            names.end_stage();
        }
        let norm = norm_silu(&mut parts, weights, "decoder.head.0", channels);
        let spec = ConvSpec::new(channels, 3 * config.patch * config.patch, config.io_kernel);
        let head = Head::to_pixels(&mut parts, weights, "decoder.head.2", spec);
        Self::new(parts, [1, config.patch], Some(before), entry, layers, norm, head)
    }

    fn new(
        parts: Parts,
        patches: [usize; 2],
        before: Option<usize>,
        entry: usize,
        layers: Vec<Layer>,
        norm: usize,
        head: Head,
    ) -> Self {
        let entry = Entry { before, conv: entry };
        let plan = Plan {
            parts: &parts,
            entry,
            layers: &layers,
            norm,
            head,
        };
        let (first, later) = (plan.passes(true), plan.passes(false));
        Self {
            entry: entry.want(),
            outputs: parts.convs[head.conv].spec().outputs / head.taps,
            patches,
            steps: Steps::default(),
            first,
            later,
            parts,
        }
    }

    pub(super) fn passes(&self, state: &State) -> &Passes {
        if state.started { &self.later } else { &self.first }
    }

    /// How many values become of an input of (T, H, W) patches.
    pub(super) fn output_len(&self, state: &State, input: [usize; 3]) -> usize {
        let output = self.passes(state).output(&self.parts, input);
        output.iter().product::<usize>() * self.outputs
    }

    /// Begins a step over (T, H · patch, W · patch, C) values, T, H and W being those of `input`: one frame for a state that
    /// is fresh, else as many as the strides in time ask for. What becomes of them is in `out` once the result was waited
    /// for.
    pub(super) fn begin(
        &self,
        state: &mut State,
        input: [usize; 3],
        values: &[f32],
        out: &mut [f32],
    ) -> Result<Later> {
        let backend = self.parts.backend();
        if let Backend::Gpu(gpu) = backend {
            return self.begin_on(gpu, state, input, values);
        }
        let [frames, _, width] = self.passes(state).output(&self.parts, input);
        let (values_len, out_len) = (values.len() / input[0].max(1), out.len() / frames.max(1));
        let fill = |frames: Range<usize>, operand: &mut Operand| {
            let values = &values[frames.start * values_len..frames.end * values_len];
            fill_patches(backend, values, self.patches[0], operand)
        };
        let emit = |state: &State, frames: Range<usize>| {
            let out = &mut out[frames.start * out_len..frames.end * out_len];
            let found = &state.streams[Values::Output as usize];
            match self.patches[1] {
                // On the CPU it is there at once.
                1 => found.read(out).map(|_| ()),
                patch => unpatchify(found, width, self.outputs, patch, out),
            }
        };
        self.step(state, input.into(), fill, emit)?;
        Ok(Later::now())
    }

    /// Runs a step. `fill` writes some frames of its input to the end of an operand; `emit` takes some frames of its output,
    /// which is in the state.
    pub(super) fn step(
        &self,
        state: &mut State,
        input: Input,
        mut fill: impl FnMut(Range<usize>, &mut Operand) -> Result<()>,
        emit: impl FnMut(&State, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let [_, height, width] = input.size;
        let fill = |state: &mut State, frames: Range<usize>| {
            let input = input.with([frames.len(), height, width]);
            let mut operand = state.take(self.entry.slot);
            self.parts.shape(state, self.entry.reader, &mut operand, input)?;
            fill(frames, &mut operand)?;
            state.put(self.entry.slot, operand);
            Ok(())
        };
        self.passes(state)
            .run(&self.parts, state, input, FRAMES, fill, emit)?;
        state.started = true;
        Ok(())
    }
}

/// Names of the layers of a network's stages.
struct Names {
    network: &'static str,
    /// Whether the layers of each stage are counted anew.
    nested: bool,
    stage: usize,
    layer: usize,
}

impl Names {
    fn new(network: &'static str, nested: bool) -> Self {
        Self {
            network,
            nested,
            stage: 0,
            layer: 0,
        }
    }

    fn next(&mut self) -> String {
        let Self {
            network,
            nested,
            stage,
            layer,
        } = self;
        let inner = network.split('.').next_back().unwrap_or_default();
        let name = match nested {
            true => format!("{network}.{stage}.{inner}.{layer}"),
            false => format!("{network}.{layer}"),
        };
        self.layer += 1;
        name
    }

    fn end_stage(&mut self) {
        self.stage += 1;
        if self.nested {
            self.layer = 0;
        }
    }
}

/// Leads a shortcut around all layers from `start` on, whose output has so many channels.
fn around(layers: &mut Vec<Layer>, start: usize, shortcut: ShortcutSpec, channels: usize) {
    layers.insert(start, Layer::Keep(shortcut));
    layers.push(Layer::Bypass { channels });
}

/// The encoder's last convolution, with the matrix and the normalisation that follow it in the model.
fn head_to_latent(config: &VaeConfig, weights: &mut Weights<'_>, spec: ConvSpec) -> Conv {
    let moments = moments(config);
    let [kt, kh, kw] = spec.kernel;
    let name = tensor("encoder.head.2");
    let weight = weights.values(&format!("{name}.weight"), &[moments, spec.inputs, kt, kh, kw]);
    let bias = weights.values(&format!("{name}.bias"), &[moments]);
    let head = to_latent(config, weights).after(&Affine { matrix: weight, bias });
    weights.conv_of(spec, &head.matrix, head.bias)
}

fn halving(stage: &StageConfig) -> Option<Halving> {
    (stage.down_space || stage.down_time).then_some(Halving {
        space: stage.down_space,
        time: stage.down_time,
    })
}

fn middle(
    network: &str,
    config: &VaeConfig,
    channels: usize,
    parts: &mut Parts,
    weights: &mut Weights<'_>,
) -> Vec<Layer> {
    let kernels = config.stages.last().map_or([[1; 3]; 2], |s| s.kernels);
    let mut layers = Vec::new();
    for block in 0..config.mid_blocks {
        let name = format!("{network}.middle.{}", layers.len());
        layers.push(Layer::residual(parts, weights, &name, [channels; 2], kernels));
        if block == 0 && config.mid_attention {
            let name = format!("{network}.middle.{}", layers.len());
            layers.push(Layer::attention(parts, weights, &name, channels));
        }
    }
    layers
}
