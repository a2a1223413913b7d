//! A source as a stream with a position, read in blocks: what a source far away costs is requests.

use std::io::{self, Read, Seek, SeekFrom};

use crate::source::Source;

/// Bytes that are asked for at a time, where nobody knows how many will be needed.
pub const BLOCK: usize = 1 << 16;

/// A position in a [`Source`], and the block that was read last.
pub struct Cursor<'a> {
    source: &'a Source,
    position: u64,
    block: Vec<u8>,
    block_at: u64,
    block_len: usize,
}

impl<'a> Cursor<'a> {
    /// At the start; asks for `block_len` bytes at a time.
    pub fn new(source: &'a Source, block_len: usize) -> Self {
        Self {
            source,
            position: 0,
            block: Vec::new(),
            block_at: 0,
            block_len: block_len.max(1),
        }
    }

    /// What the block holds from the position on.
    fn held(&self) -> &[u8] {
        let from = self.position.checked_sub(self.block_at);
        let from = from.and_then(|from| usize::try_from(from).ok());
        from.and_then(|from| self.block.get(from..)).unwrap_or_default()
    }
}

impl Read for Cursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bytes = match self.source.in_memory() {
            Some(all) => usize::try_from(self.position)
                .ok()
                .and_then(|from| all.get(from..))
                .unwrap_or_default(),
            None => {
                if self.held().is_empty() && self.position < self.source.len() {
                    self.block = self.source.fetch(self.position, self.block_len)?;
                    self.block_at = self.position;
                }
                self.held()
            }
        };
        let len = bytes.read(buffer)?;
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for Cursor<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.source.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}
