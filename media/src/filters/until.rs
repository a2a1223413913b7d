//! An end at a time.

use super::super::error::MediaError;
use super::super::types::Frame;
use super::super::{Extras, FrameSource, VideoInfo};
use super::seconds_of;

/// Times are compared with this slack, as those of a start are.
const SLACK: f64 = 1e-6;

/// Gives the frames that are shown in the first seconds of a source.
pub struct Until {
    source: Box<dyn FrameSource>,
    seconds: f64,
    index: u64,
    extras: Extras,
    ended: bool,
}

impl Until {
    pub fn new(source: Box<dyn FrameSource>, seconds: f64) -> Self {
        Self {
            source,
            seconds,
            index: 0,
            extras: Extras::default(),
            ended: false,
        }
    }
}

impl FrameSource for Until {
    fn info(&self) -> &VideoInfo {
        self.source.info()
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, MediaError> {
        if self.ended {
            return Ok(None);
        }
        let frame = self.source.next_frame()?;
        self.extras = self.source.take_extras();
        let at = seconds_of(self.source.info(), self.extras.time, self.index);
        self.index += 1;
        self.ended = frame.is_none() || at >= self.seconds - SLACK;
        Ok(frame.filter(|_| !self.ended))
    }

    fn take_extras(&mut self) -> Extras {
        std::mem::take(&mut self.extras)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Given, values};
    use super::*;

    #[test]
    fn frames_before_the_end_are_kept() {
        let constant = || Given::new((2, 2), (10, 1), (0..10).map(|n| (n as f32, None)));
        for (seconds, frames) in [(0.5, 5), (0.51, 6), (0.05, 1), (3.0, 10)] {
            assert_eq!(
                values(&mut Until::new(Box::new(constant()), seconds)).len(),
                frames
            );
        }
        let timed = [0, 900, 950, 1000].map(|time| (0.0, Some(time)));
        let source = Given::new((2, 2), (10, 1), timed);
        assert_eq!(values(&mut Until::new(Box::new(source), 1.0)).len(), 3);
    }
}
