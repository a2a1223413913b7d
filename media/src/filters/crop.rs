//! A part of the picture.

use crate::error::{MediaError, MediaErrorKind};
use crate::video::{Extras, FrameSource, VideoInfo};
use latentbit_codec::Frame;
use std::str::FromStr;

/// The part of the picture to keep, in pixels, as ffmpeg's filter `crop` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// Width, above 0.
    pub width: u32,
    /// Height, above 0.
    pub height: u32,
    /// Columns to its left and rows above it; none for the middle of the picture.
    pub at: Option<[u32; 2]>,
}

impl FromStr for Crop {
    type Err = String;

    /// Reads `W:H` or `W:H:X:Y`.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<u32>, _> = text.split(':').map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[width, height]) if width > 0 && height > 0 => Ok(Self {
                width,
                height,
                at: None,
            }),
            Ok(&[width, height, x, y]) if width > 0 && height > 0 => Ok(Self {
                width,
                height,
                at: Some([x, y]),
            }),
            _ => Err(format!(
                "'{text}' is not a part of a picture; write W:H for its middle or W:H:X:Y, in pixels"
            )),
        }
    }
}

/// Gives a part of each picture.
pub struct Cropped {
    source: Box<dyn FrameSource>,
    info: VideoInfo,
    at: [usize; 2],
}

impl Crop {
    /// As a filter of libavfilter, to the pixel also where chroma is coarser.
    pub(super) fn to_graph(self) -> String {
        let Self { width, height, at } = self;
        match at {
            Some([x, y]) => format!("crop={width}:{height}:{x}:{y}:exact=1"),
            None => format!("crop={width}:{height}:exact=1"),
        }
    }

    pub(super) fn open(self, place: &str, source: Box<dyn FrameSource>) -> Result<Cropped, MediaError> {
        let mut info = source.info().clone();
        let inside = |size: u32, of: u32, at: Option<u32>| {
            let at = at.unwrap_or(of.saturating_sub(size) / 2);
            (u64::from(at) + u64::from(size) <= u64::from(of)).then_some(at as usize)
        };
        let x = inside(self.width, info.width, self.at.map(|at| at[0]));
        let y = inside(self.height, info.height, self.at.map(|at| at[1]));
        let (Some(x), Some(y)) = (x, y) else {
            let message = format!(
                "pictures of {}x{} do not hold a part of {}x{}; scale them up or crop less",
                info.width, info.height, self.width, self.height
            );
            return Err(MediaError::new(MediaErrorKind::Unsupported, place, message));
        };
        (info.width, info.height) = (self.width, self.height);
        Ok(Cropped {
            source,
            info,
            at: [x, y],
        })
    }
}

impl FrameSource for Cropped {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, MediaError> {
        let Some(frame) = self.source.next_frame()? else {
            return Ok(None);
        };
        let [x, y] = self.at;
        let (width, height) = (self.info.width as usize, self.info.height as usize);
        let rows = frame.data.chunks_exact(frame.width * 3).skip(y).take(height);
        let data = rows.flat_map(|row| row.iter().skip(x * 3).take(width * 3).copied());
        Ok(Some(Frame {
            width,
            height,
            data: data.collect(),
        }))
    }

    fn take_extras(&mut self) -> Extras {
        self.source.take_extras()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Given;

    #[test]
    fn forms() {
        assert_eq!(
            "6:4".parse(),
            Ok(Crop {
                width: 6,
                height: 4,
                at: None
            })
        );
        assert_eq!("6:4:1:0".parse::<Crop>().unwrap().at, Some([1, 0]));
        for bad in ["", "6", "0:4", "6:4:1", "6x4", "-6:4", "6:4:1:0:0"] {
            assert!(bad.parse::<Crop>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_middle_or_the_place_that_is_named() {
        let source = || {
            let mut source = Given::new((7, 5), (25, 1), [(0.0, None)]);
            let mut frame = source.next_frame().unwrap().unwrap();
            frame.data = (0..7 * 5 * 3).map(|i| (i / 3) as f32).collect();
            (source, frame)
        };
        for (crop, first, last) in [("3:2", 7 + 2, 2 * 7 + 4), ("3:2:4:3", 3 * 7 + 4, 4 * 7 + 6)] {
            let crop: Crop = crop.parse().unwrap();
            let (given, frame) = source();
            let inner = Once(given, Some(frame));
            let mut cropped = crop.open("a", Box::new(inner)).unwrap();
            let frame = cropped.next_frame().unwrap().unwrap();
            assert_eq!((frame.width, frame.height, frame.data.len()), (3, 2, 18));
            assert_eq!((frame.data[0], frame.data[17]), (first as f32, last as f32));
        }
        for crop in ["8:2", "3:6", "3:2:5:0", "3:2:4294967295:0"] {
            let crop: Crop = crop.parse().unwrap();
            assert!(crop.open("a", Box::new(source().0)).is_err());
        }
    }

    struct Once(Given, Option<Frame>);

    impl FrameSource for Once {
        fn info(&self) -> &VideoInfo {
            self.0.info()
        }
        fn next_frame(&mut self) -> Result<Option<Frame>, MediaError> {
            Ok(self.1.take())
        }
        fn take_extras(&mut self) -> Extras {
            Extras::default()
        }
    }
}
