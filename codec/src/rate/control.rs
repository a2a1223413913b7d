//! How many bits each chunk gets.

use latentbit_container::Compression;

use super::{ElasticChunk, Shaped};
use crate::error::Result;

/// Rate factors go from 0, the best, to this.
pub const MAX_CRF: f64 = 63.0;

/// The rate factor where nothing is asked for: with the built-in bundle about the quality that the one before had with all its bits, in fewer bytes.
pub const DEFAULT_CRF: f64 = 18.0;

/// What an encoder of an elastic stream aims at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// The same price for a bit everywhere, 0 to [`MAX_CRF`]; lower is better.
    Crf(f64),
    /// So many bits for each second of video.
    Bitrate(Bitrate),
    /// The PSNR of each chunk in dB, over red, green and blue, with as few bits as reach it. Where all bits do not reach it,
    /// all are kept. Needs chunks whose [`source`](ElasticChunk::source) error was measured.
    Psnr(f64),
}

/// A rate, and how far it may be left.
///
/// A channel that carries `max` bits a second feeds a reader that holds `buffer` bits: no chunk may take more than what the
/// buffer and the channel have for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bitrate {
    /// Bits for each second, on average.
    pub mean: f64,
    /// Bits for each second that the channel carries.
    pub max: f64,
    /// Bits that a reader holds.
    pub buffer: f64,
}

/// Seconds of the mean rate that a buffer holds unless the caller wants another size.
const BUFFER_SECONDS: f64 = 1.5;

impl Bitrate {
    /// A mean rate, on a channel that carries just that, with a buffer of a second and a half.
    #[must_use]
    pub const fn new(mean: f64) -> Self {
        Self {
            mean,
            max: mean,
            buffer: mean * BUFFER_SECONDS,
        }
    }

    /// On a channel of this rate and buffer, where they are given.
    #[must_use]
    pub fn with_channel(self, max: Option<f64>, buffer: Option<f64>) -> Self {
        Self {
            max: max.unwrap_or(self.max),
            buffer: buffer.unwrap_or(self.buffer),
            ..self
        }
    }
}

/// Chooses depths for a target, chunk after chunk of a stream. The same chunks give the same depths.
#[derive(Clone, Debug)]
pub struct RateControl {
    target: Target,
    compression: Compression,
    /// Bits that were taken beyond the mean rate so far; below zero if fewer.
    ahead: f64,
    /// Bits that wait in the buffer of a reader, of those that the channel could have carried.
    room: f64,
    /// The rate factor of the chunk before.
    crf: Option<f64>,
}

impl RateControl {
    /// For chunks that are stored with `compression`.
    #[must_use]
    pub fn new(target: Target, compression: Compression) -> Self {
        let room = match target {
            Target::Bitrate(rate) => rate.buffer,
            Target::Crf(_) | Target::Psnr(_) => 0.0,
        };
        Self {
            target,
            compression,
            ahead: 0.0,
            room,
            crf: None,
        }
    }

    /// Shapes the next chunk, whose frames last `seconds`.
    ///
    /// # Errors
    /// As for [`ElasticChunk::shaped`].
    pub fn shape(&mut self, elastic: &ElasticChunk, seconds: f64) -> Result<Shaped> {
        match self.target {
            Target::Crf(crf) => elastic.shaped(crf, self.compression),
            Target::Bitrate(rate) => self.within(elastic, rate, seconds),
            Target::Psnr(psnr) => self.reaching(elastic, psnr),
        }
    }

    /// The highest rate factor at which a chunk has a PSNR.
    fn reaching(&self, elastic: &ElasticChunk, psnr: f64) -> Result<Shaped> {
        // The lowest of what is taken off the highest one.
        best_fitting(
            CRF_STEP,
            |less| elastic.shaped(MAX_CRF - less, self.compression),
            |shaped| Ok(shaped.psnr.is_some_and(|found| found >= psnr)),
        )
    }

    fn within(&mut self, elastic: &ElasticChunk, rate: Bitrate, seconds: f64) -> Result<Shaped> {
        let compression = self.compression;
        let at = |crf| elastic.shaped(crf, compression);
        let bits = |shaped: &Shaped| shaped.bytes as f64 * 8.0;
        let fitting = |most: f64| best_fitting(CRF_STEP, at, |shaped| Ok(bits(shaped) <= most));
        let mean = rate.mean * seconds;
        // What was saved or taken too much is made up for within a buffer's length.
        let share = (seconds * rate.mean / rate.buffer.max(1.0)).clamp(0.1, 1.0);
        let wanted = mean - self.ahead * share;
        let most = self.room + rate.max * seconds;
        let found = fitting(wanted.min(most).max(0.1 * mean))?.crf;
        // A steady price looks better than a steady size, as far as the buffer allows.
        let smooth = at(self.crf.map_or(found, |before| (before + found) / 2.0))?;
        let shaped = match bits(&smooth) <= most {
            true => smooth,
            false => fitting(most)?,
        };
        let bits = bits(&shaped);
        self.crf = Some(shaped.crf);
        self.ahead = (self.ahead + bits - mean).max(-rate.buffer);
        self.room = (self.room + rate.max * seconds - bits).min(rate.buffer);
        Ok(shaped)
    }
}

/// A step of the rate factor that changes nothing that anyone sees.
const CRF_STEP: f64 = 0.02;

/// What `at` makes of the lowest rate factor with which it `fits`, to within `step`; of [`MAX_CRF`] if none does.
///
/// # Errors
/// Those of `at` and `fits`.
pub fn best_fitting<T, E>(
    step: f64,
    at: impl Fn(f64) -> Result<T, E>,
    fits: impl Fn(&T) -> Result<bool, E>,
) -> Result<T, E> {
    let best = at(0.0)?;
    if fits(&best)? {
        return Ok(best);
    }
    let (mut low, mut high) = (0.0, MAX_CRF);
    let mut best = at(high)?;
    while high - low > step {
        let middle = (low + high) / 2.0;
        let found = at(middle)?;
        if fits(&found)? {
            (high, best) = (middle, found);
        } else {
            low = middle;
        }
    }
    Ok(best)
}
