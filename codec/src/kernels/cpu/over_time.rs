//! The end of a convolution in time whose taps were computed one by one: their sums, over the frames that they meet.
//!
//! Where a convolution has far fewer outputs than inputs, what is still to come of its sums takes less memory than the
//! frames that it would see again, and one frame is read once instead of once for each tap.

use rayon::prelude::*;

/// Positions that a thread takes at a time.
const POSITIONS: usize = 1 << 12;

/// Gives outputs of (T, positions, C) for the products (T, positions, taps · C) of every tap with its frame, the oldest
/// frame's tap first. `pending` has the sums that earlier frames give to the next ones, as bits of f32: those of
/// `taps - 1` frames, (positions, C) each. It is left as those after the last frame.
///
/// # Panics
/// If lengths do not fit: a mistake of the caller.
pub(crate) fn over_time(products: &[f32], channels: usize, pending: &mut [Vec<u32>], out: &mut [f32]) {
    let taps = pending.len() + 1;
    let frame = pending.first().map_or(out.len(), Vec::len).max(1);
    assert!(products.len() == taps * out.len() && out.len().is_multiple_of(frame));
    assert!(pending.iter().all(|sums| sums.len() == frame) && frame.is_multiple_of(channels));
    let part = POSITIONS * channels;
    for (products, out) in products
        .chunks_exact(taps * frame)
        .zip(out.chunks_exact_mut(frame))
    {
        // For each part of the positions, that of every pending frame.
        let mut parts: Vec<Vec<&mut [u32]>> = Vec::new();
        parts.resize_with(frame.div_ceil(part), || Vec::with_capacity(taps - 1));
        for sums in pending.iter_mut() {
            let each = parts.iter_mut().zip(sums.chunks_mut(part));
            each.for_each(|(parts, sums)| parts.push(sums));
        }
        let products = products.par_chunks(taps * part);
        let all = products.zip(out.par_chunks_mut(part)).zip(parts);
        all.for_each(|((products, out), mut pending)| {
            for (position, out) in out.chunks_exact_mut(channels).enumerate() {
                let products = &products[position * taps * channels..][..taps * channels];
                for (channel, out) in out.iter_mut().enumerate() {
                    let at = position * channels + channel;
                    let product = |tap: usize| products[tap * channels + channel];
                    let waiting = |sums: &[u32]| f32::from_bits(sums[at]);
                    *out = pending.first().map_or(0.0, |sums| waiting(sums)) + product(taps - 1);
                    for index in 0..taps - 1 {
                        let later = pending.get(index + 1).map_or(0.0, |sums| waiting(sums));
                        pending[index][at] = (later + product(taps - 2 - index)).to_bits();
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::tests::Random;

    #[test]
    fn every_frame_meets_every_tap_however_frames_come() {
        let mut random = Random::new(5);
        for (taps, positions, channels) in [(3, 7, 3), (2, 5, 1), (1, 4, 2), (4, POSITIONS + 3, 3)] {
            let (frames, frame) = (6, positions * channels);
            let products = random.values_f32(frames * taps * frame);
            let product = |t: usize, at: usize, tap: usize| {
                products[((t * positions + at / channels) * taps + tap) * channels + at % channels]
            };
            for cut in [vec![6], vec![1, 1, 1, 1, 1, 1], vec![2, 4], vec![5, 1]] {
                let mut pending = vec![vec![0; frame]; taps - 1];
                let mut out = vec![f32::NAN; frames * frame];
                let mut start = 0;
                for count in cut {
                    over_time(
                        &products[start * taps * frame..(start + count) * taps * frame],
                        channels,
                        &mut pending,
                        &mut out[start * frame..(start + count) * frame],
                    );
                    start += count;
                }
                for t in 0..frames {
                    for at in 0..frame {
                        // The tap before the last one meets the frame before, and so on; the oldest comes first.
                        let sum = (0..taps)
                            .filter(|tap| t + tap + 1 >= taps)
                            .fold(0.0, |sum, tap| sum + product(t + tap + 1 - taps, at, tap));
                        assert_eq!(out[t * frame + at], sum, "{taps} {t} {at}");
                    }
                }
            }
        }
    }
}
