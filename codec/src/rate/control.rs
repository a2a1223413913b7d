//! How many bits each chunk gets.

use latentbit_container::{Chunk, Compression, StoredChunk};

use super::{ElasticChunk, Shaper, lambda_of_crf};
use crate::error::Result;

/// Rate factors go from 0, the best, to this.
pub const MAX_CRF: f64 = 63.0;

/// What an encoder of an elastic stream aims at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// The same price for a bit everywhere, 0 to [`MAX_CRF`]; lower is better.
    Crf(f64),
    /// So many bits for each second of video.
    Bitrate(Bitrate),
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
}

/// Chooses depths for a target, chunk after chunk of a stream. The same chunks give the same depths.
#[derive(Clone, Debug)]
pub struct RateControl {
    target: Target,
    shaper: Shaper,
    /// Bits that were taken beyond the mean rate so far; below zero if fewer.
    ahead: f64,
    /// Bits that wait in the buffer of a reader, of those that the channel could have carried.
    room: f64,
    /// The rate factor of the chunk before.
    crf: Option<f64>,
}

/// A chunk that was shaped.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Shaped {
    /// The chunk with the depths of its tokens.
    pub chunk: Chunk,
    /// As it is stored.
    pub stored: StoredChunk,
    /// Bytes of its record in a file.
    pub bytes: u64,
    /// The rate factor that its depths are those of.
    pub crf: f64,
}

impl RateControl {
    /// For chunks that are stored with `compression`.
    #[must_use]
    pub fn new(target: Target, compression: Compression) -> Self {
        let room = match target {
            Target::Bitrate(rate) => rate.buffer,
            Target::Crf(_) => 0.0,
        };
        Self {
            target,
            shaper: Shaper::new(compression),
            ahead: 0.0,
            room,
            crf: None,
        }
    }

    /// Shapes the next chunk, whose frames last `seconds`.
    ///
    /// # Errors
    /// As for [`Shaper::shape`] and [`Shaper::pack`].
    pub fn shape(&mut self, elastic: &ElasticChunk, seconds: f64) -> Result<Shaped> {
        let (shaper, shaped) = match self.target {
            Target::Crf(crf) => self.at(elastic, crf)?,
            Target::Bitrate(rate) => self.within(elastic, rate, seconds)?,
        };
        self.shaper = shaper;
        Ok(shaped)
    }

    fn at(&self, elastic: &ElasticChunk, crf: f64) -> Result<(Shaper, Shaped)> {
        let shaper = self.shaper.clone();
        let chunk = shaper.shape(elastic, lambda_of_crf(crf))?;
        let stored = shaper.pack(&chunk)?;
        let bytes = stored.record_len()?;
        let shaped = Shaped {
            chunk,
            stored,
            bytes,
            crf,
        };
        Ok((shaper, shaped))
    }

    /// The best that fits into `bits`, or the least that there is.
    fn fitting(&self, elastic: &ElasticChunk, bits: f64) -> Result<(Shaper, Shaped)> {
        let (mut low, mut high) = (0.0, MAX_CRF);
        let mut best = self.at(elastic, low)?;
        if best.1.bytes as f64 * 8.0 <= bits {
            return Ok(best);
        }
        best = self.at(elastic, high)?;
        // A hundredth of a step changes nothing that anyone sees.
        while high - low > 0.02 {
            let middle = (low + high) / 2.0;
            let found = self.at(elastic, middle)?;
            if found.1.bytes as f64 * 8.0 <= bits {
                (high, best) = (middle, found);
            } else {
                low = middle;
            }
        }
        Ok(best)
    }

    fn within(&mut self, elastic: &ElasticChunk, rate: Bitrate, seconds: f64) -> Result<(Shaper, Shaped)> {
        let mean = rate.mean * seconds;
        // What was saved or taken too much is made up for within a buffer's length.
        let share = (seconds * rate.mean / rate.buffer.max(1.0)).clamp(0.1, 1.0);
        let wanted = mean - self.ahead * share;
        let most = self.room + rate.max * seconds;
        let found = self.fitting(elastic, wanted.min(most).max(0.1 * mean))?;
        // A steady price looks better than a steady size, as far as the buffer allows.
        let steady = self
            .crf
            .map_or(found.1.crf, |before| (before + found.1.crf) / 2.0);
        let smooth = self.at(elastic, steady)?;
        let fits = |shaped: &Shaped| shaped.bytes as f64 * 8.0 <= most;
        let (shaper, shaped) = if fits(&smooth.1) {
            smooth
        } else {
            self.fitting(elastic, most)?
        };
        let bits = shaped.bytes as f64 * 8.0;
        self.crf = Some(shaped.crf);
        self.ahead = (self.ahead + bits - mean).max(-rate.buffer);
        self.room = (self.room + rate.max * seconds - bits).min(rate.buffer);
        Ok((shaper, shaped))
    }
}
