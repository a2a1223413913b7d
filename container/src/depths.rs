//! How many planes of each token are there (LBIT §5.8).

use crate::error::{Broken, Result};

/// The depths of a chunk's tokens: how many of its leading planes each token has (LBIT §5.8).
///
/// ```
/// use latentbit_container::DepthMap;
/// let mut depths = DepthMap { step: 3, values: vec![0, 6, 12] };
/// assert_eq!(depths.mean(), 6.0);
/// depths.truncate(9);
/// assert_eq!(depths.values, [0, 6, 9]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepthMap {
    /// Depths are multiples of this many planes, 1 to 64, or all planes that the chunk has.
    pub step: u8,
    /// The depth of each token in planes, in the order of the tokens.
    pub values: Vec<u8>,
}

impl DepthMap {
    /// Takes away what is deeper than `bits` planes.
    pub fn truncate(&mut self, bits: u8) {
        self.values
            .iter_mut()
            .for_each(|depth| *depth = (*depth).min(bits));
    }

    /// Mean depth in planes; 0 without tokens.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let sum: u64 = self.values.iter().map(|&depth| u64::from(depth)).sum();
        sum as f64 / self.values.len().max(1) as f64
    }

    /// Checks that there is a depth for each of `tokens` tokens, and that a chunk of `bits` planes can have it.
    pub(crate) fn check(&self, bits: u8, tokens: usize) -> Result<(), Broken> {
        check_step(self.step)?;
        if self.values.len() != tokens {
            let expected = format!("one for each of {tokens} tokens");
            return Err(Broken::new("depths", expected, self.values.len()));
        }
        let legal = |depth: u8| depth == bits || (depth < bits && depth.is_multiple_of(self.step));
        match self.values.iter().position(|&depth| !legal(depth)) {
            None => Ok(()),
            Some(at) => {
                let expected = format!("a multiple of {} below {bits}, or {bits}", self.step);
                let found = format!("{} at token {at}", self.values[at]);
                Err(Broken::new("depth", expected, found))
            }
        }
    }
}

/// Checks a step of depths.
pub(crate) fn check_step(step: u8) -> Result<(), Broken> {
    match step {
        1..=64 => Ok(()),
        _ => Err(Broken::new("step of depths", "1 to 64", step)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let map = |step, values: &[u8]| DepthMap {
            step,
            values: values.to_vec(),
        };
        assert!(map(3, &[0, 3, 6, 7]).check(7, 4).is_ok());
        assert!(map(3, &[0, 3, 6, 7]).check(7, 5).is_err());
        assert!(map(3, &[0, 3, 6, 7]).check(8, 4).is_err());
        assert!(map(3, &[0, 9]).check(8, 2).is_err());
        assert!(map(0, &[]).check(8, 0).is_err());
        assert!(map(65, &[]).check(8, 0).is_err());
        assert!(map(64, &[0, 64]).check(64, 2).is_ok());
    }
}
