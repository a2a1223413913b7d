//! The tokens that a predictor looks at together.

use latentbit_container::TokenGrid;

use crate::error::{Error, Result};

/// What begins with a step in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Nothing: the chunk of the step before goes on.
    #[default]
    Inner,
    /// A chunk.
    Chunk,
    /// A group, and a chunk with it.
    Group,
}

/// Tokens of some chunks in a row, and what is known of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenWindow {
    height: u32,
    width: u32,
    values: Vec<u64>,
    known: Vec<u64>,
    starts: Vec<Start>,
}

impl TokenWindow {
    /// A window without chunks, for tokens in `height` rows of `width`.
    #[must_use]
    pub fn new(height: u32, width: u32) -> Self {
        Self {
            height,
            width,
            ..Self::default()
        }
    }

    /// A window of tokens of which different bits are known.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the parts are not those of whole steps.
    pub fn from_parts(
        height: u32,
        width: u32,
        mut values: Vec<u64>,
        known: Vec<u64>,
        starts: Vec<Start>,
    ) -> Result<Self> {
        let tokens = starts.len() as u64 * u64::from(height) * u64::from(width);
        if values.len() as u64 != tokens || known.len() as u64 != tokens {
            return Err(Error::parameter(
                "tokens",
                format!("there are {}, but the window has {tokens}", values.len()),
            ));
        }
        values
            .iter_mut()
            .zip(&known)
            .for_each(|(value, known)| *value &= known);
        Ok(Self {
            height,
            width,
            values,
            known,
            starts,
        })
    }

    /// Adds a chunk of `values`, width fastest, then height, then time, of each of which the bits set in `known` are
    /// known; the others count for nothing. `key` says whether a group begins with it. Gives its steps in time.
    ///
    /// # Errors
    /// [`Error::Parameter`] for values that are not whole steps.
    pub fn push(&mut self, values: &[u64], known: u64, key: bool) -> Result<std::ops::Range<usize>> {
        self.push_partly(values, &vec![known; values.len()], key)
    }

    /// As [`push`](Self::push), with the known bits of each token by itself.
    ///
    /// # Errors
    /// As for [`push`](Self::push), and if there are not as many of one as of the other.
    pub fn push_partly(
        &mut self,
        values: &[u64],
        known: &[u64],
        key: bool,
    ) -> Result<std::ops::Range<usize>> {
        let step = self.step();
        if step == 0 || values.is_empty() || !values.len().is_multiple_of(step) || values.len() != known.len()
        {
            return Err(Error::parameter(
                "tokens",
                format!(
                    "there are {}, but a step in time has {} rows of {}",
                    values.len(),
                    self.height,
                    self.width
                ),
            ));
        }
        let first = self.starts.len();
        self.values
            .extend(values.iter().zip(known).map(|(value, known)| value & known));
        self.known.extend(known);
        self.starts.push(if key { Start::Group } else { Start::Chunk });
        self.starts.resize(self.values.len() / step, Start::Inner);
        Ok(first..self.starts.len())
    }

    /// Adds a chunk of `steps` steps of which nothing is known.
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    pub fn push_lost(&mut self, steps: usize, key: bool) -> Result<std::ops::Range<usize>> {
        self.push(&vec![0; steps.saturating_mul(self.step())], 0, key)
    }

    /// Forgets what is known of `rows` and `columns` in the steps `steps`. What lies outside the window is left out.
    pub fn forget(
        &mut self,
        steps: std::ops::Range<usize>,
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
    ) {
        let (height, width) = (self.height as usize, self.width as usize);
        for t in steps.start..steps.end.min(self.starts.len()) {
            for y in rows.start..rows.end.min(height) {
                for x in columns.start..columns.end.min(width) {
                    let at = (t * height + y) * width + x;
                    self.values[at] = 0;
                    self.known[at] = 0;
                }
            }
        }
    }

    /// Tokens of a step in time.
    #[must_use]
    pub fn step(&self) -> usize {
        self.height as usize * self.width as usize
    }

    /// Its sides.
    #[must_use]
    pub fn grid(&self) -> TokenGrid {
        TokenGrid {
            t: u32::try_from(self.starts.len()).unwrap_or(u32::MAX),
            h: self.height,
            w: self.width,
        }
    }

    /// The tokens, width fastest, then height, then time. Bits that are not known are 0.
    #[must_use]
    pub fn values(&self) -> &[u64] {
        &self.values
    }

    /// The tokens of the steps `steps`.
    #[must_use]
    pub fn steps(&self, steps: std::ops::Range<usize>) -> &[u64] {
        let step = self.step();
        self.values
            .get(steps.start * step..steps.end * step)
            .unwrap_or_default()
    }

    /// For each token the bits that are known.
    #[must_use]
    pub fn known(&self) -> &[u64] {
        &self.known
    }

    /// What begins with each step.
    #[must_use]
    pub fn starts(&self) -> &[Start] {
        &self.starts
    }

    /// Sets a token for good.
    pub(super) fn settle(&mut self, at: usize, value: u64, bits: u64) {
        self.values[at] = value;
        self.known[at] = bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_become_steps() {
        let mut window = TokenWindow::new(2, 3);
        assert_eq!(window.push(&[7; 12], 0b101, true).unwrap(), 0..2);
        assert_eq!(window.push_lost(1, false).unwrap(), 2..3);
        assert_eq!(window.starts(), [Start::Group, Start::Inner, Start::Chunk]);
        assert_eq!(window.grid(), TokenGrid { t: 3, h: 2, w: 3 });
        assert_eq!((window.values()[0], window.known()[0]), (0b101, 0b101));
        assert_eq!((window.values()[12], window.known()[12]), (0, 0));
        window.forget(1..9, 1..2, 2..9);
        let unknown: Vec<usize> = (0..12).filter(|&at| window.known()[at] == 0).collect();
        assert_eq!(unknown, [11]);
    }

    #[test]
    fn parts_of_steps_are_refused() {
        let mut window = TokenWindow::new(2, 3);
        assert!(window.push(&[0; 7], 1, false).is_err());
        assert!(window.push(&[], 1, false).is_err());
        assert!(TokenWindow::new(0, 3).push_lost(1, false).is_err());
    }
}
