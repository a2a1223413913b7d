//! Networks as a list of operators that hand operands to each other.
//!
//! The list is made once, from the last layer to the first, so that each operator knows what its successors want: their
//! norms and rounding are part of its own epilogue, and nothing passes over activations twice.

use super::state::{Slot, State};
use crate::error::Result;
use crate::kernels::{
    Attention, Backend, Conv, Input, Norm, Operand, ShortcutSpec, Sink, Stream, Target, add,
};

/// All convolutions and norms of a network; operators name them by index.
pub(super) struct Parts {
    backend: Backend,
    pub(super) convs: Vec<Conv>,
    pub(super) norms: Vec<Norm>,
}

impl Parts {
    pub(super) fn new(backend: &Backend) -> Self {
        Self {
            backend: backend.clone(),
            convs: Vec::new(),
            norms: Vec::new(),
        }
    }

    /// Where operators run.
    pub(super) fn backend(&self) -> &Backend {
        &self.backend
    }

    pub(super) fn conv(&mut self, conv: Conv) -> usize {
        self.convs.push(conv);
        self.convs.len() - 1
    }

    pub(super) fn norm(&mut self, norm: Norm) -> usize {
        self.norms.push(norm);
        self.norms.len() - 1
    }

    /// Makes `operand` one that `reader` takes, with what it remembers in front.
    pub(super) fn shape(
        &self,
        state: &mut State,
        reader: Reader,
        operand: &mut Operand,
        input: Input,
    ) -> Result<()> {
        match reader {
            Reader::Conv(conv) => {
                self.convs[conv].shape(operand, input)?;
                if self.convs[conv].spec().lead() > 0 {
                    state.recall(conv, operand)?;
                }
            }
            Reader::Attention(channels) => {
                within_frames(input.all()).shape(&self.backend, channels, operand)?;
            }
        }
        state.make_room_for(operand);
        Ok(())
    }
}

/// Who reads an operand.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reader {
    Conv(usize),
    /// Attention of so many channels.
    Attention(usize),
}

/// An operand that is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    pub(super) slot: Slot,
    pub(super) reader: Reader,
    pub(super) norm: Option<usize>,
}

impl Want {
    /// The operand of a convolution.
    pub(super) fn of(conv: usize, slot: Slot, norm: Option<usize>) -> Self {
        Self {
            slot,
            reader: Reader::Conv(conv),
            norm,
        }
    }
}

/// What must be there before a layer runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Wants {
    /// At most three.
    pub(super) operands: Vec<Want>,
    /// Whether the residual stream must hold the layer's input.
    pub(super) stream: bool,
}

impl Wants {
    /// One operand.
    pub(super) fn only(want: Want) -> Self {
        Self {
            operands: vec![want],
            stream: false,
        }
    }

    /// The residual stream.
    pub(super) fn stream() -> Self {
        Self {
            operands: Vec::new(),
            stream: true,
        }
    }
}

/// Which f32 values an operator adds or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// The residual stream.
    Residual,
    /// The output of the network.
    Output,
    /// What [`Operator::OverTime`] makes the output of.
    Products,
}

/// One operator.
#[derive(Clone, Debug)]
pub(super) enum Operator {
    Conv {
        conv: usize,
        source: Slot,
        values: Values,
        add: bool,
        store: bool,
        targets: Vec<Want>,
    },
    /// Attention within each frame, to the operand of a convolution.
    Attention { source: Slot, conv: usize, target: Slot },
    /// The operand of a convolution that does not run got new frames.
    Remember { conv: usize, source: Slot },
    /// Goes on with values that wait behind a pass, of so many channels.
    Resume {
        pass: usize,
        channels: usize,
        store: bool,
        targets: Vec<Want>,
    },
    /// Sums the products of the taps in time of a convolution, which computed them one by one.
    OverTime { conv: usize, taps: usize },
    /// Keeps what goes around the layers that follow, made of the residual stream.
    Keep { shortcut: ShortcutSpec, first: bool },
    /// Adds what was kept to the residual stream of so many channels.
    Bypass {
        channels: usize,
        store: bool,
        targets: Vec<Want>,
    },
}

impl Operator {
    /// (T, H, W) of what the next operator gets, for an input of (T, H, W).
    pub(super) fn output(&self, parts: &Parts, input: [usize; 3]) -> [usize; 3] {
        match self {
            Self::Conv { conv, source, .. } if !matches!(source, Slot::Bypass) => {
                parts.convs[*conv].spec().output(input)
            }
            _ => input,
        }
    }
}

/// The operators of one step of a network, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Program(pub(super) Vec<Operator>);

impl Program {
    /// Channels of the residual stream at its end.
    pub(super) fn channels(&self, parts: &Parts) -> usize {
        match self.0.last() {
            Some(Operator::Conv { conv, .. }) => parts.convs[*conv].spec().outputs,
            Some(Operator::OverTime { conv, taps }) => parts.convs[*conv].spec().outputs / taps,
            Some(Operator::Bypass { channels, .. } | Operator::Resume { channels, .. }) => *channels,
            _ => 0,
        }
    }

    /// (T, H, W) of the output for an input of (T, H, W).
    pub(super) fn output(&self, parts: &Parts, input: [usize; 3]) -> [usize; 3] {
        let operators = self.0.iter();
        operators.fold(input, |size, operator| operator.output(parts, size))
    }

    /// Runs it over an input, whose operands are there.
    pub(super) fn run(&self, parts: &Parts, state: &mut State, mut input: Input) -> Result<()> {
        for operator in &self.0 {
            match operator {
                Operator::Conv {
                    conv,
                    source,
                    values,
                    add,
                    store,
                    targets,
                } => {
                    run_conv(
                        parts,
                        state,
                        *conv,
                        *source,
                        input,
                        (*values, *add, *store),
                        targets,
                    )?;
                }
                Operator::Attention { source, conv, target } => {
                    run_attention(parts, *conv, state, *source, *target, input)?
                }
                Operator::Keep { shortcut, first } => shortcut.run(
                    &parts.backend,
                    *first,
                    input,
                    &state.streams[Values::Residual as usize],
                    &mut state.bypass,
                )?,
                Operator::Bypass {
                    channels,
                    store,
                    targets,
                } => {
                    let kept = std::mem::take(&mut state.bypass);
                    let sum = (Values::Residual, true, *store);
                    with_sink(parts, state, input, *channels, sum, targets, |sink| {
                        add(&parts.backend, &kept, 0, input.all(), *channels, sink)
                    })?;
                    state.bypass = kept;
                }
                Operator::OverTime { conv, taps } => {
                    let channels = parts.convs[*conv].spec().outputs / taps;
                    state.sum_over_time(*conv, input.size, [*taps, channels])?;
                }
                Operator::Resume {
                    pass,
                    channels,
                    store,
                    targets,
                } => {
                    let len = input.all().iter().product::<usize>() * channels;
                    let (waiting, start) = state.resume(*pass, len)?;
                    let values = (Values::Residual, false, *store);
                    with_sink(parts, state, input, *channels, values, targets, |sink| {
                        add(&parts.backend, &waiting, start, input.all(), *channels, sink)
                    })?;
                    state.put_back(*pass, waiting);
                }
                Operator::Remember { conv, source } => {
                    let mut operand = state.take(*source);
                    state.remember(*conv, input, parts.convs[*conv].spec().lead(), &mut operand)?;
                    state.put(*source, operand);
                }
            }
            input = input.with(operator.output(parts, input.size));
        }
        Ok(())
    }
}

fn run_conv(
    parts: &Parts,
    state: &mut State,
    index: usize,
    source: Slot,
    input: Input,
    values: (Values, bool, bool),
    targets: &[Want],
) -> Result<()> {
    let conv = &parts.convs[index];
    let output = input.with(conv.spec().output(input.size));
    let mut operand = state.take(source);
    let lead = conv.spec().lead();
    let known = state.known(index).min(lead);
    with_sink(
        parts,
        state,
        output,
        conv.spec().outputs,
        values,
        targets,
        |sink| conv.run(&operand, known, input, sink),
    )?;
    if lead > 0 {
        state.remember(index, input, lead, &mut operand)?;
    } else {
        operand.finish();
    }
    // A target in the same place is there already.
    if targets.iter().all(|want| want.slot != source) {
        state.put(source, operand);
    }
    Ok(())
}

/// Runs `f` with a sink for outputs of so many channels, to the stream and the operands that are wanted.
fn with_sink(
    parts: &Parts,
    state: &mut State,
    output: Input,
    channels: usize,
    (values, add, store): (Values, bool, bool),
    targets: &[Want],
    f: impl FnOnce(Sink<'_>) -> Result<()>,
) -> Result<()> {
    let mut taken: [Option<Operand>; 3] = [None, None, None];
    for (taken, want) in taken.iter_mut().zip(targets) {
        let mut target = state.take(want.slot);
        parts.shape(state, want.reader, &mut target, output)?;
        *taken = Some(target);
    }
    let mut stream = std::mem::take(&mut state.streams[values as usize]);
    let len = output.all().iter().product::<usize>() * channels;
    if add || store {
        stream.reserve(&parts.backend, len)?;
    }
    let mut wants = targets.iter();
    f(Sink {
        stream: (add || store).then_some(Stream {
            values: &mut stream,
            add,
            store,
        }),
        targets: taken.each_mut().map(|operand| {
            let norm = wants.next()?.norm.map(|norm| &parts.norms[norm]);
            Some(Target {
                norm,
                operand: operand.as_mut()?,
            })
        }),
        tokens: None,
    })?;
    state.streams[values as usize] = stream;
    for (target, want) in taken.into_iter().flatten().zip(targets) {
        state.put(want.slot, target);
    }
    Ok(())
}

fn run_attention(
    parts: &Parts,
    conv: usize,
    state: &mut State,
    source: Slot,
    target: Slot,
    input: Input,
) -> Result<()> {
    let mut qkv = state.take(source);
    let mut operand = state.take(target);
    parts.convs[conv].shape(&mut operand, input)?;
    within_frames(input.all()).run(&parts.backend, &mut qkv, &mut state.attention, &mut operand)?;
    state.put(target, operand);
    qkv.finish();
    state.put(source, qkv);
    Ok(())
}

fn within_frames([t, h, w]: [usize; 3]) -> Attention<'static> {
    Attention::windowed([t, h, w], [1, h, w], [0; 3])
}
