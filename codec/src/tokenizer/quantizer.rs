//! Binary quantizers: outputs of the encoder to bits, bits to inputs of the decoder.

use crate::bundle::QuantizerKind;

/// Turns the D outputs of the encoder into a token and a token into the D inputs of the decoder.
///
/// Bit j of a token belongs to output j.
pub trait Quantizer: Send + Sync {
    /// The magnitude of each dimension of a code of `bits` dimensions.
    fn scale(&self, bits: usize) -> f32;

    /// The token of some outputs, at most 64: bit j is set exactly when output j is above zero (equation 1).
    fn token(&self, outputs: &[f32]) -> u64 {
        outputs
            .iter()
            .enumerate()
            .fold(0, |token, (j, &u)| token | u64::from(u > 0.0) << j)
    }

    /// Writes a token's code; dimensions from `kept` on are zero (equation 2).
    fn code(&self, token: u64, kept: usize, code: &mut [f32]) {
        let scale = self.scale(code.len());
        for (j, value) in code.iter_mut().enumerate() {
            *value = match (j < kept, token >> j & 1) {
                (false, _) => 0.0,
                (true, 0) => -scale,
                (true, _) => scale,
            };
        }
    }
}

/// Lookup-free quantizer (MAGVIT-v2): codes are ±1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lfq;

impl Quantizer for Lfq {
    fn scale(&self, _bits: usize) -> f32 {
        1.0
    }
}

/// Binary spherical quantizer: codes are points of the unit sphere. Projecting onto it changes no sign, so tokens need
/// no projection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bsq;

impl Quantizer for Bsq {
    fn scale(&self, bits: usize) -> f32 {
        (1.0 / (bits as f64).sqrt()) as f32
    }
}

pub(super) fn quantizer(kind: QuantizerKind) -> Box<dyn Quantizer> {
    match kind {
        QuantizerKind::Lfq => Box::new(Lfq),
        QuantizerKind::Bsq => Box::new(Bsq),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_and_codes() {
        let outputs = [1.0, -1.0, 0.0, f32::NAN, 1e-30, -0.0];
        assert_eq!(Lfq.token(&outputs), 0b010001);
        let mut code = [9.0; 4];
        Bsq.code(0b0101, 3, &mut code);
        assert_eq!(code, [0.5, -0.5, 0.5, 0.0]);
        assert_eq!(Lfq.token(&[1.0; 64]), u64::MAX);
    }
}
