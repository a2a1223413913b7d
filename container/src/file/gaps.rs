//! What lies between the chunks of a file: packets, metadata, chapters and attachments, without reading the chunks.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Seek};
use std::ops::Range;

use super::File;
use crate::attachment::Attachment;
use crate::error::{Error, ErrorKind, Result};
use crate::ground::{Rational, StreamId};
use crate::index::{read_at, whole_record};
use crate::limits::{NotesBudget, within};
use crate::metadata::{self, Chapter, Metadata};
use crate::packets::{self, Packet, Packets};
use crate::record::{CRC_LEN, HEADER_LEN, MAGIC, RecordHeader, SYNC, Tag};
use crate::times::rescale;

/// Bytes of a record of packets that are read to see when its packets are shown; where its table is longer, all of it.
const TABLE_LEN: u64 = 2048;

/// Bytes searched at a time for the next record after damage: few at first, because it may be near, and there may be many
/// searches.
const SEARCH_LEN: [u64; 2] = [1 << 7, 1 << 16];

/// How many times the length of a file damaged records may be read.
const MOST_WASTED: u64 = 4;

/// How long after its time a packet may lie in a file: writers put packets just before the chunk of their time (LBIT
/// §7.1).
const LATEST: i64 = 60;

/// Goes through the records that lie between chunks, in the order of the file, by their headers.
#[derive(Debug)]
struct Walk {
    position: u64,
    /// The next of the file's chunks.
    place: usize,
    /// Whether the end record came.
    ended: bool,
    /// Bytes of damaged records that were read.
    wasted: u64,
}

impl Walk {
    const fn new() -> Self {
        Self {
            position: MAGIC.len() as u64,
            place: 0,
            ended: false,
            wasted: 0,
        }
    }

    /// The payload of a record, which is checked; no more than `limit` is read. Where damaged records seem to lie inside of
    /// each other, the walk ends once they were read a few times over.
    fn payload<R: Read + Seek>(
        &mut self,
        file: &mut File<R>,
        offset: u64,
        record: &RecordHeader,
        limit: (Option<u64>, &'static str),
    ) -> Result<Vec<u8>> {
        let len = u64::from(record.payload_len);
        let what = "length of a record";
        within(limit.0, limit.1, what, len, offset, None)?;
        let bytes = read_at(&mut file.inner, offset, record.record_len())?;
        let payload = whole_record(&bytes, offset, record.tag, None).map(|(_, payload)| payload.to_vec());
        if payload.is_err() {
            self.wasted = self.wasted.saturating_add(len);
            self.ended |= self.wasted > file.len.saturating_mul(MOST_WASTED);
        }
        payload
    }

    /// The next record that starts before `until`, with its offset. The walk can go on with a later `until`.
    fn next<R: Read + Seek>(
        &mut self,
        file: &mut File<R>,
        until: u64,
    ) -> Result<Option<(u64, RecordHeader)>> {
        let until = until.min(file.len);
        while !self.ended && self.position < until {
            let place = file.places.get(self.place).copied();
            if let Some((offset, len)) = place.filter(|&(offset, _)| offset <= self.position) {
                self.position = self.position.max(offset.saturating_add(len));
                self.place += 1;
                continue;
            }
            let end = place.map_or(file.len, |(offset, _)| offset);
            let offset = self.position;
            let Some(record) = header_at(file, offset, end)? else {
                self.position = search(file, offset + 1, end)?;
                continue;
            };
            let next = offset + record.record_len();
            // A damaged length shows at what follows: then there may be records inside of this one.
            if next < end && header_at(file, next, end)?.is_none() {
                self.position = search(file, offset + HEADER_LEN as u64, end)?;
            } else {
                self.position = next;
            }
            self.ended = record.tag == Tag::END;
            return Ok(Some((offset, record)));
        }
        Ok(None)
    }
}

/// The header of the record at `offset`, if there is one that ends before `end`.
fn header_at<R: Read + Seek>(file: &mut File<R>, offset: u64, end: u64) -> Result<Option<RecordHeader>> {
    if end.saturating_sub(offset) < (HEADER_LEN + CRC_LEN) as u64 {
        return Ok(None);
    }
    let bytes = read_at(&mut file.inner, offset, HEADER_LEN as u64)?;
    let record = bytes.first_chunk().map(RecordHeader::decode);
    Ok(match record {
        Some(Ok(record)) if record.record_len() <= end - offset => Some(record),
        _ => None,
    })
}

/// Where the next record header lies at or after `from`, or `end`.
fn search<R: Read + Seek>(file: &mut File<R>, mut from: u64, end: u64) -> Result<u64> {
    let [mut len, most] = SEARCH_LEN;
    while end.saturating_sub(from) >= (HEADER_LEN + CRC_LEN) as u64 {
        let bytes = read_at(&mut file.inner, from, len.min(end - from))?;
        len = (len * 2).min(most);
        let windows = bytes.windows(HEADER_LEN).enumerate();
        let mut headers = windows.filter(|(_, window)| window.first() == SYNC.first());
        let found = headers.find(|(_, window)| {
            let fixed = window.first_chunk().map(RecordHeader::decode);
            matches!(fixed, Some(Ok(_)))
        });
        if let Some((at, _)) = found {
            return Ok(from + at as u64);
        }
        // The last bytes may hold the start of a header.
        from += (bytes.len() - (HEADER_LEN - 1)) as u64;
    }
    Ok(end)
}

/// All metadata, and the chapters that came last. Damaged records are left out.
pub(super) fn notes<R: Read + Seek>(file: &mut File<R>) -> Result<(Vec<Metadata>, Vec<Chapter>)> {
    let (mut entries, mut chapters) = (Vec::new(), Vec::new());
    let mut budget = NotesBudget::new(file.limits);
    let head = file.head.clone();
    let limit = (file.limits.max_header_bytes.map(u64::from), "max_header_bytes");
    each_of(
        file,
        &[Tag::METADATA, Tag::CHAPTERS],
        limit,
        |record, payload, at| {
            match record.tag {
                Tag::METADATA if metadata::check_stream(&head.header, record.stream).is_err() => {}
                Tag::METADATA => entries.push(Metadata::decode(payload, at, record.stream, &mut budget)?),
                _ => chapters = metadata::decode_chapters(payload, at, &mut budget)?,
            }
            Ok(())
        },
    )?;
    Ok((entries, chapters))
}

/// All attachments. Damaged ones are left out.
pub(super) fn attachments<R: Read + Seek>(file: &mut File<R>) -> Result<Vec<Attachment>> {
    let mut attachments = Vec::new();
    let mut budget = NotesBudget::new(file.limits);
    let limit = (file.limits.max_attachment_bytes, "max_attachment_bytes");
    each_of(file, &[Tag::ATTACHMENT], limit, |_, payload, at| {
        attachments.push(Attachment::decode(payload, at, &mut budget)?);
        Ok(())
    })?;
    Ok(attachments)
}

/// Passes the payloads of all intact records of some types on, with where they begin. What `take` finds wrong with one is no
/// error.
fn each_of<R: Read + Seek>(
    file: &mut File<R>,
    tags: &[Tag],
    limit: (Option<u64>, &'static str),
    mut take: impl FnMut(&RecordHeader, &[u8], u64) -> Result<()>,
) -> Result<()> {
    let mut walk = Walk::new();
    while let Some((offset, record)) = walk.next(file, u64::MAX)? {
        if !tags.contains(&record.tag) || !record.is_known() {
            continue;
        }
        let at = offset + HEADER_LEN as u64;
        let payload = walk.payload(file, offset, &record, limit);
        match payload.and_then(|payload| take(&record, &payload, at)) {
            Err(error) if error.kind() != ErrorKind::Format => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The time of a stream of packets that is wanted, in its ticks.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    times: Range<i64>,
}

impl Window {
    /// Of `times` in ticks of `from`, for packets that count in ticks of `to`. `i64::MIN` and `i64::MAX` stay what they
    /// are: no bound.
    pub fn new(times: &Range<i64>, from: Rational, to: Rational) -> Self {
        let bound = |time: i64| match time {
            i64::MIN | i64::MAX => time,
            time => rescale(time, from, to),
        };
        Self {
            times: bound(times.start)..bound(times.end),
        }
    }

    /// Whether a packet is heard or shown in it. Before time 0 there is no picture, so packets there are what a decoder
    /// of sound is primed with: a window that begins at 0 has them too.
    pub fn holds(&self, pts: i64, duration: u64) -> bool {
        let begun = self.times.start <= 0
            || pts >= self.times.start
            || pts.saturating_add_unsigned(duration) > self.times.start;
        begun && pts < self.times.end
    }
}

/// Goes through a file's packets and gives those of some times.
#[derive(Debug)]
pub(super) struct PacketWalk {
    walk: Walk,
    wanted: BTreeMap<StreamId, Window>,
    /// Least number of the next record of each stream; one that comes again is left out.
    next: BTreeMap<StreamId, u64>,
    /// Where in the file the walk ends: packets behind this place are of a later time.
    end: u64,
}

impl PacketWalk {
    /// Finds nothing.
    pub const fn none() -> Self {
        Self {
            walk: Walk::new(),
            wanted: BTreeMap::new(),
            next: BTreeMap::new(),
            end: 0,
        }
    }

    pub fn new<R: Read + Seek>(file: &File<R>, wanted: BTreeMap<StreamId, Window>) -> Self {
        Self {
            end: end_of_walk(file, &wanted),
            walk: Walk::new(),
            next: BTreeMap::new(),
            wanted,
        }
    }

    /// The next record with wanted packets that lies before `until`, with only those. An error about a damaged record
    /// does not end the walk.
    pub fn next<R: Read + Seek>(&mut self, file: &mut File<R>, until: u64) -> Result<Option<Packets>> {
        if self.wanted.is_empty() {
            return Ok(None);
        }
        while let Some((offset, record)) = self.walk.next(file, until.min(self.end))? {
            if record.tag != Tag::PACKETS || !record.is_known() {
                continue;
            }
            let Some(window) = self.wanted.get(&record.stream) else {
                continue;
            };
            let next = self.next.entry(record.stream).or_default();
            if record.sequence < *next {
                continue;
            }
            if !any_inside(file, offset, &record, window)? {
                *next = record.sequence.saturating_add(1);
                continue;
            }
            let limit = (file.limits.max_packet_bytes.map(u64::from), "max_packet_bytes");
            let payload = self.walk.payload(file, offset, &record, limit)?;
            let mut packets = packets::decode(&payload, offset + HEADER_LEN as u64, &file.limits)?;
            packets.retain(|packet| window.holds(packet.pts, packet.duration));
            *next = record.sequence.saturating_add(1);
            if !packets.is_empty() {
                return Ok(Some(Packets {
                    stream: record.stream,
                    sequence: record.sequence,
                    packets,
                }));
            }
        }
        Ok(None)
    }
}

/// Whether a record has packets of `window`, as far as its table says, which is not checked yet.
fn any_inside<R: Read + Seek>(
    file: &mut File<R>,
    offset: u64,
    record: &RecordHeader,
    window: &Window,
) -> Result<bool> {
    let len = u64::from(record.payload_len).min(TABLE_LEN);
    let at = offset + HEADER_LEN as u64;
    let bytes = read_at(&mut file.inner, at, len)?;
    let inside = packets::times(&bytes, at, &file.limits)
        .map(|times| times.iter().any(|&(pts, duration)| window.holds(pts, duration)));
    // A longer table, or a damaged one: the whole record tells.
    Ok(inside.unwrap_or(true))
}

/// Offset of the first chunk that is shown so long after all `wanted` times that their packets lie before it.
fn end_of_walk<R: Read + Seek>(file: &File<R>, wanted: &BTreeMap<StreamId, Window>) -> u64 {
    let second = Rational { num: 1, den: 1 };
    let ends = wanted.iter().filter_map(|(&id, window)| {
        let base = file.head.header.packets(id)?.time_base;
        Some(match window.times.end {
            i64::MAX => i64::MAX,
            end => rescale(end, base, second).saturating_add(LATEST),
        })
    });
    let Some(end) = ends.max().filter(|&end| end < i64::MAX) else {
        return file.len;
    };
    let Some((id, video)) = file.first_video() else {
        return file.len;
    };
    let chunks = file.chunks(id);
    let after = chunks.partition_point(|chunk| rescale(chunk.start, video.time_base, second) <= end);
    let mut later = chunks.get(after..).unwrap_or_default().iter();
    later
        .find(|chunk| chunk.stored_len > 0)
        .map_or(file.len, |chunk| chunk.offset)
}

/// The packets of a stream that are heard or shown in a range of times.
///
/// These are packets that begin in the range, that begin before it and last into it (a subtitle, a frame of sound), and, if
/// the range begins at 0 or before, all packets of negative times: a decoder of sound is primed with them. The data of
/// other packets is not read.
///
/// A damaged record is an error of kind [`ErrorKind::Format`]; what comes after it can still be read.
#[derive(Debug)]
pub struct PacketsIn<'a, R> {
    file: &'a mut File<R>,
    walk: PacketWalk,
    ready: VecDeque<Packet>,
    failed: bool,
}

impl<'a, R: Read + Seek> PacketsIn<'a, R> {
    pub(super) fn new(file: &'a mut File<R>, stream: StreamId, times: Range<i64>) -> Result<Self> {
        if file.head.header.packets(stream).is_none() {
            return Err(Error::parameter("stream of packets", "one of packets", stream));
        }
        let wanted = BTreeMap::from([(stream, Window { times })]);
        Ok(Self {
            walk: PacketWalk::new(file, wanted),
            file,
            ready: VecDeque::new(),
            failed: false,
        })
    }
}

impl<R: Read + Seek> Iterator for PacketsIn<'_, R> {
    type Item = Result<Packet>;

    fn next(&mut self) -> Option<Result<Packet>> {
        while self.ready.is_empty() && !self.failed {
            match self.walk.next(self.file, u64::MAX) {
                Ok(Some(packets)) => self.ready.extend(packets.packets),
                Ok(None) => self.failed = true,
                Err(error) => {
                    self.failed = error.kind() != ErrorKind::Format;
                    return Some(Err(error));
                }
            }
        }
        self.ready.pop_front().map(Ok)
    }
}
