//! A bit and the contexts that it is coded in, in one word.

/// Bits 0 to 9: the context of what is near; 10 to 20: that of what is past; 31: the bit.
#[derive(Clone, Copy, Default)]
pub(super) struct Cell(u32);

impl Cell {
    #[inline(always)]
    pub fn new(near: u32, past: u32, bit: u8) -> Self {
        Self(near | past << 10 | u32::from(bit) << 31)
    }

    #[inline(always)]
    pub fn add_near(&mut self, near: u32) {
        self.0 += near;
    }

    /// The context of what is near, once all of it is known.
    #[inline(always)]
    pub fn near(self, above: u8, left: u8) -> u16 {
        (self.0 & 1023) as u16 + u16::from(above) * 3 + u16::from(left)
    }

    #[inline(always)]
    pub fn past(self) -> u16 {
        (self.0 >> 10 & 2047) as u16
    }

    #[inline(always)]
    pub fn bit(self) -> u8 {
        (self.0 >> 31) as u8
    }

    #[inline(always)]
    pub fn set_bit(&mut self, bit: u8) {
        self.0 = (self.0 & 0x7fff_ffff) | u32::from(bit) << 31;
    }
}
