//! Where to begin in a video, and how people write it.

use latentbit_container::Rational;
use std::str::FromStr;

/// A start point: a time, as ffmpeg's `-ss` takes it, or a number of frames to skip.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// Skips frames that are shown before this time, in seconds from the first frame on.
    Seconds(f64),
    /// Skips this many frames.
    Frames(u64),
}

/// Slack in comparing times, because neither decimals nor the clocks of containers hit a frame exactly.
pub(crate) const SLACK: f64 = 1e-6;

impl Start {
    /// Whether frame `index`, shown at `time` seconds, comes before the start.
    #[cfg(any(feature = "libav", test))]
    pub(crate) fn skips(&self, index: u64, time: f64) -> bool {
        match *self {
            Self::Seconds(start) => time < start - SLACK,
            Self::Frames(start) => index < start,
        }
    }

    /// How many frames of a constant-rate video come before the start.
    pub fn frames_at(&self, rate: Rational) -> u64 {
        match *self {
            Self::Seconds(start) => ((start - SLACK) * f64::from(rate.num) / f64::from(rate.den.max(1)))
                .ceil()
                .max(0.0) as u64,
            Self::Frames(start) => start,
        }
    }
}

/// How many of `count` frames come after a start. For a varying rate this is an estimate by its average.
pub(crate) fn frames_after(start: Option<Start>, count: Option<u64>, rate: Rational) -> Option<u64> {
    let before = start.map_or(0, |start| start.frames_at(rate));
    count.map(|count| count.saturating_sub(before))
}

impl FromStr for Start {
    type Err = String;

    /// Reads `12`, `12.5`, `MM:SS` or `HH:MM:SS.ms`, and `40f` for frames.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("'{text}' is not a start point; write seconds (12.5), HH:MM:SS.ms or frames (40f)");
        if let Some(frames) = text.strip_suffix('f') {
            return frames.parse().map(Self::Frames).map_err(|_| wrong());
        }
        let parts: Vec<&str> = text.split(':').collect();
        if parts.len() > 3 {
            return Err(wrong());
        }
        let mut seconds = 0.0;
        for (i, part) in parts.iter().enumerate() {
            let last = i + 1 == parts.len();
            let digits = part.bytes().all(|b| b.is_ascii_digit() || (last && b == b'.'));
            let value: f64 = part.parse().map_err(|_| wrong())?;
            if !digits || (i > 0 && value >= 60.0) {
                return Err(wrong());
            }
            seconds = seconds * 60.0 + value;
        }
        Ok(Self::Seconds(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        assert_eq!("12.5".parse(), Ok(Start::Seconds(12.5)));
        assert_eq!("01:02".parse(), Ok(Start::Seconds(62.0)));
        assert_eq!("1:02:03.25".parse(), Ok(Start::Seconds(3723.25)));
        assert_eq!("40f".parse(), Ok(Start::Frames(40)));
        for bad in [
            "", "x", "-1", "1:60", "1:2:3:4", "1.5:00", "nan", "inf", "1e3", "f", "1:",
        ] {
            assert!(bad.parse::<Start>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_on_a_frame_keeps_that_frame() {
        let rate = Rational {
            num: 30000,
            den: 1001,
        };
        assert_eq!(Start::Seconds(1001.0 / 30000.0).frames_at(rate), 1);
        assert_eq!(Start::Seconds(0.034).frames_at(rate), 2);
        assert_eq!(Start::Seconds(0.0).frames_at(rate), 0);
        assert!(Start::Seconds(0.1).skips(2, 0.08));
        assert!(!Start::Seconds(0.1).skips(3, 0.1));
    }
}
