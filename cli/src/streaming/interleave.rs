//! Times of frames and packets of sound and subtitles on their way into a file, between the chunks.

use std::collections::VecDeque;

use latentbit_container::{PacketStream, Rational, StreamId, Times, rescale};

use latentbit_media::{Extras, Packet, VideoInfo};

/// Holds times and packets until the chunk they belong to is written.
pub struct Interleaver {
    /// Ticks of the source.
    source: Option<Rational>,
    pub time_base: Rational,
    pub frame_duration: u32,
    /// How far a frame may be from its place at a constant rate: what rounding to ticks of the source makes.
    tolerance: i64,
    times: VecDeque<i64>,
    /// Frames that were taken, and how many of them got into chunks.
    came: u64,
    given: u64,
    /// Whether no more frames will come.
    ended: bool,
    /// Where the next chunk begins if the rate is constant.
    next: i64,
    streams: Vec<PacketStream>,
    /// Packets in order of arrival, with the number of the frame they came with and the place of their stream.
    packets: VecDeque<(u64, usize, Packet)>,
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A tick that both the times of the source and the frames of a constant rate are whole numbers of.
fn common_tick(source: Rational, rate: Rational) -> Option<(Rational, u32)> {
    if source.num != 1 || rate.num == 0 {
        return None;
    }
    let (a, b) = (u64::from(source.den), u64::from(rate.num));
    let den = u32::try_from(a / gcd(a, b).max(1) * b).ok()?;
    let duration = u32::try_from(u64::from(den / rate.num) * u64::from(rate.den)).ok()?;
    Some((Rational { num: 1, den }, duration))
}

impl Interleaver {
    /// For a source as `info` describes it.
    pub fn new(info: &VideoInfo) -> Self {
        let rate = info.frame_rate;
        let tick = info.time_base.and_then(|source| common_tick(source, rate));
        let (time_base, frame_duration) = tick.unwrap_or((
            Rational {
                num: rate.den.max(1),
                den: rate.num.max(1),
            },
            1,
        ));
        Self {
            source: info.time_base,
            time_base,
            frame_duration,
            tolerance: info.time_base.map_or(0, |source| rescale(1, source, time_base)),
            times: VecDeque::new(),
            came: 0,
            given: 0,
            ended: false,
            next: 0,
            streams: info.packet_streams.clone(),
            packets: VecDeque::new(),
        }
    }

    /// Takes what came with a frame, or, if `frame` is false, after the last one.
    pub fn take(&mut self, extras: Extras, frame: bool) {
        self.came += u64::from(frame);
        if frame && let (Some(time), Some(source)) = (extras.time, self.source) {
            self.times.push_back(rescale(time, source, self.time_base));
        }
        let with = self.came + u64::from(!frame);
        let packets = extras.packets.into_iter();
        self.packets
            .extend(packets.map(|(stream, packet)| (with, stream, packet)));
    }

    /// Says that no more frames will come.
    pub const fn close(&mut self) {
        self.ended = true;
    }

    /// Whether the duration of the last of the next `frames` frames is known. It is shown until the frame after it, so that
    /// one must have been taken, unless there are no more frames.
    pub const fn is_settled(&self, frames: u64) -> bool {
        self.source.is_none() || self.ended || self.came - self.given > frames
    }

    /// The times of the next `frames` frames, which should be [settled](Self::is_settled).
    pub fn times(&mut self, frames: u64) -> Times {
        self.given = self.given.saturating_add(frames).min(self.came);
        let step = i64::from(self.frame_duration);
        let count = usize::try_from(frames)
            .unwrap_or(usize::MAX)
            .min(self.times.len());
        let known: Vec<i64> = self.times.drain(..count).collect();
        let mut start = known.first().copied().unwrap_or(self.next);
        if (start - self.next).abs() <= self.tolerance {
            start = self.next;
        }
        let place = |index: usize| {
            let index = i64::try_from(index).unwrap_or(i64::MAX);
            start.saturating_add(step.saturating_mul(index))
        };
        let is_near = |index: usize, time: i64| (place(index) - time).abs() <= self.tolerance;
        let even = (0..).zip(&known).all(|(index, &time)| is_near(index, time));
        let end = place(usize::try_from(frames).unwrap_or(usize::MAX));
        // The last frame is shown until the next one, which may come later or earlier than the rate has it.
        let after = self.times.front().copied();
        let after = after.filter(|&after| known.len() as u64 == frames && !is_near(known.len(), after));
        if even {
            self.next = after.unwrap_or(end);
            let durations = after.map(|after| {
                let shown = after - place(known.len().saturating_sub(1));
                let mut durations = vec![self.frame_duration; known.len().saturating_sub(1)];
                durations.push(u32::try_from(shown).unwrap_or(0));
                durations
            });
            return Times { start, durations };
        }
        let last = known.last().copied().unwrap_or(start);
        let after = self.times.front().copied().unwrap_or(last + step);
        let ends = known.iter().skip(1).copied().chain([after]);
        let start = known.first().copied().unwrap_or(start);
        let durations = known
            .iter()
            .zip(ends)
            .map(|(from, to)| u32::try_from(to - from).unwrap_or(0));
        self.next = after;
        Times {
            start,
            durations: Some(durations.collect()),
        }
    }

    /// Packets of the time up to the end of the last chunk, by stream. Packets that came later than the first frame after
    /// that chunk stay for the next one, so that the result does not depend on how far ahead the source was read.
    pub fn packets(&mut self) -> Vec<(StreamId, Vec<Packet>)> {
        let end = self.next;
        self.take_packets(self.given + 1, Some(end))
    }

    /// All remaining packets; if `cut_off`, only those of the time up to the end of the last chunk.
    pub fn rest(&mut self, cut_off: bool) -> Vec<(StreamId, Vec<Packet>)> {
        let end = self.next;
        self.take_packets(u64::MAX, cut_off.then_some(end))
    }

    fn take_packets(&mut self, came_with: u64, end: Option<i64>) -> Vec<(StreamId, Vec<Packet>)> {
        let mut groups: Vec<(StreamId, Vec<Packet>)> = Vec::new();
        let mut later = VecDeque::new();
        for (with, number, packet) in std::mem::take(&mut self.packets) {
            let Some(stream) = self.streams.get(number) else {
                continue;
            };
            let time = rescale(packet.pts, stream.time_base, self.time_base);
            if with > came_with || end.is_some_and(|end| time >= end) {
                later.push_back((with, number, packet));
                continue;
            }
            // The video is stream 0.
            let id = StreamId(u16::try_from(number + 1).unwrap_or(u16::MAX));
            match groups.iter_mut().find(|(group, _)| *group == id) {
                Some((_, packets)) => packets.push(packet),
                None => groups.push((id, vec![packet])),
            }
        }
        self.packets = later;
        groups
    }

    /// When the last chunk ends.
    #[cfg(test)]
    const fn end(&self) -> i64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interleaver(source: Option<(u32, u32)>, rate: (u32, u32)) -> Interleaver {
        let rational = |(num, den)| Rational { num, den };
        let (time_base, frame_duration) = source
            .and_then(|source| common_tick(rational(source), rational(rate)))
            .unwrap_or((rational((rate.1, rate.0)), 1));
        Interleaver {
            source: source.map(rational),
            time_base,
            frame_duration,
            tolerance: source.map_or(0, |source| rescale(1, rational(source), time_base)),
            times: VecDeque::new(),
            came: 0,
            given: 0,
            ended: false,
            next: 0,
            streams: Vec::new(),
            packets: VecDeque::new(),
        }
    }

    fn frames(interleaver: &mut Interleaver, times: impl IntoIterator<Item = i64>) {
        for time in times {
            let mut extras = Extras::default();
            extras.time = Some(time);
            interleaver.take(extras, true);
        }
    }

    #[test]
    fn rounded_times_are_a_constant_rate() {
        // Milliseconds, as in Matroska, of 30000/1001 frames per second.
        let mut interleaver = interleaver(Some((1, 1000)), (30000, 1001));
        assert_eq!(
            (interleaver.time_base.den, interleaver.frame_duration),
            (30000, 1001)
        );
        frames(&mut interleaver, (0..29).map(|n: i64| (n * 1001 + 15) / 30));
        let first = interleaver.times(13);
        assert_eq!((first.start, first.durations), (0, None));
        let second = interleaver.times(16);
        assert_eq!((second.start, second.durations), (13 * 1001, None));
        assert_eq!(interleaver.end(), 29 * 1001);
    }

    #[test]
    fn varying_times_are_kept() {
        let mut interleaver = interleaver(Some((1, 90000)), (25, 1));
        assert_eq!(
            (interleaver.time_base.den, interleaver.frame_duration),
            (90000, 3600)
        );
        frames(&mut interleaver, [0, 3600, 9000, 10000, 20000]);
        let times = interleaver.times(4);
        assert_eq!(times.start, 0);
        assert_eq!(times.durations, Some(vec![3600, 5400, 1000, 10000]));
        // Nobody knows how long the last one lasts.
        let times = interleaver.times(1);
        assert_eq!((times.start, times.durations), (20000, None));
        assert_eq!(interleaver.end(), 23600);
    }

    /// Evenly spaced frames before a gap: the last one is shown until the gap ends.
    #[test]
    fn the_gap_after_a_chunk_belongs_to_its_last_frame() {
        // Milliseconds, as in Matroska, of 30000/1001 frames per second; the fourth frame comes a second late.
        let mut interleaver = interleaver(Some((1, 1000)), (30000, 1001));
        frames(&mut interleaver, [0, 33, 67, 1100, 1133]);
        let times = interleaver.times(3);
        assert_eq!(times.start, 0);
        assert_eq!(times.durations, Some(vec![1001, 1001, 33000 - 2 * 1001]));
        assert_eq!(interleaver.end(), 33000);
        let times = interleaver.times(2);
        assert_eq!((times.start, times.durations), (33000, None));
        // No gap: where the next chunk begins is within what rounding makes.
        frames(&mut interleaver, [1167]);
        assert_eq!(interleaver.times(1).start, 33000 + 2 * 1001);
    }

    /// The result must not depend on how far ahead the source was read.
    #[test]
    fn the_last_frame_of_a_chunk_waits_for_the_next_one() {
        let mut interleaver = interleaver(Some((1, 90000)), (25, 1));
        frames(&mut interleaver, [0, 3600, 9000]);
        assert!(interleaver.is_settled(2) && !interleaver.is_settled(3));
        frames(&mut interleaver, [20000]);
        assert!(interleaver.is_settled(3));
        assert_eq!(interleaver.times(3).durations, Some(vec![3600, 5400, 11000]));
        assert!(!interleaver.is_settled(1));
        interleaver.close();
        assert!(interleaver.is_settled(1));
    }

    #[test]
    fn sources_without_times_count() {
        let mut interleaver = interleaver(None, (25, 1));
        frames(&mut interleaver, []);
        assert_eq!(interleaver.times(13).start, 0);
        assert_eq!(interleaver.times(16).start, 13);
        assert_eq!((interleaver.time_base.den, interleaver.end()), (25, 29));
    }
}
