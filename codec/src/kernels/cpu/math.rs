//! Transcendental functions that vectorise.

/// e^x to 2 units in the last place; flushes to 0 below -87 and saturates above 88.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding 1.5·2^23 rounds to an integer in the mantissa's low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, so that n·ln 2 loses no bits (Cody and Waite).
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    // Taylor's series to r^7, |r| ≤ ln 2 / 2.
    let mut p = 1.0 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p * r + c;
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    p * power
}

#[inline(always)]
pub(super) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// GELU in its tanh form: x · (1 + tanh u) / 2 = x · sigmoid(2u).
#[inline(always)]
pub(super) fn gelu(x: f32) -> f32 {
    let u = 0.797_884_6 * (x + 0.044_715 * x * x * x);
    x / (1.0 + exp(-2.0 * u))
}

/// How many partial sums or maxima a reduction keeps, so that it vectorises.
pub(super) const LANES: usize = 16;

/// Sum of f(x) over all values.
#[inline(always)]
pub(super) fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for block in blocks {
        for (s, &v) in sums.iter_mut().zip(block) {
            *s += f(v);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|&v| f(v)).sum::<f32>()
}

/// The largest value.
#[inline(always)]
pub(super) fn max(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut maxima = [f32::NEG_INFINITY; LANES];
    for block in blocks {
        for (m, &v) in maxima.iter_mut().zip(block) {
            *m = larger(*m, v);
        }
    }
    maxima.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close() {
        for i in -870..=880 {
            let x = i as f32 * 0.1 + 0.013;
            let x = x.min(88.0);
            let exact = f64::from(x).exp();
            assert!(
                (f64::from(exp(x)) / exact - 1.0).abs() < 3e-7,
                "{x}: {} {exact}",
                exp(x)
            );
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1000.0) < 1e-37);
        assert!(exp(1000.0) > 1e38);
    }

    #[test]
    fn activations_are_close() {
        for i in -400..=400 {
            let x = f64::from(i) * 0.05;
            let silu64 = x / (1.0 + (-x).exp());
            let gelu64 = 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044715 * x.powi(3))).tanh());
            assert!((f64::from(silu(x as f32)) - silu64).abs() < 2e-6, "{x}");
            assert!((f64::from(gelu(x as f32)) - gelu64).abs() < 2e-6, "{x}");
        }
    }

    #[test]
    fn reductions() {
        let values: Vec<f32> = (0..53).map(|i| ((i * 7) % 53) as f32).collect();
        assert_eq!(sum(&values, |v| v), 1378.0);
        assert_eq!(max(&values), 52.0);
    }
}
