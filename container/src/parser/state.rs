//! What a parser keeps between records: the input that was not read yet, and how far each stream has come.

use crate::end::{Digest, Totals};
use crate::track::Track;

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
}

impl Input {
    pub const fn new() -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            finished: false,
        }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
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

    pub fn totals(&self) -> Totals {
        Totals {
            frames: self.track.frames,
            // A stream has the one or the other.
            chunks: self.track.chunks.max(self.packets),
            digest: self.digested.then(|| self.digest.finish()),
        }
    }
}
