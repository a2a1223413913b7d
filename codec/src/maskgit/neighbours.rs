//! A chunk between those before and after it, as much of them as a predictor looks at.

use std::collections::VecDeque;
use std::ops::Range;

use latentbit_container::{TokenGrid, Tokens, bit_mask};

use super::TokenWindow;
use crate::error::Result;

/// The tokens of a chunk, and what is known of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The tokens, width fastest, then height, then time.
    pub values: Vec<u64>,
    /// For each token the bits that are known.
    pub known: Vec<u64>,
    /// Whether a group begins with it.
    pub key: bool,
}

impl Piece {
    /// A chunk of which the `bits` most important planes are known, 1 to 64.
    #[must_use]
    pub fn intact(values: Vec<u64>, bits: u8, key: bool) -> Self {
        let known = vec![bit_mask(bits); values.len()];
        Self { values, known, key }
    }

    /// A chunk that came: of each token the bits are known that it has.
    #[must_use]
    pub fn of(tokens: &Tokens, key: bool) -> Self {
        let values = tokens.values.clone();
        match &tokens.depths {
            None => Self::intact(values, tokens.bits, key),
            Some(depths) => Self {
                values,
                known: depths.values.iter().map(|&depth| bit_mask(depth)).collect(),
                key,
            },
        }
    }

    /// A chunk of so many tokens of which nothing is known.
    #[must_use]
    pub fn lost(tokens: usize, key: bool) -> Self {
        Self {
            values: vec![0; tokens],
            known: vec![0; tokens],
            key,
        }
    }

    /// Forgets a block of steps, rows and columns; says whether there was anything in it.
    pub fn forget(&mut self, grid: TokenGrid, [steps, rows, columns]: [Range<usize>; 3]) -> bool {
        let (height, width) = (grid.h as usize, grid.w as usize);
        let mut any = false;
        for t in steps {
            for y in rows.start..rows.end.min(height) {
                for x in columns.start..columns.end.min(width) {
                    self.known[(t * height + y) * width + x] = 0;
                    any = true;
                }
            }
        }
        any
    }
}

/// The last chunks that were seen, for windows of at most `most` steps.
#[derive(Debug)]
pub struct Neighbours {
    height: u32,
    width: u32,
    most: usize,
    before: VecDeque<Piece>,
}

impl Neighbours {
    /// No chunks yet, of a video with so many rows and columns of tokens.
    #[must_use]
    pub fn new(height: u32, width: u32, most: usize) -> Self {
        Self {
            height,
            width,
            most,
            before: VecDeque::new(),
        }
    }

    fn steps(&self, piece: &Piece) -> usize {
        piece.values.len() / (self.height as usize * self.width as usize).max(1)
    }

    /// Adds the chunk that came last, and forgets those that no window will reach.
    pub fn push(&mut self, piece: Piece) {
        self.before.push_back(piece);
        let mut steps: usize = self.before.iter().map(|piece| self.steps(piece)).sum();
        while self.before.len() > 1 && steps > self.most {
            if let Some(first) = self.before.pop_front() {
                steps -= self.steps(&first);
            }
        }
    }

    /// Whether no chunk was seen, or all are forgotten.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.before.is_empty()
    }

    /// Forgets all chunks: what comes has nothing to do with them.
    pub fn clear(&mut self) {
        self.before.clear();
    }

    /// A window of `piece` and what comes `after` it, with as many chunks before it as there is room for; and the steps of
    /// `piece` in it.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for a chunk that is not of whole steps.
    pub fn window(&self, piece: &Piece, after: Option<&Piece>) -> Result<(TokenWindow, Range<usize>)> {
        let mut room = self.most.saturating_sub(self.steps(piece));
        let after = after.filter(|after| self.steps(after) <= room);
        room -= after.map_or(0, |after| self.steps(after));
        let fitting = self.before.iter().rev().take_while(|before| {
            let steps = self.steps(before);
            let fits = steps <= room;
            room = room.saturating_sub(steps);
            fits
        });
        let first = self.before.len() - fitting.count();
        let mut window = TokenWindow::new(self.height, self.width);
        let mut push = |piece: &Piece| window.push_partly(&piece.values, &piece.known, piece.key);
        for before in self.before.range(first..) {
            push(before)?;
        }
        let steps = push(piece)?;
        if let Some(after) = after {
            push(after)?;
        }
        Ok((window, steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_bounded() {
        let piece = |value: u64, steps: usize| Piece::intact(vec![value; steps * 6], 4, false);
        let mut neighbours = Neighbours::new(2, 3, 12);
        for value in 1..=5 {
            neighbours.push(piece(value, 4));
        }
        let starts = |window: &TokenWindow| window.values().iter().step_by(24).copied().collect::<Vec<_>>();
        let (window, steps) = neighbours.window(&piece(6, 4), Some(&piece(7, 4))).unwrap();
        assert_eq!((starts(&window), steps), (vec![5, 6, 7], 4..8));
        let (window, steps) = neighbours.window(&piece(6, 4), None).unwrap();
        assert_eq!((starts(&window), steps), (vec![4, 5, 6], 8..12));
        // What comes after goes before what came before, and a chunk alone always has room.
        let (window, steps) = neighbours.window(&piece(6, 8), Some(&piece(7, 4))).unwrap();
        assert_eq!((window.values().len(), steps), (12 * 6, 0..8));
        let (window, steps) = neighbours.window(&piece(6, 20), Some(&piece(7, 4))).unwrap();
        assert_eq!((window.values().len(), steps), (20 * 6, 0..20));
        neighbours.clear();
        let (window, _) = neighbours.window(&Piece::lost(24, true), None).unwrap();
        assert_eq!(window.known(), [0; 24]);
    }

    #[test]
    fn blocks_are_forgotten() {
        let grid = TokenGrid { t: 2, h: 2, w: 3 };
        let mut piece = Piece::intact(vec![5; 12], 4, true);
        assert!(piece.forget(grid, [1..2, 0..1, 1..9]));
        let forgotten: Vec<usize> = (0..12).filter(|&at| piece.known[at] == 0).collect();
        assert_eq!(forgotten, [7, 8]);
        assert!(!piece.forget(grid, [0..0, 0..2, 0..3]));
    }
}
