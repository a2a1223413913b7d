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

    pub fn i64(&mut self, what: &'static str) -> Result<i64, Error> {
        self.array(what).map(i64::from_le_bytes)
    }

    /// A number of variable length (LBIT §1.1): seven bits a byte, the lowest first, in as few bytes as it takes.
    pub fn varint(&mut self, what: &'static str) -> Result<u64, Error> {
        let at = self.offset;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return match byte {
                    0 if shift > 0 => break,
                    _ => Ok(value),
                };
            }
        }
        let expected = "a number below 2^64 in as few bytes as it takes";
        Err(Broken::new(what, expected, "another form").in_file(at, self.chunk))
    }

    /// A number with a sign, as [`put_signed`] writes it.
    pub fn signed(&mut self, what: &'static str) -> Result<i64, Error> {
        let value = self.varint(what)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A text, after its length in bytes.
    pub fn text(&mut self, what: &'static str) -> Result<String, Error> {
        let len = self.varint(what)?;
        let at = self.offset;
        let bytes = self.bytes(usize::try_from(len).unwrap_or(usize::MAX), what)?;
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Broken::new(what, "UTF-8", error).in_file(at, self.chunk))?;
        Ok(text.to_owned())
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

/// Appends a number of variable length (LBIT §1.1).
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a number with a sign: 0, -1, 1, -2, 2 and so on become 0, 1, 2, 3, 4.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, (value as u64) << 1 ^ (value >> 63) as u64);
}

/// Appends a text after its length in bytes.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn varint(bytes: &[u8]) -> Result<u64, Error> {
        Fields::new(bytes, 0, None).varint("number")
    }

    #[test]
    fn examples_of_the_specification() {
        for (value, bytes) in [
            (0u64, &[0u8][..]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (300, &[0xac, 0x02]),
        ] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out, bytes);
        }
        for (value, byte) in [(0, 0), (-1, 1), (1, 2), (-2, 3), (63, 126), (-64, 127)] {
            let mut out = Vec::new();
            put_signed(&mut out, value);
            assert_eq!(out, [byte]);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for bytes in [
            &[0x80, 0x00][..],
            &[0xff; 10],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
        ] {
            assert!(
                varint(bytes).unwrap_err().to_string().contains("as few bytes"),
                "{bytes:?}"
            );
        }
        assert!(varint(&[0x80]).is_err());
        assert!(varint(&[]).is_err());
    }

    proptest! {
        #[test]
        fn round_trip(value in any::<u64>(), signed in any::<i64>(), shift in 0u32..64, text in ".{0,20}") {
            let mut out = Vec::new();
            put_varint(&mut out, value >> shift);
            put_signed(&mut out, signed >> shift);
            put_text(&mut out, &text);
            let mut fields = Fields::new(&out, 0, None);
            prop_assert_eq!(fields.varint("number").unwrap(), value >> shift);
            prop_assert_eq!(fields.signed("number").unwrap(), signed >> shift);
            prop_assert_eq!(fields.text("text").unwrap(), text);
            prop_assert!(fields.end("payload").is_ok());
        }
    }
}
