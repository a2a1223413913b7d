//! How likely tokens are under the predictor.

use std::ops::Range;

use super::fill::softplus;
use super::noise::{CONFIDENCE, noise};
use super::{Predictor, Schedule, TokenWindow};
use crate::error::{Error, Result};

impl Predictor {
    /// Bits that the known bits of the steps `steps` cost if tokens are told in `parts` parts, each predicted from all
    /// that was told before and from the rest of the window: an upper bound of minus their binary log-likelihood.
    ///
    /// Which token belongs to which part is drawn from `seed`; the parts grow as the cosine schedule has it.
    ///
    /// # Errors
    /// [`Error::Parameter`] if there are no parts.
    pub fn score(&self, window: &TokenWindow, steps: Range<usize>, parts: u32, seed: u64) -> Result<f64> {
        if parts == 0 {
            return Err(Error::parameter("parts", "must be at least 1"));
        }
        let step = window.step();
        let places = steps.start * step..(steps.end * step).min(window.values().len());
        let mut told = window.clone();
        told.forget(steps, 0..usize::MAX, 0..usize::MAX);
        let draw = |&at: &usize| noise(seed, 0, at as u64, CONFIDENCE);
        let mut order: Vec<usize> = places.collect();
        order.sort_by(|a, b| draw(a).total_cmp(&draw(b)));
        let (total, bits) = (order.len(), self.config().predictor.bits);
        let mut cost = 0.0;
        let mut rest = &order[..];
        for part in 0..parts {
            let left = Schedule::Cosine.left(total, part + 1, parts);
            let (now, later) = rest.split_at(rest.len().saturating_sub(left));
            if now.is_empty() {
                continue;
            }
            cost += self.with_logits(&told, |logits| {
                let of_token = |&at: &usize| {
                    let (value, known) = (window.values()[at], window.known()[at]);
                    let row = logits[at * bits..][..bits].iter().enumerate();
                    row.filter(|(bit, _)| known >> bit & 1 == 1)
                        .map(|(bit, &logit)| {
                            let set = value >> bit & 1 == 1;
                            softplus(f64::from(if set { -logit } else { logit }))
                        })
                        .sum::<f64>()
                };
                now.iter().map(of_token).sum::<f64>()
            })?;
            for &at in now {
                told.settle(at, window.values()[at], window.known()[at]);
            }
            rest = later;
        }
        Ok(cost / std::f64::consts::LN_2)
    }
}
