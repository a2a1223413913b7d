//! How many frames a second has, where the container does not know.

use crate::options::reduced;
use latentbit_container::Rational;

/// Rates above this are more often a clock that a container mistook for a rate than the rate of a camera.
const HIGHEST: f64 = 100.0;

/// Packets that are looked at before the first frame, and bytes of them.
pub const PACKETS: usize = 100;
pub const BYTES: usize = 32 << 20;

/// Rates that cameras and programs have.
const COMMON: [(u32, u32); 18] = [
    (5, 1),
    (10, 1),
    (12, 1),
    (15, 1),
    (20, 1),
    (24000, 1001),
    (24, 1),
    (25, 1),
    (30000, 1001),
    (30, 1),
    (48, 1),
    (50, 1),
    (60000, 1001),
    (60, 1),
    (90, 1),
    (100, 1),
    (120, 1),
    (144, 1),
];

fn per_second(rate: Rational) -> f64 {
    f64::from(rate.num) / f64::from(rate.den.max(1))
}

/// Whether a rate that a container gives has to be judged by times.
pub fn is_doubtful(claimed: Option<Rational>) -> bool {
    claimed.is_none_or(|rate| per_second(rate) > HIGHEST)
}

/// The rate of frames that are shown at these times, in seconds and any order; the claimed one where it fits.
pub fn judged(claimed: Option<Rational>, times: &[f64]) -> Option<Rational> {
    let first = times.iter().copied().fold(f64::INFINITY, f64::min);
    let last = times.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let span = last - first;
    if times.len() < 2 || span <= 0.0 || !span.is_finite() {
        return claimed;
    }
    let found = (times.len() - 1) as f64 / span;
    let is_near = |rate: f64, part: f64| (rate / found - 1.0).abs() < part;
    if let Some(claimed) = claimed.filter(|&rate| is_near(per_second(rate), 0.2)) {
        return Some(claimed);
    }
    let off = |&(num, den): &(u32, u32)| (f64::from(num) / f64::from(den) / found - 1.0).abs();
    let nearest = COMMON.iter().min_by(|a, b| off(a).total_cmp(&off(b)));
    match nearest.filter(|rate| off(rate) < 0.03) {
        Some(&(num, den)) => Some(Rational { num, den }),
        None => reduced((found * 1000.0).round().max(1.0) as u128, 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn rate(num: u32, den: u32) -> Option<Rational> {
        Some(Rational { num, den })
    }

    #[test]
    fn times_decide_over_absurd_claims() {
        let times = |fps: f64| (0..60).map(|n| f64::from(n) / fps).collect::<Vec<f64>>();
        assert!(is_doubtful(None) && is_doubtful(rate(1000, 1)) && is_doubtful(rate(90000, 1)));
        assert!(!is_doubtful(rate(60, 1)) && !is_doubtful(rate(1, 10)));
        assert_eq!(judged(rate(240, 1), &times(240.0)), rate(240, 1));
        // A browser's recorder, with a clock of milliseconds.
        let rounded: Vec<f64> = times(30.0)
            .iter()
            .map(|t| (t * 1000.0).round() / 1000.0)
            .collect();
        assert_eq!(judged(rate(1000, 1), &rounded), rate(30, 1));
        assert_eq!(judged(None, &times(59.94)), rate(60000, 1001));
        // A camera that is really that fast.
        assert_eq!(judged(rate(1000, 1), &times(1000.0)), rate(1000, 1));
        assert_eq!(judged(None, &times(37.0)), rate(37, 1));
        assert_eq!(judged(None, &times(0.1)), rate(1, 10));
        assert_eq!(judged(rate(1000, 1), &[0.0]), rate(1000, 1));
        assert_eq!(judged(None, &[]), None);
    }
}
