//! The end of products: bias, activation, residual, norm, and the words of the next operator, while sums are in cache.

use super::Sink;
use super::kind::Kind;
use super::operand::Frames;
use super::shared::Shared;
use super::vector;
use super::words::Format;
use crate::kernels::cpu::words::Number;
use crate::kernels::spec::Activation;
use crate::kernels::spec::Layout;
use crate::kernels::spec::RmsNorm;

struct Target<'a> {
    norm: Option<&'a RmsNorm>,
    frames: Frames<'a>,
    layout: Layout,
    /// Frames before the first output.
    lead: usize,
}

struct Stream<'a> {
    values: Shared<'a, f32>,
    add: bool,
    store: bool,
}

/// A sink that tasks share, each for outputs of its own.
pub(in crate::kernels) struct Finish<'a> {
    format: Format,
    activation: Activation,
    channels: usize,
    /// Height and width of the outputs.
    size: [usize; 2],
    stream: Option<Stream<'a>>,
    targets: [Option<Target<'a>>; 3],
    /// Whether a target has a norm.
    normed: bool,
    tokens: Option<Shared<'a, u64>>,
}

/// Where a run of outputs goes: frame, row, first column, and the distance of columns.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Place {
    pub(in crate::kernels) frame: usize,
    pub(in crate::kernels) row: usize,
    pub(in crate::kernels) column: usize,
    pub(in crate::kernels) step: usize,
}

impl<'a> Finish<'a> {
    /// For (T, H, W) outputs of so many channels.
    ///
    /// # Panics
    /// If something of the sink has another extent: a mistake of the caller.
    pub(in crate::kernels) fn new(
        format: Format,
        [frames, height, width]: [usize; 3],
        channels: usize,
        activation: Activation,
        sink: Sink<'a>,
    ) -> Self {
        let positions = frames * height * width;
        let targets = sink.targets.map(|target| {
            let target = target?;
            let extent = target.operand.extent()?;
            assert_eq!(extent.channels, channels);
            // Without a border, positions follow each other whatever the extents.
            let flat = extent.border == [0; 4] && extent.frames * extent.height * extent.width == positions;
            assert!(flat || [extent.height, extent.width] == [height, width]);
            assert!(target.norm.is_none_or(|norm| norm.gain.len() == channels));
            let layout = target.operand.layout();
            let (layout, lead, frames) = if flat {
                let layout = layout.flat(height, width);
                (layout, 0, target.operand.flat(layout.frame))
            } else {
                let lead = extent.frames - frames;
                (layout, lead, target.operand.frames_from(lead))
            };
            Some(Target {
                norm: target.norm,
                layout,
                lead,
                frames,
            })
        });
        Self {
            format,
            activation,
            channels,
            size: [height, width],
            stream: sink.stream.map(|stream| {
                assert_eq!(stream.values.len(), positions * channels);
                Stream {
                    values: Shared::new(stream.values),
                    add: stream.add,
                    store: stream.store,
                }
            }),
            normed: targets.iter().flatten().any(|target| target.norm.is_some()),
            targets,
            tokens: sink.tokens.map(|tokens| {
                assert!(tokens.len() == positions && channels <= 64);
                Shared::new(tokens)
            }),
        }
    }

    fn kind(&self) -> Kind {
        self.format.kind
    }

    /// Finishes a run of outputs whose sums are rows of `stride` values; `spare` has room for a row.
    ///
    /// # Safety
    /// No other thread finishes the same outputs at the same time.
    pub(in crate::kernels) unsafe fn run(
        &self,
        sums: &mut [f32],
        stride: usize,
        bias: &[f32],
        place: Place,
        spare: &mut [f32],
    ) {
        let n = self.channels;
        let [height, width] = self.size;
        for (index, row) in sums.chunks_mut(stride).enumerate() {
            let row = &mut row[..n];
            let column = place.column + index * place.step;
            let position = (place.frame * height + place.row) * width + column;
            let stream = self.stream.as_ref().map(|stream| {
                // SAFETY: the caller vouches that these outputs are nobody else's.
                let values = unsafe { stream.values.part(position * n..(position + 1) * n) };
                (values, stream.add, stream.store)
            });
            let residual: &[f32] = match &stream {
                Some((values, true, _)) => values,
                _ => &[],
            };
            let square = match self.activation {
                Activation::None => vector::combine(self.kind(), row, bias, residual),
                Activation::Gelu => {
                    vector::gelu(self.kind(), row, bias);
                    if residual.is_empty() && !self.normed {
                        0.0
                    } else {
                        vector::combine(self.kind(), row, &[], residual)
                    }
                }
            };
            if let Some((values, _, true)) = stream {
                values.copy_from_slice(row);
            }
            for target in self.targets.iter().flatten() {
                let at = target.layout.inner(place.row, column);
                let range = at..at + target.layout.position;
                // SAFETY: as above.
                let words = unsafe { target.frames.part(target.lead + place.frame, range) };
                self.write(target.norm, row, square, &mut spare[..n], words);
            }
            if let Some(tokens) = &self.tokens {
                // SAFETY: as above.
                let token = unsafe { tokens.part(position..position + 1) };
                token[0] = row
                    .iter()
                    .enumerate()
                    .fold(0, |token, (j, &u)| token | u64::from(u > 0.0) << j);
            }
        }
    }

    fn write(&self, norm: Option<&RmsNorm>, row: &[f32], square: f32, spare: &mut [f32], words: &mut [u32]) {
        let Some(norm) = norm else {
            self.format.write(row, words);
            return;
        };
        let factor = vector::factor(square, row.len(), norm.epsilon);
        match self.format.dtype {
            Number::Bf16 => {
                vector::scale_bf16(self.kind(), row, factor, &norm.gain, norm.silu, words);
                words[row.len().div_ceil(2)..].fill(0);
            }
            Number::F32 => {
                vector::scale(self.kind(), row, factor, &norm.gain, norm.silu, spare);
                self.format.write(spare, words);
            }
        }
    }
}
