//! From layers to the passes of a step.

use std::ops::Range;

use super::layers::{Layer, causal, conv, tensor};
use super::passes::{Pass, Passes};
use super::program::{Operator, Parts, Program, Values, Want, Wants};
use super::state::Slot;
use crate::bundle::Weights;
use crate::kernels::{Backend, ConvSpec};

/// Where a network's input goes.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// A matrix that comes first.
    pub(super) before: Option<usize>,
    pub(super) conv: usize,
}

impl Entry {
    /// The operand that the input is written to.
    pub(super) fn want(self) -> Want {
        self.before
            .map_or(Want::of(self.conv, Slot::Inner, None), |conv| {
                Want::of(conv, Slot::Resample, None)
            })
    }
}

/// The last convolution of a network.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) conv: usize,
    /// How many taps in time its outputs are products of, which are yet to be summed; 1 if there is nothing to sum.
    pub(super) taps: usize,
}

impl Head {
    /// The decoder's. On the CPU its taps in time are computed one by one: it has the most inputs of all that see frames
    /// again, and next to no outputs.
    pub(super) fn to_pixels(
        parts: &mut Parts,
        weights: &mut Weights<'_>,
        name: &str,
        spec: ConvSpec,
    ) -> Self {
        let [taps, kh, kw] = spec.kernel;
        if taps == 1 || matches!(parts.backend(), Backend::Gpu(_)) {
            return Self {
                conv: causal(parts, weights, name, spec),
                taps: 1,
            };
        }
        let name = tensor(name);
        let shape = [spec.outputs, spec.inputs, taps, kh, kw];
        let weight = weights.values(&format!("{name}.weight"), &shape);
        let bias = weights.values(&format!("{name}.bias"), &[spec.outputs]);
        let planar = ConvSpec {
            outputs: taps * spec.outputs,
            kernel: [1, kh, kw],
            ..spec
        };
        let mut apart = Vec::with_capacity(weight.len());
        for tap in 0..taps {
            // Of all rows of all outputs and inputs, that of this tap.
            let rows = weight.chunks_exact(kh * kw).skip(tap).step_by(taps);
            apart.extend(rows.flatten());
        }
        // The newest frame's tap has the bias.
        let mut biases = vec![0.0; bias.len() * (taps - 1)];
        biases.extend(bias);
        let conv = weights.conv_of(planar, &apart, biases);
        Self {
            conv: parts.conv(conv),
            taps,
        }
    }

    /// Its operators, the last one first.
    fn reversed(self, source: Slot) -> Vec<Operator> {
        let Self { conv, taps } = self;
        let summed = taps > 1;
        let over_time = summed.then_some(Operator::OverTime { conv, taps });
        let products = Operator::Conv {
            conv,
            source,
            values: if summed { Values::Products } else { Values::Output },
            add: false,
            store: true,
            targets: Vec::new(),
        };
        over_time.into_iter().chain([products]).collect()
    }
}

/// A network's layers in their order.
pub(super) struct Plan<'a> {
    pub(super) parts: &'a Parts,
    pub(super) entry: Entry,
    pub(super) layers: &'a [Layer],
    /// What precedes the head.
    pub(super) norm: usize,
    pub(super) head: Head,
}

impl Plan<'_> {
    /// The passes of a step; `first` says whether it begins a group.
    pub(super) fn passes(&self, first: bool) -> Passes {
        // The step that begins a group has one frame. A GPU is filled by all frames at once.
        let apart = !first && matches!(self.parts.backend(), Backend::Cpu(_));
        let stretches = if apart { stretches(self.layers) } else { Vec::new() };
        let stretches = match stretches.is_empty() {
            true => vec![(0..self.layers.len(), false)],
            false => stretches,
        };
        let mut passes: Vec<Pass> = Vec::new();
        let last = stretches.len() - 1;
        for (index, (layers, in_turns)) in stretches.into_iter().enumerate() {
            let (mut reversed, mut wants) = match index == last {
                true => {
                    let seen = Want::of(self.head.conv, Slot::Input, Some(self.norm));
                    (self.head.reversed(seen.slot), Wants::only(seen))
                }
                false => (Vec::new(), Wants::stream()),
            };
            for layer in self.layers[layers].iter().rev() {
                wants = layer.plan(self.parts, first, wants, &mut reversed);
            }
            match passes.last() {
                None => self.begin(wants, &mut reversed),
                Some(before) => reversed.push(Operator::Resume {
                    pass: index - 1,
                    channels: before.program.channels(self.parts),
                    store: wants.stream,
                    targets: wants.operands,
                }),
            }
            reversed.reverse();
            let program = Program(reversed);
            passes.push(Pass { program, in_turns });
        }
        Passes(passes)
    }

    /// Appends what comes before the layers.
    fn begin(&self, wants: Wants, reversed: &mut Vec<Operator>) {
        let input = Want::of(self.entry.conv, Slot::Inner, None);
        reversed.push(conv(self.entry.conv, input.slot, wants));
        if let Some(before) = self.entry.before {
            reversed.push(conv(before, Slot::Resample, Wants::only(input)));
        }
    }
}

/// The layers of each pass, and whether it may take turns; none for layers that do not change time.
///
/// Frames of an encoder can be apart up to where it first halves time, those of a decoder from where it doubled it.
fn stretches(layers: &[Layer]) -> Vec<(Range<usize>, bool)> {
    let halves = layers
        .iter()
        .position(|layer| matches!(layer, Layer::HalveTime { .. }));
    if let Some(halves) = halves {
        // What goes around layers that halve time needs all of their frames.
        let around = layers[..halves].iter().rposition(Layer::is_around);
        let opened = around.filter(|&at| matches!(layers[at], Layer::Keep(_)));
        let cut = opened.unwrap_or(halves);
        return vec![(0..cut, true), (cut..layers.len(), false)];
    }
    let doubles = layers
        .iter()
        .enumerate()
        .filter(|(_, layer)| matches!(layer, Layer::DoubleTime { .. }));
    let cuts = doubles.map(|(at, _)| {
        let around = layers[at..].iter().position(Layer::is_around);
        let closed = around
            .map(|around| at + around)
            .filter(|&around| matches!(layers[around], Layer::Bypass { .. }));
        closed.unwrap_or(at) + 1
    });
    let mut stretches = Vec::new();
    let mut start = 0;
    for cut in cuts {
        stretches.push((start..cut, start > 0));
        start = cut;
    }
    if start > 0 {
        stretches.push((start..layers.len(), true));
    }
    stretches
}
