//! The error of each token at each depth.

use std::ops::Range;

use latentbit_container::{Chunk, DepthMap, TokenGrid, Tokens, VideoStream};

use crate::error::{Error, Result};
use crate::model::Bundle;
use crate::pipeline::{Geometry, check_bundle};
use crate::tokenizer::{Tokenizer, ladder};
use crate::vae::DecoderState;
use crate::volume::Volume;

use super::ElasticChunk;
use super::sensitivity::{Sensitivity, squared_difference};

/// How closely errors are measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effort {
    /// As the depth head of the bundle estimates them, which costs nothing. Without one in the latent, each channel weighted
    /// by what it does to pixels: a pass of the ViT's decoder for each depth.
    #[default]
    Estimated,
    /// In the latent, whether there is a depth head or not, scaled by what the VAE's decoder makes of a middle depth in each
    /// place.
    Scaled,
    /// In pixels: a pass of the VAE's decoder for each depth.
    Pixels,
}

impl Effort {
    /// The effort of a level, 1 to 3.
    #[must_use]
    pub const fn of_level(level: u8) -> Option<Self> {
        match level {
            1 => Some(Self::Estimated),
            2 => Some(Self::Scaled),
            3 => Some(Self::Pixels),
            _ => None,
        }
    }
}

/// What is measured of each chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Measure {
    /// How closely the errors of tokens are measured.
    pub effort: Effort,
    /// Whether frames are also compared with their source, for [`Target::Psnr`](super::Target::Psnr): six passes of the VAE's
    /// decoder.
    pub source: bool,
}

impl Measure {
    /// The errors of tokens alone.
    #[must_use]
    pub const fn tokens(effort: Effort) -> Self {
        Self {
            effort,
            source: false,
        }
    }

    /// The distance from the source, too.
    #[must_use]
    pub const fn with_source(self) -> Self {
        Self { source: true, ..self }
    }
}

/// How far decoded frames of a chunk are from their source.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SourceError {
    /// The sum of squared differences in red, green and blue in −1…1 that the VAE alone leaves.
    pub sum: f64,
    /// How many values were compared.
    pub values: usize,
    /// By how much the error of tokens, with the depths of some rate factors, differs from that sum with the errors of these
    /// depths added: shallow neighbours make each other worse.
    factors: Vec<(f64, f64)>,
}

/// Rate factors at which tokens are decoded to see how far they are from their source.
pub(crate) const ANCHORS: [f64; 5] = [8.0, 22.0, 34.0, 44.0, 54.0];

impl SourceError {
    /// The PSNR in dB of tokens with the depths of a rate factor, whose errors add up to `errors`.
    pub(super) fn psnr(&self, crf: f64, errors: f64) -> f64 {
        let after = self.factors.iter().position(|(at, _)| *at >= crf);
        let factor = match (after, self.factors.last()) {
            (Some(0), _) => self.factors.first().map_or(1.0, |(_, factor)| *factor),
            (Some(at), _) => match (self.factors.get(at - 1), self.factors.get(at)) {
                (Some((low, a)), Some((high, b))) => a + (b - a) * (crf - low) / (high - low),
                _ => 1.0,
            },
            (None, Some((_, factor))) => *factor,
            (None, None) => 1.0,
        };
        let error = factor * (self.sum + errors) / self.values.max(1) as f64;
        // Values go from −1 to 1.
        10.0 * (4.0 / error.max(f64::MIN_POSITIVE)).log10()
    }
}

/// The error of each token of a chunk at each depth: the sum of squared differences that it leaves in the pixels it stands
/// for, over red, green and blue in −1…1, beside a decode of the exact latent.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthErrors {
    /// Planes from one depth to the next.
    pub step: u8,
    /// Planes of the deepest tokens.
    pub bits: u8,
    /// For depth 0, one step, two steps … and `bits`: the error of each token, in the order of the tokens.
    pub levels: Vec<Vec<f32>>,
}

/// Tokens of no more than `depth` planes.
fn cut_to(tokens: &Tokens, depth: u8) -> Tokens {
    let mut depths = DepthMap {
        step: 1,
        values: tokens.depth_values().into_owned(),
    };
    depths.truncate(depth);
    tokens.clone().with_depths(depths)
}

/// Measures errors, chunk after chunk of a stream.
pub(crate) struct Meter {
    step: u8,
    measure: Measure,
    /// The VAE's decoder at the exact latent, and at each depth that is looked at in pixels.
    states: Vec<DecoderState>,
    /// The VAE's decoder at the exact latent and at [`ANCHORS`], to compare with the source.
    of_source: Vec<DecoderState>,
}

impl Meter {
    pub fn new(step: u8, measure: Measure) -> Self {
        Self {
            step: step.clamp(1, 64),
            measure,
            states: Vec::new(),
            of_source: Vec::new(),
        }
    }

    /// Whether [`source_error`](Self::source_error) is wanted.
    pub const fn needs_source(&self) -> bool {
        self.measure.source
    }

    /// How far decoded frames are from `source`, the frames that `latent` was made of: from the latent itself, and from the
    /// tokens of `elastic` at some rate factors.
    pub fn source_error(
        &mut self,
        bundle: &Bundle,
        latent: &Volume,
        source: &Volume,
        elastic: &ElasticChunk,
    ) -> Result<SourceError> {
        let tokenizer = bundle.tokenizer()?;
        let size = tokenizer.latent_size(latent)?;
        self.of_source
            .resize_with(1 + ANCHORS.len(), DecoderState::default);
        if elastic.chunk.key {
            self.of_source.iter_mut().for_each(DecoderState::reset);
        }
        let mut states = self.of_source.iter_mut();
        let mut error = |latent: &Volume| -> Result<f64> {
            let decoded = match states.next() {
                Some(state) => bundle.vae.decode(latent, state)?,
                None => bundle.vae.decode(latent, &mut DecoderState::default())?,
            };
            let pairs = decoded.data().iter().zip(source.data());
            Ok(pairs.map(|(a, b)| f64::from((a - b) * (a - b))).sum())
        };
        let sum = error(latent)?;
        let mut factors = Vec::with_capacity(ANCHORS.len());
        for crf in ANCHORS {
            let depths = elastic.depth_map(crf);
            let expected = sum + elastic.errors.total(&depths);
            let tokens = elastic.chunk.tokens.clone().with_depths(depths);
            let found = error(&tokenizer.decode(&tokens, size)?)?;
            factors.push((crf, found / expected.max(f64::MIN_POSITIVE)));
        }
        Ok(SourceError {
            sum,
            values: source.data().len(),
            factors,
        })
    }

    /// The errors of `tokens`, which were made of `latent` (T', h, w, C); a group begins with it if `key`. `estimates` are what
    /// the depth head says of them.
    pub fn measure(
        &mut self,
        bundle: &Bundle,
        latent: &Volume,
        (tokens, estimates): (&Tokens, Option<&Volume>),
        key: bool,
    ) -> Result<DepthErrors> {
        let tokenizer = bundle.tokenizer()?;
        let places = Places::new(tokenizer, bundle.vae.strides(), latent.shape(), tokens.grid);
        let depths: Vec<usize> = ladder(self.step.into(), tokens.bits.into()).collect();
        let cut = || -> Result<Vec<Volume>> {
            let cut = |&depth: &usize| {
                let tokens = cut_to(tokens, u8::try_from(depth).unwrap_or(u8::MAX));
                tokenizer.decode(&tokens, places.latent)
            };
            depths.iter().map(cut).collect()
        };
        let estimated =
            || estimates.and_then(|estimates| places.estimated(tokenizer, estimates, &depths, key));
        let in_latent = |cut: &[Volume]| -> Result<Vec<Vec<f32>>> {
            Ok(places.in_latent(latent, cut, bundle.sensitivity()?, key))
        };
        let levels = match self.measure.effort {
            Effort::Pixels => self.in_pixels(bundle, latent, &cut()?, &places, key)?,
            Effort::Estimated => match estimated() {
                Some(levels) => levels,
                None => in_latent(&cut()?)?,
            },
            Effort::Scaled => {
                let cut = cut()?;
                let mut levels = in_latent(&cut)?;
                let middle = depths.len() / 2;
                if let Some(cut) = cut.get(middle) {
                    let seen = self.in_pixels(bundle, latent, std::slice::from_ref(cut), &places, key)?;
                    if let (Some(seen), Some(guessed)) = (seen.first(), levels.get(middle).cloned()) {
                        scale(&mut levels, seen, &guessed);
                    }
                }
                levels
            }
        };
        Ok(DepthErrors {
            step: self.step,
            bits: tokens.bits,
            levels,
        })
    }

    /// Errors in pixels of what `cut` decodes to.
    fn in_pixels(
        &mut self,
        bundle: &Bundle,
        latent: &Volume,
        cut: &[Volume],
        places: &Places,
        key: bool,
    ) -> Result<Vec<Vec<f32>>> {
        self.states.resize_with(cut.len() + 1, DecoderState::default);
        if key {
            self.states.iter_mut().for_each(DecoderState::reset);
        }
        let mut states = self.states.iter_mut();
        let mut decode = |latent: &Volume| match states.next() {
            Some(state) => bundle.vae.decode(latent, state),
            None => bundle.vae.decode(latent, &mut DecoderState::default()),
        };
        let whole = decode(latent)?;
        let level = |latent: &Volume| Ok(places.in_frames(&whole, &decode(latent)?, key));
        cut.iter().map(level).collect()
    }
}

/// Measures chunks that are tokens already, beside what they decode to with all the planes that they have: what the tokens
/// were made of is not known any more.
pub struct Reshaper<'a> {
    bundle: &'a Bundle,
    /// Height and width of the latent.
    size: [usize; 2],
    meter: Meter,
}

impl<'a> Reshaper<'a> {
    /// For the chunks of an elastic stream, in order. The bundle needs its decoders.
    ///
    /// # Errors
    /// As for [`check_bundle`](crate::pipeline::check_bundle); [`Error::Parameter`] if `stream` is plain.
    pub fn new(bundle: &'a Bundle, stream: &VideoStream, effort: Effort) -> Result<Self> {
        check_bundle(bundle, stream)?;
        let step = stream
            .depth_step
            .ok_or_else(|| Error::parameter("depth step", "a plain stream has no depths to choose"))?;
        Ok(Self {
            bundle,
            size: Geometry::from(stream).latent_size(),
            meter: Meter::new(step, Measure::tokens(effort)),
        })
    }

    /// The next chunk, with what each depth would cost.
    ///
    /// # Errors
    /// [`Error::Parameter`] for tokens that are not those of the stream.
    pub fn take(&mut self, chunk: Chunk) -> Result<ElasticChunk> {
        let latent_frames = usize::try_from(chunk.latent_frames.0).unwrap_or(usize::MAX);
        let size = [latent_frames, self.size[0], self.size[1]];
        let latent = self.bundle.tokenizer()?.decode(&chunk.tokens, size)?;
        let coded = (&chunk.tokens, None);
        let errors = self.meter.measure(self.bundle, &latent, coded, chunk.key)?;
        ElasticChunk::new(chunk, errors)
    }
}

/// Scales all errors of each token by what was seen over what was guessed at one depth.
fn scale(levels: &mut [Vec<f32>], seen: &[f32], guessed: &[f32]) {
    // Where next to nothing was guessed, the ratio says nothing.
    let floor = guessed.iter().sum::<f32>() / guessed.len().max(1) as f32 * 0.05;
    for level in levels {
        for ((error, seen), guessed) in level.iter_mut().zip(seen).zip(guessed) {
            *error *= (seen + floor) / (guessed + floor).max(f32::MIN_POSITIVE);
        }
    }
}

/// Which token each part of a chunk belongs to.
struct Places {
    grid: TokenGrid,
    patch: [usize; 3],
    /// Pixels of a latent position along time, height and width.
    strides: [usize; 3],
    /// (T', h, w).
    latent: [usize; 3],
}

impl Places {
    fn new(tokenizer: &Tokenizer, strides: [usize; 3], latent: &[usize], grid: TokenGrid) -> Self {
        let side = |axis: usize| latent.get(axis).copied().unwrap_or(0);
        Self {
            grid,
            patch: tokenizer.config().patch,
            strides,
            latent: [side(0), side(1), side(2)],
        }
    }

    /// The token of a latent position.
    fn token(&self, t: usize, h: usize, w: usize) -> usize {
        let [k_t, k_h, k_w] = self.patch;
        ((t / k_t) * self.grid.h as usize + h / k_h) * self.grid.w as usize + w / k_w
    }

    /// Errors at `depths` as the depth head has them, if it knows of these depths.
    fn estimated(
        &self,
        tokenizer: &Tokenizer,
        estimates: &Volume,
        depths: &[usize],
        key: bool,
    ) -> Option<Vec<Vec<f32>>> {
        let config = tokenizer.config();
        let known: Vec<usize> = ladder(config.depth_step?, config.bits).collect();
        let mut values = vec![0.0; self.grid.len()];
        let [steps, height, width] = self.latent;
        let [time, rows, columns] = self.strides;
        for t in 0..steps {
            let frames = if key && t == 0 { 1 } else { time };
            for at in 0..height * width {
                *values.get_mut(self.token(t, at / width, at % width))? +=
                    (3 * frames * rows * columns) as f32;
            }
        }
        let level = |depth: &usize| {
            let place = known.iter().position(|known| known == depth)?;
            let logs = estimates.data().iter().skip(place).step_by(known.len());
            // No pixel is further off than 2, whatever the head says.
            Some(
                logs.zip(&values)
                    .map(|(log, values)| log.exp().min(4.0) * values)
                    .collect(),
            )
        };
        depths.iter().map(level).collect()
    }

    fn in_latent(
        &self,
        exact: &Volume,
        cut: &[Volume],
        sensitivity: &Sensitivity,
        key: bool,
    ) -> Vec<Vec<f32>> {
        let [steps, height, width] = self.latent;
        let level = |cut: &Volume| {
            let mut errors = vec![0.0; self.grid.len()];
            let channels = exact.data().len() / (steps * height * width).max(1);
            let pairs = exact
                .data()
                .chunks(channels.max(1))
                .zip(cut.data().chunks(channels.max(1)));
            for (at, (exact, cut)) in pairs.enumerate() {
                let t = at / (height * width);
                let weights = sensitivity.weights(key && t == 0);
                let pairs = exact.iter().zip(cut).zip(weights);
                let error: f32 = pairs.map(|((a, b), weight)| weight * (a - b) * (a - b)).sum();
                if let Some(sum) = errors.get_mut(self.token(t, at / width % height, at % width)) {
                    *sum += error;
                }
            }
            errors
        };
        cut.iter().map(level).collect()
    }

    /// Errors of frames (T, H, W, 3).
    fn in_frames(&self, whole: &Volume, cut: &Volume, key: bool) -> Vec<f32> {
        let mut errors = vec![0.0; self.grid.len()];
        let [time, rows, columns] = self.strides;
        let (height, width) = (self.latent[1] * rows, self.latent[2] * columns);
        let lines = whole
            .data()
            .chunks(width.max(1) * 3)
            .zip(cut.data().chunks(width.max(1) * 3));
        for (line, (whole, cut)) in lines.enumerate() {
            let (frame, row) = (line / height.max(1), line % height.max(1));
            let t = if key { frame.div_ceil(time) } else { frame / time };
            let cells = whole.chunks(columns * 3).zip(cut.chunks(columns * 3));
            for (column, (whole, cut)) in cells.enumerate() {
                if let Some(sum) = errors.get_mut(self.token(t, row / rows, column)) {
                    *sum += squared_difference(whole, cut);
                }
            }
        }
        errors
    }
}

impl DepthErrors {
    /// The depth of a level.
    #[must_use]
    pub fn depth(&self, level: usize) -> u8 {
        let depth = level.saturating_mul(usize::from(self.step));
        u8::try_from(depth).unwrap_or(u8::MAX).min(self.bits)
    }

    /// The sum of errors if each token has the depth of a map.
    #[must_use]
    pub fn total(&self, depths: &DepthMap) -> f64 {
        let level = |depth: u8| usize::from(depth.div_ceil(self.step.max(1)));
        let errors = depths.values.iter().enumerate().filter_map(|(token, &depth)| {
            let errors = self.levels.get(level(depth))?;
            errors.get(token).copied().map(f64::from)
        });
        errors.sum()
    }

    /// The errors of one token, from depth 0 on.
    pub(super) fn of(&self, token: usize) -> impl Iterator<Item = f32> + '_ {
        self.levels
            .iter()
            .map(move |level| level.get(token).copied().unwrap_or(0.0))
    }

    /// The tokens that there are errors of.
    pub(super) fn tokens(&self) -> Range<usize> {
        0..self.levels.first().map_or(0, Vec::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::sensitivity::noise;
    use crate::{Device, Dtype};

    /// The depth head's logarithms become sums over the pixels of each token, also at the edges and in a group's first frame.
    #[test]
    fn estimates_become_sums() {
        let path = format!(
            "{}/../testdata/golden/tokenizer-depths.safetensors",
            env!("CARGO_MANIFEST_DIR")
        );
        let bundle = Bundle::open(path, &Device::Cpu, Dtype::F32).unwrap();
        let tokenizer = bundle.tokenizer().unwrap();
        let (bits, step) = (tokenizer.bits(), 5);
        let shape = [3, 5, 7, tokenizer.config().latent_channels];
        let latent = Volume::new(&shape, noise(shape.iter().product())).unwrap();
        let (tokens, estimates) = tokenizer.analyse(&latent).unwrap();
        let logs = estimates.unwrap();
        let depths = ladder(step, bits.into()).count();
        assert_eq!(logs.shape(), [tokens.values.len(), depths]);
        let [time, rows, columns] = bundle.vae.strides();
        for key in [true, false] {
            let found = Meter::new(5, Measure::default())
                .measure(&bundle, &latent, (&tokens, Some(&logs)), key)
                .unwrap();
            assert_eq!((found.levels.len(), found.depth(depths - 1)), (depths, bits));
            for (token, logs) in logs.data().chunks(depths).enumerate() {
                let (w, h) = (token % 4, token / 4 % 3);
                let patch = if w == 3 { 1 } else { 2 } * if h == 2 { 1 } else { 2 };
                let frames = match (token / 12, key) {
                    (0, true) => 1 + time,
                    (0, false) => 2 * time,
                    _ => time,
                };
                let values = (3 * frames * rows * columns * patch) as f32;
                for (level, log) in found.levels.iter().zip(logs) {
                    let expected = log.exp().min(4.0) * values;
                    assert!((level[token] / expected - 1.0).abs() < 1e-5, "token {token}");
                }
            }
        }
        // Of depths that the head does not know, the latent tells.
        let other = Meter::new(3, Measure::default())
            .measure(&bundle, &latent, (&tokens, Some(&logs)), true)
            .unwrap();
        assert_eq!(other.levels.len(), ladder(3, bits.into()).count());
        assert_ne!(other.levels[0], vec![0.0; tokens.values.len()]);
    }
}
