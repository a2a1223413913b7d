//! A bounded list of what is wrong with a file.

use std::ops::Deref;
use std::slice::Iter;

use crate::error::{Error, ErrorKind};
use crate::limits::Limits;
use crate::parser::Lost;

/// What can be in a list of [`Problems`].
pub trait Problem {
    /// Its class.
    fn kind(&self) -> ErrorKind;
}

impl Problem for Error {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }
}

impl Problem for Lost {
    fn kind(&self) -> ErrorKind {
        self.reason.kind()
    }
}

/// What is wrong with a file, in order: the first [`Limits::max_problems`], of each class at least the first one, and how
/// many there are more. So a file that is damaged everywhere does not take memory for each of its faults.
///
/// It can be used as a slice of those that are kept.
#[derive(Debug)]
pub struct Problems<T> {
    kept: Vec<T>,
    more: u64,
    most: usize,
}

impl<T: Problem> Problems<T> {
    /// An empty list, bounded by `limits`.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let most = limits
            .max_problems
            .map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        Self {
            kept: Vec::new(),
            more: 0,
            most: most.unwrap_or(usize::MAX),
        }
    }

    /// Adds a problem, or counts it if there are enough.
    pub fn push(&mut self, problem: T) {
        let known = |kept: &T| kept.kind() == problem.kind();
        if self.kept.len() < self.most || !self.kept.iter().any(known) {
            self.kept.push(problem);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.more = self.more.saturating_add(other.more);
        other.kept.into_iter().for_each(|problem| self.push(problem));
    }
}

impl<T> Problems<T> {
    /// How many there are besides those that are kept.
    #[must_use]
    pub const fn more(&self) -> u64 {
        self.more
    }

    /// How many there are in all.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.more.saturating_add(self.kept.len() as u64)
    }
}

impl<T> Deref for Problems<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.kept
    }
}

impl<'a, T> IntoIterator for &'a Problems<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.kept.iter()
    }
}

impl<T> IntoIterator for Problems<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.kept.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Broken;

    #[test]
    fn the_first_of_each_class_are_kept() {
        let mut problems = Problems::new(&Limits::default().with_max_problems(Some(3)));
        let format = |offset| Broken::new("thing", "one", "another").in_file(offset, None);
        (0..1_000_000).for_each(|offset| problems.push(format(offset)));
        problems.push(Error::parameter("thing", "one", "another"));
        problems.push(format(7));
        assert_eq!(
            problems.iter().filter_map(Error::offset).collect::<Vec<_>>(),
            [0, 1, 2]
        );
        assert_eq!(
            (problems.len(), problems.more(), problems.count()),
            (4, 999_998, 1_000_002)
        );
    }
}
