//! Goes to a start in the middle of a file without decoding all that comes before it.

use super::super::{positive, seconds};
use super::clock::Clock;
use super::{Landing, LibavReader, MAX_WAITING, Origin};
use crate::error::{MediaError, MediaErrorKind};
use crate::start::Start;
use crate::video::{Damage, Extras, MediaKind};
use ffmpeg_next as av;
use latentbit_container::{PacketKind, Rational, rescale};

/// A start nearer than this to the beginning, in seconds, is reached by decoding.
const NEAR: f64 = 1.0;

/// How far before the start seeks aim, in seconds, one after the other. Many containers look for key frames by the time of
/// decoding, which is before that of display; and sound that ends before the first frame shows that none is missing.
const AIMS: [f64; 5] = [0.0, 0.5, 2.0, 8.0, 30.0];

impl LibavReader {
    /// Whether decoding can begin at every key frame of this file. Animations are not among them: each of their pictures
    /// is drawn over the one before.
    fn restarts_at_key_frames(&self) -> bool {
        use av::codec::Id;
        let known = matches!(
            self.decoder.id(),
            Id::H264
                | Id::HEVC
                | Id::AV1
                | Id::VP8
                | Id::VP9
                | Id::MPEG1VIDEO
                | Id::MPEG2VIDEO
                | Id::MPEG4
                | Id::MJPEG
                | Id::PRORES
                | Id::DNXHD
                | Id::FFV1
                | Id::HUFFYUV
                | Id::FFVHUFF
                | Id::UTVIDEO
                | Id::RAWVIDEO
        );
        known && self.info.kind == MediaKind::Video
    }

    /// Goes to a start that is a time: to a key frame before it, where that gives the same frames and packets as reading
    /// from the beginning. A start in frames is counted from the beginning, because files do not say how many frames come
    /// before a key frame.
    pub(super) fn go_to_start(&mut self) -> Result<(), MediaError> {
        let Some(Start::Seconds(start)) = self.start else {
            return Ok(());
        };
        // A pipe has no way back when a landing fails.
        if start < NEAR || !self.is_file || !self.restarts_at_key_frames() {
            return Ok(());
        }
        let streams = &self.info.packet_streams;
        // Subtitles are shown for long: one from any time before the start may be wanted.
        if streams.iter().all(|stream| stream.kind == PacketKind::Audio) {
            let aims = AIMS.iter().skip(usize::from(!streams.is_empty()));
            for aim in aims.map(|before| start - before).take_while(|aim| *aim > 0.0) {
                if self.land(start, aim) {
                    return Ok(());
                }
            }
            self.reopen()?;
        }
        if !self.walk(start) {
            self.reopen()?;
        }
        Ok(())
    }

    /// Goes back to the beginning.
    fn reopen(&mut self) -> Result<(), MediaError> {
        *self = Self::new(&self.place, Origin::File, &self.options)?;
        Ok(())
    }

    /// Seeks to a key frame before `aim` and decodes up to the start, both in seconds. False if frames or packets do not
    /// show that nothing is missing; then the reader must land elsewhere.
    fn land(&mut self, start: f64, aim: f64) -> bool {
        let aim = aim + seconds(self.first_time, self.time_base);
        let aim = (aim * f64::from(av::ffi::AV_TIME_BASE)) as i64;
        if self.input.seek(aim, ..aim).is_err() {
            return false;
        }
        self.decoder.flush();
        self.extras = Extras::default();
        (self.waiting, self.last_time, self.draining) = (0, 0.0, false);
        self.ahead.clear();
        self.peeked.clear();
        self.clock = self.clock.take().map(|_| Clock::new(self.input.streams().len()));
        self.last_shown = None;
        self.read_error = None;
        (self.damage, self.told) = (Damage::default(), Damage::default());
        self.sought = true;
        self.reach(start, false)
    }

    /// Reads on from the beginning up to the start, but decodes only from the last key frame before it on. False as for
    /// [`land`](Self::land).
    fn walk(&mut self, start: f64) -> bool {
        self.reach(start, true)
    }

    /// Decodes up to the first frame that is not before the start, which is then pending.
    fn reach(&mut self, start: f64, walking: bool) -> bool {
        self.frames += u64::from(self.pending.take().is_some());
        self.landing = Some(Landing {
            start,
            walking,
            key: None,
            before: false,
            bytes: 0,
            first_packets: vec![None; self.input.streams().len()],
        });
        let damaged = self.damage.packets;
        let first = loop {
            let Ok(Some(frame)) = self.decode() else {
                break None;
            };
            let Some(time) = frame.timestamp() else {
                break None;
            };
            if !Start::Seconds(start).skips(self.frames, self.time_of(&frame)) {
                break Some((frame, time));
            }
            if let Some(landing) = &mut self.landing {
                landing.before |= landing.key.is_none_or(|key| time >= key);
            }
            self.frames += 1;
        };
        let (Some(landing), Some((frame, time))) = (self.landing.take(), first) else {
            return false;
        };
        // A decoder leaves frames out that refer to what it has not seen, so the one before the first must have come.
        let whole = landing.before || landing.key == Some(time);
        if self.damage.packets > damaged || !whole || !(walking || self.has_all_packets(&landing, time)) {
            return false;
        }
        if let Some(key) = landing.key {
            let key = seconds(key.saturating_sub(self.first_time), self.time_base);
            let way = if walking { "read to" } else { "sought" };
            tracing::debug!(
                "{}: {way} the key frame at {key:.3} s for a start at {start} s",
                self.place
            );
            self.frames = Start::Seconds(self.time_of(&frame)).frames_at(self.info.frame_rate);
        }
        self.pending = Some(frame);
        true
    }

    /// Whether no packet of another stream that belongs to the frame at `time` or a later one lies before the landing:
    /// each stream has shown one that is not wanted any more, or has its first one or its last one elsewhere.
    fn has_all_packets(&self, landing: &Landing, time: i64) -> bool {
        let base = positive(self.time_base).unwrap_or(Rational { num: 1, den: 1 });
        let mut streams = self
            .input
            .streams()
            .zip(&self.carried)
            .zip(&landing.first_packets);
        streams.all(|((stream, carried), first_packet)| {
            let described = carried
                .as_ref()
                .and_then(|carried| self.info.packet_streams.get(carried.number));
            let Some(described) = described else {
                return true;
            };
            let time = rescale(time, base, described.time_base);
            let own = positive(stream.time_base()).unwrap_or(described.time_base);
            let at = |time: i64| rescale(time, own, described.time_base);
            match *first_packet {
                Some((begin, end)) => end <= time || begin == at(stream.start_time()),
                None => {
                    stream.duration() > 0 && at(stream.start_time().saturating_add(stream.duration())) <= time
                }
            }
        })
    }

    /// Whether packets are only kept so far.
    pub(super) fn is_walking(&self) -> bool {
        self.landing.as_ref().is_some_and(|landing| landing.walking)
    }

    /// On the way to the start: takes a video packet, and gives it if it is for the decoder.
    pub(super) fn approach(&mut self, packet: av::Packet) -> Result<Option<av::Packet>, MediaError> {
        let (first_time, time_base) = (self.first_time, self.time_base);
        let Some(landing) = &mut self.landing else {
            return Ok(Some(packet));
        };
        let shown = |time: i64| seconds(time.saturating_sub(first_time), time_base);
        // What is shown before a key frame may refer to frames before it, so it must not be later than the start.
        let key = packet
            .pts()
            .filter(|&time| packet.is_key() && shown(time) <= landing.start);
        if landing.walking {
            if key.is_some() {
                landing.key = key;
                landing.bytes = 0;
                self.ahead.clear();
            }
            let arrived = packet.dts().is_none_or(|time| shown(time) > landing.start);
            landing.bytes += packet.size();
            let full = landing.bytes > MAX_WAITING;
            self.ahead.push_back(packet);
            if arrived || full {
                self.stop_walking();
            }
            return Ok(None);
        }
        if landing.key.is_none() {
            if packet.is_key() && key.is_none() {
                let message = "the key frame comes after the start";
                return Err(MediaError::new(MediaErrorKind::Invalid, &self.place, message));
            }
            landing.key = key;
        }
        Ok(landing.key.is_some().then_some(packet))
    }

    /// Begins to decode what was kept on the way.
    pub(super) fn stop_walking(&mut self) {
        if let Some(landing) = &mut self.landing {
            landing.walking = false;
            if landing.key.is_some() {
                self.decoder.flush();
            }
        }
    }
}
