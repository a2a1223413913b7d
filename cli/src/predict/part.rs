//! The part of a video that is made anew, in pixels and in tokens.

use std::ops::Range;
use std::str::FromStr;

use latentbit_container::{Chunk, VideoStream};

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rectangle {
    pub width: u32,
    pub height: u32,
    pub x: u32,
    pub y: u32,
}

impl FromStr for Rectangle {
    type Err = String;

    /// Reads `width:height:x:y`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no rectangle; write width:height:x:y in pixels");
        let numbers: Result<Vec<u32>, _> = text.split(':').map(str::parse).collect();
        match numbers.map_err(|_| wrong())?[..] {
            [width, height, x, y] if width > 0 && height > 0 => Ok(Self { width, height, x, y }),
            _ => Err(wrong()),
        }
    }
}

/// What is made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub rectangle: Option<Rectangle>,
    /// Indices of frames.
    pub frames: Range<u64>,
}

impl Part {
    /// The steps, rows and columns of a chunk's tokens that hold pixels of it.
    pub fn tokens(&self, chunk: &Chunk, video: &VideoStream) -> [Range<usize>; 3] {
        let grid = chunk.tokens.grid;
        let [rows, columns] = match self.rectangle {
            None => [0..grid.h as usize, 0..grid.w as usize],
            Some(Rectangle { width, height, x, y }) => {
                let across = |start: u32, len: u32, axis: usize| {
                    let side = u32::from(video.strides[axis]) * u32::from(video.patch[axis]);
                    (start / side) as usize..start.saturating_add(len).div_ceil(side) as usize
                };
                [across(y, height, 1), across(x, width, 2)]
            }
        };
        [self.steps(chunk, video), rows, columns]
    }

    fn steps(&self, chunk: &Chunk, video: &VideoStream) -> Range<usize> {
        let first = chunk.first_frame.0;
        let start = self.frames.start.max(first);
        let end = self.frames.end.min(first.saturating_add(chunk.frame_count.0));
        if start >= end {
            return 0..0;
        }
        let step_of = |frame: u64| {
            let (stride, inside) = (u64::from(video.strides[0]).max(1), frame - first);
            // The first latent frame of a group holds one frame.
            let latent = if chunk.key {
                inside.div_ceil(stride)
            } else {
                inside / stride
            };
            usize::try_from(latent / u64::from(video.patch[0]).max(1)).unwrap_or(usize::MAX)
        };
        let steps = step_of(start)..step_of(end - 1).saturating_add(1);
        steps.start..steps.end.min(chunk.tokens.grid.t as usize)
    }
}

#[cfg(test)]
mod tests {
    use latentbit_codec::{Bundle, Device, Dtype, pipeline};
    use latentbit_container::{ChunkPlan, PixelFrames};

    use super::*;

    #[test]
    fn rectangles() {
        let expected = Rectangle {
            width: 64,
            height: 32,
            x: 8,
            y: 0,
        };
        assert_eq!("64:32:8:0".parse(), Ok(expected));
        for wrong in ["", "1:2:3", "0:1:2:3", "1:2:3:4:5", "a:b:c:d", "-1:2:3:4"] {
            assert!(wrong.parse::<Rectangle>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn parts_grow_to_whole_tokens() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../testdata/golden/storage-int8.safetensors"
        );
        let bundle = Bundle::open(path, &Device::Cpu, Dtype::F32).unwrap();
        // Strides 4x4x4 and patches 2x2x2: a token is 8 by 8 pixels and two latent frames.
        let video = pipeline::video_stream_for(&bundle, 48, 32).unwrap();
        let plan: Vec<_> = ChunkPlan::new(PixelFrames(29), 4, 0, 4).collect();
        let chunk = |index: usize| {
            let grid = video.grid(plan[index].latent_frames);
            plan[index].with_tokens(&video, vec![0; grid.len()])
        };
        let rectangle = |text: &str| Some(text.parse().unwrap());
        let part = Part {
            rectangle: rectangle("9:1:7:8"),
            frames: 0..u64::MAX,
        };
        assert_eq!(part.tokens(&chunk(0), &video), [0..2, 1..2, 0..2]);
        let frames = |frames: Range<u64>, index| {
            let part = Part {
                rectangle: None,
                frames,
            };
            part.tokens(&chunk(index), &video)
        };
        // Latent frames of the key chunk hold 1, 4, 4 and 4 frames.
        assert_eq!(frames(0..5, 0), [0..1, 0..4, 0..6]);
        assert_eq!(frames(0..6, 0)[0], 0..2);
        assert_eq!(frames(5..6, 0)[0], 1..2);
        assert_eq!(frames(0..13, 1)[0], 0..0);
        assert_eq!(frames(13..14, 1)[0], 0..1);
        assert_eq!(frames(21..99, 1)[0], 1..2);
        assert_eq!(frames(20..99, 1)[0], 0..2);
    }
}
