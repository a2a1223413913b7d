//! The reader without its input: bytes are pushed in, events come out (LBIT §2, §9).

use std::collections::VecDeque;
use std::ops::Range;

use crate::chunk::Chunk;
use crate::error::{Broken, Error, ErrorKind, Result};
use crate::fields::Fields;
use crate::header::{Header, Version};
use crate::index::{ChunkInfo, TAIL_PAYLOAD_LEN};
use crate::limits::{Limits, within};
use crate::record::{
    CRC_LEN, HEADER_LEN, MAGIC, RECORD_VERSION, RecordHeader, SYNC, Tag, bad_sync, check_crc, hex,
};
use crate::stored::StoredChunk;
use crate::track::{Track, check_alone};
use crate::units::PixelFrames;

/// What a reader does about damage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadMode {
    /// Stop at the first fault with an error.
    #[default]
    Strict,
    /// Report what is lost and go on at the next intact record (LBIT §9). Damage to the magic or the header, limits,
    /// and features this reader does not know still end the reading.
    Resync,
}

/// Frames and chunks of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames.
    pub frames: PixelFrames,
    /// Chunks.
    pub chunks: u64,
}

/// How far the reading of a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// There may be more.
    Reading,
    /// The end record was read; in [`ReadMode::Strict`] all that it counts was read too.
    Complete {
        /// What the end record says.
        totals: Totals,
        /// Whether the tail is there as well. Without it no chunk is missing, but seeking needs a scan.
        tail: bool,
    },
    /// The input ended before the end record.
    Truncated {
        /// Where the input ended.
        offset: u64,
    },
    /// Reading ended with another error.
    Failed,
}

/// A stretch of the stream that could not be read.
#[derive(Debug)]
pub struct Lost {
    /// Where it starts, as a byte offset from the start of the stream.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
    /// What is wrong with it.
    pub reason: Error,
}

/// What comes out of a stream after its header.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The next chunk.
    Chunk(Chunk),
    /// The next chunk, not unpacked, if [`Parser::set_unpack`] asked for that.
    Stored(StoredChunk),
    /// Bytes that could not be read ([`ReadMode::Resync`] only).
    Lost(Lost),
    /// Chunks that should have come before the next event and did not ([`ReadMode::Resync`] only). There are never
    /// more of them than [`Limits::max_missing_chunks`].
    Missing {
        /// Their numbers.
        chunks: Range<u64>,
        /// The indices of their frames.
        frames: Range<u64>,
    },
}

/// What a [`Parser`] has to say.
#[derive(Debug)]
pub enum Next {
    /// It needs more bytes: [`Parser::push`] some, or say that there are none with [`Parser::finish`].
    NeedInput,
    /// Something was read.
    Event(Event),
    /// The stream is at its end; see [`Parser::status`].
    End,
}

/// Reads a stream that is pushed into it in pieces of any size.
///
/// The parser does no input of its own, so it works as well under `async` or in a browser; [`Reader`](crate::Reader)
/// joins it to [`std::io::Read`]. It holds one record at a time, and allocates for what has arrived, never for what
/// a length field promises.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    mode: ReadMode,
    unpack: bool,
    buffer: Vec<u8>,
    /// Start in `buffer` of what has not been read.
    start: usize,
    /// Byte offset in the stream of that place.
    offset: u64,
    finished: bool,
    state: State,
    header: Option<(Header, Version)>,
    track: Track,
    ended: Option<Totals>,
    index_place: Option<(u64, u64)>,
    last_chunk: Option<ChunkInfo>,
    pending: VecDeque<Event>,
    status: Status,
}

#[derive(Debug)]
enum State {
    Magic,
    /// At the start of a record.
    Record,
    /// In the payload of an ancillary record, which is checked and thrown away.
    Skip {
        at: u64,
        tag: Tag,
        left: u64,
        crc: crc32fast::Hasher,
    },
    /// Looking for the next record after damage.
    Scan {
        from: u64,
        reason: Error,
    },
    /// Behind the tail.
    Closed,
    /// Nothing more will come.
    Stopped,
}

enum Step {
    NeedInput,
    Again,
    Event(Event),
    End,
}

/// An error, and how a reader that goes on does so.
struct Fault {
    error: Error,
    resume: Resume,
}

enum Resume {
    Never,
    /// Look for a record from so many bytes ahead.
    Scan(usize),
    /// Go on so many bytes ahead, at the end of a record.
    Record(usize),
}

impl Fault {
    const fn never(error: Error) -> Self {
        Self {
            error,
            resume: Resume::Never,
        }
    }
}

impl Parser {
    /// A parser at the start of a stream.
    #[must_use]
    pub const fn new(limits: Limits, mode: ReadMode) -> Self {
        Self {
            limits,
            mode,
            unpack: true,
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            finished: false,
            state: State::Magic,
            header: None,
            track: Track {
                chunks: 0,
                frames: PixelFrames(0),
                may_continue: false,
            },
            ended: None,
            index_place: None,
            last_chunk: None,
            pending: VecDeque::new(),
            status: Status::Reading,
        }
    }

    /// Whether chunks are unpacked, as they are at first, or come as [`Event::Stored`].
    pub const fn set_unpack(&mut self, unpack: bool) {
        self.unpack = unpack;
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Stopped) {
            self.buffer.drain(..self.start);
            self.start = 0;
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Says that the input is at its end.
    pub const fn finish(&mut self) {
        self.finished = true;
    }

    /// Byte offset in the stream of what was pushed last, at its end.
    #[must_use]
    pub const fn input_offset(&self) -> u64 {
        self.offset + (self.buffer.len() - self.start) as u64
    }

    /// The header, once it was read.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref().map(|(header, _)| header)
    }

    /// The version that the stream was written in, once the header was read.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.header.as_ref().map(|&(_, version)| version)
    }

    /// How far the reading has come.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Chunks that have gone by, and frames up to the end of the last one.
    #[must_use]
    pub const fn so_far(&self) -> Totals {
        Totals {
            frames: self.track.frames,
            chunks: self.track.chunks,
        }
    }

    /// Where the chunk that came last lies.
    #[must_use]
    pub const fn last_chunk(&self) -> Option<&ChunkInfo> {
        self.last_chunk.as_ref()
    }

    /// Reads on to the end of the header and no further. `false` says that more input is needed.
    ///
    /// # Errors
    /// Any kind but [`ErrorKind::Io`] and [`ErrorKind::Parameter`]. The parser is at its end then.
    pub fn poll_header(&mut self) -> Result<bool> {
        while self.header.is_none() {
            match self.step() {
                Ok(Step::Again) => {}
                Ok(_) => return Ok(false),
                Err(fault) => return Err(self.stop(fault.error)),
            }
        }
        Ok(true)
    }

    /// Reads on to the next event.
    ///
    /// # Errors
    /// Any kind but [`ErrorKind::Io`] and [`ErrorKind::Parameter`]. The parser is at its end then.
    pub fn poll(&mut self) -> Result<Next> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(Next::Event(event));
            }
            match self.step() {
                Ok(Step::NeedInput) => return Ok(Next::NeedInput),
                Ok(Step::Again) => {}
                // What was found missing on the way to this event comes first.
                Ok(Step::Event(event)) => self.pending.push_back(event),
                Ok(Step::End) => return Ok(Next::End),
                Err(fault) => self.recover(fault)?,
            }
        }
    }

    fn recover(&mut self, fault: Fault) -> Result<()> {
        let Fault {
            error: reason,
            resume,
        } = fault;
        match (self.mode, resume) {
            (ReadMode::Strict, _) | (_, Resume::Never) => return Err(self.stop(reason)),
            (ReadMode::Resync, Resume::Scan(ahead)) => {
                self.state = State::Scan {
                    from: self.offset,
                    reason,
                };
                self.consume(ahead);
            }
            (ReadMode::Resync, Resume::Record(len)) => {
                self.lose(self.offset, len as u64, reason);
                self.consume(len);
            }
        }
        Ok(())
    }

    fn stop(&mut self, error: Error) -> Error {
        self.status = match error {
            Error::Truncated { offset, .. } => Status::Truncated { offset },
            _ => Status::Failed,
        };
        self.state = State::Stopped;
        self.buffer = Vec::new();
        self.start = 0;
        error
    }

    fn lose(&mut self, offset: u64, bytes: u64, reason: Error) {
        self.pending.push_back(Event::Lost(Lost {
            offset,
            bytes,
            reason,
        }));
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.rest().len());
        self.start += bytes;
        self.offset += bytes as u64;
    }

    fn step(&mut self) -> Result<Step, Fault> {
        match &self.state {
            State::Magic => self.magic(),
            State::Record => self.record(),
            State::Skip { .. } => self.skip(),
            State::Scan { .. } => self.scan(),
            State::Closed => self.closed(),
            State::Stopped => Ok(Step::End),
        }
    }

    fn magic(&mut self) -> Result<Step, Fault> {
        let start = &self.rest()[..self.rest().len().min(MAGIC.len())];
        if !MAGIC.starts_with(start) {
            let broken = Broken::new("magic (this is no .lbit stream)", hex(&MAGIC), hex(start));
            return Err(Fault::never(broken.in_file(0, None)));
        }
        if start.len() < MAGIC.len() {
            return self.need_input("the magic");
        }
        self.consume(MAGIC.len());
        self.state = State::Record;
        Ok(Step::Again)
    }

    fn record(&mut self) -> Result<Step, Fault> {
        let rest = self.rest();
        let start = &rest[..rest.len().min(SYNC.len())];
        if !SYNC.starts_with(start) {
            let error = bad_sync(start).in_file(self.offset, None);
            return Err(Fault {
                error,
                resume: self.or_never(Resume::Scan(1)),
            });
        }
        if rest.is_empty() && self.finished {
            return self.end_of_input("the gap between two records");
        }
        let Some(fixed) = rest.first_chunk::<HEADER_LEN>() else {
            return self.need_input("a record header");
        };
        let record = RecordHeader::decode(fixed).map_err(|broken| Fault {
            error: broken.in_file(self.offset, None),
            resume: self.or_never(Resume::Scan(1)),
        })?;
        self.check_order(&record)?;
        if !matches!(record.tag, Tag::HEAD | Tag::CHUNK | Tag::END | Tag::TAIL) {
            self.state = State::Skip {
                at: self.offset,
                tag: record.tag,
                left: u64::from(record.payload_len),
                crc: crc32fast::Hasher::new(),
            };
            self.consume(HEADER_LEN);
            return Ok(Step::Again);
        }

        let whole = usize::try_from(record.record_len()).unwrap_or(usize::MAX);
        if self.rest().len() < whole {
            return self.need_input("a record");
        }
        let (payload, crc) = self.rest()[HEADER_LEN..whole].split_at(whole - HEADER_LEN - CRC_LEN);
        if let Err(broken) = check_crc("payload checksum", crc32fast::hash(payload), crc) {
            return self.damaged_payload(&record, whole, broken);
        }
        // Out of `self` while it is read from, so that reading may change `self`.
        let buffer = std::mem::take(&mut self.buffer);
        let payload = &buffer[self.start + HEADER_LEN..][..whole - HEADER_LEN - CRC_LEN];
        let step = self.payload(&record, payload).map_err(|error| {
            // A newer format and a reader's limits are no damage: skipping such a record would hide them.
            let resume = match error.kind() {
                ErrorKind::Format => self.or_never(Resume::Record(whole)),
                _ => Resume::Never,
            };
            Fault { error, resume }
        });
        self.buffer = buffer;
        let step = step?;
        self.consume(whole);
        Ok(step)
    }

    /// Nothing can be read without a header.
    const fn or_never(&self, resume: Resume) -> Resume {
        if self.header.is_some() {
            resume
        } else {
            Resume::Never
        }
    }

    /// What can be said of a record before its payload is there.
    fn check_order(&self, record: &RecordHeader) -> Result<(), Fault> {
        let offset = self.offset;
        if record.tag.is_critical() {
            if !matches!(record.tag, Tag::HEAD | Tag::CHUNK | Tag::END) {
                return Err(Fault::never(Error::Unsupported {
                    offset,
                    what: "critical record type",
                    expected: format!("{}, {} and {}", Tag::HEAD, Tag::CHUNK, Tag::END),
                    found: record.tag.to_string(),
                }));
            }
            if record.version > RECORD_VERSION || record.flags != 0 {
                return Err(Fault::never(Error::Unsupported {
                    offset,
                    what: "version or flags of a record",
                    expected: format!("version {RECORD_VERSION}, no flags"),
                    found: format!(
                        "{} of version {}, flags {:#04x}",
                        record.tag, record.version, record.flags
                    ),
                }));
            }
        }
        if self.header.is_none() && record.tag != Tag::HEAD {
            let error = Broken::new("first record", Tag::HEAD, record.tag).in_file(offset, None);
            return Err(Fault::never(error));
        }
        let len = u64::from(record.payload_len);
        match record.tag {
            Tag::HEAD | Tag::END => {
                let what = "length of a header or end record";
                within(
                    self.limits.max_header_bytes,
                    "max_header_bytes",
                    what,
                    len,
                    offset,
                )
            }
            Tag::CHUNK => within(
                self.limits.max_chunk_bytes,
                "max_chunk_bytes",
                "length of a chunk",
                len,
                offset,
            ),
            _ => Ok(()),
        }
        .map_err(Fault::never)?;
        if record.tag == Tag::TAIL && record.payload_len as usize != TAIL_PAYLOAD_LEN {
            let broken = Broken::new("length of the tail", TAIL_PAYLOAD_LEN, record.payload_len);
            return Err(Fault {
                error: broken.in_file(offset, None),
                resume: Resume::Scan(HEADER_LEN),
            });
        }
        // After damage the count of chunks is not known until the next chunk comes.
        if self.mode == ReadMode::Strict && record.sequence != self.track.chunks {
            let chunk = (record.tag == Tag::CHUNK).then_some(record.sequence);
            let broken = Broken::new("record sequence number", self.track.chunks, record.sequence);
            return Err(Fault::never(broken.in_file(offset, chunk)));
        }
        Ok(())
    }

    /// The payload of a record does not match its checksum: find out whether its length can be trusted.
    fn damaged_payload(
        &mut self,
        record: &RecordHeader,
        whole: usize,
        broken: Broken,
    ) -> Result<Step, Fault> {
        let chunk = (record.tag == Tag::CHUNK).then_some(record.sequence);
        let error = broken.in_file(self.offset + (whole - CRC_LEN) as u64, chunk);
        if self.mode == ReadMode::Strict || self.header.is_none() {
            return Err(Fault::never(error));
        }
        // Flipped bits leave the next record in its place. Lost or added bytes do not, and then it must be looked
        // for inside of what would have been this one.
        let next = &self.rest()[whole..];
        let resume = match next.first_chunk() {
            Some(fixed) if RecordHeader::decode(fixed).is_ok() => Resume::Record(whole),
            None if !self.finished => return Ok(Step::NeedInput),
            None if next.is_empty() => Resume::Record(whole),
            _ => Resume::Scan(HEADER_LEN),
        };
        Err(Fault { error, resume })
    }

    fn payload(&mut self, record: &RecordHeader, payload: &[u8]) -> Result<Step> {
        match record.tag {
            Tag::CHUNK => self.chunk(record, payload),
            Tag::END => self.end_record(record, payload),
            Tag::TAIL => self.tail(payload),
            _ if self.header.is_some() => {
                Err(Broken::new("record", "one header", "a second one").in_file(self.offset, None))
            }
            _ => {
                let offset = self.offset + HEADER_LEN as u64;
                self.header = Some(Header::decode(payload, offset, &self.limits)?);
                Ok(Step::Again)
            }
        }
    }

    fn chunk(&mut self, record: &RecordHeader, payload: &[u8]) -> Result<Step> {
        let offset = self.offset;
        let number = Some(record.sequence);
        let in_file = |broken: Broken| broken.in_file(offset, number);
        if self.ended.is_some() {
            return Err(in_file(Broken::new(
                "record",
                "no chunk after the end record",
                "one",
            )));
        }
        let stored = StoredChunk::decode(payload, offset + HEADER_LEN as u64, record.sequence, &self.limits)?;
        let Some((header, _)) = &self.header else {
            return Ok(Step::Again);
        };
        check_alone(header, &stored).map_err(in_file)?;
        let event = match self.unpack {
            true => Some(stored.try_unpack().map_err(in_file)?),
            false => None,
        };
        let missing = match self.mode {
            ReadMode::Resync if stored.sequence > self.track.chunks => self.missing(Totals {
                frames: stored.first_frame,
                chunks: stored.sequence,
            })?,
            _ => {
                self.track.check_next(&stored).map_err(in_file)?;
                None
            }
        };
        self.track.accept(header, &stored).map_err(in_file)?;
        self.pending.extend(missing);
        self.last_chunk = Some(ChunkInfo::new(offset, record.record_len(), &stored));
        Ok(Step::Event(event.map_or(Event::Stored(stored), Event::Chunk)))
    }

    /// What is missing if the stream goes on at `next`; checked, because a reader may want to fill it.
    fn missing(&self, next: Totals) -> Result<Option<Event>> {
        let (offset, from) = (self.offset, self.so_far());
        let Some((header, _)) = &self.header else {
            return Ok(None);
        };
        let chunks = next.chunks.checked_sub(from.chunks).ok_or_else(|| {
            Broken::new(
                "number of chunks",
                format!("at least {}", from.chunks),
                next.chunks,
            )
            .in_file(offset, None)
        })?;
        let what = "number of missing chunks";
        within(
            self.limits.max_missing_chunks,
            "max_missing_chunks",
            what,
            chunks,
            offset,
        )?;
        let full = u64::from(header.chunk_latent_frames) * u64::from(header.strides[0]);
        let least = from.frames.0.saturating_add(chunks);
        let most = from.frames.0.saturating_add(chunks.saturating_mul(full));
        if !(least..=most).contains(&next.frames.0) {
            let expected = format!("{least} to {most} after {chunks} missing chunks");
            return Err(Broken::new("frame number", expected, next.frames).in_file(offset, None));
        }
        Ok((chunks > 0).then_some(Event::Missing {
            chunks: from.chunks..next.chunks,
            frames: from.frames.0..next.frames.0,
        }))
    }

    fn end_record(&mut self, record: &RecordHeader, payload: &[u8]) -> Result<Step> {
        let offset = self.offset;
        let in_file = |broken: Broken| broken.in_file(offset, None);
        if self.ended.is_some() {
            return Err(in_file(Broken::new("record", "one end record", "a second one")));
        }
        let mut fields = Fields::new(payload, offset + HEADER_LEN as u64, None);
        let totals = Totals {
            frames: PixelFrames(fields.u64("number of frames")?),
            chunks: fields.u64("number of chunks")?,
        };
        if record.sequence != totals.chunks {
            return Err(in_file(Broken::new(
                "number of chunks",
                record.sequence,
                totals.chunks,
            )));
        }
        match self.mode {
            ReadMode::Strict => {
                if totals != self.so_far() {
                    let text =
                        |totals: Totals| format!("{} frames in {} chunks", totals.frames, totals.chunks);
                    return Err(in_file(Broken::new(
                        "end record",
                        text(self.so_far()),
                        text(totals),
                    )));
                }
                let promised = self.header().and_then(|header| header.frame_count);
                if let Some(promised) = promised.filter(|&promised| promised != totals.frames) {
                    let expected = format!("{promised} as in the header");
                    return Err(in_file(Broken::new("number of frames", expected, totals.frames)));
                }
            }
            ReadMode::Resync => {
                let missing = self.missing(totals)?;
                self.pending.extend(missing);
            }
        }
        self.ended = Some(totals);
        Ok(Step::Again)
    }

    fn tail(&mut self, payload: &[u8]) -> Result<Step> {
        let offset = self.offset;
        let in_file = |broken: Broken| broken.in_file(offset, None);
        if self.ended.is_none() {
            return Err(in_file(Broken::new(
                "record",
                "the end record before the tail",
                "the tail",
            )));
        }
        let mut fields = Fields::new(payload, offset + HEADER_LEN as u64, None);
        let place = (fields.u64("tail")?, u64::from(fields.u32("tail")?));
        if place != (0, 0) && self.index_place != Some(place) && self.mode == ReadMode::Strict {
            let text = |(at, len): (u64, u64)| format!("{len} bytes at byte {at}");
            let expected = self.index_place.map_or("none".to_owned(), text);
            return Err(in_file(Broken::new("place of the index", expected, text(place))));
        }
        self.state = State::Closed;
        Ok(Step::Again)
    }

    fn skip(&mut self) -> Result<Step, Fault> {
        let available = self.rest().len();
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let State::Skip { at, tag, left, crc } = &mut self.state else {
            return Ok(Step::Again);
        };
        let (at, tag) = (*at, *tag);
        if *left > 0 {
            let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(available);
            crc.update(&rest[..taken]);
            *left -= taken as u64;
            self.consume(taken);
            return if taken > 0 {
                Ok(Step::Again)
            } else {
                self.need_input("an ancillary record")
            };
        }
        let Some(stored) = rest.first_chunk::<CRC_LEN>() else {
            return self.need_input("an ancillary record");
        };
        let checked = check_crc("payload checksum", crc.clone().finalize(), stored);
        let bytes = self.offset + CRC_LEN as u64 - at;
        self.state = State::Record;
        match checked {
            Ok(()) => {
                self.consume(CRC_LEN);
                if tag == Tag::INDEX && self.ended.is_some() {
                    self.index_place = Some((at, bytes));
                }
                Ok(Step::Again)
            }
            Err(broken) => {
                let reason = broken.in_file(self.offset, None);
                if self.mode == ReadMode::Strict {
                    return Err(Fault::never(reason));
                }
                self.consume(CRC_LEN);
                self.lose(at, bytes, reason);
                Ok(Step::Again)
            }
        }
    }

    fn scan(&mut self) -> Result<Step, Fault> {
        let rest = self.rest();
        let mut at = 0;
        let mut found = false;
        while let Some(ahead) = rest[at..].iter().position(|&byte| byte == SYNC[0]) {
            at += ahead;
            match rest[at..].first_chunk::<HEADER_LEN>() {
                Some(fixed) if RecordHeader::decode(fixed).is_ok() => {
                    found = true;
                    break;
                }
                None if !self.finished => {
                    self.consume(at);
                    return Ok(Step::NeedInput);
                }
                _ => at += 1,
            }
        }
        if !found {
            at = rest.len();
        }
        self.consume(at);
        if !found && !self.finished {
            return Ok(Step::NeedInput);
        }
        if let State::Scan { from, reason } = std::mem::replace(&mut self.state, State::Record) {
            self.lose(from, self.offset - from, reason);
        }
        Ok(Step::Again)
    }

    fn closed(&mut self) -> Result<Step, Fault> {
        if !self.rest().is_empty() {
            let broken = Broken::new("end of the stream", "nothing after the tail", "more bytes");
            let error = broken.in_file(self.offset, None);
            // What follows may be another stream: its chunks must not be mistaken for chunks of this one.
            if self.mode == ReadMode::Resync {
                let bytes = self.rest().len();
                self.lose(self.offset, bytes as u64, error);
                self.consume(bytes);
                return Ok(Step::Again);
            }
            return Err(Fault::never(error));
        }
        if self.finished {
            self.complete(true)
        } else {
            Ok(Step::NeedInput)
        }
    }

    fn complete(&mut self, tail: bool) -> Result<Step, Fault> {
        let totals = self.ended.unwrap_or_default();
        self.status = Status::Complete { totals, tail };
        self.state = State::Stopped;
        Ok(Step::End)
    }

    /// There is not enough input for what comes next, which the input has `inside` of at its end.
    fn need_input(&mut self, inside: &'static str) -> Result<Step, Fault> {
        if self.finished {
            self.end_of_input(inside)
        } else {
            Ok(Step::NeedInput)
        }
    }

    fn end_of_input(&mut self, inside: &'static str) -> Result<Step, Fault> {
        if self.ended.is_some() {
            let rest = self.rest().len();
            self.consume(rest);
            return self.complete(false);
        }
        let error = Error::Truncated {
            offset: self.input_offset(),
            inside,
            chunks: self.track.chunks,
            frames: self.track.frames.0,
        };
        // A damaged length can make a record seem to reach past the end: there may be others inside of it.
        let resume = match self.rest().len() {
            0 => Resume::Never,
            len => self.or_never(Resume::Scan(len.min(HEADER_LEN))),
        };
        Err(Fault { error, resume })
    }
}
