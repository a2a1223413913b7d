//! When the frames of a chunk are shown (LBIT §5.5).

use crate::error::Broken;
use crate::header::Rational;
use crate::units::PixelFrames;

/// When the frames of a chunk are shown, in ticks of [`VideoStream::time_base`](crate::VideoStream::time_base).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// When the first frame is shown.
    pub start: i64,
    /// How long each frame is shown, one number for each; none if it is the stream's
    /// [`frame_duration`](crate::VideoStream::frame_duration) for all.
    pub durations: Option<Vec<u32>>,
}

impl Times {
    /// When frame `index` of the chunk is shown. Saturates.
    #[must_use]
    pub fn of(&self, index: u64, frame_duration: u32) -> i64 {
        let passed = match &self.durations {
            None => index.saturating_mul(u64::from(frame_duration)),
            Some(durations) => durations
                .iter()
                .take(usize::try_from(index).unwrap_or(usize::MAX))
                .map(|&ticks| u64::from(ticks))
                .sum(),
        };
        self.start
            .saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
    }

    pub(crate) fn check(&self, frames: PixelFrames) -> Result<(), Broken> {
        match &self.durations {
            Some(durations) if durations.len() as u64 != frames.0 => {
                let expected = format!("one for each of {frames} frames");
                Err(Broken::new("durations of frames", expected, durations.len()))
            }
            _ => Ok(()),
        }
    }
}

/// A time in ticks of `from` seconds, in ticks of `to` seconds, rounded down. Saturates.
///
/// ```
/// use latentbit_container::{Rational, rescale};
/// let frames = Rational { num: 1001, den: 30000 };
/// let samples = Rational { num: 1, den: 48000 };
/// assert_eq!(rescale(5, frames, samples), 8008);
/// ```
#[must_use]
pub fn rescale(ticks: i64, from: Rational, to: Rational) -> i64 {
    let up = i128::from(from.num) * i128::from(to.den);
    let down = (i128::from(from.den) * i128::from(to.num)).max(1);
    let scaled = i128::from(ticks).saturating_mul(up).div_euclid(down);
    i64::try_from(scaled).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rescaled_without_overflow() {
        let rational = |num, den| Rational { num, den };
        assert_eq!(rescale(-1, rational(1, 1000), rational(1, 10)), -1);
        let (coarse, fine) = (rational(u32::MAX, 1), rational(1, u32::MAX));
        assert_eq!(rescale(i64::MAX, coarse, fine), i64::MAX);
        assert_eq!(rescale(i64::MIN, coarse, fine), i64::MIN);
        assert_eq!(rescale(3, rational(1001, 30000), rational(1, 48000)), 4804);
    }

    #[test]
    fn constant_and_variable() {
        let mut times = Times {
            start: -3,
            durations: None,
        };
        assert_eq!((times.of(0, 10), times.of(4, 10)), (-3, 37));
        times.durations = Some(vec![1, 20, 300]);
        assert_eq!((times.of(0, 10), times.of(2, 10), times.of(3, 10)), (-3, 18, 318));
        assert!(times.check(PixelFrames(3)).is_ok());
        assert!(times.check(PixelFrames(4)).is_err());
        times.start = i64::MAX;
        assert_eq!(times.of(3, 0), i64::MAX);
    }
}
