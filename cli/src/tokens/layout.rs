//! How tokens lie in an array.

use std::io::{self, Read};

use clap::ValueEnum;
use latentbit_container::Tokens;

/// Type of the numbers that a token is split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Columns {
    /// 16 bits each.
    U16,
    /// 32 bits each.
    U32,
}

/// Bytes of a number, and numbers per token: one, or as many columns as its bits need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub bytes: usize,
    /// Columns along a last axis; none if a token is one number.
    pub columns: Option<usize>,
}

impl Layout {
    /// The smallest number that holds `bits` bits, or columns.
    pub fn new(bits: u8, columns: Option<Columns>) -> Self {
        let split = |bytes: usize| Self {
            bytes,
            columns: Some(usize::from(bits).div_ceil(8 * bytes)),
        };
        match columns {
            Some(Columns::U16) => split(2),
            Some(Columns::U32) => split(4),
            None => Self {
                bytes: match bits {
                    0..=16 => 2,
                    17..=32 => 4,
                    _ => 8,
                },
                columns: None,
            },
        }
    }

    /// One number of 64 bits.
    pub const WIDE: Self = Self {
        bytes: 8,
        columns: None,
    };

    /// Name of the number type in numpy.
    pub const fn dtype(&self) -> &'static str {
        match self.bytes {
            2 => "u16",
            4 => "u32",
            _ => "u64",
        }
    }

    /// Bytes of a token.
    pub fn token_bytes(&self) -> usize {
        self.bytes * self.columns.unwrap_or(1)
    }

    /// Appends a token: column `c` holds the bits from `c` times the width of a number on.
    pub fn put(&self, out: &mut Vec<u8>, value: u64) {
        let all = value.to_le_bytes();
        let len = self.token_bytes();
        out.extend_from_slice(&all[..len.min(8)]);
        out.resize(out.len() + len.saturating_sub(8), 0);
    }

    /// Appends all tokens of a chunk.
    pub fn put_all(&self, out: &mut Vec<u8>, tokens: &Tokens) {
        out.reserve(tokens.values.len() * self.token_bytes());
        for &value in &tokens.values {
            self.put(out, value);
        }
    }

    /// The token in `bytes`, which are [`token_bytes`](Self::token_bytes) long; none if it has more than 64 bits.
    pub fn get(&self, bytes: &[u8]) -> Option<u64> {
        let mut all = [0; 8];
        for (to, from) in all.iter_mut().zip(bytes) {
            *to = *from;
        }
        bytes
            .iter()
            .skip(8)
            .all(|&byte| byte == 0)
            .then_some(u64::from_le_bytes(all))
    }
}

/// Type and shape of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    pub dtype: String,
    pub shape: Vec<u64>,
}

impl Array {
    /// Fails unless it is the one that a sidecar tells of.
    pub fn expect(&self, expected: &Self) -> io::Result<()> {
        if self == expected {
            return Ok(());
        }
        Err(bad(format!(
            "expected an array of {} with the sides {:?}, as the sidecar says, found one of {} with {:?}",
            expected.dtype, expected.shape, self.dtype, self.shape
        )))
    }

    /// Bytes of all numbers; none if they overflow.
    pub fn bytes(&self) -> Option<u64> {
        let each: u64 = match self.dtype.as_str() {
            "u8" => 1,
            "u16" => 2,
            "u32" => 4,
            "u64" => 8,
            _ => return None,
        };
        self.shape
            .iter()
            .try_fold(each, |bytes, &side| bytes.checked_mul(side))
    }
}

/// An error for wrong contents, as opposed to a failed read.
pub fn bad(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// Reads `len` bytes; allocates only for those that come.
pub fn read_up_to(file: &mut impl Read, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.take(len).read_to_end(&mut bytes)?;
    match read as u64 == len {
        true => Ok(bytes),
        false => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("expected {len} more bytes of the header, found {read}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_number_that_holds_the_bits() {
        let names = [1, 16, 17, 32, 33, 64].map(|bits| Layout::new(bits, None).dtype());
        assert_eq!(names, ["u16", "u16", "u32", "u32", "u64", "u64"]);
        assert_eq!(Layout::new(36, Some(Columns::U16)).columns, Some(3));
        assert_eq!(Layout::new(36, Some(Columns::U32)).columns, Some(2));
        assert_eq!(Layout::new(16, Some(Columns::U32)).columns, Some(1));
    }

    #[test]
    fn columns_hold_the_bits_in_order() {
        let value = 0x9_8765_4321;
        let mut out = Vec::new();
        let layout = Layout::new(36, Some(Columns::U16));
        layout.put(&mut out, value);
        assert_eq!(out, [0x21, 0x43, 0x65, 0x87, 0x09, 0x00]);
        assert_eq!(layout.get(&out), Some(value));
        for bits in [7, 18, 36, 64] {
            for columns in [None, Some(Columns::U16), Some(Columns::U32)] {
                let layout = Layout::new(bits, columns);
                let value = u64::MAX >> (64 - bits);
                let mut out = Vec::new();
                layout.put(&mut out, value);
                assert_eq!(out.len(), layout.token_bytes());
                assert_eq!(layout.get(&out), Some(value));
            }
        }
    }

    #[test]
    fn bytes_that_cannot_be_counted() {
        let array = |shape: &[u64]| Array {
            dtype: "u32".to_owned(),
            shape: shape.to_vec(),
        };
        assert_eq!(array(&[5, 60, 106, 2]).bytes(), Some(4 * 5 * 60 * 106 * 2));
        assert_eq!(array(&[u64::MAX, 2]).bytes(), None);
    }
}
