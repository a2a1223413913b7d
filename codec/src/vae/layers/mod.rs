//! The building blocks of encoder and decoder. Activations are (T, H, W, C).
//!
//! A layer says what it wants before it runs and which operators it consists of, for a step that begins a group (one
//! frame) or a later one.

use super::program::{Operator, Parts, Reader, Values, Want, Wants};
use super::state::Slot;
use crate::bundle::{Kernel, Weights};
use crate::kernels::{ConvSpec, Epsilon, ShortcutSpec};

/// The name of a layer's tensor in a bundle.
pub(super) fn tensor(name: &str) -> String {
    format!("vae.{name}")
}

/// Takes a causal convolution.
pub(super) fn causal(parts: &mut Parts, weights: &mut Weights<'_>, name: &str, spec: ConvSpec) -> usize {
    parts.conv(weights.causal_conv(&tensor(name), spec))
}

/// RMS norm and SiLU, as they precede every convolution but the first ones.
pub(super) fn norm_silu(parts: &mut Parts, weights: &mut Weights<'_>, name: &str, channels: usize) -> usize {
    parts.norm(weights.norm(&tensor(name), channels, Epsilon::Clamp, true))
}

/// A convolution whose outputs go to what follows.
pub(super) fn conv(conv: usize, source: Slot, next: Wants) -> Operator {
    Operator::Conv {
        conv,
        source,
        values: Values::Residual,
        add: false,
        store: next.stream,
        targets: next.operands,
    }
}

/// One layer of a network; numbers are those of [`Parts`].
pub(super) enum Layer {
    /// Norm, SiLU, convolution, twice, plus the input (through a matrix where channels change).
    Residual {
        norms: [usize; 2],
        convs: [usize; 2],
        shortcut: Option<usize>,
    },
    /// Single-head self-attention over the positions of each frame.
    Attention { norm: usize, qkv: usize, proj: usize },
    /// Halves or doubles space.
    Space { conv: usize },
    /// Halves time: the first frame of a group passes unchanged; every later pair is merged with a look at the frame
    /// before it.
    HalveTime { conv: usize },
    /// Doubles time: the first frame of a group stays one frame, and the convolution sees zeros in its place; every later
    /// one becomes two.
    DoubleTime { conv: usize },
    /// Keeps its input, averaged or repeated to the resolution that follows, for [`Layer::Bypass`].
    Keep(ShortcutSpec),
    /// Adds what was kept to its input of so many channels.
    Bypass { channels: usize },
}

/// What changes between two stages.
#[derive(Clone, Copy)]
pub(super) struct Halving {
    pub(super) space: bool,
    pub(super) time: bool,
}

impl Layer {
    pub(super) fn residual(
        parts: &mut Parts,
        weights: &mut Weights<'_>,
        name: &str,
        [inputs, outputs]: [usize; 2],
        kernels: [Kernel; 2],
    ) -> Self {
        let norms = [
            norm_silu(parts, weights, &format!("{name}.residual.0"), inputs),
            norm_silu(parts, weights, &format!("{name}.residual.3"), outputs),
        ];
        let first = ConvSpec::new(inputs, outputs, kernels[0]);
        let second = ConvSpec::new(outputs, outputs, kernels[1]);
        let convs = [
            causal(parts, weights, &format!("{name}.residual.2"), first),
            causal(parts, weights, &format!("{name}.residual.6"), second),
        ];
        let shortcut = (inputs != outputs).then(|| {
            let spec = ConvSpec::new(inputs, outputs, [1; 3]);
            causal(parts, weights, &format!("{name}.shortcut"), spec)
        });
        Self::Residual {
            norms,
            convs,
            shortcut,
        }
    }

    pub(super) fn attention(
        parts: &mut Parts,
        weights: &mut Weights<'_>,
        name: &str,
        channels: usize,
    ) -> Self {
        let name = tensor(name);
        let norm = weights.norm(&format!("{name}.norm"), channels, Epsilon::Clamp, false);
        let mut matrix = |part: &str, outputs| {
            let spec = ConvSpec::new(channels, outputs, [1; 3]);
            weights.conv(&format!("{name}.{part}"), spec, &[outputs, channels, 1, 1])
        };
        let (qkv, proj) = (matrix("to_qkv", channels * 3), matrix("proj", channels));
        Self::Attention {
            norm: parts.norm(norm),
            qkv: parts.conv(qkv),
            proj: parts.conv(proj),
        }
    }

    /// Halves space, then time.
    pub(super) fn down(
        parts: &mut Parts,
        weights: &mut Weights<'_>,
        name: &str,
        channels: usize,
        halving: Halving,
    ) -> impl Iterator<Item = Self> {
        let space = halving.space.then(|| {
            let spec = ConvSpec {
                stride_space: 2,
                ..ConvSpec::new(channels, channels, [1, 3, 3])
            };
            let conv = planar(parts, weights, name, spec);
            Self::Space { conv }
        });
        let time = halving.time.then(|| {
            let spec = ConvSpec {
                stride_time: 2,
                ..ConvSpec::new(channels, channels, [3, 1, 1])
            };
            let conv = causal(parts, weights, &format!("{name}.time_conv"), spec);
            Self::HalveTime { conv }
        });
        space.into_iter().chain(time)
    }

    /// Doubles time, then space. `outputs` counts where space is doubled; else channels stay as they are.
    pub(super) fn up(
        parts: &mut Parts,
        weights: &mut Weights<'_>,
        name: &str,
        [channels, outputs]: [usize; 2],
        halving: Halving,
    ) -> impl Iterator<Item = Self> {
        let space = halving.space.then(|| {
            let spec = ConvSpec {
                upsample: true,
                ..ConvSpec::new(channels, outputs, [1, 3, 3])
            };
            let conv = planar(parts, weights, name, spec);
            Self::Space { conv }
        });
        let time = halving.time.then(|| {
            let spec = ConvSpec {
                phases: 2,
                ..ConvSpec::new(channels, channels, [3, 1, 1])
            };
            let conv = causal(parts, weights, &format!("{name}.time_conv"), spec);
            Self::DoubleTime { conv }
        });
        time.into_iter().chain(space)
    }

    /// Whether something that goes around layers begins or ends with it.
    pub(super) fn is_around(&self) -> bool {
        matches!(self, Self::Keep(_) | Self::Bypass { .. })
    }

    /// Appends its operators, the last one first, and says what it wants, given what the layer after it wants. `first`
    /// says whether the step begins a group.
    pub(super) fn plan(
        &self,
        parts: &Parts,
        first: bool,
        next: Wants,
        reversed: &mut Vec<Operator>,
    ) -> Wants {
        match *self {
            Self::Keep(shortcut) => {
                reversed.push(Operator::Keep { shortcut, first });
                Wants { stream: true, ..next }
            }
            Self::Bypass { channels } => {
                reversed.push(Operator::Bypass {
                    channels,
                    store: next.stream,
                    targets: next.operands,
                });
                Wants::stream()
            }
            Self::Residual {
                norms,
                convs,
                shortcut,
            } => {
                let [before, between] = [
                    Want::of(convs[0], Slot::Input, Some(norms[0])),
                    Want::of(convs[1], Slot::Inner, Some(norms[1])),
                ];
                reversed.push(Operator::Conv {
                    conv: convs[1],
                    source: between.slot,
                    values: Values::Residual,
                    add: true,
                    store: next.stream,
                    targets: next.operands,
                });
                reversed.push(conv(convs[0], before.slot, Wants::only(between)));
                let Some(shortcut) = shortcut else {
                    return Wants {
                        operands: vec![before],
                        stream: true,
                    };
                };
                reversed.push(conv(shortcut, Slot::Bypass, Wants::stream()));
                Wants {
                    operands: vec![before, Want::of(shortcut, Slot::Bypass, None)],
                    stream: false,
                }
            }
            Self::Attention { norm, qkv, proj } => {
                let seen = Want::of(proj, Slot::Inner, None);
                reversed.push(Operator::Conv {
                    conv: proj,
                    source: seen.slot,
                    values: Values::Residual,
                    add: true,
                    store: next.stream,
                    targets: next.operands,
                });
                reversed.push(Operator::Attention {
                    source: Slot::Bypass,
                    conv: proj,
                    target: seen.slot,
                });
                let before = Want::of(qkv, Slot::Input, Some(norm));
                let channels = parts.convs[qkv].spec().inputs;
                let all = Want {
                    slot: Slot::Bypass,
                    reader: Reader::Attention(channels),
                    norm: None,
                };
                reversed.push(conv(qkv, before.slot, Wants::only(all)));
                Wants {
                    operands: vec![before],
                    stream: true,
                }
            }
            Self::Space { conv: space } => {
                reversed.push(conv(space, Slot::Resample, next));
                Wants::only(Want::of(space, Slot::Resample, None))
            }
            Self::HalveTime { conv: time } if first => {
                reversed.push(Operator::Remember {
                    conv: time,
                    source: Slot::Aside,
                });
                let mut wants = next;
                wants.operands.push(Want::of(time, Slot::Aside, None));
                wants
            }
            Self::DoubleTime { .. } if first => next,
            Self::HalveTime { conv: time } | Self::DoubleTime { conv: time } => {
                let seen = Want::of(time, Slot::Inner, None);
                reversed.push(conv(time, seen.slot, next));
                Wants::only(seen)
            }
        }
    }
}

/// Takes the convolution of a change of resolution; its weight has no time axis.
fn planar(parts: &mut Parts, weights: &mut Weights<'_>, name: &str, spec: ConvSpec) -> usize {
    let [_, kh, kw] = spec.kernel;
    let name = tensor(&format!("{name}.resample.1"));
    let conv = weights.conv(&name, spec, &[spec.outputs, spec.inputs, kh, kw]);
    parts.conv(conv)
}

#[cfg(test)]
mod tests;
