//! What was pushed into a parser and not read yet.

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
