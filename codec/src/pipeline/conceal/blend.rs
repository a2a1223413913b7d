//! Between what came before and what comes after.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::Result;
use crate::frame::Frame;
use crate::volume::Volume;

/// How much of a mix with predicted frames lies on the way between those that came.
const SHARE: f32 = 0.6;

/// The way from one frame to another, in pixels, in even steps.
#[derive(Debug)]
pub(in crate::pipeline) struct Way {
    before: Frame,
    after: Frame,
    /// The indices of the frames between the two.
    frames: Range<u64>,
}

impl Way {
    pub(in crate::pipeline) fn new(before: Frame, after: Frame, frames: Range<u64>) -> Self {
        Self {
            before,
            after,
            frames,
        }
    }

    /// How far from the one to the other a frame is, 0 to 1.
    fn part(&self, index: u64) -> f32 {
        let whole = self.frames.end.saturating_sub(self.frames.start) + 1;
        (index.saturating_sub(self.frames.start) + 1) as f32 / whole as f32
    }

    /// The frame of this index.
    pub(in crate::pipeline) fn frame(&self, index: u64) -> Frame {
        let part = self.part(index);
        let pairs = self.before.data.par_iter().zip(&self.after.data);
        Frame {
            width: self.before.width,
            height: self.before.height,
            data: pairs.map(|(a, b)| a + (b - a) * part).collect(),
        }
    }

    /// Mixes the predicted frame of this index with that on the way.
    pub(in crate::pipeline) fn mix_into(&self, index: u64, predicted: &mut Frame) {
        let part = self.part(index);
        let pairs = self.before.data.par_iter().zip(&self.after.data);
        let values = predicted.data.par_iter_mut().zip(pairs);
        values.for_each(|(value, (a, b))| *value += (a + (b - a) * part - *value) * SHARE);
    }
}

/// `count` latent frames (count, h, w, C) at even steps between two of (1, h, w, C), or copies of the one that there is.
/// None if there is none.
pub(in crate::pipeline) fn blended_latents(
    before: Option<&Volume>,
    after: Option<&Volume>,
    count: usize,
) -> Result<Option<Volume>> {
    let steps = match (before, after) {
        (Some(before), Some(after)) => (1..=count)
            .map(|step| {
                let weight = step as f64 / (count + 1) as f64;
                let [old, new] = [1.0 - weight, weight].map(|weight| weight as f32);
                let pairs = before.data().iter().zip(after.data());
                Volume::new(before.shape(), pairs.map(|(a, b)| a * old + b * new).collect())
            })
            .collect::<Result<Vec<_>>>()?,
        (Some(one), None) | (None, Some(one)) => vec![one.clone(); count],
        (None, None) => return Ok(None),
    };
    Volume::concat(steps).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_even() {
        let frame = |value| Frame {
            width: 1,
            height: 1,
            data: vec![value; 3],
        };
        let way = Way::new(frame(0.0), frame(1.0), 7..10);
        let found: Vec<f32> = (7..10).map(|index| way.frame(index).data[2]).collect();
        assert_eq!(found, [0.25, 0.5, 0.75]);
        let mut mixed = frame(1.0);
        way.mix_into(8, &mut mixed);
        assert!(
            mixed.data.iter().all(|value| (value - 0.7).abs() < 1e-6),
            "{mixed:?}"
        );

        let latent = |value: f32| Volume::new(&[1, 1, 1, 2], vec![value; 2]).unwrap();
        let (a, b) = (latent(1.0), latent(4.0));
        let both = blended_latents(Some(&a), Some(&b), 2).unwrap().unwrap();
        assert_eq!(both.data(), [2.0, 2.0, 3.0, 3.0]);
        let one = blended_latents(None, Some(&b), 2).unwrap().unwrap();
        assert_eq!(one.data(), [4.0; 4]);
        assert!(blended_latents(None, None, 2).unwrap().is_none());
    }
}
