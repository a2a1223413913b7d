//! An end at a time, and another frame rate.

use crate::error::MediaError;
use crate::start::{SLACK, Start};
use crate::video::{Extras, FrameSource, MediaKind, VideoInfo};
use latentbit_codec::Frame;
use latentbit_container::Rational;

/// Gives the frames that are shown in the first seconds of a source.
pub struct Until {
    source: Box<dyn FrameSource>,
    info: VideoInfo,
    seconds: f64,
    index: u64,
    extras: Extras,
    ended: bool,
}

impl Until {
    pub fn new(source: Box<dyn FrameSource>, seconds: f64) -> Self {
        let mut info = source.info().clone();
        let most = Start::Seconds(seconds).frames_at(info.frame_rate);
        info.frame_count = Some(info.frame_count.map_or(most, |count| count.min(most)));
        Self {
            source,
            info,
            seconds,
            index: 0,
            extras: Extras::default(),
            ended: false,
        }
    }
}

impl FrameSource for Until {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, MediaError> {
        if self.ended {
            return Ok(None);
        }
        let frame = self.source.next_frame()?;
        self.extras = self.source.take_extras();
        let at = seconds_of(&self.info, self.extras.time, self.index);
        self.index += 1;
        self.ended = frame.is_none() || at >= self.seconds - SLACK;
        Ok(frame.filter(|_| !self.ended))
    }

    fn take_extras(&mut self) -> Extras {
        std::mem::take(&mut self.extras)
    }
}

/// Gives frames at a constant rate, as ffmpeg's filter `fps` does: each frame of the source goes to the nearest place of
/// the new rate. A place without a frame repeats the one before; where several share a place, the last one is kept.
pub struct AtRate {
    source: Box<dyn FrameSource>,
    info: VideoInfo,
    /// Frames of the source so far.
    taken: u64,
    /// When the last one of them is shown, in seconds.
    last: f64,
    /// Next place to fill.
    next: u64,
    /// The frame that is shown from here on, and the place of the one after it.
    shown: Option<Frame>,
    following: Option<(Frame, u64)>,
    /// Where the last frame ends, once the source has ended.
    end: Option<u64>,
    extras: Extras,
}

/// `source` with `rate` frames per second; pictures have no rate and stay as they are.
pub fn at_rate(source: Box<dyn FrameSource>, rate: Rational) -> Box<dyn FrameSource> {
    let mut info = source.info().clone();
    if info.kind == MediaKind::StillImage {
        return source;
    }
    let ratio = per_second(rate) / per_second(info.frame_rate);
    info.frame_count = info
        .frame_count
        .map(|count| (count as f64 * ratio).round() as u64);
    info.frame_rate = rate;
    info.time_base = None;
    Box::new(AtRate {
        source,
        info,
        taken: 0,
        last: 0.0,
        next: 0,
        shown: None,
        following: None,
        end: None,
        extras: Extras::default(),
    })
}

fn per_second(rate: Rational) -> f64 {
    f64::from(rate.num) / f64::from(rate.den.max(1))
}

impl AtRate {
    fn place(&self, seconds: f64) -> u64 {
        // Half a place goes up; the tiny part keeps halves that are not exact from going down.
        (seconds * per_second(self.info.frame_rate) + 0.5 + 1e-9)
            .floor()
            .max(0.0) as u64
    }

    /// Reads the next frame of the source, and where it goes.
    fn follow(&mut self) -> Result<(), MediaError> {
        let frame = self.source.next_frame()?;
        let extras = self.source.take_extras();
        self.extras.packets.extend(extras.packets);
        self.extras.damage.add(extras.damage);
        let seconds = seconds_of(self.source.info(), extras.time, self.taken);
        match frame {
            Some(frame) => {
                self.taken += 1;
                self.last = seconds;
                self.following = Some((frame, self.place(seconds)));
            }
            // After the last frame comes what would be the place of one more.
            None => {
                let length = 1.0 / per_second(self.source.info().frame_rate).max(1e-9);
                let end = self.last + length;
                self.end = Some(self.place(end));
            }
        }
        Ok(())
    }
}

impl FrameSource for AtRate {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, MediaError> {
        loop {
            if self.following.is_none() && self.end.is_none() {
                self.follow()?;
            }
            match (&self.following, self.end) {
                (Some((_, place)), _) if *place > self.next && self.shown.is_some() => {
                    self.next += 1;
                    return Ok(self.shown.clone());
                }
                (Some(_), _) => self.shown = self.following.take().map(|(frame, _)| frame),
                // Every video has one frame at least.
                (None, Some(end)) if self.next < end.max(1) => {
                    self.next += 1;
                    return Ok(self.shown.clone());
                }
                (None, _) => return Ok(None),
            }
        }
    }

    fn take_extras(&mut self) -> Extras {
        std::mem::take(&mut self.extras)
    }
}

/// The time of a frame in seconds from the first one: what its extras tell, else by its number.
fn seconds_of(info: &VideoInfo, time: Option<i64>, index: u64) -> f64 {
    match (time, info.time_base) {
        (Some(time), Some(base)) => time as f64 * f64::from(base.num) / f64::from(base.den.max(1)),
        _ => index as f64 * f64::from(info.frame_rate.den) / f64::from(info.frame_rate.num.max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Given, values};

    #[test]
    fn frames_before_the_end_are_kept() {
        let constant = || Given::new((2, 2), (10, 1), (0..10).map(|n| (n as f32, None)));
        for (seconds, frames) in [(0.5, 5), (0.51, 6), (0.05, 1), (3.0, 10)] {
            let mut until = Until::new(Box::new(constant()), seconds);
            assert_eq!(until.info().frame_count, Some(frames as u64), "{seconds}");
            assert_eq!(values(&mut until).len(), frames, "{seconds}");
        }
        let timed = [0, 900, 950, 1000].map(|time| (0.0, Some(time)));
        let source = Given::new((2, 2), (10, 1), timed);
        assert_eq!(values(&mut Until::new(Box::new(source), 1.0)).len(), 3);
    }

    fn converted(from: (u32, u32), to: (u32, u32), times: &[Option<i64>]) -> Vec<f32> {
        let frames = (0..).zip(times).map(|(n, &time)| (n as f32, time));
        let source = Given::new((2, 2), from, frames.collect::<Vec<_>>());
        let rate = Rational { num: to.0, den: to.1 };
        let mut source = at_rate(Box::new(source), rate);
        assert_eq!((source.info().frame_rate, source.info().time_base), (rate, None));
        values(source.as_mut())
    }

    /// As ffmpeg's filter `fps` gave them for numbered frames.
    #[test]
    fn frames_are_left_out_and_repeated() {
        type Case<'a> = (u32, (u32, u32), usize, &'a [u8]);
        let cases: [Case<'_>; 5] = [
            (30, (10, 1), 30, &[1, 4, 7, 10, 13, 16, 19, 22, 25, 28]),
            (
                10,
                (20, 1),
                10,
                &[0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9],
            ),
            (10, (5, 1), 10, &[0, 2, 4, 6, 8]),
            (30, (25, 2), 30, &[1, 3, 5, 8, 10, 13, 15, 17, 20, 22, 25, 27, 29]),
            (24, (30, 1), 12, &[0, 1, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 9, 10, 11]),
        ];
        for (from, to, count, expected) in cases {
            let found = converted((from, 1), to, &vec![None; count]);
            let expected: Vec<f32> = expected.iter().copied().map(f32::from).collect();
            assert_eq!(found, expected, "{from} to {to:?}");
        }
        // ffmpeg leaves nothing of a frame that is shorter than a place; a clip without a frame is of no use.
        assert_eq!(converted((25, 1), (10, 1), &[None]), [0.0]);
    }

    #[test]
    fn times_decide() {
        // A frame is missing between 100 and 400 ms.
        let times = [0, 100, 400, 500].map(Some);
        let shown = converted((10, 1), (10, 1), &times);
        assert_eq!(shown, [0.0, 1.0, 1.0, 1.0, 2.0, 3.0]);
    }
}
