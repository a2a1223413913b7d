//! How a token lies in an array.

use clap::ValueEnum;
use latentbit_container::Tokens;

/// Numbers that a token is split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Columns {
    /// 16 bits each.
    U16,
    /// 32 bits each.
    U32,
}

/// Bytes of a number, and numbers per token: 1, or as many columns as the bits of a token take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub bytes: usize,
    /// Columns of a last axis; none if a token is one number.
    pub columns: Option<usize>,
}

impl Layout {
    /// The smallest number that holds `bits` bits, or columns of numbers.
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

    /// The name of the number type, as numpy has it.
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

    /// Appends a token: column c holds the bits from c times the width of a number on.
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
}
