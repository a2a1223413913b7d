//! Raw video: samples without any header, described by the user.

use super::background::{PullSource, PushSink};
use super::color::{Converter, code, location, split_planes, split_planes_mut};
use super::error::{MediaError, MediaErrorKind};
use super::pixel::{Packing, PixelLayout};
use super::rate::parse_rate;
use super::types::{Color, ColorRange, Frame, Rational};
use super::{MAX_SIDE, MediaKind, VideoInfo, check_size};
use std::io::{Read, Write};
use std::str::FromStr;

/// The description of raw video, written `WxH@FPS:PIXFMT`, for example `1920x1080@30000/1001:yuv420p10le`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawFormat {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames per second.
    pub frame_rate: Rational,
    /// Layout of the samples.
    pub layout: PixelLayout,
}

impl FromStr for RawFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!(
                "raw format '{text}': {what}; write WxH@FPS:PIXFMT, for example 640x480@30000/1001:yuv420p"
            )
        };
        let (size, rest) = text.split_once('@').ok_or_else(|| wrong("no '@'"))?;
        let (rate, format) = rest
            .rsplit_once(':')
            .ok_or_else(|| wrong("no ':' before the pixel format"))?;
        let (w, h) = size.split_once('x').ok_or_else(|| wrong("no 'x' in the size"))?;
        let side = |t: &str| t.parse::<u32>().ok().filter(|n| (1..=MAX_SIDE).contains(n));
        let width = side(w).ok_or_else(|| wrong("the width is not 1 to 16384"))?;
        let height = side(h).ok_or_else(|| wrong("the height is not 1 to 16384"))?;
        let frame_rate = parse_rate(rate).ok_or_else(|| wrong("the frame rate is not a positive number"))?;
        let layout = PixelLayout::from_ffmpeg_name(format)
            // A plane that is read over in files would shift every following frame here.
            .filter(|_| !format.starts_with("yuva") && !format.starts_with("gbrap"))
            .ok_or_else(|| {
                wrong("unknown pixel format (yuv420p, yuv422p, yuv444p, gray, rgb24, yuv420p10le, …)")
            })?;
        Ok(Self {
            width,
            height,
            frame_rate,
            layout,
        })
    }
}

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
        let unspecified = code::UNSPECIFIED;
        let color = Color {
            primaries: unspecified,
            transfer: unspecified,
            matrix: if matches!(layout.packing, Packing::Gbr | Packing::Rgb) {
                code::MATRIX_RGB
            } else {
                unspecified
            },
            range: ColorRange::Unspecified,
        };
        let chroma_location = if yuv {
            location::LEFT
        } else {
            location::UNSPECIFIED
        };
        let info = VideoInfo {
            width: format.width,
            height: format.height,
            frame_rate: format.frame_rate,
            time_base: None,
            pixel_aspect: Rational { num: 1, den: 1 },
            color,
            chroma: layout.chroma(),
            chroma_location,
            bit_depth: layout.depth,
            frame_count: input_bytes.map(|n| n / layout.frame_bytes(w, h) as u64),
            packet_streams: Vec::new(),
            kind: MediaKind::Video,
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
        if !self.read_frame()? {
            return Ok(None);
        }
        let (w, h) = (self.info.width as usize, self.info.height as usize);
        Ok(Some(self.converter.planes_to_rgb(&split_planes(
            &self.layout,
            w,
            h,
            &self.buffer,
        ))))
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
#[path = "raw_tests.rs"]
mod tests;
