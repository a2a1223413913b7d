//! Placeholder until the coder is merged.
use crate::chunk::TokenGrid;
use crate::error::Broken;
pub(crate) fn encode(_grid: TokenGrid, _packed: &[u8]) -> Vec<Option<Vec<u8>>> {
    Vec::new()
}
pub(crate) struct Decoder;
impl Decoder {
    pub fn new(_grid: TokenGrid) -> Self {
        Self
    }
    pub fn decode_plane(&mut self, coded: Option<&[u8]>, _to: &mut [u8]) -> Result<(), Broken> {
        match coded {
            None => Ok(()),
            Some(_) => Err(Broken::new("coder", "cm", "none")),
        }
    }
}
