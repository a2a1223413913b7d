//! When the frames of a chunk are shown (LBIT §5.5).

use crate::error::Broken;
use crate::ground::Rational;
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

    /// How many of the chunk's `frames` frames are shown before `time`.
    #[must_use]
    pub fn frames_before(&self, time: i64, frames: PixelFrames, frame_duration: u32) -> u64 {
        let passed = match time.checked_sub(self.start) {
            Some(passed) => u64::try_from(passed).unwrap_or(0),
            None if time > self.start => u64::MAX,
            None => 0,
        };
        match &self.durations {
            _ if passed == 0 => 0,
            None if frame_duration == 0 => frames.0,
            None => passed.div_ceil(u64::from(frame_duration)).min(frames.0),
            Some(durations) => {
                let mut shown = 0u64;
                let starts = durations.iter().map(|&ticks| {
                    let start = shown;
                    shown = shown.saturating_add(u64::from(ticks));
                    start
                });
                starts.take_while(|&start| start < passed).count() as u64
            }
        }
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

/// The first tick of `time_base` seconds that is not before a point in seconds. A microsecond is forgiven, because neither
/// decimals nor the clocks of other containers hit a frame exactly. Saturates.
///
/// ```
/// use latentbit_container::{Rational, ticks_of};
/// let frames = Rational { num: 1001, den: 30000 };
/// assert_eq!(ticks_of(1001.0 / 30000.0, frames), 1);
/// assert_eq!(ticks_of(0.034, frames), 2);
/// ```
#[must_use]
pub fn ticks_of(seconds: f64, time_base: Rational) -> i64 {
    const SLACK: f64 = 1e-6;
    ((seconds - SLACK) * f64::from(time_base.den) / f64::from(time_base.num.max(1))).ceil() as i64
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
        let before = |times: &Times, time| times.frames_before(time, PixelFrames(3), 10);
        assert_eq!(
            [-9, -3, -2, 0, 17, 18, 19, 999].map(|time| before(&times, time)),
            [0, 0, 1, 2, 2, 2, 3, 3]
        );
        times.durations = None;
        assert_eq!(
            [-3, -2, 7, 8, 17, 18, i64::MAX].map(|time| before(&times, time)),
            [0, 1, 1, 2, 2, 3, 3]
        );
        assert_eq!(times.frames_before(0, PixelFrames(3), 0), 3, "all at once");
        times.start = i64::MIN;
        assert_eq!(before(&times, i64::MAX), 3);
        times.durations = Some(vec![1, 20, 300]);
        times.start = i64::MAX;
        assert_eq!(times.of(3, 0), i64::MAX);
    }
}
