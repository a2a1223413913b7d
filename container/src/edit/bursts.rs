//! Losses in bursts, as channels have them.

use crate::error::{Error, Result};

/// Says of one chunk after the other whether it is lost.
///
/// A chain of two states (Gilbert): in a burst every chunk is lost, else none is. Bursts have `burst` chunks on
/// average, and in the long run a share `rate` of all chunks is lost. The same seed gives the same losses on every
/// machine: only additions, products and quotients of IEEE doubles are in it.
#[derive(Clone, Debug)]
pub struct Bursts {
    state: u64,
    /// Probability that a burst begins, and that one ends.
    begins: f64,
    ends: f64,
    lost: bool,
}

impl Bursts {
    /// Losses of a share `rate` of all chunks, from 0 to 1, in bursts of `burst` chunks on average, at least 1.
    ///
    /// # Errors
    /// [`Error::Parameter`] for other numbers, and where bursts of this length are too short for the rate: between two
    /// bursts lies at least one chunk, so the rate is at most `burst / (burst + 1)`, or 1.
    pub fn new(rate: f64, burst: f64, seed: u64) -> Result<Self> {
        if !(0.0..=1.0).contains(&rate) {
            return Err(Error::parameter("loss rate", "0 to 1", rate));
        }
        if !(1.0..=1e9).contains(&burst) {
            return Err(Error::parameter(
                "mean length of bursts",
                "1 to 1e9 chunks",
                burst,
            ));
        }
        let (begins, ends) = match rate {
            1.0 => (1.0, 0.0),
            _ => (rate / (burst * (1.0 - rate)), 1.0 / burst),
        };
        if begins > 1.0 {
            let most = burst / (burst + 1.0);
            let expected = format!("at most {most} with bursts of {burst} chunks");
            return Err(Error::parameter("loss rate", expected, rate));
        }
        let mut bursts = Self {
            state: seed,
            begins,
            ends,
            lost: false,
        };
        // As in the middle of a long stream.
        bursts.lost = bursts.chance() < rate;
        Ok(bursts)
    }

    /// A number from 0 to 1, without 1 (splitmix64, by Sebastiano Vigna, public domain).
    fn chance(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl Iterator for Bursts {
    type Item = bool;

    fn next(&mut self) -> Option<bool> {
        let lost = self.lost;
        let turns = match lost {
            true => self.ends,
            false => self.begins,
        };
        self.lost ^= self.chance() < turns;
        Some(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Share of lost chunks, and mean length of bursts.
    fn measured(rate: f64, burst: f64) -> (f64, f64) {
        let losses: Vec<bool> = Bursts::new(rate, burst, 1).unwrap().take(200_000).collect();
        let lost = losses.iter().filter(|lost| **lost).count() as f64;
        let bursts = losses.chunk_by(|a, b| a == b).filter(|run| run[0]).count() as f64;
        (lost / losses.len() as f64, lost / bursts)
    }

    #[test]
    fn rates_and_lengths_are_those_asked_for() {
        for (rate, burst) in [(0.05, 1.0), (0.1, 2.0), (0.2, 2.0), (0.5, 5.0)] {
            let (found, length) = measured(rate, burst);
            assert!((found / rate - 1.0).abs() < 0.05, "{found} of {rate}");
            assert!((length / burst - 1.0).abs() < 0.05, "{length} of {burst}");
        }
        assert!(Bursts::new(0.0, 3.0, 7).unwrap().take(1000).all(|lost| !lost));
        assert!(Bursts::new(1.0, 3.0, 7).unwrap().take(1000).all(|lost| lost));
    }

    /// What was published once must come again.
    #[test]
    fn a_seed_stands_for_its_losses() {
        let lost = |seed| {
            let losses = Bursts::new(0.2, 2.0, seed).unwrap().take(60).enumerate();
            losses
                .filter(|(_, lost)| *lost)
                .map(|(at, _)| at)
                .collect::<Vec<_>>()
        };
        assert_eq!(lost(1), lost(1));
        assert_ne!(lost(1), lost(2));
        assert_eq!(lost(1), [20, 23, 25, 26, 27, 55, 56]);
    }

    #[test]
    fn impossible_rates_are_refused() {
        for (rate, burst) in [
            (-0.1, 1.0),
            (1.1, 1.0),
            (f64::NAN, 1.0),
            (0.1, 0.5),
            (0.1, f64::NAN),
        ] {
            assert!(Bursts::new(rate, burst, 0).is_err(), "{rate} {burst}");
        }
        let error = Bursts::new(0.6, 1.0, 0).unwrap_err();
        assert!(error.to_string().contains("at most 0.5"), "{error}");
    }
}
