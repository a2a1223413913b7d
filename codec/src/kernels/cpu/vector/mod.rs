//! Element-wise work on rows of channels: one entry for each operation, compiled for each kind of CPU.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod plain;

use super::kind::Kind;

pub(in crate::kernels) use plain::{exp, factor, max, turn_f32};

/// Calls the AVX-512 form of an operation if the kind has what it needs, else the plain one.
macro_rules! by_kind {
    ($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?, $condition:ident) => {
        $(#[$doc])*
        #[inline]
        pub(in crate::kernels) fn $name(kind: Kind, $($argument: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn with_avx2($($argument: $type),*) $(-> $result)? {
                    plain::$name($($argument),*)
                }
                if kind.$condition() {
                    // SAFETY: a kind is only ever made where the machine has its instructions.
                    return unsafe { avx512::$name($($argument),*) };
                }
                if kind != Kind::Portable {
                    // SAFETY: as above; every kind but the portable one has AVX2.
                    return unsafe { with_avx2($($argument),*) };
                }
            }
            let _ = kind;
            plain::$name($($argument),*)
        }
    };
}

by_kind! {
    /// Writes pairs of values as words of two bf16; a value without a partner is paired with zero.
    write_bf16(values: &[f32], words: &mut [u32]), has_bf16
}
by_kind! {
    /// Turns pairs of bf16, one in each word, by angles of these cosines and sines.
    turn_bf16(words: &[u32], cosines: &[f32], sines: &[f32], out: &mut [u32]), has_bf16
}
by_kind! {
    /// `row += bias + residual`, of which either may be empty for none; gives the sum of squares.
    combine(row: &mut [f32], bias: &[f32], residual: &[f32]) -> f32, has_avx512
}
by_kind! {
    /// `out = row · factor · gain`, or SiLU of that.
    scale(row: &[f32], factor: f32, gain: &[f32], silu: bool, out: &mut [f32]), has_avx512
}
by_kind! {
    /// Words of `row · factor · gain`, or of SiLU of that, in bf16.
    scale_bf16(row: &[f32], factor: f32, gain: &[f32], silu: bool, words: &mut [u32]), has_bf16
}
by_kind! {
    /// GELU (tanh form) of every value plus its bias.
    gelu(row: &mut [f32], bias: &[f32]), has_avx512
}
by_kind! {
    /// Turns scores into weights that are not normalised yet: `row = exp((row - shift) · scale)`; gives their sum.
    exponentials(row: &mut [f32], shift: f32, scale: f32) -> f32, has_avx512
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::spec::Epsilon;

    /// Every kind against f64, at lengths that are no multiple of a register.
    #[test]
    fn operations_match_f64() {
        for kind in Kind::available() {
            for len in [1, 2, 7, 16, 17, 31, 48, 96, 100] {
                let row: Vec<f32> = (0..len).map(|i| (i as f32 * 1.37 + 0.4).sin() * 6.0).collect();
                let gain: Vec<f32> = (0..len).map(|i| 0.5 + (i as f32 * 0.7).cos().abs()).collect();
                let square: f64 = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
                let close = |found: f32, expected: f64| {
                    assert!(
                        (f64::from(found) - expected).abs() < 3e-6 * expected.abs().max(1.0),
                        "{kind:?} {len}: {found} {expected}"
                    );
                };
                let root = |square: f64| (len as f64 / square).sqrt();
                close(factor(square as f32, len, Epsilon::Clamp), root(square));
                close(
                    factor(square as f32, len, Epsilon::Add),
                    root(square + 1e-6 * len as f64),
                );
                close(factor(0.0, len, Epsilon::Clamp), root(1e-24));
                for (bias, residual, times) in
                    [(&gain[..], &[][..], 1.0), (&[], &gain, 1.0), (&gain, &gain, 2.0)]
                {
                    let mut out = row.clone();
                    let square = combine(kind, &mut out, bias, residual);
                    let sum = |i: usize| f64::from(row[i]) + times * f64::from(gain[i]);
                    (0..len).for_each(|i| close(out[i], sum(i)));
                    close(square, (0..len).map(|i| sum(i) * sum(i)).sum());
                }
                let scaled = |i: usize| f64::from(row[i]) * 1.25 * f64::from(gain[i]);
                let normed = |i: usize, silu: bool| match silu {
                    false => scaled(i),
                    true => scaled(i) / (1.0 + (-scaled(i)).exp()),
                };
                for silu in [false, true] {
                    let mut out = vec![f32::NAN; len];
                    scale(kind, &row, 1.25, &gain, silu, &mut out);
                    (0..len).for_each(|i| close(out[i], normed(i, silu)));
                }
                for silu in [false, true] {
                    let mut words = vec![u32::MAX; len.div_ceil(2)];
                    scale_bf16(kind, &row, 1.25, &gain, silu, &mut words);
                    for i in 0..len.next_multiple_of(2) {
                        let found = f32::from_bits(words[i / 2] << (16 * (1 - i % 2)) & 0xffff_0000);
                        let expected = if i < len { normed(i, silu) } else { 0.0 };
                        let error = (f64::from(found) - expected).abs();
                        assert!(
                            error <= expected.abs() / 250.0,
                            "{kind:?} {i}: {found} {expected}"
                        );
                    }
                }
                let mut out = row.clone();
                gelu(kind, &mut out, &gain);
                for i in 0..len {
                    let x = f64::from(row[i]) + f64::from(gain[i]);
                    close(
                        out[i],
                        0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044715 * x.powi(3))).tanh()),
                    );
                }
                let mut out = row.clone();
                let total = exponentials(kind, &mut out, 6.0, 0.5);
                let expected: Vec<f64> = row.iter().map(|&v| ((f64::from(v) - 6.0) * 0.5).exp()).collect();
                (0..len).for_each(|i| close(out[i], expected[i]));
                close(total, expected.iter().sum());
            }
            let mut extremes = [0.0; 4];
            scale(
                kind,
                &[-500.0, 500.0, -1e30, 1e30],
                1.0,
                &[1.0; 4],
                true,
                &mut extremes,
            );
            assert!(
                extremes[0].abs() < 1e-6
                    && extremes[1] == 500.0
                    && extremes[2].abs() < 1e-6
                    && extremes[3] == 1e30,
                "{extremes:?}"
            );
        }
    }
}
