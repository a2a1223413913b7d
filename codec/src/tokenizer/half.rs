//! One of the tokenizer's two transformers, for calls from any thread.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use crate::bundle::Weights;
use crate::error::{Error, Result};
use crate::kernels::Backend;
use crate::together::Together;
use crate::vit::{Buffers, Vit, VitConfig};

/// Tokens of all grids that are computed together, at most: what a chunk of 480×832 has about, with patches of 16×16
/// pixels. More of them fill a GPU by themselves.
const TOKENS: usize = 4 * 30 * 52;

/// Buffers that no call works in at the moment. Both halves take from them: they seldom work at the same time, and are alike.
pub(super) type Spare = Arc<Mutex<Vec<Buffers>>>;

/// A transformer, and the memory that it works in.
pub(super) struct Half {
    vit: Vit,
    outputs: usize,
    on_gpu: bool,
    spare: Spare,
    /// Calls that wait for their turn on a GPU. Those of the same grid are computed together, as chunks of several clips
    /// are: a small picture does not fill it.
    calls: Together<Call, Result<Output>, Buffers>,
}

/// Patches of a grid.
struct Call {
    grid: [usize; 3],
    patches: Vec<f32>,
    wanted: Wanted,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The signs of the outputs, and the outputs of the side head.
    Tokens,
    /// The outputs.
    Values,
}

enum Output {
    /// Tokens, and what the side head says of them.
    Tokens(Vec<u64>, Vec<f32>),
    Values(Vec<f32>),
}

impl Half {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        name: &str,
        config: &VitConfig,
        sides: [usize; 2],
        layers: usize,
        spare: &Spare,
    ) -> Self {
        Self {
            on_gpu: matches!(weights.backend(), Backend::Gpu(_)),
            vit: Vit::load(weights, name, config, sides, layers),
            outputs: sides[1],
            spare: Arc::clone(spare),
            calls: Together::default(),
        }
    }

    /// Adds a second head of the weights `name` with so many outputs.
    pub(super) fn with_side_head(self, weights: &mut Weights<'_>, name: &str, outputs: usize) -> Self {
        Self {
            vit: self.vit.with_side_head(weights, name, outputs),
            ..self
        }
    }

    pub(super) fn vit(&self) -> &Vit {
        &self.vit
    }

    /// A token for each position of a grid, and the outputs (positions, outputs) of the side head if there is one; `fill`
    /// writes its patches.
    pub(super) fn tokens(
        &self,
        grid: [usize; 3],
        fill: impl FnOnce(&mut Vec<f32>),
    ) -> Result<(Vec<u64>, Vec<f32>)> {
        match self.run(grid, Wanted::Tokens, fill)? {
            Output::Tokens(tokens, side) => Ok((tokens, side)),
            Output::Values(_) => Ok((Vec::new(), Vec::new())),
        }
    }

    /// The outputs (positions, outputs) for a grid; `fill` writes its patches.
    pub(super) fn values(&self, grid: [usize; 3], fill: impl FnOnce(&mut Vec<f32>)) -> Result<Vec<f32>> {
        match self.run(grid, Wanted::Values, fill)? {
            Output::Values(values) => Ok(values),
            Output::Tokens(..) => Ok(Vec::new()),
        }
    }

    fn run(&self, grid: [usize; 3], wanted: Wanted, fill: impl FnOnce(&mut Vec<f32>)) -> Result<Output> {
        if self.on_gpu {
            let mut patches = Vec::new();
            fill(&mut patches);
            let most = TOKENS / grid.iter().product::<usize>().max(1);
            let call = Call {
                grid,
                patches,
                wanted,
            };
            let alike = |a: &Call, b: &Call| a.grid == b.grid && a.wanted == b.wanted;
            let run = |buffers: &mut Buffers, calls: Vec<Call>| self.run_calls(buffers, &calls);
            let done = self.calls.run(call, most.max(1), alike, run);
            return done.unwrap_or_else(|| Err(Error::device("a chunk was lost to an error before")));
        }
        let spare = || self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffers = spare().pop().unwrap_or_default();
        fill(&mut buffers.patches);
        let output = self.forward(grid, 1, wanted, &mut buffers);
        spare().push(buffers);
        output
    }

    fn forward(
        &self,
        grid: [usize; 3],
        clips: usize,
        wanted: Wanted,
        buffers: &mut Buffers,
    ) -> Result<Output> {
        let count = clips * grid.iter().product::<usize>();
        match wanted {
            Wanted::Tokens => {
                let mut tokens = vec![0; count];
                self.vit.forward(grid, clips, buffers, Some(&mut tokens))?;
                let side = match self.vit.side_outputs() {
                    0 => Vec::new(),
                    outputs => buffers.output(count * outputs)?.into_owned(),
                };
                Ok(Output::Tokens(tokens, side))
            }
            Wanted::Values => {
                self.vit.forward(grid, clips, buffers, None)?;
                let values = buffers.output(count * self.outputs)?;
                Ok(Output::Values(Cow::into_owned(values)))
            }
        }
    }

    fn run_calls(&self, buffers: &mut Buffers, calls: &[Call]) -> Vec<Result<Output>> {
        let Some(&Call { grid, wanted, .. }) = calls.first() else {
            return Vec::new();
        };
        buffers.patches.clear();
        for call in calls {
            buffers.patches.extend_from_slice(&call.patches);
        }
        let count: usize = grid.iter().product();
        match self.forward(grid, calls.len(), wanted, buffers) {
            Ok(Output::Tokens(all, side)) => {
                let outputs = count * self.vit.side_outputs();
                let part = |index: usize| side.get(index * outputs..(index + 1) * outputs);
                let each = all.chunks_exact(count.max(1)).enumerate();
                each.map(|(index, tokens)| {
                    let side = part(index).unwrap_or_default().to_vec();
                    Ok(Output::Tokens(tokens.to_vec(), side))
                })
                .collect()
            }
            Ok(Output::Values(all)) => {
                let each = all.chunks_exact((count * self.outputs).max(1));
                each.map(|values| Ok(Output::Values(values.to_vec()))).collect()
            }
            Err(error) => error.for_each(calls.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::tests::Random;
    use crate::{Bundle, Device, Dtype};

    #[test]
    fn grids_together_give_what_they_give_alone() {
        for name in ["tokenizer-windows", "tokenizer-full"] {
            let path = format!(
                "{}/../testdata/golden/{name}.safetensors",
                env!("CARGO_MANIFEST_DIR")
            );
            let bundle = Bundle::open(path, &Device::emulated(), Dtype::F32).unwrap();
            let tokenizer = bundle.tokenizer().unwrap();
            let config = tokenizer.config();
            let inputs = config.patch.iter().product::<usize>() * config.latent_channels;
            let (half, grid) = (&tokenizer.encoder, [3, 5, 4]);
            let mut random = Random::new(29);
            for wanted in [Wanted::Tokens, Wanted::Values] {
                let call = |_| Call {
                    grid,
                    patches: random.values_f32(60 * inputs),
                    wanted,
                };
                let calls: Vec<Call> = (0..3).map(call).collect();
                let together = half.run_calls(&mut Buffers::default(), &calls);
                for (call, found) in calls.iter().zip(together) {
                    let fill = |patches: &mut Vec<f32>| patches.clone_from(&call.patches);
                    match found.unwrap() {
                        Output::Tokens(found, side) => {
                            assert_eq!((found, side), half.tokens(grid, fill).unwrap());
                        }
                        Output::Values(found) => assert_eq!(found, half.values(grid, fill).unwrap()),
                    }
                }
            }
        }
    }
}
