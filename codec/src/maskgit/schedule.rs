//! How many tokens stay masked from step to step.

use std::f64::consts::FRAC_PI_2;

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
