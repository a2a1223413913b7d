//! Parallel decoding over a number of steps: the surest tokens first (section 2.2 of the paper).

use std::f64::consts::FRAC_PI_2;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::noise::{CONFIDENCE, noise};
use super::{Predictor, TokenWindow};
use crate::error::{Error, Result};

/// The noise of draws begins where no step comes.
const FIRST_DRAW: u64 = 1 << 20;

/// The course of the part that is masked, from all to nothing (section 2.2 of the paper).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schedule {
    /// Few tokens are settled at first, when little is known, and many at the end.
    #[default]
    Cosine,
    /// The same number in each step.
    Linear,
}

impl Schedule {
    /// How many of `total` tokens are masked after `done` of `steps` steps.
    pub(super) fn left(self, total: usize, done: u32, steps: u32) -> usize {
        if done >= steps {
            return 0;
        }
        let passed = f64::from(done) / f64::from(steps);
        let part = match self {
            Self::Cosine => (FRAC_PI_2 * passed).cos().max(0.0),
            Self::Linear => 1.0 - passed,
        };
        (part * total as f64).floor() as usize
    }
}

/// How masked tokens are filled.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FillOptions {
    /// How many tokens are settled in each step.
    pub schedule: Schedule,
    /// Steps, at least 1: each is a pass through the network.
    pub steps: u32,
    /// 0: each bit takes its likelier value. Above: bits are drawn, with logits divided by it.
    pub temperature: f32,
    /// Scale of the Gumbel noise on the confidence of tokens; it fades from step to step. 0: none.
    pub noise: f32,
    /// Where noise and draws begin. The same seed gives the same tokens, for a given device and number type.
    pub seed: u64,
}

impl Default for FillOptions {
    /// What conceals best: the likelier value of each bit, 4 steps.
    fn default() -> Self {
        Self {
            schedule: Schedule::Cosine,
            steps: 4,
            temperature: 0.0,
            noise: 0.0,
            seed: 0,
        }
    }
}

impl FillOptions {
    /// Sets [`schedule`](Self::schedule).
    #[must_use]
    pub fn schedule(self, schedule: Schedule) -> Self {
        Self { schedule, ..self }
    }

    /// Sets [`steps`](Self::steps).
    #[must_use]
    pub fn steps(self, steps: u32) -> Self {
        Self { steps, ..self }
    }

    /// Sets [`temperature`](Self::temperature).
    #[must_use]
    pub fn temperature(self, temperature: f32) -> Self {
        Self { temperature, ..self }
    }

    /// Sets [`noise`](Self::noise).
    #[must_use]
    pub fn noise(self, noise: f32) -> Self {
        Self { noise, ..self }
    }

    /// Sets [`seed`](Self::seed).
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

/// What filling cost, and how sure the predictor was.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct FillReport {
    /// Tokens of which bits were filled.
    pub tokens: u64,
    /// Bits that were filled.
    pub bits: u64,
    /// Passes through the network.
    pub passes: u32,
    /// Sum over the filled bits of minus the binary logarithm of the chance that the predictor gave to their value.
    pub surprise: f64,
    /// How long it took.
    pub time: Duration,
}

/// A masked token in a step: where it is, what it would become, how sure it is, and what its bits cost.
struct Candidate {
    at: usize,
    value: u64,
    sure: f64,
    surprise: f64,
    /// Values as likely as the predictor holds them.
    draws: Vec<u64>,
}

impl Predictor {
    /// Fills every bit of `window` that is not known.
    ///
    /// In each step all bits are predicted at once, each by itself (equation 3 of the paper). The surest tokens are
    /// kept, as many as the schedule says; a token is as sure as the mean log-probability of its bits.
    ///
    /// # Errors
    /// [`Error::Parameter`] for no steps, or a temperature or noise that is not a number from 0 up.
    pub fn fill(&self, window: &mut TokenWindow, options: &FillOptions) -> Result<FillReport> {
        self.fill_drawing(window, options, 0).map(|(report, _)| report)
    }

    /// As [`fill`](Self::fill); and `draws` other ways to fill the window, in which each token is drawn, at the moment when
    /// it is settled, as likely as the predictor holds it. What they have in common is sure, and the mean of what they
    /// decode to is what is most like the truth in the mean.
    ///
    /// # Errors
    /// As for [`fill`](Self::fill).
    pub fn fill_drawing(
        &self,
        window: &mut TokenWindow,
        options: &FillOptions,
        draws: u32,
    ) -> Result<(FillReport, Vec<Vec<u64>>)> {
        options.check()?;
        let started = Instant::now();
        let mut report = FillReport::default();
        let mut drawn = vec![window.values().to_vec(); draws as usize];
        let whole = self.mask();
        let mut masked: Vec<usize> = (0..window.known().len())
            .filter(|&at| window.known()[at] & whole != whole)
            .collect();
        let total = masked.len();
        report.tokens = total as u64;
        for step in 0..options.steps {
            if masked.is_empty() {
                break;
            }
            let mut candidates = self.candidates(window, &masked, options, step, draws)?;
            report.passes += 1;
            let left = options.schedule.left(total, step + 1, options.steps);
            let settled = masked.len().saturating_sub(left).max(1);
            // Stable, so that ties go to the first token on every machine.
            candidates.sort_by(|a, b| b.sure.total_cmp(&a.sure));
            for candidate in &candidates[..settled] {
                report.bits += u64::from((whole & !window.known()[candidate.at]).count_ones());
                report.surprise += candidate.surprise;
                window.settle(candidate.at, candidate.value, whole);
                for (drawn, &value) in drawn.iter_mut().zip(&candidate.draws) {
                    drawn[candidate.at] = value;
                }
            }
            masked = candidates[settled..]
                .iter()
                .map(|candidate| candidate.at)
                .collect();
            masked.sort_unstable();
        }
        report.time = started.elapsed();
        Ok((report, drawn))
    }

    /// What the predictor would make of each masked token now.
    fn candidates(
        &self,
        window: &TokenWindow,
        masked: &[usize],
        options: &FillOptions,
        step: u32,
        draws: u32,
    ) -> Result<Vec<Candidate>> {
        let bits = self.config().predictor.bits;
        let left = 1.0 - f64::from(step + 1) / f64::from(options.steps);
        self.with_logits(window, |logits| {
            let one = |&at: &usize| {
                let (known, token) = (window.known()[at], at as u64);
                let mut value = window.values()[at];
                let mut surprise = 0.0f64;
                let mut unknown = 0u32;
                let mut drawn = vec![value; draws as usize];
                for (bit, &logit) in logits[at * bits..][..bits].iter().enumerate() {
                    if known >> bit & 1 == 1 {
                        continue;
                    }
                    let logit = f64::from(logit);
                    let set = if options.temperature > 0.0 {
                        let chance = 1.0 / (1.0 + (-logit / f64::from(options.temperature)).exp());
                        noise(options.seed, step.into(), token, bit as u64) < chance
                    } else {
                        logit > 0.0
                    };
                    value |= u64::from(set) << bit;
                    let chance = 1.0 / (1.0 + (-logit).exp());
                    for (draw, drawn) in (FIRST_DRAW..).zip(&mut drawn) {
                        let set = noise(options.seed, draw, token, bit as u64) < chance;
                        *drawn |= u64::from(set) << bit;
                    }
                    surprise += softplus(if set { -logit } else { logit });
                    unknown += 1;
                }
                let mut sure = -surprise / f64::from(unknown.max(1));
                if options.noise > 0.0 {
                    let draw = noise(options.seed, step.into(), token, CONFIDENCE);
                    sure -= f64::from(options.noise) * left * (-draw.ln()).ln();
                }
                Candidate {
                    at,
                    value,
                    sure,
                    surprise: surprise / std::f64::consts::LN_2,
                    draws: drawn,
                }
            };
            masked.par_iter().map(one).collect()
        })
    }
}

impl FillOptions {
    /// The same with a seed of the chunk's own: else equal surroundings would give equal chunks.
    #[must_use]
    pub fn for_chunk(&self, sequence: u64) -> Self {
        Self {
            seed: self.seed.wrapping_add(sequence.wrapping_mul(0x9e37_79b9)),
            ..self.clone()
        }
    }

    fn check(&self) -> Result<()> {
        if self.steps == 0 {
            return Err(Error::parameter("steps", "must be at least 1"));
        }
        for (name, value) in [("temperature", self.temperature), ("noise", self.noise)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::parameter(
                    name,
                    format!("is {value}, but must be a number from 0 up"),
                ));
            }
        }
        Ok(())
    }
}

/// ln(1 + e^x), without overflow.
pub(super) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_all_to_nothing() {
        let course = |schedule: Schedule| {
            (0..=4)
                .map(|done| schedule.left(100, done, 4))
                .collect::<Vec<_>>()
        };
        assert_eq!(course(Schedule::Linear), [100, 75, 50, 25, 0]);
        assert_eq!(course(Schedule::Cosine), [100, 92, 70, 38, 0]);
        assert_eq!(Schedule::Cosine.left(5, 9, 4), 0);
    }
}
