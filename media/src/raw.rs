//! Raw video: samples without a header, described by the user.

use crate::background::{PullSource, PushSink};
use crate::color::{Converter, code, location, split_planes, split_planes_mut};
use crate::error::{MediaError, MediaErrorKind};
use crate::options::RawFormat;
use crate::pixel::{Packing, PixelLayout};
use crate::video::{VideoInfo, check_size};
use latentbit_codec::Frame;
use latentbit_container::{Color, ColorRange};
use std::io::{Read, Write};

/// Reads raw video.
pub struct RawReader {
    place: String,
    input: Box<dyn Read>,
    layout: PixelLayout,
    info: VideoInfo,
    converter: Converter,
    buffer: Vec<u8>,
    frames: u64,
}

impl RawReader {
    /// A reader of `format`. `input_bytes` is the size of the whole input where it is known.
    pub fn new(
        place: &str,
        input: Box<dyn Read>,
        format: RawFormat,
        input_bytes: Option<u64>,
    ) -> Result<Self, MediaError> {
        check_size(place, u64::from(format.width), u64::from(format.height))?;
        let (w, h) = (format.width as usize, format.height as usize);
        let layout = format.layout;
        let yuv = layout.packing == Packing::Yuv;
        let mut color = Color::default();
        if matches!(layout.packing, Packing::Gbr | Packing::Rgb) {
            color.matrix = code::MATRIX_RGB;
        }
        let chroma_location = if yuv {
            location::LEFT
        } else {
            location::UNSPECIFIED
        };
        let info = VideoInfo {
            color,
            chroma: layout.chroma(),
            chroma_location,
            bit_depth: layout.depth,
            frame_count: input_bytes.map(|n| n / layout.frame_bytes(w, h) as u64),
            ..VideoInfo::new(format.width, format.height, format.frame_rate)
        };
        let converter = Converter::new(w, h, layout, &color, chroma_location);
        Ok(Self {
            place: place.to_owned(),
            input,
            layout,
            info,
            converter,
            buffer: Vec::new(),
            frames: 0,
        })
    }

    /// Layout of the samples.
    #[cfg(feature = "libav")]
    pub const fn layout(&self) -> &PixelLayout {
        &self.layout
    }

    /// The planes of the next frame, or `None` after the last.
    ///
    /// # Errors
    /// As for [`pull`](PullSource::pull).
    #[cfg(feature = "libav")]
    pub fn samples(&mut self) -> Result<Option<Vec<crate::color::PlaneRef<'_>>>, MediaError> {
        let (w, h) = (self.info.width as usize, self.info.height as usize);
        Ok(self
            .read_frame()?
            .then(|| split_planes(&self.layout, w, h, &self.buffer)))
    }

    fn read_frame(&mut self) -> Result<bool, MediaError> {
        let want = self
            .layout
            .frame_bytes(self.info.width as usize, self.info.height as usize);
        self.buffer.clear();
        let got = (&mut *self.input)
            .take(want as u64)
            .read_to_end(&mut self.buffer)
            .map_err(|e| MediaError::io(&self.place, "read", e))?;
        if got == 0 {
            return Ok(false);
        }
        if got < want {
            let frames = self.frames;
            return Err(MediaError::new(
                MediaErrorKind::Truncated { frames },
                &self.place,
                format!(
                    "the raw video ends inside a frame, after {frames} frames of {want} bytes; \
                     check the size and pixel format given with --raw"
                ),
            ));
        }
        self.frames += 1;
        Ok(true)
    }
}

impl PullSource for RawReader {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn skip(&mut self, count: u64) -> Result<u64, MediaError> {
        for done in 0..count {
            if !self.read_frame()? {
                return Ok(done);
            }
        }
        Ok(count)
    }

    fn pull(&mut self) -> Result<Option<Frame>, MediaError> {
        let (w, h) = (self.info.width as usize, self.info.height as usize);
        if !self.read_frame()? {
            return Ok(None);
        }
        let planes = split_planes(&self.layout, w, h, &self.buffer);
        Ok(Some(self.converter.planes_to_rgb(&planes)))
    }
}

/// Writes raw video.
pub struct RawWriter<W: Write> {
    place: String,
    output: W,
    layout: PixelLayout,
    converter: Converter,
    buffer: Vec<u8>,
    size: (usize, usize),
}

impl<W: Write> RawWriter<W> {
    /// A writer of `layout` for video like `info`.
    pub fn new(place: &str, output: W, info: &VideoInfo, layout: PixelLayout) -> Self {
        let size = (info.width as usize, info.height as usize);
        // An original in another family (RGB, gray) says nothing about how these samples should be coded.
        let same_family = PixelLayout::planar(info.chroma, 8).packing == layout.packing;
        let range = if same_family {
            info.color.range
        } else {
            ColorRange::Unspecified
        };
        let color = Color { range, ..info.color };
        let converter = Converter::new(size.0, size.1, layout, &color, info.chroma_location);
        let buffer = vec![0; layout.frame_bytes(size.0, size.1)];
        Self {
            place: place.to_owned(),
            output,
            layout,
            converter,
            buffer,
            size,
        }
    }
}

impl<W: Write> PushSink for RawWriter<W> {
    fn push(&mut self, frame: &Frame, _time: i64) -> Result<(), MediaError> {
        let (w, h) = self.size;
        self.converter
            .rgb_to_planes(frame, &mut split_planes_mut(&self.layout, w, h, &mut self.buffer));
        self.output
            .write_all(&self.buffer)
            .and_then(|()| self.output.flush())
            .map_err(|e| MediaError::io(&self.place, "write", e))
    }

    fn finish(&mut self) -> Result<(), MediaError> {
        self.output
            .flush()
            .map_err(|e| MediaError::io(&self.place, "write", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn every_layout_round_trips() {
        for name in [
            "yuv420p",
            "yuv422p10le",
            "yuv444p12le",
            "gray",
            "gray16le",
            "rgb24",
            "rgb48le",
            "gbrp10le",
        ] {
            let format: RawFormat = format!("7x5@25:{name}").parse().unwrap();
            let n = format.layout.frame_bytes(7, 5);
            // Mid-gray in every family, so that nothing is out of gamut.
            let middle = 1u16 << (format.layout.depth - 1);
            let one: Vec<u8> = match format.layout.depth {
                8 => vec![middle as u8; n],
                _ => std::iter::repeat_n(middle.to_le_bytes(), n / 2)
                    .flatten()
                    .collect(),
            };
            let bytes = [one.clone(), one].concat();
            let input = Box::new(Cursor::new(bytes.clone()));
            let mut reader = RawReader::new("test", input, format, Some(bytes.len() as u64)).unwrap();
            assert_eq!(reader.info().frame_count, Some(2));
            let mut out = Vec::new();
            let mut writer = RawWriter::new("test", &mut out, reader.info(), format.layout);
            while let Some(frame) = reader.pull().unwrap() {
                writer.push(&frame, 0).unwrap();
            }
            writer.finish().unwrap();
            drop(writer);
            assert_eq!(out, bytes, "{name}");
        }
    }

    #[test]
    fn a_wrong_size_shows_as_truncation() {
        let format: RawFormat = "4x4@25:gray".parse().unwrap();
        let mut reader = RawReader::new("test", Box::new(Cursor::new(vec![0; 40])), format, None).unwrap();
        assert!(reader.pull().unwrap().is_some() && reader.pull().unwrap().is_some());
        assert_eq!(
            reader.pull().unwrap_err().kind(),
            MediaErrorKind::Truncated { frames: 2 }
        );
    }
}
