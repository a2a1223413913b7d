//! Reading little-endian fields out of a payload, with offsets for messages.

use crate::error::{Broken, Error};

/// A cursor over a payload that knows where in the stream it stands.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    offset: u64,
    chunk: Option<u64>,
}

impl<'a> Fields<'a> {
    pub const fn new(payload: &'a [u8], offset: u64, chunk: Option<u64>) -> Self {
        Self {
            rest: payload,
            offset,
            chunk,
        }
    }

    /// Byte offset in the stream of what comes next.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub fn bytes(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], Error> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                self.offset += len as u64;
                Ok(taken)
            }
            None => {
                let found = format!("{} bytes before the payload ends", self.rest.len());
                Err(Broken::new(what, format!("{len} bytes"), found).in_file(self.offset, self.chunk))
            }
        }
    }

    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N, what)?);
        Ok(array)
    }

    pub fn u8(&mut self, what: &'static str) -> Result<u8, Error> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub fn u16(&mut self, what: &'static str) -> Result<u16, Error> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub fn u32(&mut self, what: &'static str) -> Result<u32, Error> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub fn u64(&mut self, what: &'static str) -> Result<u64, Error> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// Fails unless the payload ends here.
    pub fn end(&self, what: &'static str) -> Result<(), Error> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let found = format!("{} bytes more", self.rest.len());
        Err(Broken::new(what, "the end of the payload", found).in_file(self.offset, self.chunk))
    }
}
