//! Bitwise MaskGIT (section 2.2 of the paper): a bidirectional transformer that predicts each bit of masked tokens.
//!
//! A [`Predictor`] is a file of its own and no part of a bundle: the bundle's hash says what tokens mean, and a better
//! predictor must not make files undecodable. It names the bundle whose tokens it was trained on.

mod bands;
mod config;
mod fill;
mod neighbours;
mod noise;
mod score;
mod window;

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use latentbit_container::TokenGrid;
use sha2::{Digest, Sha256};

pub use config::{FORMAT, PredictorConfig, PredictorFileConfig};
pub use fill::{FillOptions, FillReport, Schedule};
pub use neighbours::{Neighbours, Piece};
pub use window::{Start, TokenWindow};

use crate::bundle::{Naming, SafetensorsBytes, Weights};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::Dtype;
use crate::model::Bundle;
use crate::vit::{Buffers, Vit, VitConfig};
use bands::Band;

/// Marks of a step that enter with each of its tokens: a group begins, a chunk begins.
const MARKS: usize = 2;

/// A predictor that is ready to run. It is immutable: share it between threads behind an `Arc`.
pub struct Predictor {
    config: PredictorFileConfig,
    sha256: [u8; 32],
    vit: Vit,
    /// Tokens that are computed together at most, where the network may be cut.
    most_tokens: usize,
    /// Those that no call works in at the moment.
    buffers: Mutex<Vec<Buffers>>,
}

impl Predictor {
    /// Reads a predictor from the bytes of its file, for tokens of `bundle`. The bytes need not be trusted.
    ///
    /// # Errors
    /// [`Error::Predictor`] if they are no predictor, if tensors are missing, surplus or of a wrong shape, or if it is
    /// for another bundle. [`Error::Parameter`] if `LATENTBIT_CPU` asks for what this machine lacks.
    pub fn from_bytes(bytes: &[u8], bundle: &Bundle, dtype: Dtype) -> Result<Self> {
        let predictor = Self::load(bytes, bundle.device(), dtype).map_err(|error| match error {
            Error::Bundle { reason } => Error::Predictor { reason },
            other => other,
        })?;
        let needed = bundle.id.sha256_hex();
        let PredictorFileConfig {
            name,
            bundle: made_for,
            ..
        } = &predictor.config;
        if *made_for != needed {
            return Err(Error::predictor(format!(
                "{name:?} is for tokens of the bundle with SHA-256 {made_for}, but they are of {:?} (SHA-256 {needed}); \
                 use a predictor that was trained for it",
                bundle.id.name
            )));
        }
        let (bits, predicted) = (bundle.tokenizer()?.bits(), predictor.config.predictor.bits);
        if usize::from(bits) != predicted {
            return Err(Error::predictor(format!(
                "it predicts {predicted} bits of tokens of {bits}"
            )));
        }
        Ok(predictor)
    }

    fn load(bytes: &[u8], device: &Device, dtype: Dtype) -> Result<Self> {
        let source = SafetensorsBytes::new(bytes)?;
        let text = source.metadata("config");
        let config = PredictorFileConfig::from_json(
            text.ok_or_else(|| Error::predictor("its metadata has no \"config\""))?,
        )?;
        let backend = device.backend(dtype)?;
        let mut weights = Weights::new(&source, Naming::Bundle, &backend);
        let PredictorConfig { bits, layers, .. } = config.predictor;
        let sides = [2 * bits + MARKS, bits];
        let vit_config = VitConfig::from(&config.predictor);
        let vit = Vit::load(&mut weights, "predictor", &vit_config, sides, layers);
        weights.finish()?;
        Ok(Self {
            config,
            sha256: Sha256::digest(bytes).into(),
            vit,
            most_tokens: bands::MOST_TOKENS,
            buffers: Mutex::default(),
        })
    }

    /// Reads a predictor's file; see [`from_bytes`](Self::from_bytes).
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, else as [`from_bytes`](Self::from_bytes).
    pub fn open(path: impl AsRef<Path>, bundle: &Bundle, dtype: Dtype) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::from_bytes(&bytes, bundle, dtype)
    }

    /// The predictor that is built into this library; none if it has none for `bundle`.
    ///
    /// # Errors
    /// As for [`from_bytes`](Self::from_bytes).
    #[cfg(feature = "embedded-bundle")]
    pub fn embedded(bundle: &Bundle, dtype: Dtype) -> Result<Option<Self>> {
        let source = SafetensorsBytes::new(latentbit_model::PREDICTOR)?;
        let config = source.metadata("config").map(PredictorFileConfig::from_json);
        if config
            .transpose()?
            .is_none_or(|config| config.bundle != bundle.id.sha256_hex())
        {
            return Ok(None);
        }
        Self::from_bytes(latentbit_model::PREDICTOR, bundle, dtype).map(Some)
    }

    /// What its metadata says.
    #[must_use]
    pub fn config(&self) -> &PredictorFileConfig {
        &self.config
    }

    /// The SHA-256 of its file.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// How many tokens in a row in time it was trained on, at most: a window should not be longer.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.config.predictor.steps
    }

    /// Memory in bytes that it works in for a window of these sides, about.
    #[must_use]
    pub fn size(&self, grid: TokenGrid) -> u64 {
        let PredictorConfig { bits, .. } = self.config.predictor;
        let row = grid.t as usize * grid.w as usize;
        let most = self
            .bands(grid)
            .iter()
            .map(|band| band.computed.len() * row)
            .max();
        let computed = most.unwrap_or(0) * (self.vit.bytes_per_token() + 4 * (3 * bits + MARKS));
        (computed + 4 * grid.len().saturating_mul(bits)) as u64
    }

    fn bands(&self, grid: TokenGrid) -> Vec<Band> {
        let PredictorConfig { layers, window, .. } = self.config.predictor;
        let row = grid.t as usize * grid.w as usize;
        bands::bands(grid.h as usize, row, layers, window, self.most_tokens)
    }

    /// Floating-point operations of a pass over a window of so many tokens, attention left out.
    #[must_use]
    pub fn flops(&self, tokens: usize) -> u64 {
        let PredictorConfig {
            bits,
            width,
            layers,
            mlp_ratio,
            ..
        } = self.config.predictor;
        let weights = (3 * bits + MARKS) * width + layers * (4 + 2 * mlp_ratio) * width * width;
        2 * (tokens * weights) as u64
    }

    /// All bits of a token.
    fn mask(&self) -> u64 {
        u64::MAX >> (64 - self.config.predictor.bits.clamp(1, 64))
    }

    /// The logits of all bits of all tokens of a window, (tokens, D) f32, before any temperature.
    ///
    /// # Errors
    /// [`Error::Device`] if a GPU fails.
    pub fn logits(&self, window: &TokenWindow) -> Result<Vec<f32>> {
        self.with_logits(window, <[f32]>::to_vec)
    }

    /// Calls `f` with the [`logits`](Self::logits).
    fn with_logits<R>(&self, window: &TokenWindow, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
        let bits = self.config.predictor.bits;
        let grid = window.grid();
        if grid.is_empty() {
            return Ok(f(&[]));
        }
        let spare = || self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffers = spare().pop().unwrap_or_default();
        let [t, h, w] = [grid.t, grid.h, grid.w].map(|side| side as usize);
        let bands = self.bands(grid);
        let result = if let [whole] = &bands[..] {
            self.run(window, whole.computed.clone(), &mut buffers)?;
            f(&buffers.output(t * h * w * bits)?)
        } else {
            let mut logits = vec![0.0; t * h * w * bits];
            for Band { rows, computed } in bands {
                self.run(window, computed.clone(), &mut buffers)?;
                let output = buffers.output(t * computed.len() * w * bits)?;
                let len = rows.len() * w * bits;
                for step in 0..t {
                    let from = (step * computed.len() + rows.start - computed.start) * w * bits;
                    let to = (step * h + rows.start) * w * bits;
                    logits[to..to + len].copy_from_slice(&output[from..from + len]);
                }
            }
            f(&logits)
        };
        spare().push(buffers);
        Ok(result)
    }

    /// Leaves the logits of some rows of a window in the buffers, as if there were no others.
    fn run(&self, window: &TokenWindow, rows: Range<usize>, buffers: &mut Buffers) -> Result<()> {
        let bits = self.config.predictor.bits;
        let [t, h, w] = {
            let TokenGrid { t, h, w } = window.grid();
            [t, h, w].map(|side| side as usize)
        };
        let inputs = 2 * bits + MARKS;
        buffers.patches.clear();
        buffers.patches.resize(t * rows.len() * w * inputs, 0.0);
        let places = (0..t).flat_map(|step| {
            let first = step * h * w;
            (first + rows.start * w..first + rows.end * w).map(move |at| (step, at))
        });
        for (row, (step, at)) in buffers.patches.chunks_exact_mut(inputs).zip(places) {
            let (value, known) = (window.values()[at], window.known()[at]);
            for bit in 0..bits {
                if known >> bit & 1 == 1 {
                    row[bit] = if value >> bit & 1 == 1 { 1.0 } else { -1.0 };
                    row[bits + bit] = 1.0;
                }
            }
            let start = window.starts()[step];
            row[2 * bits] = f32::from(u8::from(start == Start::Group));
            row[2 * bits + 1] = f32::from(u8::from(start != Start::Inner));
        }
        self.vit.forward([t, rows.len(), w], 1, buffers, None)
    }
}

impl fmt::Debug for Predictor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predictor")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;

    fn tiny(most_tokens: usize) -> Predictor {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/golden");
        let bundle = Bundle::open(
            format!("{golden}/storage-int8.safetensors"),
            &Device::Cpu,
            Dtype::F32,
        );
        let bundle = bundle.expect("a test bundle");
        let predictor = Predictor::open(
            format!("{golden}/predictor-tiny.safetensors"),
            &bundle,
            Dtype::F32,
        );
        Predictor {
            most_tokens,
            ..predictor.expect("a test predictor")
        }
    }

    #[test]
    fn bands_are_as_the_whole() {
        let (height, width, steps) = (29, 7, 5);
        let values: Vec<u64> = (0..height * width * steps)
            .map(|at| (at * 0x9e37_79b9) & 0x3ff)
            .collect();
        let known = values
            .iter()
            .map(|value| if value % 3 == 0 { 0x3ff } else { value & 0x1f });
        let starts = [
            Start::Group,
            Start::Inner,
            Start::Chunk,
            Start::Inner,
            Start::Chunk,
        ];
        let window = TokenWindow::from_parts(
            height as u32,
            width as u32,
            values.clone(),
            known.collect(),
            starts.to_vec(),
        )
        .expect("a window");
        let whole = tiny(usize::MAX);
        let expected = whole.logits(&window).expect("logits");
        let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        for most in [1, 400, 600] {
            let banded = tiny(most);
            assert!(banded.bands(window.grid()).len() > 1);
            assert!(banded.size(window.grid()) < whole.size(window.grid()));
            let found = banded.logits(&window).expect("logits");
            let difference = found
                .iter()
                .zip(&expected)
                .fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
            assert!(difference <= 1e-5 * largest, "{most}: {difference} of {largest}");
        }
    }
}
