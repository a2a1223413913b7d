//! What tests of readers, writers and filters share.

use crate::error::MediaError;
use crate::video::{Extras, FrameSource, VideoInfo};
use latentbit_codec::Frame;
use latentbit_container::Rational;

/// An ordinary video of this size.
pub fn plain_info(width: u32, height: u32) -> VideoInfo {
    VideoInfo {
        pixel_aspect: Rational { num: 0, den: 1 },
        chroma_location: 1,
        ..VideoInfo::new(width, height, Rational { num: 25, den: 1 })
    }
}

/// Frames from memory.
pub struct Given {
    info: VideoInfo,
    frames: std::vec::IntoIter<(Frame, Option<i64>)>,
    time: Option<i64>,
}

impl Given {
    pub fn new(
        (width, height): (u32, u32),
        rate: (u32, u32),
        frames: impl IntoIterator<Item = (f32, Option<i64>)>,
    ) -> Self {
        let frames: Vec<_> = frames
            .into_iter()
            .map(|(value, time)| {
                let (width, height) = (width as usize, height as usize);
                let data = vec![value; width * height * 3];
                (Frame { width, height, data }, time)
            })
            .collect();
        Self {
            info: VideoInfo {
                time_base: frames
                    .iter()
                    .any(|(_, time)| time.is_some())
                    .then_some(Rational { num: 1, den: 1000 }),
                frame_count: Some(frames.len() as u64),
                ..VideoInfo::new(
                    width,
                    height,
                    Rational {
                        num: rate.0,
                        den: rate.1,
                    },
                )
            },
            frames: frames.into_iter(),
            time: None,
        }
    }
}

impl FrameSource for Given {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, MediaError> {
        let next = self.frames.next();
        self.time = next.as_ref().and_then(|(_, time)| *time);
        Ok(next.map(|(frame, _)| frame))
    }

    fn take_extras(&mut self) -> Extras {
        Extras {
            time: self.time.take(),
            ..Extras::default()
        }
    }
}

/// The first value of each frame.
pub fn values(source: &mut dyn FrameSource) -> Vec<f32> {
    std::iter::from_fn(|| source.next_frame().unwrap())
        .map(|frame| frame.data[0])
        .collect()
}
