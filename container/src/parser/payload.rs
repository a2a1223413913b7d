//! What the payloads of records say.

use super::{Event, Head, Parser, ReadMode, State, Step};
use crate::attachment::Attachment;
use crate::end::{self, Totals};
use crate::error::{Broken, Error, Result};
use crate::fields::Fields;
use crate::ground::StreamId;
use crate::header::Header;
use crate::index::ChunkInfo;
use crate::limits::within;
use crate::metadata::{self, Metadata};
use crate::packets::{self, Packets};
use crate::record::{HEADER_LEN, RecordHeader, Tag};
use crate::stored::StoredChunk;
use crate::track::check_alone;

/// What the end record says of a stream that did not come.
#[derive(Default)]
struct EndOfStream {
    missing: Option<Event>,
    /// Whether records are missing, be they of packets.
    records_missing: bool,
    wrong_digest: Option<Error>,
}

impl Parser {
    /// Reads the payload of a record that this crate knows.
    pub(super) fn payload(&mut self, record: &RecordHeader, payload: &[u8]) -> Result<Step> {
        let offset = self.input.offset();
        let at = offset + HEADER_LEN as u64;
        self.check_place(record)
            .map_err(|broken| broken.in_file(offset, record.chunk()))?;
        match record.tag {
            Tag::CHUNK => self.chunk(record, payload),
            Tag::END => {
                let step = self.end_record(payload)?;
                self.end_offset = Some(offset + record.record_len());
                Ok(step)
            }
            Tag::TAIL => self.tail(payload),
            Tag::PACKETS => self.packets(record, payload),
            Tag::METADATA => {
                let metadata = Metadata::decode(payload, at, record.stream, &mut self.notes)?;
                Ok(Step::Event(Event::Metadata(metadata)))
            }
            Tag::CHAPTERS => {
                let chapters = metadata::decode_chapters(payload, at, &mut self.notes)?;
                Ok(Step::Event(Event::Chapters(chapters)))
            }
            Tag::ATTACHMENT => {
                let attachment = Attachment::decode(payload, at, &mut self.notes)?;
                Ok(Step::Event(Event::Attachment(attachment)))
            }
            Tag::INDEX => {
                self.index_place = Some((offset, record.record_len()));
                self.index = Some((at, payload.to_vec()));
                Ok(Step::Again)
            }
            tag => self.header_record(tag, payload),
        }
    }

    /// Whether a record may lie here, by its type and its stream (LBIT §2, §3.2).
    pub(super) fn check_place(&self, record: &RecordHeader) -> Result<(), Broken> {
        let ended = self.ended.is_some();
        let expected = match record.tag {
            _ if !record.is_readable() => return Ok(()),
            // Of a kind that this crate does not know, its records may not be what they seem.
            Tag::CHUNK | Tag::PACKETS if self.is_of_unknown_kind(record) => return Ok(()),
            Tag::HEAD if self.head.is_some() && self.from_start && self.header_came => "one header",
            Tag::CHUNK if ended && !self.any_order => "no chunk after the end record",
            Tag::PACKETS if ended => "no packets after the end record",
            Tag::END if ended => "one end record",
            Tag::INDEX if self.index_place.is_some() => "one index",
            Tag::INDEX | Tag::TAIL if !ended => "the end record before it",
            Tag::METADATA => {
                return self
                    .header()
                    .map_or(Ok(()), |header| metadata::check_stream(header, record.stream));
            }
            _ => return Ok(()),
        };
        Err(Broken::new("record", expected, record.tag))
    }

    fn is_of_unknown_kind(&self, record: &RecordHeader) -> bool {
        self.header()
            .is_some_and(|header| header.is_unknown(record.stream))
    }

    /// The header or a copy of it.
    fn header_record(&mut self, tag: Tag, payload: &[u8]) -> Result<Step> {
        let offset = self.input.offset();
        let crc = crc32fast::hash(payload);
        match &self.head {
            Some(head) if head.crc == crc || cfg!(fuzzing) => {}
            Some(head) => {
                let (expected, found) = (format!("{:08x}", head.crc), format!("{crc:08x}"));
                let what = "checksum of a copy of the header";
                return Err(Broken::new(what, expected, found).in_file(offset, None));
            }
            None => {
                let at = offset + HEADER_LEN as u64;
                let (header, version) = Header::decode(payload, at, &self.limits)?;
                self.set_head(Head { header, version, crc });
            }
        }
        // One that differs is lost, and does not make the right one a second header.
        self.header_came |= tag == Tag::HEAD;
        Ok(Step::Again)
    }

    fn chunk(&mut self, record: &RecordHeader, payload: &[u8]) -> Result<Step> {
        let offset = self.input.offset();
        let (stream, number) = (record.stream, Some(record.sequence));
        let in_file = |broken: Broken| broken.in_file(offset, number);
        if self.is_of_unknown_kind(record) {
            return Ok(Step::Again);
        }
        let at = offset + HEADER_LEN as u64;
        let video = self.head.as_ref().and_then(|head| head.header.video(stream));
        let elastic = video.is_none_or(|video| video.depth_step.is_some());
        let (stored, header_crc) =
            StoredChunk::decode(payload, at, stream, record.sequence, elastic, &self.limits)?;
        let Some(head) = &self.head else {
            return Ok(Step::Again);
        };
        if header_crc != head.crc && !cfg!(fuzzing) {
            let expected = format!("{:08x}, that of this file", head.crc);
            let found = format!("{header_crc:08x}, that of another one");
            return Err(in_file(Broken::new(
                "header checksum of a chunk",
                expected,
                found,
            )));
        }
        let (Some(video), Some(state)) = (head.header.video(stream), self.streams.get(stream.index())) else {
            return Err(in_file(Broken::new("stream of a chunk", "one of tokens", stream)));
        };
        let held = video.frames_held(stored.latent_frames, stored.key);
        check_alone(video, &stored).map_err(in_file)?;
        let lost = stored.is_lost();
        let unpacked = match self.unpack && !lost {
            true => Some(stored.unpacked().map_err(in_file)?),
            false => None,
        };
        let mut track = state.track.clone();
        let mut missing = None;
        if state.joining || self.any_order {
            track.join(&stored);
        } else if self.mode != ReadMode::Strict && stored.sequence > track.chunks {
            let totals = Totals {
                frames: stored.first_frame,
                chunks: stored.sequence,
                digest: None,
            };
            missing = self.missing(stream, totals)?;
            track.skip_to(&stored);
        }
        track.check_next(&stored).map_err(in_file)?;
        track.accept(held, &stored).map_err(in_file)?;
        let placeholder = (lost && self.unpack).then(|| Event::Missing {
            stream,
            chunks: stored.sequence..stored.sequence + 1,
            frames: stored.first_frame.0..stored.first_frame.0 + stored.frame_count.0,
        });
        self.count_missing(missing.as_ref())?;
        self.count_missing(placeholder.as_ref())?;
        let was_missing = missing.is_some();
        self.damaged |= was_missing;
        self.pending.extend(missing);
        if let Some(state) = self.streams.get_mut(stream.index()) {
            state.track = track;
            state.joining = false;
            state.digested &= !was_missing && (lost || unpacked.is_some());
            if let Some(unpacked) = &unpacked {
                state.digest.chunk(stored.grid, unpacked);
            }
        }
        self.last_chunk = Some(ChunkInfo::new(offset, record.record_len(), &stored));
        Ok(Step::Event(match (unpacked, placeholder) {
            (Some(unpacked), _) => Event::Chunk(stored.with_tokens(unpacked)),
            (None, Some(placeholder)) => placeholder,
            (None, None) => Event::Stored(stored),
        }))
    }

    fn count_missing(&mut self, event: Option<&Event>) -> Result<()> {
        let Some(Event::Missing { frames, .. }) = event else {
            return Ok(());
        };
        let frames = frames.end.saturating_sub(frames.start);
        self.missing_frames = self.missing_frames.saturating_add(frames);
        let (found, offset) = (self.missing_frames, self.input.offset());
        let what = "number of missing frames";
        let limit = self.limits.max_missing_frames;
        within(limit, "max_missing_frames", what, found, offset, None)
    }

    /// What is missing if a stream goes on at `next`; checked, because a reader may want to fill it.
    fn missing(&self, stream: StreamId, next: Totals) -> Result<Option<Event>> {
        let (offset, from) = (self.input.offset(), self.so_far(stream));
        let in_file = |broken: Broken| broken.in_file(offset, None);
        let chunks = next.chunks.checked_sub(from.chunks).ok_or_else(|| {
            let expected = format!("at least {}", from.chunks);
            in_file(Broken::new("number of records", expected, next.chunks))
        })?;
        // Records of packets have no frames, and nothing takes their place.
        let Some(video) = self.header().and_then(|header| header.video(stream)) else {
            return Ok(None);
        };
        let full = u64::from(video.chunk_latent_frames) * u64::from(video.strides[0]);
        let least = from.frames.0.saturating_add(chunks);
        let most = from.frames.0.saturating_add(chunks.saturating_mul(full));
        if !(least..=most).contains(&next.frames.0) {
            let expected = format!("{least} to {most} after {chunks} missing chunks");
            return Err(in_file(Broken::new("frame number", expected, next.frames)));
        }
        Ok((chunks > 0).then_some(Event::Missing {
            stream,
            chunks: from.chunks..next.chunks,
            frames: from.frames.0..next.frames.0,
        }))
    }

    fn packets(&mut self, record: &RecordHeader, payload: &[u8]) -> Result<Step> {
        let offset = self.input.offset();
        let in_file = |broken: Broken| broken.in_file(offset, None);
        if self.is_of_unknown_kind(record) {
            return Ok(Step::Again);
        }
        if self
            .header()
            .is_none_or(|header| header.packets(record.stream).is_none())
        {
            let expected = "one of packets";
            return Err(in_file(Broken::new("stream of packets", expected, record.stream)));
        }
        let packets = packets::decode(payload, offset + HEADER_LEN as u64, &self.limits)?;
        if let Some(state) = self.streams.get_mut(record.stream.index()) {
            let due = state.accept_packets(offset, record.sequence, self.any_order)?;
            self.damaged |= !due;
            state.digested &= due;
            packets
                .iter()
                .for_each(|packet| state.digest.packet(&packet.data));
        }
        Ok(Step::Event(Event::Packets(Packets {
            stream: record.stream,
            sequence: record.sequence,
            packets,
        })))
    }

    fn end_record(&mut self, payload: &[u8]) -> Result<Step> {
        let offset = self.input.offset();
        let all = end::decode(payload, offset + HEADER_LEN as u64, self.streams.len())?;
        // A record that turns out to be wrong for a later stream says nothing of an earlier one.
        let streams = (0..).map(StreamId).zip(&all);
        let found = streams
            .map(|(id, totals)| self.end_of_stream(id, totals))
            .collect::<Result<Vec<_>>>()?;
        for stream in &found {
            self.damaged |= stream.records_missing;
            self.count_missing(stream.missing.as_ref())?;
        }
        for stream in found {
            self.pending.extend(stream.missing);
            if let Some(error) = stream.wrong_digest {
                self.lose(offset, 0, error);
            }
        }
        self.ended = Some(all);
        Ok(Step::Again)
    }

    /// Compares what the end record says of a stream with what came.
    fn end_of_stream(&self, id: StreamId, totals: &Totals) -> Result<EndOfStream> {
        let offset = self.input.offset();
        let in_file = |broken: Broken| broken.in_file(offset, None);
        let so_far = self.so_far(id);
        let video = self.header().and_then(|header| header.video(id));
        let packets = self.header().and_then(|header| header.packets(id));
        let mut found = EndOfStream::default();
        if video.is_none() && packets.is_none() {
            return Ok(found);
        }
        let promised = video.and_then(|video| video.frame_count);
        let strict = self.mode == ReadMode::Strict;
        if strict && (totals.frames, totals.chunks) != (so_far.frames, so_far.chunks) {
            let text = |totals: &Totals| {
                let Totals { frames, chunks, .. } = totals;
                format!("{frames} frames in {chunks} records")
            };
            let (expected, found) = (text(&so_far), text(totals));
            return Err(in_file(Broken::new("totals of a stream", expected, found)));
        }
        if packets.is_some() && totals.frames.0 != 0 {
            let what = "number of frames of a stream of packets";
            return Err(in_file(Broken::new(what, 0, totals.frames)));
        }
        if let Some(promised) = promised.filter(|&promised| promised != totals.frames) {
            let expected = format!("{promised} as in the header");
            return Err(in_file(Broken::new("number of frames", expected, totals.frames)));
        }
        let joining = self.streams.get(id.index()).is_some_and(|state| state.joining);
        if !strict && !self.any_order && !joining {
            found.missing = self.missing(id, *totals)?;
            found.records_missing = totals.chunks > so_far.chunks;
        }
        if let (Some(computed), Some(stated)) = (so_far.digest, totals.digest) {
            let all_came = (totals.frames, totals.chunks) == (so_far.frames, so_far.chunks);
            if computed != stated && all_came && !cfg!(fuzzing) {
                let hex = |digest: [u8; 32]| digest.map(|byte| format!("{byte:02x}")).concat();
                let what = "digest of a stream's contents";
                let error = in_file(Broken::new(what, hex(stated), hex(computed)));
                if strict {
                    return Err(error);
                }
                found.wrong_digest = Some(error);
            }
        }
        Ok(found)
    }

    fn tail(&mut self, payload: &[u8]) -> Result<Step> {
        let offset = self.input.offset();
        let in_file = |broken: Broken| broken.in_file(offset, None);
        let mut fields = Fields::new(payload, offset + HEADER_LEN as u64, None);
        let place = (fields.u64("tail")?, u64::from(fields.u32("tail")?));
        let strict = self.mode == ReadMode::Strict;
        // Where something is missing, all that follows lies elsewhere.
        let wrong = self.index_place != Some(place) && (strict || !self.damaged);
        if place != (0, 0) && wrong {
            let text = |(at, len): (u64, u64)| format!("{len} bytes at byte {at}");
            let expected = self.index_place.map_or("none".to_owned(), text);
            return Err(in_file(Broken::new("place of the index", expected, text(place))));
        }
        self.state = State::Closed;
        Ok(Step::Again)
    }
}
