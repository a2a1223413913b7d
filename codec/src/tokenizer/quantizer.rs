//! Binary quantizers: outputs of the encoder to bits, bits to inputs of the decoder.

use crate::bundle::QuantizerKind;

/// What the decoder sees of a token.
///
/// Bit j of a token is set exactly when output j of the encoder is above zero (equation 1); the encoder's last layer
/// takes these signs itself.
pub trait Quantizer: Send + Sync {
    /// The magnitude of each dimension of a code of `bits` dimensions.
    fn scale(&self, bits: usize) -> f32;

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
    fn codes() {
        let mut code = [9.0; 4];
        Bsq.code(0b0101, 3, &mut code);
        assert_eq!(code, [0.5, -0.5, 0.5, 0.0]);
    }
}
