//! What a parser keeps between records: the input that was not read yet, and how far each stream has come.

use std::collections::VecDeque;

use crate::end::{Digest, Totals};
use crate::error::{Broken, Result};
use crate::track::Track;
use crate::work::spend;

/// A window of the input.
#[derive(Debug, Default)]
pub(super) struct Input {
    buffer: Vec<u8>,
    /// Start in `buffer` of what has not been read.
    start: usize,
    /// Byte offset in the file of that place.
    offset: u64,
    /// Whether there is no more to come.
    pub finished: bool,
    /// Byte offset up to which payloads were hashed.
    hashed: u64,
    sums: Sums,
}

/// Bytes from one checkpoint of [`Sums`] to the next.
const STRIDE: u64 = 256;

/// Checksums of the input from one place to many others, so that the checksum of any part follows from two of them. Records
/// that seem to lie inside of each other, each with a bad payload, would otherwise be hashed again for each of them.
#[derive(Debug, Default)]
struct Sums {
    /// Byte offset in the file of the first checkpoint.
    base: u64,
    /// Checksums of what lies between `base` and each multiple of [`STRIDE`] after it.
    points: VecDeque<u32>,
}

impl Sums {
    /// Checksum of the input from byte `from` up to byte `to` of the file; `rest` is the input from byte `offset` on.
    fn of(&mut self, rest: &[u8], offset: u64, from: u64, to: u64) -> u32 {
        let bytes = |from: u64, to: u64| {
            let at = |place: u64| usize::try_from(place.saturating_sub(offset)).unwrap_or(usize::MAX);
            let bytes = rest.get(at(from)..at(to)).unwrap_or_default();
            spend(bytes.len());
            bytes
        };
        self.forget(offset, from);
        let first = from.saturating_sub(self.base).div_ceil(STRIDE);
        let last = to.saturating_sub(self.base) / STRIDE;
        if first >= last {
            return crc32fast::hash(bytes(from, to));
        }
        while self.points.len() as u64 <= last {
            let at = self.base + (self.points.len() as u64 - 1) * STRIDE;
            let mut hasher = crc32fast::Hasher::new_with_initial(self.point(self.points.len() as u64 - 1));
            hasher.update(bytes(at, at + STRIDE));
            self.points.push_back(hasher.finalize());
        }
        let (start, end) = (self.base + first * STRIDE, self.base + last * STRIDE);
        // What comes after a place: the sum of all, less what the sum up to that place becomes when as many zeros follow.
        let mut moved = crc32fast::Hasher::new_with_initial(self.point(first));
        moved.combine(&crc32fast::Hasher::new_with_initial_len(0, end - start));
        let middle = self.point(last) ^ moved.finalize();
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(bytes(from, start));
        hasher.combine(&crc32fast::Hasher::new_with_initial_len(middle, end - start));
        hasher.update(bytes(end, to));
        hasher.finalize()
    }

    fn point(&self, at: u64) -> u32 {
        let at = usize::try_from(at).ok();
        at.and_then(|at| self.points.get(at)).copied().unwrap_or_default()
    }

    /// Forgets what lies before `offset`, and begins at `from` if nothing is left.
    fn forget(&mut self, offset: u64, from: u64) {
        let last = self.base + (self.points.len() as u64).saturating_sub(1) * STRIDE;
        if self.points.is_empty() || last < offset {
            self.points.clear();
            self.points.push_back(0);
            self.base = from;
            return;
        }
        // The others stay sums from an older place on: only their differences count.
        let gone = offset.saturating_sub(self.base) / STRIDE;
        self.points
            .drain(..usize::try_from(gone).unwrap_or(0).min(self.points.len() - 1));
        self.base += gone * STRIDE;
    }
}

impl Input {
    pub const fn new() -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            finished: false,
            hashed: 0,
            sums: Sums {
                base: 0,
                points: VecDeque::new(),
            },
        }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        // Not before as much was read as is moved, so that moving costs no more than reading.
        let held = self.buffer.len() - self.start;
        spend(bytes.len());
        if self.start >= held {
            spend(held);
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Checksum of the `len` bytes that come `ahead` bytes after the next one; fewer where the input has no more.
    pub fn checksum(&mut self, ahead: usize, len: usize) -> u32 {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let ahead = ahead.min(rest.len());
        let end = ahead.saturating_add(len).min(rest.len());
        let from = self.offset + ahead as u64;
        let to = self.offset + end as u64;
        // For most bytes this is the only time.
        let again = from < self.hashed;
        self.hashed = self.hashed.max(to);
        if !again {
            spend(end - ahead);
            return crc32fast::hash(rest.get(ahead..end).unwrap_or_default());
        }
        self.sums.of(rest, self.offset, from, to)
    }

    /// Byte offset of what comes next.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Byte offset of the end of what was pushed.
    pub const fn end_offset(&self) -> u64 {
        self.offset + (self.buffer.len() - self.start) as u64
    }

    pub fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    pub fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.rest().len());
        self.start += bytes;
        self.offset += bytes as u64;
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.buffer = Vec::new();
        self.start = 0;
        self.sums.points = VecDeque::new();
    }
}

/// How far one stream has been read.
#[derive(Debug)]
pub(super) struct StreamState {
    /// What has gone by of a stream of tokens.
    pub track: Track,
    /// Whether nothing has come yet and reading did not begin at the start, so that anything may come first.
    pub joining: bool,
    /// Records of packets that have gone by.
    pub packets: u64,
    pub digest: Digest,
    /// Whether all contents went into the digest.
    pub digested: bool,
}

impl StreamState {
    pub fn new(joining: bool) -> Self {
        Self {
            track: Track::default(),
            joining,
            packets: 0,
            digest: Digest::default(),
            digested: !joining,
        }
    }

    /// Goes past a record of packets at byte `offset`, and says whether it is the one that was due. Fails if its number has gone
    /// by, unless records come in `any_order`.
    pub fn accept_packets(&mut self, offset: u64, sequence: u64, any_order: bool) -> Result<bool> {
        if sequence < self.packets && !any_order {
            let expected = format!("at least {}", self.packets);
            return Err(Broken::new("record sequence number", expected, sequence).in_file(offset, None));
        }
        let due = sequence == self.packets;
        self.packets = sequence.saturating_add(1);
        self.joining = false;
        Ok(due)
    }

    pub fn totals(&self) -> Totals {
        Totals {
            frames: self.track.frames,
            // A stream has the one or the other.
            chunks: self.track.chunks.max(self.packets),
            digest: self.digested.then(|| self.digest.finish()),
        }
    }
}
