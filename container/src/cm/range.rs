//! The binary range coder (LBIT §6.2, code).

use crate::error::Broken;

/// Below this range a byte is shifted in or out.
const LEAST_RANGE: u32 = 1 << 24;

/// Writes bits. `p` is the probability of a 1 in units of 2^−16, 1 to 65535.
#[derive(Default)]
pub(super) struct RangeEncoder {
    low: u64,
    range: u32,
    out: Vec<u8>,
}

impl RangeEncoder {
    pub const fn new() -> Self {
        Self {
            low: 0,
            range: u32::MAX,
            out: Vec::new(),
        }
    }

    #[inline(always)]
    pub fn encode(&mut self, p: u16, bit: u8) {
        let bound = (self.range >> 16) * u32::from(p);
        if bit == 1 {
            self.range = bound;
        } else {
            self.low += u64::from(bound);
            self.range -= bound;
        }
        while self.range < LEAST_RANGE {
            self.shift();
            self.range <<= 8;
        }
    }

    fn shift(&mut self) {
        if self.low >> 32 != 0 {
            self.carry();
        }
        self.out.push((self.low >> 24) as u8);
        self.low = (self.low & 0x00ff_ffff) << 8;
    }

    /// Adds one to what was written. It never runs out of bytes: the code is a fraction below one.
    fn carry(&mut self) {
        for byte in self.out.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        self.low &= 0xffff_ffff;
    }

    /// The shortest code of what was written: a reader goes on with zeros.
    pub fn finish(mut self) -> Vec<u8> {
        // Of the numbers that stand for the same bits, the one with the most zeros at its end.
        let last = self.low + u64::from(self.range) - 1;
        let zeros = (0..=32).rev().find(|&zeros| last >> zeros << zeros >= self.low);
        let zeros = zeros.unwrap_or(0);
        self.low = last >> zeros << zeros;
        for _ in 0..4 {
            self.shift();
        }
        while self.out.len() > 1 && self.out.last() == Some(&0) {
            self.out.pop();
        }
        self.out
    }
}

/// Reads bits.
#[derive(Default)]
pub(super) struct RangeDecoder<'a> {
    code: u32,
    range: u32,
    rest: &'a [u8],
    /// Zeros that were read after the end.
    beyond: usize,
}

impl<'a> RangeDecoder<'a> {
    pub fn new(coded: &'a [u8]) -> Result<Self, Broken> {
        if coded.is_empty() || (coded.len() > 1 && coded.last() == Some(&0)) {
            let expected = "a code that does not end in a zero";
            return Err(Broken::new("coded bit-plane", expected, "another one"));
        }
        let mut decoder = Self {
            code: 0,
            range: u32::MAX,
            rest: coded,
            beyond: 0,
        };
        for _ in 0..4 {
            decoder.code = decoder.code << 8 | decoder.next();
        }
        Ok(decoder)
    }

    #[inline]
    fn next(&mut self) -> u32 {
        match self.rest.split_first() {
            Some((&byte, rest)) => {
                self.rest = rest;
                u32::from(byte)
            }
            None => {
                self.beyond += 1;
                0
            }
        }
    }

    #[inline(always)]
    pub fn decode(&mut self, p: u16) -> u8 {
        let bound = (self.range >> 16) * u32::from(p);
        let bit = self.code < bound;
        if bit {
            self.range = bound;
        } else {
            self.code -= bound;
            self.range -= bound;
        }
        while self.range < LEAST_RANGE {
            self.range <<= 8;
            self.code = self.code << 8 | self.next();
        }
        u8::from(bit)
    }

    /// Checks that all bytes were needed.
    pub fn finish(self) -> Result<(), Broken> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let found = format!("{} bytes more", self.rest.len());
        Err(Broken::new("coded bit-plane", "a code of just its bits", found))
    }
}
