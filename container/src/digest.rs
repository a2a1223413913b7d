//! Digests of what a stream holds, whatever coder stored it (LBIT §8.1).

use sha2::{Digest as _, Sha256};

use crate::ground::TokenGrid;

/// SHA-256 over the contents of a stream, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digest(Sha256);

impl Digest {
    /// Takes a chunk in: its number of bits and sides, then its packed planes.
    pub fn chunk(&mut self, grid: TokenGrid, bits: u8, packed: &[u8]) {
        self.0.update([bits]);
        for side in [grid.t, grid.h, grid.w] {
            self.0.update(side.to_le_bytes());
        }
        self.0.update(packed);
    }

    /// Takes the data of a packet in, after its length.
    pub fn packet(&mut self, data: &[u8]) {
        self.0.update((data.len() as u64).to_le_bytes());
        self.0.update(data);
    }

    pub fn finish(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
}
