//! Random numbers that depend on nothing but where they are used, so that threads and machines do not matter.

/// The place of the noise on a token's confidence, beside those of its bits.
pub(super) const CONFIDENCE: u64 = 64;

/// A number in (0, 1) for bit `bit` of token `token` in step `step`: SplitMix64 of a counter, its upper 24 bits. The
/// training recipe draws the same.
pub(super) fn noise(seed: u64, step: u64, token: u64, bit: u64) -> f64 {
    const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
    let place = token
        .wrapping_add(step << 40)
        .wrapping_mul(65)
        .wrapping_add(bit + 1);
    let mut z = seed.wrapping_add(GAMMA.wrapping_mul(place));
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ z >> 31) >> 40) as f64 / f64::from(1 << 24) + 0.5 / f64::from(1 << 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_evenly() {
        let draws: Vec<f64> = (0..40_000).map(|i| noise(7, i % 5, i / 5, i % 64)).collect();
        assert!(draws.iter().all(|&x| x > 0.0 && x < 1.0));
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert_ne!(noise(7, 0, 0, 0), noise(8, 0, 0, 0));
        assert_ne!(noise(7, 0, 0, 0), noise(7, 1, 0, 0));
    }
}
