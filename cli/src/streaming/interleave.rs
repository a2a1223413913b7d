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
    /// How long the frame that came last is shown by its source.
    last_duration: Option<i64>,
    /// Frames that are shown for longer than a file can say.
    long: u64,
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

/// As [`rescale`], to the nearest tick.
fn nearest(ticks: i64, from: Rational, to: Rational) -> i64 {
    let half = Rational {
        num: to.num,
        den: to.den.saturating_mul(2),
    };
    match to.den.checked_mul(2) {
        Some(_) => (rescale(ticks, from, half) + 1) >> 1,
        None => rescale(ticks, from, to),
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Most ticks in a second: durations have 32 bits, which is then over four minutes.
const MOST_TICKS: u32 = 1 << 24;

/// Most ticks in a second that are made up for a constant rate.
const MOST_COMMON_TICKS: u64 = 1_000_000;

/// The clock of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock {
    /// Seconds per tick.
    time_base: Rational,
    /// Ticks from one frame to the next at the rate of the source.
    frame_duration: u32,
    /// How far a frame may be from its place at a constant rate: what rounding to ticks of the source makes.
    tolerance: i64,
}

impl Clock {
    /// The clock of the source itself, where it gives one. Only where that rounds the times of a rate that cameras have, as
    /// milliseconds do, is it a finer one that holds both.
    fn new(source: Option<Rational>, rate: Rational) -> Self {
        let rate = Rational {
            num: rate.num.max(1),
            den: rate.den.max(1),
        };
        let frame = Rational {
            num: rate.den,
            den: rate.num,
        };
        let Some(source) = source else {
            return Self {
                time_base: frame,
                frame_duration: 1,
                tolerance: 0,
            };
        };
        if let Some(duration) =
            whole(frame, source).filter(|_| ticks_per_second(source) <= f64::from(MOST_TICKS))
        {
            return Self {
                time_base: source,
                frame_duration: duration,
                tolerance: 0,
            };
        }
        if let Some((time_base, frame_duration)) = common_tick(source, rate) {
            return Self {
                time_base,
                frame_duration,
                tolerance: rescale(1, source, time_base) - 1,
            };
        }
        let time_base = bounded(source);
        let duration = u32::try_from(rescale(1, frame, time_base)).unwrap_or(u32::MAX);
        Self {
            time_base,
            frame_duration: duration.max(1),
            tolerance: 0,
        }
    }
}

fn ticks_per_second(time_base: Rational) -> f64 {
    f64::from(time_base.den) / f64::from(time_base.num.max(1))
}

/// How many ticks of `tick` seconds `length` is, if that is a whole number.
fn whole(length: Rational, tick: Rational) -> Option<u32> {
    let num = u64::from(length.num) * u64::from(tick.den);
    let den = u64::from(length.den) * u64::from(tick.num);
    let ticks = u32::try_from(num.checked_div(den)?).ok()?;
    (num.is_multiple_of(den) && ticks > 0).then_some(ticks)
}

/// A clock that is fine enough for anything, and no finer.
fn bounded(source: Rational) -> Rational {
    if ticks_per_second(source) <= f64::from(MOST_TICKS) {
        return source;
    }
    let least = (ticks_per_second(source) / f64::from(MOST_TICKS)).ceil() as u32;
    let part = (least..least.saturating_mul(2)).find(|&part| source.den.is_multiple_of(part));
    match part {
        Some(part) => Rational {
            num: source.num,
            den: source.den / part,
        },
        None => Rational {
            num: 1,
            den: MOST_TICKS,
        },
    }
}

/// A tick that both the times of the source and the frames of a rate that cameras have are whole numbers of.
fn common_tick(source: Rational, rate: Rational) -> Option<(Rational, u32)> {
    if source.num != 1 || !matches!(rate.den, 1 | 1001) {
        return None;
    }
    let (a, b) = (u64::from(source.den), u64::from(rate.num));
    let den = a / gcd(a, b).max(1) * b;
    let den = u32::try_from(den).ok().filter(|_| den <= MOST_COMMON_TICKS)?;
    let duration = u32::try_from(u64::from(den / rate.num) * u64::from(rate.den)).ok()?;
    Some((Rational { num: 1, den }, duration))
}

impl Interleaver {
    /// For a source as `info` describes it.
    pub fn new(info: &VideoInfo) -> Self {
        let clock = Clock::new(info.time_base, info.nominal_rate.unwrap_or(info.frame_rate));
        Self {
            source: info.time_base,
            time_base: clock.time_base,
            frame_duration: clock.frame_duration,
            tolerance: clock.tolerance,
            times: VecDeque::new(),
            last_duration: None,
            long: 0,
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
            self.times.push_back(nearest(time, source, self.time_base));
            let duration = extras.duration.and_then(|ticks| i64::try_from(ticks).ok());
            self.last_duration = duration.map(|ticks| nearest(ticks, source, self.time_base));
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
        let whole = known.len() as u64 == frames;
        // The last frame of all is shown for as long as its source says.
        let last_end = known
            .last()
            .zip(self.last_duration)
            .map(|(last, duration)| last + duration);
        let last_end = last_end.filter(|_| whole && self.ended && self.times.is_empty());
        // The last frame is shown until the next one, which may come later or earlier than the rate has it.
        let after = self.times.front().copied().or(last_end);
        let uneven = after.filter(|&after| whole && !is_near(known.len(), after));
        if even {
            self.next = uneven.unwrap_or(end);
            let durations = uneven.map(|after| {
                let shown = after - place(known.len().saturating_sub(1));
                let mut durations = vec![self.frame_duration; known.len().saturating_sub(1)];
                durations.push(self.duration(shown));
                durations
            });
            return Times { start, durations };
        }
        let last = known.last().copied().unwrap_or(start);
        let after = after.unwrap_or(last + step);
        let ends = known.iter().skip(1).copied().chain([after]);
        let start = known.first().copied().unwrap_or(start);
        let lengths: Vec<i64> = known.iter().zip(ends).map(|(from, to)| to - from).collect();
        let durations = lengths.into_iter().map(|length| self.duration(length)).collect();
        self.next = after;
        Times {
            start,
            durations: Some(durations),
        }
    }

    /// A duration as files have it, in 32 bits.
    fn duration(&mut self, ticks: i64) -> u32 {
        match u32::try_from(ticks) {
            Ok(ticks) => ticks,
            Err(_) if ticks < 0 => 0,
            Err(_) => {
                self.long += 1;
                u32::MAX
            }
        }
    }

    /// Frames that are shown for longer than a file can say, so far.
    pub const fn too_long(&self) -> u64 {
        self.long
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
        let mut info = VideoInfo::new(16, 16, rational(rate));
        info.time_base = source.map(rational);
        Interleaver::new(&info)
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
        // Its source does not say how long the last one lasts.
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

    #[test]
    fn the_clock_is_that_of_the_source() {
        let clock = |source: (u32, u32), rate: (u32, u32)| {
            let rational = |(num, den)| Rational { num, den };
            let Clock {
                time_base,
                frame_duration,
                tolerance,
            } = Clock::new(Some(rational(source)), rational(rate));
            ((time_base.num, time_base.den), frame_duration, tolerance)
        };
        assert_eq!(clock((1, 90000), (25, 1)), ((1, 90000), 3600, 0));
        assert_eq!(clock((1, 600), (30, 1)), ((1, 600), 20, 0));
        assert_eq!(clock((1001, 30000), (30000, 1001)), ((1001, 30000), 1, 0));
        assert_eq!(clock((1, 1), (1, 10)), ((1, 1), 10, 0));
        // Rates of cameras that the clock rounds.
        assert_eq!(clock((1, 1000), (30000, 1001)), ((1, 30000), 1001, 29));
        assert_eq!(clock((1, 90000), (24000, 1001)), ((1, 360_000), 15015, 3));
        assert_eq!(clock((1, 1000), (30, 1)), ((1, 3000), 100, 2));
        // An average is no such rate: 3000 frames in 144.05 seconds.
        assert_eq!(clock((1, 90000), (60000, 2881)), ((1, 90000), 4321, 0));
        assert_eq!(clock((1, 10_000_019), (26, 1)), ((1, 10_000_019), 384_616, 0));
        // No finer than files can use, and never out of bounds.
        assert_eq!(clock((1, 1_000_000_000), (25, 1)), ((1, 15_625_000), 625_000, 0));
        for source in [1, 7, 4_294_967_295, 4_294_967_291] {
            for rate in [
                (4_294_967_295, 1),
                (1, 4_294_967_295),
                (4_294_967_291, 4_294_967_279),
                (0, 1),
            ] {
                let (time_base, frame_duration, _) = clock((1, source), rate);
                assert!(
                    time_base.0 > 0 && time_base.1 > 0 && frame_duration > 0,
                    "{source} {rate:?}"
                );
            }
        }
    }

    #[test]
    fn the_last_frame_lasts_as_long_as_its_source_says() {
        let mut interleaver = interleaver(Some((1, 600)), (30, 1));
        let mut shown = |time, duration| {
            let mut extras = Extras::default();
            (extras.time, extras.duration) = (Some(time), Some(duration));
            interleaver.take(extras, true);
        };
        shown(0, 20);
        shown(20, 3000);
        interleaver.close();
        assert_eq!(interleaver.times(2).durations, Some(vec![20, 3000]));
        assert_eq!(interleaver.end(), 3020);
        assert_eq!(interleaver.too_long(), 0);
    }

    proptest::proptest! {
        /// Whatever the clock, rate, jitter and gaps: each frame's time in the file is that of the source, but for the
        /// rounding of a clock that is too coarse for a camera's rate, or finer than files use.
        #[test]
        fn times_are_kept(
            den in proptest::prop_oneof![
                1u32..2000,
                proptest::sample::select(vec![600u32, 1000, 12800, 15360, 44100, 48000, 90000, 1_000_000, 10_000_019, 1_000_000_000, 2_147_483_647]),
                proptest::num::u32::ANY,
            ],
            rate in (1u32..240_000, proptest::sample::select(vec![1u32, 2, 17, 1000, 1001])),
            start in 0i64..1_000_000,
            steps in proptest::collection::vec(proptest::prop_oneof![1i64..4, 1i64..5000, 1i64..400_000], 1..120),
            last in 1u64..100_000,
            chunk in 1usize..40,
        ) {
            let source = Rational { num: 1, den: den.max(1) };
            let mut interleaver = interleaver(Some((source.num, source.den)), rate);
            let mut times = vec![start];
            for step in steps {
                times.push(times[times.len() - 1] + step);
            }
            for &time in &times {
                let mut extras = Extras::default();
                (extras.time, extras.duration) = (Some(time), Some(last));
                interleaver.take(extras, true);
            }
            interleaver.close();
            let base = interleaver.time_base;
            let seconds = |ticks: i64, base: Rational| ticks as f64 * f64::from(base.num) / f64::from(base.den);
            let slack = seconds(interleaver.tolerance, base)
                + if whole(source, base).is_some() { 1e-9 } else { 0.5 * seconds(1, base) + 1e-9 };
            let step = interleaver.frame_duration;
            let mut found = Vec::new();
            for part in times.chunks(chunk) {
                let times = interleaver.times(part.len() as u64);
                found.extend((0..part.len()).map(|index| times.of(index as u64, step)));
            }
            // Some frame is shown for days: the file cannot say so, and the user is told.
            if interleaver.too_long() > 0 {
                let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0).max(last as i64);
                let most = f64::from(u32::MAX) * seconds(1, base);
                proptest::prop_assert!(seconds(longest + 1, source) > most, "{longest}");
                return Ok(());
            }
            for (&time, &found) in times.iter().zip(&found) {
                let off = (seconds(time, source) - seconds(found, base)).abs();
                proptest::prop_assert!(off <= slack + seconds(time, source) * 1e-12, "{time}: {found}, off {off}");
            }
            proptest::prop_assert!(found.is_sorted());
            let end = seconds(times[times.len() - 1] + last as i64, source);
            let off = (end - seconds(interleaver.end(), base)).abs();
            proptest::prop_assert!(off <= 2.0 * slack + 1e-9, "end: {off} of {slack}");
        }
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
