//! A constant rate, for outputs that have no times: frames are repeated and dropped as the program ffmpeg does it (`cfr`).

use crate::background::PushSink;
use crate::error::MediaError;
use latentbit_codec::Frame;
use latentbit_container::{Packet, Rational};

/// Counts out frames at a constant rate.
#[derive(Debug)]
pub struct Cadence {
    /// Frames per tick of their times.
    per_tick: f64,
    /// Frames that went out.
    out: u64,
}

/// How often frames are shown when one more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shows {
    /// The frame before it, once more.
    pub before: u64,
    /// The frame itself.
    pub this: u64,
}

impl Cadence {
    /// For `rate` frames per second, and times in ticks of `time_base` seconds.
    pub fn new(rate: Rational, time_base: Rational) -> Self {
        let ratio = |r: Rational| f64::from(r.num) / f64::from(r.den.max(1));
        Self {
            per_tick: ratio(rate) * ratio(time_base),
            out: 0,
        }
    }

    /// Takes a frame that is shown at `time`, and until `end`.
    pub fn take(&mut self, time: i64, end: i64) -> Shows {
        // A frame that is a little late or early keeps its place; more than that moves it.
        const SLACK: f64 = 1.1;
        let length = (end.saturating_sub(time) as f64 * self.per_tick).round();
        let mut length = if length > 0.0 { length } else { 1.0 };
        let mut late = time as f64 * self.per_tick - self.out as f64;
        if late < 0.0 && late + length > 0.0 {
            length += late;
            late = 0.0;
        }
        let until = late + length;
        let mut shows = Shows { before: 0, this: 1 };
        if until < -SLACK {
            shows.this = 0;
        } else if until > SLACK {
            let all = until.round_ties_even().max(0.0) as u64;
            if late > SLACK && self.out > 0 {
                shows.before = ((late - 0.6).round_ties_even().max(0.0) as u64).min(all);
            }
            shows.this = all - shows.before;
        }
        self.out += shows.before + shows.this;
        shows
    }
}

/// A sink without times, with its frames at a constant rate. One frame is held back until it is known how long it lasts.
pub struct AtConstantRate<S> {
    inner: S,
    cadence: Cadence,
    /// How long the last frame lasts if nobody says.
    length: i64,
    held: Option<(Frame, i64)>,
    before: Option<Frame>,
    end: Option<i64>,
}

impl<S: PushSink> AtConstantRate<S> {
    pub fn new(inner: S, rate: Rational, time_base: Rational, frame_duration: u32) -> Self {
        Self {
            inner,
            cadence: Cadence::new(rate, time_base),
            length: i64::from(frame_duration.max(1)),
            held: None,
            before: None,
            end: None,
        }
    }

    fn release(&mut self, end: i64) -> Result<(), MediaError> {
        let Some((frame, time)) = self.held.take() else {
            return Ok(());
        };
        let shows = self.cadence.take(time, end);
        for _ in 0..shows.before {
            self.inner.push(self.before.as_ref().unwrap_or(&frame), time)?;
        }
        for _ in 0..shows.this {
            self.inner.push(&frame, time)?;
        }
        self.before = Some(frame);
        Ok(())
    }
}

impl<S: PushSink> PushSink for AtConstantRate<S> {
    fn push(&mut self, frame: &Frame, time: i64) -> Result<(), MediaError> {
        self.release(time)?;
        self.held = Some((frame.clone(), time));
        Ok(())
    }

    fn push_packet(&mut self, stream: usize, packet: &Packet) -> Result<(), MediaError> {
        self.inner.push_packet(stream, packet)
    }

    fn end_at(&mut self, time: i64) {
        self.end = Some(time);
        self.inner.end_at(time);
    }

    fn finish(&mut self) -> Result<(), MediaError> {
        if let Some((_, time)) = self.held {
            let end = self.end.filter(|&end| end > time);
            self.release(end.unwrap_or(time.saturating_add(self.length)))?;
        }
        self.inner.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which frame is shown in each place.
    fn shown(rate: (u32, u32), times: &[i64], end: i64) -> Vec<usize> {
        let rate = Rational {
            num: rate.0,
            den: rate.1,
        };
        let mut cadence = Cadence::new(rate, Rational { num: 1, den: 1000 });
        let mut places = Vec::new();
        for (number, &time) in times.iter().enumerate() {
            let until = times.get(number + 1).copied().unwrap_or(end);
            let shows = cadence.take(time, until);
            places.extend(std::iter::repeat_n(
                number.saturating_sub(1),
                shows.before as usize,
            ));
            places.extend(std::iter::repeat_n(number, shows.this as usize));
        }
        places
    }

    #[test]
    fn even_frames_pass_through() {
        let times: Vec<i64> = (0..300).map(|n| (n * 1001 + 15) / 30).collect();
        assert_eq!(shown((30000, 1001), &times, 10010), (0..300).collect::<Vec<_>>());
        // A clock that trembles by a third of a frame changes nothing.
        let times: Vec<i64> = (0..300).map(|n| n * 40 + (n * 7) % 13).collect();
        assert_eq!(shown((25, 1), &times, 12_000), (0..300).collect::<Vec<_>>());
    }

    #[test]
    fn a_still_lasts_and_fast_frames_are_dropped() {
        assert_eq!(shown((10, 1), &[0, 100, 600, 700], 800), [0, 1, 1, 1, 1, 1, 2, 3]);
        assert_eq!(shown((10, 1), &[0], 5000), [0; 50]);
        // As many as the rate has, whatever comes.
        let fast: Vec<i64> = (0..1000).map(|n| n * 10).collect();
        let places = shown((10, 1), &fast, 10_000);
        assert!((99..=104).contains(&places.len()), "{}", places.len());
        let slow: Vec<i64> = (0..10).map(|n| n * 1000).collect();
        let places = shown((10, 1), &slow, 10_000);
        assert_eq!(places.len(), 100);
        assert!(
            places
                .chunks(10)
                .enumerate()
                .all(|(n, part)| part.iter().all(|&p| p == n))
        );
        assert_eq!(shown((10, 1), &[300, 400], 500), [0, 0, 0, 0, 1]);
    }
}
