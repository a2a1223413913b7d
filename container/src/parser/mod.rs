//! The reader without its input: bytes are pushed in, events come out (LBIT §2, §10).

mod event;
mod payload;
mod resync;
mod state;

use std::collections::VecDeque;

pub use event::{Event, Lost, Next, ReadMode, Status};

use crate::end::Totals;
use crate::error::{Broken, Error, ErrorKind, Result};
use crate::ground::StreamId;
use crate::header::{Header, Version};
use crate::index::{ChunkInfo, TAIL_PAYLOAD_LEN};
use crate::limits::{Limits, NotesBudget, within};
use crate::record::{
    CRC_LEN, HEADER_LEN, MAGIC, RECORD_VERSION, RecordHeader, SYNC, Tag, bad_sync, check_crc, hex,
};
use crate::work::spend;
use state::{Input, StreamState};

/// Reads a file that is pushed into it in pieces of any size.
///
/// The parser does no input of its own, so it works as well under `async` or in a browser; [`Reader`](crate::Reader)
/// joins it to [`std::io::Read`]. It holds one record at a time, and allocates for what has arrived, never for what
/// a length field promises.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    notes: NotesBudget,
    mode: ReadMode,
    unpack: bool,
    input: Input,
    state: State,
    head: Option<Head>,
    /// Whether the header came where it should.
    from_start: bool,
    /// Whether it or a copy of it came.
    header_came: bool,
    streams: Vec<StreamState>,
    ended: Option<Vec<Totals>>,
    /// Where the end record ends.
    end_offset: Option<u64>,
    missing_frames: u64,
    /// Whether chunks come as they lie, whatever their numbers.
    any_order: bool,
    /// Whether anything was lost or is missing.
    damaged: bool,
    index_place: Option<(u64, u64)>,
    /// Offset and payload of the index, if it is to be kept.
    index: Option<(u64, Vec<u8>)>,
    keep_index: bool,
    last_chunk: Option<ChunkInfo>,
    /// Offset and length of the record that came last.
    last_record: (u64, u64),
    pending: VecDeque<Event>,
    status: Status,
}

/// The header, as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub header: Header,
    pub version: Version,
    /// Checksum of its payload, by which chunks tell whose they are.
    pub crc: u32,
}

#[derive(Debug)]
enum State {
    Magic,
    /// At the start of a record.
    Record,
    /// In an ancillary record, which is checked and thrown away. Its header was read.
    Skip(Skipped),
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

/// A record that is skipped.
#[derive(Debug)]
struct Skipped {
    /// Where it starts in the file.
    at: u64,
    record: RecordHeader,
    /// Bytes of its payload that have not come.
    left: u64,
    /// Bytes of its payload that have come and are still in the input, because there may be records in them if it turns
    /// out that bytes of it were lost.
    held: usize,
    /// Checksum of those before.
    dropped: crc32fast::Hasher,
}

/// Most bytes of a skipped record that are held.
const MOST_HELD: usize = 16 << 20;

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
    /// A parser at the start of a file.
    #[must_use]
    pub const fn new(limits: Limits, mode: ReadMode) -> Self {
        Self {
            notes: NotesBudget::new(limits),
            limits,
            mode,
            unpack: true,
            input: Input::new(),
            state: State::Magic,
            head: None,
            from_start: true,
            header_came: false,
            streams: Vec::new(),
            ended: None,
            end_offset: None,
            missing_frames: 0,
            any_order: false,
            damaged: false,
            index_place: None,
            index: None,
            keep_index: false,
            last_chunk: None,
            last_record: (0, 0),
            pending: VecDeque::new(),
            status: Status::Reading,
        }
    }

    /// A parser at the start of a file whose header is known from elsewhere, because its own may be damaged.
    pub(crate) fn with_head(limits: Limits, head: Head) -> Self {
        let mut parser = Self::new(limits, ReadMode::Resync);
        parser.set_head(head);
        parser
    }

    /// Gives chunks (not unpacked) and packets as they lie, whatever their numbers, and does not say what is missing.
    pub(crate) const fn set_any_order(&mut self) {
        self.any_order = true;
        self.unpack = false;
    }

    /// Keeps the payload of the index, which is skipped otherwise.
    pub(crate) const fn keep_index(&mut self) {
        self.keep_index = true;
    }

    /// Offset and payload of the index, if it came and was to be kept.
    pub(crate) fn take_index(&mut self) -> Option<(u64, Vec<u8>)> {
        self.index.take()
    }

    pub(crate) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Whether chunks are unpacked, as they are at first, or come as [`Event::Stored`].
    ///
    /// Digests are only compared of streams whose chunks were all unpacked.
    pub const fn set_unpack(&mut self, unpack: bool) {
        self.unpack = unpack;
    }

    /// Takes the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Stopped) {
            self.input.push(bytes);
        }
    }

    /// Says that the input is at its end.
    pub const fn finish(&mut self) {
        self.input.finished = true;
    }

    /// Byte offset in the file of what was pushed last, at its end.
    #[must_use]
    pub const fn input_offset(&self) -> u64 {
        self.input.end_offset()
    }

    /// The header, once it was read.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.head.as_ref().map(|head| &head.header)
    }

    /// The version that the file was written in, once the header was read.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.head.as_ref().map(|head| head.version)
    }

    /// How far the reading has come.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// What the end record says of each stream, once it was read.
    #[must_use]
    pub fn ended(&self) -> Option<&[Totals]> {
        self.ended.as_deref()
    }

    /// Byte offset of the end of the end record, once it was read: what follows can be made anew.
    #[must_use]
    pub const fn end_offset(&self) -> Option<u64> {
        self.end_offset
    }

    /// Chunks (or packet records) of a stream that have gone by, frames up to the end of the last one, and the digest
    /// of its contents if all of them were unpacked.
    #[must_use]
    pub fn so_far(&self, stream: StreamId) -> Totals {
        self.streams
            .get(stream.index())
            .map(StreamState::totals)
            .unwrap_or_default()
    }

    /// Where the chunk that came last lies.
    #[must_use]
    pub const fn last_chunk(&self) -> Option<&ChunkInfo> {
        self.last_chunk.as_ref()
    }

    /// Offset and length of the record that the last event came from.
    pub(crate) const fn last_record(&self) -> (u64, u64) {
        self.last_record
    }

    /// Reads on to the end of the header and no further. `false` says that more input is needed.
    ///
    /// # Errors
    /// Any kind but [`ErrorKind::Io`] and [`ErrorKind::Parameter`]. The parser is at its end then.
    pub fn poll_header(&mut self) -> Result<bool> {
        while self.head.is_none() {
            match self.step() {
                Ok(Step::Again) => {}
                Ok(_) => return Ok(false),
                Err(fault) => self.recover(fault)?,
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

    fn set_head(&mut self, head: Head) {
        let joining = !self.from_start;
        self.streams = head
            .header
            .streams
            .iter()
            .map(|_| StreamState::new(joining))
            .collect();
        self.head = Some(head);
    }

    fn recover(&mut self, fault: Fault) -> Result<()> {
        let Fault {
            error: reason,
            resume,
        } = fault;
        match (self.mode, resume) {
            (ReadMode::Strict, _) | (_, Resume::Never) => return Err(self.stop(reason)),
            (_, Resume::Scan(ahead)) => {
                self.from_start &= self.head.is_some();
                let from = match &self.state {
                    State::Skip(skipped) => skipped.at,
                    _ => self.input.offset(),
                };
                self.state = State::Scan { from, reason };
                self.input.consume(ahead);
            }
            (_, Resume::Record(len)) => {
                self.from_start &= self.head.is_some();
                self.lose(self.input.offset(), len as u64, reason);
                self.input.consume(len);
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
        self.input.clear();
        error
    }

    fn lose(&mut self, offset: u64, bytes: u64, reason: Error) {
        self.damaged = true;
        self.pending.push_back(Event::Lost(Lost {
            offset,
            bytes,
            reason,
        }));
    }

    fn step(&mut self) -> Result<Step, Fault> {
        match &self.state {
            State::Magic => self.magic(),
            State::Record => self.record(),
            State::Skip(_) => self.skip(),
            State::Scan { .. } => self.scan(),
            State::Closed => self.closed(),
            State::Stopped => Ok(Step::End),
        }
    }

    fn magic(&mut self) -> Result<Step, Fault> {
        let start = &self.input.rest()[..self.input.rest().len().min(MAGIC.len())];
        if !MAGIC.starts_with(start) {
            let broken = Broken::new("magic (this is no .lbit file)", hex(&MAGIC), hex(start));
            let resume = match self.may_lack_start() {
                true => Resume::Scan(0),
                false => Resume::Never,
            };
            let error = broken.in_file(0, None);
            return Err(Fault { error, resume });
        }
        if start.len() < MAGIC.len() {
            return self.need_input("the magic");
        }
        self.input.consume(MAGIC.len());
        self.state = State::Record;
        Ok(Step::Again)
    }

    /// Whether the header may come later, or from elsewhere.
    fn may_lack_start(&self) -> bool {
        self.mode == ReadMode::Join || self.head.is_some()
    }

    /// Nothing can be read without a header.
    fn or_never(&self, resume: Resume) -> Resume {
        match self.may_lack_start() {
            true => resume,
            false => Resume::Never,
        }
    }

    fn record(&mut self) -> Result<Step, Fault> {
        let rest = self.input.rest();
        let offset = self.input.offset();
        let start = &rest[..rest.len().min(SYNC.len())];
        if !SYNC.starts_with(start) {
            let error = bad_sync(start).in_file(offset, None);
            return Err(Fault {
                error,
                resume: self.or_never(Resume::Scan(1)),
            });
        }
        if rest.is_empty() && self.input.finished {
            return self.end_of_input("the gap between two records");
        }
        let Some(fixed) = rest.first_chunk::<HEADER_LEN>() else {
            return self.need_input("a record header");
        };
        let record = RecordHeader::decode(fixed).map_err(|broken| Fault {
            error: broken.in_file(offset, None),
            resume: self.or_never(Resume::Scan(1)),
        })?;
        self.check_order(&record)?;
        // A header that is known from elsewhere should have come first all the same.
        self.damaged |= !self.header_came && record.tag != Tag::HEAD;
        if !record.is_known() && !self.wants(&record) {
            self.state = State::Skip(Skipped {
                at: offset,
                left: u64::from(record.payload_len),
                record,
                held: 0,
                dropped: crc32fast::Hasher::new(),
            });
            self.input.consume(HEADER_LEN);
            return Ok(Step::Again);
        }

        let whole = usize::try_from(record.record_len()).unwrap_or(usize::MAX);
        if self.input.rest().len() < whole {
            return self.need_input("a record");
        }
        let end = whole - CRC_LEN;
        let computed = self.input.checksum(HEADER_LEN, end - HEADER_LEN);
        let rest = self.input.rest();
        if let Err(broken) = check_crc("payload checksum", computed, &rest[end..whole]) {
            return self.damaged_payload(&record, whole, broken);
        }
        spend(end - HEADER_LEN);
        let payload = &rest[HEADER_LEN..end].to_vec();
        self.last_record = (offset, record.record_len());
        let step = self.payload(&record, payload).map_err(|error| {
            // A newer format and a reader's limits are no damage: skipping such a record would hide them.
            let resume = match error.kind() {
                ErrorKind::Format => self.or_never(Resume::Record(whole)),
                _ => Resume::Never,
            };
            Fault { error, resume }
        })?;
        self.input.consume(whole);
        Ok(step)
    }

    /// What can be said of a record before its payload is there.
    fn check_order(&self, record: &RecordHeader) -> Result<(), Fault> {
        let offset = self.input.offset();
        let chunk = record.chunk();
        if record.tag.is_critical() {
            if !matches!(record.tag, Tag::HEAD | Tag::CHUNK | Tag::END) {
                return Err(Fault::never(Error::Unsupported {
                    offset,
                    chunk,
                    what: "critical record type",
                    expected: format!("{}, {} and {}", Tag::HEAD, Tag::CHUNK, Tag::END),
                    found: record.tag.to_string(),
                }));
            }
            if record.version > RECORD_VERSION || record.flags != 0 {
                return Err(Fault::never(Error::Unsupported {
                    offset,
                    chunk,
                    what: "version or flags of a record",
                    expected: format!("version {RECORD_VERSION}, no flags"),
                    found: format!(
                        "{} of version {}, flags {:#04x}",
                        record.tag, record.version, record.flags
                    ),
                }));
            }
        }
        if self.head.is_none() && record.tag != Tag::HEAD {
            let copy = self.mode == ReadMode::Join && record.tag == Tag::HEAD_COPY;
            if !copy {
                let error = Broken::new("first record", Tag::HEAD, record.tag).in_file(offset, None);
                return Err(Fault {
                    error,
                    resume: self.or_never(Resume::Scan(HEADER_LEN)),
                });
            }
        }
        self.check_length(record).map_err(Fault::never)?;
        let tail = record.tag == Tag::TAIL && record.is_readable();
        if tail && record.payload_len as usize != TAIL_PAYLOAD_LEN {
            let broken = Broken::new("length of the tail", TAIL_PAYLOAD_LEN, record.payload_len);
            return Err(Fault {
                error: broken.in_file(offset, None),
                resume: Resume::Scan(HEADER_LEN),
            });
        }
        // After damage the count of records is not known until the next one comes.
        let counted = match record.tag {
            Tag::CHUNK => true,
            Tag::PACKETS => self
                .header()
                .is_some_and(|header| header.packets(record.stream).is_some()),
            _ => false,
        };
        if self.mode == ReadMode::Strict && counted {
            let expected = self.so_far(record.stream).chunks;
            if record.sequence != expected {
                let broken = Broken::new("record sequence number", expected, record.sequence);
                return Err(Fault::never(broken.in_file(offset, chunk)));
            }
        }
        Ok(())
    }

    /// Whether this is an index that is to be kept.
    fn wants(&self, record: &RecordHeader) -> bool {
        self.keep_index && record.tag == Tag::INDEX && record.is_readable()
    }

    fn check_length(&self, record: &RecordHeader) -> Result<()> {
        let limits = &self.limits;
        let (limit, name, what) = match record.tag {
            Tag::CHUNK => (limits.max_chunk_bytes, "max_chunk_bytes", "length of a chunk"),
            Tag::ATTACHMENT if record.is_known() => (
                limits.max_attachment_bytes,
                "max_attachment_bytes",
                "length of an attachment",
            ),
            Tag::INDEX if self.wants(record) => (
                limits.max_index_bytes.map(u64::from),
                "max_index_bytes",
                "length of the index",
            ),
            _ if !record.is_known() => return Ok(()),
            Tag::PACKETS => (
                limits.max_packet_bytes.map(u64::from),
                "max_packet_bytes",
                "length of a packet record",
            ),
            _ => (
                limits.max_header_bytes.map(u64::from),
                "max_header_bytes",
                "length of a header, metadata or end record",
            ),
        };
        let (found, offset) = (u64::from(record.payload_len), self.input.offset());
        within(limit, name, what, found, offset, record.chunk())
    }

    /// Notes a record that was skipped, and is whole.
    fn skipped_came(&mut self, offset: u64, record: &RecordHeader) -> Result<()> {
        self.check_place(record)
            .map_err(|broken| broken.in_file(offset, None))?;
        match record.tag {
            Tag::INDEX => self.index_place = Some((offset, record.record_len())),
            Tag::PACKETS => self.packets_came(offset, record.stream, record.sequence)?,
            _ => {}
        }
        Ok(())
    }

    /// Counts a record of packets whose version or flags this crate does not know. What it holds counts for nothing in
    /// a stream of another kind.
    fn packets_came(&mut self, offset: u64, stream: StreamId, sequence: u64) -> Result<()> {
        let of_packets = self
            .header()
            .is_some_and(|header| header.packets(stream).is_some());
        let Some(state) = self.streams.get_mut(stream.index()).filter(|_| of_packets) else {
            return Ok(());
        };
        self.damaged |= !state.accept_packets(offset, sequence, self.any_order)?;
        state.digested = false;
        Ok(())
    }

    fn skip(&mut self) -> Result<Step, Fault> {
        let there = self.input.rest().len();
        let State::Skip(skipped) = &mut self.state else {
            return Ok(Step::Again);
        };
        if skipped.left > 0 {
            let left = usize::try_from(skipped.left).unwrap_or(usize::MAX);
            let came = left.min(there - skipped.held);
            skipped.left -= came as u64;
            skipped.held += came;
            if let Some(over) = skipped.held.checked_sub(MOST_HELD) {
                skipped.dropped.update(&self.input.rest()[..over]);
                skipped.held = MOST_HELD;
                self.input.consume(over);
            }
            return match came {
                0 => self.need_input("an ancillary record"),
                _ => Ok(Step::Again),
            };
        }
        let (at, held) = (skipped.at, skipped.held);
        let record = skipped.record;
        let mut whole = skipped.dropped.clone();
        let last = self.input.checksum(0, held);
        whole.combine(&crc32fast::Hasher::new_with_initial_len(last, held as u64));
        let end = held + CRC_LEN;
        let Some(stored) = self.input.rest().get(held..end) else {
            return self.need_input("an ancillary record");
        };
        let checked = check_crc("payload checksum", whole.finalize(), stored);
        let stored_at = self.input.offset() + held as u64;
        let bytes = stored_at + CRC_LEN as u64 - at;
        let checked = match checked.map_err(|broken| broken.in_file(stored_at, None)) {
            Err(reason) if self.mode != ReadMode::Strict => match self.follows(end) {
                None => return Ok(Step::NeedInput),
                Some(true) => Err(reason),
                // Bytes were lost or added, and the records after it may lie inside of what would have been this one.
                Some(false) => {
                    self.state = State::Scan { from: at, reason };
                    return Ok(Step::Again);
                }
            },
            Ok(()) => self.skipped_came(at, &record),
            Err(reason) => Err(reason),
        };
        match checked {
            Err(reason) if self.mode == ReadMode::Strict => return Err(Fault::never(reason)),
            Err(reason) => self.lose(at, bytes, reason),
            Ok(()) => {}
        }
        self.input.consume(end);
        self.state = State::Record;
        Ok(Step::Again)
    }

    fn closed(&mut self) -> Result<Step, Fault> {
        let rest = self.input.rest().len();
        if rest > 0 {
            let broken = Broken::new("end of the file", "nothing after the tail", "more bytes");
            let error = broken.in_file(self.input.offset(), None);
            // What follows may be another file: its chunks must not be mistaken for chunks of this one.
            if self.mode == ReadMode::Strict {
                return Err(Fault::never(error));
            }
            self.lose(self.input.offset(), rest as u64, error);
            self.input.consume(rest);
            return Ok(Step::Again);
        }
        match self.input.finished {
            true => self.complete(true),
            false => Ok(Step::NeedInput),
        }
    }

    fn complete(&mut self, tail: bool) -> Result<Step, Fault> {
        self.status = Status::Complete { tail };
        self.state = State::Stopped;
        Ok(Step::End)
    }

    /// There is not enough input for what comes next, which the input has `inside` of at its end.
    fn need_input(&mut self, inside: &'static str) -> Result<Step, Fault> {
        match self.input.finished {
            true => self.end_of_input(inside),
            false => Ok(Step::NeedInput),
        }
    }

    /// Behind the end record nothing that is cut off is missed, but for what must not be there at all.
    fn check_cut_record(&self) -> Result<(), Fault> {
        let record = match (&self.state, self.input.rest().first_chunk()) {
            (State::Record, Some(fixed)) => RecordHeader::decode(fixed).ok(),
            _ => None,
        };
        let Some(record) = record else {
            return Ok(());
        };
        self.check_place(&record).map_err(|broken| Fault {
            error: broken.in_file(self.input.offset(), record.chunk()),
            resume: Resume::Scan(HEADER_LEN),
        })
    }

    fn end_of_input(&mut self, inside: &'static str) -> Result<Step, Fault> {
        let rest = self.input.rest().len();
        if self.ended.is_some() {
            self.check_cut_record()?;
            self.input.consume(rest);
            return self.complete(false);
        }
        let error = match (&self.head, self.mode) {
            (None, ReadMode::Join) if rest == 0 && !self.from_start => {
                let none = Broken::new("file", "a header or a copy of one", "none until its end");
                let at = self.input.end_offset();
                self.first_fault(none.in_file(at, None))
            }
            _ => {
                let video = self.streams.iter().map(|stream| &stream.track);
                let (chunks, frames) = video.fold((0u64, 0u64), |(chunks, frames), track| {
                    (
                        chunks.saturating_add(track.chunks),
                        frames.saturating_add(track.frames.0),
                    )
                });
                Error::Truncated {
                    offset: self.input.end_offset(),
                    inside,
                    chunks,
                    frames,
                }
            }
        };
        // A damaged length can make a record seem to reach past the end: there may be others inside of it.
        let resume = match (&self.state, rest) {
            (_, 0) => Resume::Never,
            // Its header was read already.
            (State::Skip(_), _) => Resume::Scan(0),
            (_, len) => self.or_never(Resume::Scan(len.min(HEADER_LEN))),
        };
        Err(Fault { error, resume })
    }
}

#[cfg(test)]
mod tests;
