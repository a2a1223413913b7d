//! Where one scene ends and another begins.

use crate::frame::Frame;

/// Side of the thumbnails that are compared, in cells.
const CELLS: usize = 16;

/// Least mean difference of two thumbnails, of values in 0…1, that can be a cut.
const LEAST: f32 = 0.07;

/// How many times the usual difference of neighbouring frames a cut has.
const RATIO: f32 = 4.0;

/// How much of the usual difference a frame replaces.
const MEMORY: f32 = 0.25;

/// Finds cuts by comparing thumbnails of neighbouring frames: a cut is a change that is large, and much larger than
/// the changes just before it, so that fast motion and slow fades are none.
#[derive(Debug, Default)]
pub(super) struct SceneCuts {
    thumbnail: Vec<f32>,
    /// The usual difference of neighbouring frames of this scene, after its first two.
    usual: Option<f32>,
}

impl SceneCuts {
    /// Whether a new scene begins with this frame. The first two frames of a scene are no cuts.
    pub(super) fn begins(&mut self, frame: &Frame) -> bool {
        let new = thumbnail(frame);
        let old = std::mem::replace(&mut self.thumbnail, new);
        if old.is_empty() {
            return false;
        }
        let sum: f32 = old.iter().zip(&self.thumbnail).map(|(a, b)| (a - b).abs()).sum();
        let difference = sum / old.len() as f32;
        let Some(usual) = self.usual else {
            self.usual = Some(difference);
            return false;
        };
        let cut = difference > LEAST && difference > RATIO * usual;
        self.usual = (!cut).then_some(usual + MEMORY * (difference - usual));
        cut
    }
}

/// Mean colours of a grid of cells.
fn thumbnail(frame: &Frame) -> Vec<f32> {
    let (columns, rows) = (frame.width.min(CELLS), frame.height.min(CELLS));
    let mut sums = vec![[0f32; 3]; columns * rows];
    let mut counts = vec![0f32; columns * rows];
    for (y, row) in frame.data.chunks_exact(frame.width.max(1) * 3).enumerate() {
        let line = y * rows / frame.height.max(1) * columns;
        for (x, pixel) in row.chunks_exact(3).enumerate() {
            let cell = line + x * columns / frame.width;
            for (sum, value) in sums[cell].iter_mut().zip(pixel) {
                *sum += value;
            }
            counts[cell] += 1.0;
        }
    }
    let means = sums
        .iter()
        .zip(&counts)
        .flat_map(|(sum, count)| sum.map(|s| s / count));
    means.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(width: usize, height: usize, value: impl Fn(usize, usize) -> f32) -> Frame {
        let data = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Frame {
            width,
            height,
            data: data.flat_map(|(x, y)| [value(x, y); 3]).collect(),
        }
    }

    fn cuts(frames: impl IntoIterator<Item = Frame>) -> Vec<usize> {
        let mut cuts = SceneCuts::default();
        let found = frames.into_iter().enumerate();
        found
            .filter_map(|(at, frame)| cuts.begins(&frame).then_some(at))
            .collect()
    }

    /// Bars that move by `speed` pixels a frame.
    fn bars(from: usize, count: usize, speed: f32) -> impl Iterator<Item = Frame> {
        (0..count).map(move |t| {
            frame(96, 64, move |x, y| {
                let place = x as f32 + speed * t as f32 + (from * y) as f32;
                0.5 + 0.5 * (place * 0.2 + from as f32).sin()
            })
        })
    }

    #[test]
    fn a_cut_between_moving_scenes() {
        let scenes = bars(0, 9, 1.0).chain(bars(3, 7, 1.5)).chain(bars(1, 5, 0.5));
        assert_eq!(cuts(scenes), [9, 16]);
    }

    #[test]
    fn motion_and_fades_are_no_cuts() {
        assert_eq!(cuts(bars(1, 40, 6.0)), [] as [usize; 0]);
        let fade = (0..25).map(|t| frame(40, 30, move |x, _| x as f32 / 40.0 * t as f32 / 25.0));
        assert_eq!(cuts(fade), [] as [usize; 0]);
    }

    #[test]
    fn a_flash_is_one_cut() {
        let frames = (0..12).map(|t| frame(33, 9, move |_, _| if t == 6 { 1.0 } else { 0.2 }));
        assert_eq!(cuts(frames), [6]);
    }

    #[test]
    fn pictures_of_a_few_pixels() {
        for (width, height) in [(1, 1), (3, 2), (17, 1)] {
            let frames = (0..5).map(|t| frame(width, height, move |_, _| if t < 3 { 0.0 } else { 0.9 }));
            assert_eq!(cuts(frames), [3]);
        }
    }
}
