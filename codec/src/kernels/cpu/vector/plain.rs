//! The operations as loops that compilers vectorise.

use crate::kernels::cpu::words::round;
use crate::kernels::spec::Epsilon;

/// e^x to 2 units in the last place; flushes to 0 below -87 and saturates above 88.
#[inline(always)]
pub(in crate::kernels) fn exp(x: f32) -> f32 {
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

/// x · factor · gain, or SiLU of that.
#[inline(always)]
fn scaled(x: f32, factor: f32, gain: f32, silu: bool) -> f32 {
    let x = x * factor * gain;
    if silu { x / (1.0 + exp(-x)) } else { x }
}

/// How many partial sums or maxima a reduction keeps, so that it vectorises.
const LANES: usize = 16;

/// Sum of f(x) over all values.
#[inline(always)]
fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
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
pub(in crate::kernels) fn max(values: &[f32]) -> f32 {
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

#[inline(always)]
pub(super) fn write_bf16(values: &[f32], words: &mut [u32]) {
    let (pairs, rest) = values.as_chunks::<2>();
    for (word, &[low, high]) in words.iter_mut().zip(pairs) {
        *word = round(low) >> 16 | round(high) & 0xffff_0000;
    }
    if let ([last], Some(word)) = (rest, words.get_mut(pairs.len())) {
        *word = round(*last) >> 16;
    }
}

#[inline(always)]
pub(super) fn turn_bf16(words: &[u32], cosines: &[f32], sines: &[f32], out: &mut [u32]) {
    for ((out, &word), (c, s)) in out.iter_mut().zip(words).zip(cosines.iter().zip(sines)) {
        let (a, b) = (f32::from_bits(word << 16), f32::from_bits(word & 0xffff_0000));
        *out = round(a * c - b * s) >> 16 | round(a * s + b * c) & 0xffff_0000;
    }
}

/// Turns neighbouring pairs of f32 by angles of these cosines and sines.
pub(in crate::kernels) fn turn_f32(words: &[u32], cosines: &[f32], sines: &[f32], out: &mut [u32]) {
    let pairs = out
        .as_chunks_mut::<2>()
        .0
        .iter_mut()
        .zip(words.as_chunks::<2>().0);
    for ((out, &pair), (c, s)) in pairs.zip(cosines.iter().zip(sines)) {
        let [a, b] = pair.map(f32::from_bits);
        *out = [a * c - b * s, a * s + b * c].map(f32::to_bits);
    }
}

#[inline(always)]
pub(super) fn combine(row: &mut [f32], bias: &[f32], residual: &[f32]) -> f32 {
    row.iter_mut().zip(bias).for_each(|(x, b)| *x += b);
    row.iter_mut().zip(residual).for_each(|(x, r)| *x += r);
    sum(row, |v| v * v)
}

/// What brings a row of this sum of squares to unit RMS.
pub(in crate::kernels) fn factor(square: f32, channels: usize, epsilon: Epsilon) -> f32 {
    let channels = channels as f32;
    match epsilon {
        Epsilon::Clamp => (channels / square.max(1e-24)).sqrt(),
        Epsilon::Add => 1.0 / (square / channels + 1e-6).sqrt(),
    }
}

#[inline(always)]
pub(super) fn scale_bf16(row: &[f32], factor: f32, gain: &[f32], silu: bool, words: &mut [u32]) {
    let value = |x: f32, g: f32| round(scaled(x, factor, g, silu));
    let ((pairs, rest), (gains, gain)) = (row.as_chunks::<2>(), gain.as_chunks::<2>());
    for (word, ([a, b], [g, h])) in words.iter_mut().zip(pairs.iter().zip(gains)) {
        *word = value(*a, *g) >> 16 | value(*b, *h) & 0xffff_0000;
    }
    if let (&[last], &[g]) = (rest, gain) {
        words[pairs.len()] = value(last, g) >> 16;
    }
}

#[inline(always)]
pub(super) fn scale(row: &[f32], factor: f32, gain: &[f32], silu: bool, out: &mut [f32]) {
    for (o, (x, g)) in out.iter_mut().zip(row.iter().zip(gain)) {
        *o = scaled(*x, factor, *g, silu);
    }
}

#[inline(always)]
pub(super) fn gelu(row: &mut [f32], bias: &[f32]) {
    for (x, b) in row.iter_mut().zip(bias) {
        // x · (1 + tanh u) / 2 = x · sigmoid(2u).
        let v = *x + b;
        let u = 0.797_884_6 * (v + 0.044_715 * v * v * v);
        *x = v / (1.0 + exp(-2.0 * u));
    }
}

#[inline(always)]
pub(super) fn exponentials(row: &mut [f32], shift: f32, scale: f32) -> f32 {
    row.iter_mut().for_each(|v| *v = exp((*v - shift) * scale));
    sum(row, |v| v)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close() {
        for i in -870..=880 {
            let x = (i as f32 * 0.1 + 0.013).min(88.0);
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
    fn reductions() {
        let values: Vec<f32> = (0..53).map(|i| ((i * 7) % 53) as f32).collect();
        assert_eq!(sum(&values, |v| v), 1378.0);
        assert_eq!(max(&values), 52.0);
    }
}
