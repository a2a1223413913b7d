//! States of a context, and where their mixtures begin (LBIT §6.2, tables).
//!
//! A context has a state from 0 to 127: the probability of a 1, in steps that are even in its logarithm. States from
//! 64 up expect a 1, lower ones a 0, and the farther from the middle, the surer they are.

/// States on each side of the middle.
const SIDE: usize = 64;

/// Neighbouring states that count as one when predictions are mixed.
const PER_LEVEL: u32 = 8;

/// Levels of states.
const LEVELS: usize = 2 * SIDE / PER_LEVEL as usize;

/// The state of a context that nothing is known of.
pub(super) const NEW: u8 = SIDE as u8;

/// The state after `2 · state + bit`.
pub(super) static NEXT: [u8; 4 * SIDE] = next();

/// The probability that two levels begin to be mixed to, by their sum: that of the logit 0.375 · (sum − 15).
const FIRST: [u16; 2 * LEVELS - 1] = [
    236, 342, 497, 720, 1042, 1506, 2168, 3108, 4427, 6249, 8714, 11955, 16062, 21025, 26695, 32768, 38841,
    44511, 49474, 53581, 56822, 59287, 61109, 62428, 63368, 64030, 64494, 64816, 65039, 65194, 65300,
];

/// The place in [`MIXED`] of a pair of states.
#[inline(always)]
pub(super) const fn pair(near: u8, past: u8) -> usize {
    (near as usize / PER_LEVEL as usize) * LEVELS + past as usize / PER_LEVEL as usize
}

/// What a pair of levels is mixed to at first.
pub(super) static MIXED: [u16; LEVELS * LEVELS] = mixed();

/// The probability of what a state does not expect, in units of 2^−16: 1/2 in the middle, and 1/16 less in each further one.
const fn unexpected() -> [u32; SIDE] {
    let mut table = [32768; SIDE];
    let mut k = 1;
    while k < SIDE {
        table[k] = table[k - 1] - table[k - 1] / 16;
        k += 1;
    }
    table
}

/// What is expected gets surer by a state. What is not moves its probability up by 1/16 of the way to 1; the state is the
/// nearest one, on the other side if it got above 1/2.
const fn next() -> [u8; 4 * SIDE] {
    let unexpected = unexpected();
    let mut table = [0; 4 * SIDE];
    let mut k = 0;
    while k < SIDE {
        let surer = if k + 1 < SIDE { k + 1 } else { k };
        let up = unexpected[k] + (65536 - unexpected[k]) / 16;
        let (turned, q) = if up > 32768 {
            (true, 65536 - up)
        } else {
            (false, up)
        };
        let mut nearest = 0;
        let mut other = 1;
        while other < SIDE {
            if unexpected[other].abs_diff(q) < unexpected[nearest].abs_diff(q) {
                nearest = other;
            }
            other += 1;
        }
        // Of states that expect a 1, and of those that expect a 0.
        let (one, zero) = (SIDE + k, SIDE - 1 - k);
        table[2 * one + 1] = (SIDE + surer) as u8;
        table[2 * zero] = (SIDE - 1 - surer) as u8;
        table[2 * one] = if turned {
            SIDE - 1 - nearest
        } else {
            SIDE + nearest
        } as u8;
        table[2 * zero + 1] = if turned {
            SIDE + nearest
        } else {
            SIDE - 1 - nearest
        } as u8;
        k += 1;
    }
    table
}

const fn mixed() -> [u16; LEVELS * LEVELS] {
    let mut table = [0; LEVELS * LEVELS];
    let mut i = 0;
    while i < table.len() {
        table[i] = FIRST[i / LEVELS + i % LEVELS];
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixtures_begin_at_their_logits() {
        for (sum, &first) in FIRST.iter().enumerate() {
            let logit = (sum as f64 - 15.0) * 0.375;
            assert_eq!(f64::from(first), (65536.0 / (1.0 + (-logit).exp())).round());
        }
        assert_eq!((MIXED[0], MIXED[0xf0], MIXED[0xff]), (FIRST[0], 32768, FIRST[30]));
        assert_eq!((pair(0, 0), pair(127, 127), pair(64, 8)), (0, 255, 129));
    }

    #[test]
    fn states_are_symmetric_and_follow_their_bits() {
        for state in 0..128u8 {
            let next = |state: u8, bit: u8| NEXT[usize::from(2 * state + bit)];
            assert_eq!(next(state, 1), 127 - next(127 - state, 0));
            assert!(next(state, 1) > state || state == 127);
            assert!(next(state, 0) < state || state == 0);
        }
    }
}
