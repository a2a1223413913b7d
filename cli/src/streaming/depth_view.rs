//! Depths of tokens, drawn over the pictures that they make.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use latentbit_codec::Frame;
use latentbit_container::{Chunk, PixelFrames, TokenGrid, VideoStream};

/// Keeps the depths of chunks until their frames are shown.
#[derive(Clone, Debug)]
pub struct DepthView {
    chunks: Arc<Mutex<VecDeque<ChunkDepths>>>,
    strides: [usize; 3],
    patch: [usize; 3],
    /// Planes of the deepest tokens that the bundle makes.
    most: u8,
}

#[derive(Debug)]
struct ChunkDepths {
    first_frame: u64,
    frames: u64,
    key: bool,
    grid: TokenGrid,
    depths: Vec<u8>,
}

/// From no planes to all of them.
const COLORS: [[f32; 3]; 5] = [
    [0.05, 0.03, 0.30],
    [0.45, 0.05, 0.55],
    [0.85, 0.25, 0.40],
    [0.98, 0.60, 0.20],
    [0.98, 0.98, 0.60],
];

/// How much of a picture is colour, and how much is its own brightness.
const SHARE: f32 = 0.6;

impl DepthView {
    /// For the chunks of a stream.
    pub fn new(video: &VideoStream) -> Self {
        Self {
            chunks: Arc::default(),
            strides: video.strides.map(usize::from),
            patch: video.patch.map(usize::from),
            most: video.bundle_bits,
        }
    }

    fn chunks(&self) -> MutexGuard<'_, VecDeque<ChunkDepths>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the depths of a chunk, before its frames are drawn.
    pub fn take(&self, chunk: &Chunk) {
        let tokens = &chunk.tokens;
        self.chunks().push_back(ChunkDepths {
            first_frame: chunk.first_frame.0,
            frames: chunk.frame_count.0,
            key: chunk.key,
            grid: tokens.grid,
            depths: tokens.depth_values().into_owned(),
        });
    }

    /// Colours a frame by the depths of its tokens. A frame whose chunk is lost stays as it is.
    pub fn draw(&self, index: PixelFrames, frame: &mut Frame) {
        let mut chunks = self.chunks();
        while chunks
            .front()
            .is_some_and(|chunk| chunk.first_frame.saturating_add(chunk.frames) <= index.0)
        {
            chunks.pop_front();
        }
        let Some(chunk) = chunks.front().filter(|chunk| chunk.first_frame <= index.0) else {
            return;
        };
        let [time, rows, columns] = self.strides;
        let at = usize::try_from(index.0 - chunk.first_frame).unwrap_or(usize::MAX);
        let latent = if chunk.key { at.div_ceil(time) } else { at / time };
        let step = latent / self.patch[0];
        let (height, width) = (chunk.grid.h as usize, chunk.grid.w as usize);
        let lines = frame.data.chunks_mut((frame.width * 3).max(1));
        for (y, line) in lines.enumerate() {
            let row = (step * height + y / (rows * self.patch[1])) * width;
            for (x, pixel) in line.chunks_exact_mut(3).enumerate() {
                let depth = chunk.depths.get(row + x / (columns * self.patch[2]));
                let color = color(f32::from(depth.copied().unwrap_or(0)) / f32::from(self.most.max(1)));
                let luma = 0.2126 * pixel[0] + 0.7152 * pixel[1] + 0.0722 * pixel[2];
                for (value, color) in pixel.iter_mut().zip(color) {
                    *value = (1.0 - SHARE) * luma + SHARE * color;
                }
            }
        }
    }
}

/// The colour of a share of all planes, 0 to 1.
fn color(share: f32) -> [f32; 3] {
    let place = share.clamp(0.0, 1.0) * (COLORS.len() - 1) as f32;
    let below = (place as usize).min(COLORS.len() - 2);
    let part = place - below as f32;
    let [low, high] = [COLORS[below], COLORS[below + 1]];
    std::array::from_fn(|c| low[c] + part * (high[c] - low[c]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use latentbit_container::{
        BundleId, ChunkHead, DepthMap, LatentFrames, StreamId, Times, TokenLayout, Tokens,
    };

    #[test]
    fn each_pixel_has_the_colour_of_its_token() {
        let bundle = BundleId {
            name: "test".to_owned(),
            sha256: [0; 32],
        };
        let layout = TokenLayout {
            bits: 8,
            patch: [1, 1, 1],
            strides: [4, 2, 2],
        };
        let video = VideoStream::new([4, 2], bundle, layout);
        let view = DepthView::new(&video);
        let grid = TokenGrid { t: 2, h: 1, w: 2 };
        let tokens = Tokens::new(grid, 8, vec![0; 4]).with_depths(DepthMap {
            step: 4,
            values: vec![0, 8, 4, 4],
        });
        view.take(&Chunk {
            head: ChunkHead {
                stream: StreamId(0),
                segment: 0,
                sequence: 0,
                first_frame: PixelFrames(7),
                frame_count: PixelFrames(5),
                latent_frames: LatentFrames(2),
                key: true,
            },
            times: Times::default(),
            tokens,
        });
        let drawn = |index: u64| {
            let mut frame = Frame {
                width: 4,
                height: 2,
                data: vec![0.0; 24],
            };
            view.draw(PixelFrames(index), &mut frame);
            [0, 2].map(|x| [0, 1, 2].map(|c| frame.data[3 * x + c] / SHARE))
        };
        let close = |a: [f32; 3], b: [f32; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        let [left, right] = drawn(7);
        assert!(close(left, COLORS[0]) && close(right, COLORS[4]));
        let [left, right] = drawn(8);
        assert!(close(left, COLORS[2]) && close(right, COLORS[2]));
        // A lost chunk follows.
        assert_eq!(drawn(12), [[0.0; 3]; 2]);
    }
}
