//! Changes of frames on their way in: another rate, another size, a part of the picture, an end.

mod crop;
mod rate;
mod resize;
mod until;

use super::error::MediaError;
use super::types::Rational;
use super::{FrameSource, VideoInfo};

pub use crop::Crop;
pub use resize::Resize;

/// What is done to frames: first the end, then the rate, then the size, then the part.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filters {
    /// Seconds of the video to take, from its first frame on.
    pub seconds: Option<f64>,
    /// Frames per second.
    pub rate: Option<Rational>,
    /// The size to bring pictures to.
    pub resize: Option<Resize>,
    /// The part of the picture to keep.
    pub crop: Option<Crop>,
}

impl Filters {
    /// A source with the frames of `source` after all this. `place` is its name in messages.
    ///
    /// # Errors
    /// [`MediaErrorKind::Unsupported`](super::MediaErrorKind::Unsupported) for pictures that are smaller than the part of
    /// them to keep, or that would get too large.
    pub fn apply(
        &self,
        place: &str,
        mut source: Box<dyn FrameSource>,
    ) -> Result<Box<dyn FrameSource>, MediaError> {
        if let Some(seconds) = self.seconds {
            source = Box::new(until::Until::new(source, seconds));
        }
        if let Some(rate) = self.rate {
            source = rate::at_rate(source, rate);
        }
        if let Some(resize) = self.resize {
            source = Box::new(resize.open(place, source)?);
        }
        if let Some(crop) = self.crop {
            source = Box::new(crop.open(place, source)?);
        }
        Ok(source)
    }
}

/// The time of a frame in seconds from the first one: what its extras tell, else by its number.
fn seconds_of(info: &VideoInfo, time: Option<i64>, index: u64) -> f64 {
    match (time, info.time_base) {
        (Some(time), Some(base)) => time as f64 * f64::from(base.num) / f64::from(base.den.max(1)),
        _ => index as f64 * f64::from(info.frame_rate.den) / f64::from(info.frame_rate.num.max(1)),
    }
}

#[cfg(test)]
pub mod testing {
    use super::super::color::{code, location};
    use super::super::types::{Chroma, Color, ColorRange, Frame, Rational};
    use super::super::{Extras, FrameSource, MediaError, MediaKind, VideoInfo};

    /// Frames out of memory.
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
            let one = Rational { num: 1, den: 1 };
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
                    width,
                    height,
                    frame_rate: Rational {
                        num: rate.0,
                        den: rate.1,
                    },
                    time_base: frames
                        .iter()
                        .any(|(_, time)| time.is_some())
                        .then_some(Rational { num: 1, den: 1000 }),
                    pixel_aspect: one,
                    color: Color {
                        primaries: code::UNSPECIFIED,
                        transfer: code::UNSPECIFIED,
                        matrix: code::UNSPECIFIED,
                        range: ColorRange::Unspecified,
                    },
                    chroma: Chroma::C420,
                    chroma_location: location::UNSPECIFIED,
                    bit_depth: 8,
                    frame_count: Some(frames.len() as u64),
                    packet_streams: Vec::new(),
                    kind: MediaKind::Video,
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
                packets: Vec::new(),
            }
        }
    }

    /// The first value of each frame.
    pub fn values(source: &mut dyn FrameSource) -> Vec<f32> {
        std::iter::from_fn(|| source.next_frame().unwrap())
            .map(|frame| frame.data[0])
            .collect()
    }
}
