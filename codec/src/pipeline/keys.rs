//! Which frames begin a group besides those that the group's length makes.

use std::collections::VecDeque;

use latentbit_container::PixelFrames;

use super::scene::SceneCuts;
use crate::frame::Frame;

/// Frames between two key chunks at least, where scenes cut: a key chunk spends a whole latent frame on one frame, and
/// flashes would make many.
const LEAST_DISTANCE: u64 = 5;

/// Frames at which a group begins, besides those that its number of chunks makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFrames {
    /// None.
    None,
    /// Where the scene cuts, found by comparing neighbouring frames.
    AtCuts,
    /// These, in order.
    At(Vec<PixelFrames>),
}

/// Says of each frame whether a group begins with it.
#[derive(Debug)]
pub(super) struct Keys {
    rule: Rule,
    next: PixelFrames,
    last: PixelFrames,
}

#[derive(Debug)]
enum Rule {
    None,
    Cuts(SceneCuts),
    List(VecDeque<PixelFrames>),
}

impl Keys {
    pub(super) fn new(key_frames: &KeyFrames) -> Self {
        let rule = match key_frames {
            KeyFrames::None => Rule::None,
            KeyFrames::AtCuts => Rule::Cuts(SceneCuts::default()),
            KeyFrames::At(list) => Rule::List(list.iter().copied().collect()),
        };
        Self {
            rule,
            next: PixelFrames(0),
            last: PixelFrames(0),
        }
    }

    /// Takes the next frame.
    pub(super) fn is_key(&mut self, frame: &Frame) -> bool {
        let place = self.next;
        self.next += PixelFrames(1);
        let key = match &mut self.rule {
            Rule::None => false,
            Rule::Cuts(cuts) => cuts.begins(frame) && place.0 - self.last.0 >= LEAST_DISTANCE,
            Rule::List(list) => {
                let found = list.front() == Some(&place);
                if found {
                    list.pop_front();
                }
                found
            }
        };
        if key {
            self.last = place;
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(rule: &KeyFrames, values: &[f32]) -> Vec<usize> {
        let mut keys = Keys::new(rule);
        let mut found = Vec::new();
        for (at, &value) in values.iter().enumerate() {
            let frame = Frame {
                width: 2,
                height: 2,
                data: vec![value; 12],
            };
            if keys.is_key(&frame) {
                found.push(at);
            }
        }
        found
    }

    #[test]
    fn rules() {
        let mut values = [0.1; 20];
        values[3..6].fill(0.9);
        values[13..].fill(0.7);
        assert_eq!(keys(&KeyFrames::None, &values), [] as [usize; 0]);
        // The first change comes too soon.
        assert_eq!(keys(&KeyFrames::AtCuts, &values), [6, 13]);
        let list = [0, 3, 4, 19, 40].map(PixelFrames).to_vec();
        assert_eq!(keys(&KeyFrames::At(list), &values), [0, 3, 4, 19]);
    }
}
