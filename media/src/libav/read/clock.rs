//! Clocks that jump: transport streams that were joined, spliced, or ran past the end of their counter.

/// A jump of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// Where it is, in microseconds of the mended clock.
    pub at: i64,
    /// By how many microseconds the clock jumped.
    pub by: i64,
}

/// Mends the times of packets to one clock that runs on, by the rules of the program ffmpeg. All times are in microseconds.
#[derive(Debug)]
pub struct Clock {
    /// Added to all times from here on.
    offset: i64,
    /// Decoding time of the last packet.
    last: Option<i64>,
    streams: Vec<Track>,
    pub jumps: u64,
}

/// What is known of a stream.
#[derive(Debug, Clone, Copy, Default)]
struct Track {
    /// Decoding time of the last packet, and when it ends.
    last: Option<(i64, i64)>,
}

/// A step forward that is longer is a jump.
const LONGEST_STEP: i64 = 10_000_000;

/// A step back that is longer is a jump.
const LONGEST_STEP_BACK: i64 = 100_000;

impl Clock {
    /// For a file with so many streams.
    pub fn new(streams: usize) -> Self {
        Self {
            offset: 0,
            last: None,
            streams: vec![Track::default(); streams],
            jumps: 0,
        }
    }

    /// Takes the decoding time and the duration of a packet of sound or pictures. Returns what to add to its times, and the
    /// jump that it comes after.
    pub fn mend(&mut self, stream: usize, time: Option<i64>, duration: i64) -> (i64, Option<Jump>) {
        let Some(time) = time else {
            return (self.offset, None);
        };
        let Some(track) = self.streams.get_mut(stream) else {
            return (self.offset, None);
        };
        let mut mended = time.saturating_add(self.offset);
        let by = match (track.last, self.last) {
            (Some((last, end)), _) => {
                let by = mended.saturating_sub(end);
                let back = mended.saturating_add(LONGEST_STEP_BACK) < last;
                (back || by.saturating_abs() > LONGEST_STEP).then_some(by)
            }
            (None, Some(last)) => {
                let by = mended.saturating_sub(last);
                (by.saturating_abs() > LONGEST_STEP).then_some(by)
            }
            (None, None) => None,
        };
        if let Some(by) = by {
            self.offset = self.offset.saturating_sub(by);
            mended = mended.saturating_sub(by);
            self.jumps += 1;
        }
        track.last = Some((mended, mended.saturating_add(duration)));
        self.last = Some(mended);
        (self.offset, by.map(|by| Jump { at: mended, by }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times of a video with 40 ms a frame and sound with 24 ms a packet, as they come.
    fn part(start: i64) -> Vec<(usize, i64, i64)> {
        let video = (0..50).map(|n| (0, start + n * 40_000, 40_000));
        let sound = (0..83).map(|n| (1, start + 7_000 + n * 24_000, 24_000));
        let mut all: Vec<_> = video.chain(sound).collect();
        all.sort_by_key(|packet| packet.1);
        all
    }

    fn mended(packets: &[(usize, i64, i64)]) -> (Vec<i64>, u64) {
        let mut clock = Clock::new(2);
        let mut video = Vec::new();
        for &(stream, time, duration) in packets {
            let (offset, _) = clock.mend(stream, Some(time), duration);
            if stream == 0 {
                video.push(time + offset);
            }
        }
        (video, clock.jumps)
    }

    #[test]
    fn parts_follow_each_other_whatever_their_clocks() {
        // From the start again, an hour on, a day back, past the end of 33 bits at 90 kHz, and half a second back.
        let wrapped = -((1i64 << 33) * 100 / 9);
        for second in [0, 3_600_000_000, -86_400_000_000, 2_000_000 + wrapped, 1_500_000] {
            let packets = [part(0), part(second)].concat();
            let (video, jumps) = mended(&packets);
            assert_eq!(jumps, 1, "{second}");
            for pair in video.windows(2) {
                let step = pair[1] - pair[0];
                assert!((0..=80_000).contains(&step), "{second}: {step}");
            }
        }
    }

    #[test]
    fn pauses_and_reordering_are_no_jumps() {
        let pause = [part(0), part(9_000_000)].concat();
        assert_eq!(mended(&pause).1, 0);
        let mut clock = Clock::new(1);
        for time in [0, 120, 40, 80, 240, 160, 200] {
            assert_eq!(clock.mend(0, Some(time * 1000), 40_000), (0, None));
        }
        assert_eq!(clock.mend(0, None, 0), (0, None));
        assert_eq!(clock.mend(7, Some(i64::MAX), 0), (0, None));
    }
}
