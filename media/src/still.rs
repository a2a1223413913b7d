//! PNG and JPEG pictures.

use super::atomic::AtomicFile;
use super::background::{PullSource, PushSink};
use super::color::{code, location};
use super::error::{MediaError, MediaErrorKind};
use super::types::{Chroma, Color, ColorRange, Frame, Rational};
use super::{MAX_SIDE, MediaKind, VideoInfo, check_size};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{
    ColorType, DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, ImageReader, Limits,
};
use std::io::{BufWriter, Cursor, Read, Write};

/// The two formats that need no libav.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StillFormat {
    /// Lossless, 8 or 16 bits.
    Png,
    /// Lossy, 8 bits.
    Jpeg,
}

impl StillFormat {
    /// By file extension.
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "png" => Some(Self::Png),
            "jpg" | "jpeg" => Some(Self::Jpeg),
            _ => None,
        }
    }

    /// By the first bytes.
    pub fn from_magic(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Some(Self::Png);
        }
        bytes.starts_with(b"\xff\xd8\xff").then_some(Self::Jpeg)
    }
}

/// A decoded picture, given out as a video of one frame.
pub struct StillReader {
    info: VideoInfo,
    frame: Option<Frame>,
}

/// Files larger than this are no single picture of at most [`MAX_SIDE`] squared.
const MAX_FILE: u64 = 2 << 30;

impl StillReader {
    /// Reads and decodes the picture.
    pub fn new(place: &str, input: Box<dyn Read>) -> Result<Self, MediaError> {
        let mut bytes = Vec::new();
        input
            .take(MAX_FILE)
            .read_to_end(&mut bytes)
            .map_err(|e| MediaError::io(place, "read", e))?;
        let invalid = |e: ImageError| picture_error(place, &e);
        if StillFormat::from_magic(&bytes).is_none() {
            let what = if bytes.is_empty() {
                "the file is empty"
            } else {
                "these bytes are neither PNG nor JPEG"
            };
            return Err(MediaError::new(
                MediaErrorKind::Invalid,
                place,
                format!("{what}; expected a PNG or JPEG picture"),
            ));
        }
        let mut reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|e| MediaError::io(place, "read", e))?;
        let mut limits = Limits::default();
        limits.max_image_width = Some(MAX_SIDE);
        limits.max_image_height = Some(MAX_SIDE);
        limits.max_alloc = Some(MAX_FILE);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(invalid)?;
        let (w, h) = decoder.dimensions();
        check_size(place, u64::from(w), u64::from(h))?;
        let color_type = decoder.color_type();
        let orientation = decoder.orientation().map_err(invalid)?;
        let mut picture = DynamicImage::from_decoder(decoder).map_err(invalid)?;
        picture.apply_orientation(orientation);
        if color_type.has_alpha() {
            tracing::warn!("{place}: the picture has transparency; it is laid over black");
        }
        let gray = matches!(
            color_type,
            ColorType::L8 | ColorType::L16 | ColorType::La8 | ColorType::La16
        );
        let wide = u32::from(color_type.bits_per_pixel()) / u32::from(color_type.channel_count()) > 8;
        let info = VideoInfo {
            width: picture.width(),
            height: picture.height(),
            frame_rate: Rational { num: 25, den: 1 },
            time_base: None,
            pixel_aspect: Rational { num: 1, den: 1 },
            color: Color {
                primaries: code::BT709,
                transfer: code::TRANSFER_SRGB,
                matrix: if gray { code::UNSPECIFIED } else { code::MATRIX_RGB },
                range: ColorRange::Full,
            },
            chroma: if gray { Chroma::Gray } else { Chroma::Rgb },
            chroma_location: location::UNSPECIFIED,
            bit_depth: if wide { 16 } else { 8 },
            frame_count: Some(1),
            packet_streams: Vec::new(),
            kind: MediaKind::StillImage,
        };
        let data = to_rgb(picture, color_type.has_alpha(), wide);
        let frame = Frame {
            width: info.width as usize,
            height: info.height as usize,
            data,
        };
        Ok(Self {
            info,
            frame: Some(frame),
        })
    }
}

fn to_rgb(picture: DynamicImage, alpha: bool, wide: bool) -> Vec<f32> {
    let over_black = |px: &[f32]| [px[0] * px[3], px[1] * px[3], px[2] * px[3]];
    match (alpha, wide) {
        (true, _) => picture
            .into_rgba32f()
            .chunks_exact(4)
            .flat_map(over_black)
            .collect(),
        (false, true) => picture
            .into_rgb16()
            .iter()
            .map(|&v| f32::from(v) / 65535.0)
            .collect(),
        (false, false) => picture
            .into_rgb8()
            .iter()
            .map(|&v| f32::from(v) / 255.0)
            .collect(),
    }
}

fn picture_error(place: &str, e: &ImageError) -> MediaError {
    let kind = match e {
        ImageError::Unsupported(_) => MediaErrorKind::Unsupported,
        ImageError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
            MediaErrorKind::Truncated { frames: 0 }
        }
        _ => MediaErrorKind::Invalid,
    };
    MediaError::new(kind, place, format!("cannot decode the picture: {e}"))
}

impl PullSource for StillReader {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn skip(&mut self, count: u64) -> Result<u64, MediaError> {
        Ok(u64::from(count > 0 && self.frame.take().is_some()))
    }

    fn pull(&mut self) -> Result<Option<Frame>, MediaError> {
        Ok(self.frame.take())
    }
}

/// Writes one picture, or numbered pictures for a name such as `frame-%04d.png`.
pub struct StillWriter {
    path: String,
    numbered: bool,
    format: StillFormat,
    wide: bool,
    gray: bool,
    quality: u8,
    first: Option<AtomicFile>,
    written: Vec<std::path::PathBuf>,
    count: u64,
    finished: bool,
}

impl StillWriter {
    /// A writer to `path`; `quality` (1 to 100) is for JPEG.
    pub fn new(path: &str, format: StillFormat, info: &VideoInfo, quality: u8) -> Result<Self, MediaError> {
        let numbered = numbered_name(path, 0).is_some();
        // Fails now, not after the first frame was decoded, when the target cannot be written.
        let probe = numbered_name(path, 1);
        let first = AtomicFile::new(probe.as_deref().unwrap_or(path))?;
        first.create()?;
        Ok(Self {
            path: path.to_owned(),
            numbered,
            format,
            wide: info.bit_depth > 8,
            gray: info.chroma == Chroma::Gray,
            quality: quality.clamp(1, 100),
            first: Some(first),
            written: Vec::new(),
            count: 0,
            finished: false,
        })
    }

    fn encode(&self, file: impl Write, frame: &Frame) -> Result<(), ImageError> {
        let mut file = BufWriter::new(file);
        let step = if self.gray { 3 } else { 1 };
        let (w, h) = (frame.width as u32, frame.height as u32);
        let wide = self.wide && self.format == StillFormat::Png;
        let max = if wide { 65535.0 } else { 255.0 };
        let codes = frame
            .data
            .iter()
            .step_by(step)
            .map(|&v| (v.clamp(0.0, 1.0) * max + 0.5) as u16);
        let bytes: Vec<u8> = if wide {
            codes.flat_map(u16::to_ne_bytes).collect()
        } else {
            codes.map(|c| c as u8).collect()
        };
        let color = match (self.gray, wide) {
            (true, true) => ExtendedColorType::L16,
            (true, false) => ExtendedColorType::L8,
            (false, true) => ExtendedColorType::Rgb16,
            (false, false) => ExtendedColorType::Rgb8,
        };
        match self.format {
            StillFormat::Png => PngEncoder::new(&mut file).write_image(&bytes, w, h, color)?,
            StillFormat::Jpeg => {
                JpegEncoder::new_with_quality(&mut file, self.quality).write_image(&bytes, w, h, color)?;
            }
        }
        file.flush().map_err(ImageError::IoError)
    }
}

impl PushSink for StillWriter {
    fn push(&mut self, frame: &Frame, _time: i64) -> Result<(), MediaError> {
        self.count += 1;
        if self.count > 1 && !self.numbered {
            return Err(MediaError::new(
                MediaErrorKind::Usage,
                &self.path,
                "a picture holds one frame and the video has more; \
                 write numbered pictures (frame-%04d.png) or take one with --frames 1",
            ));
        }
        let name = numbered_name(&self.path, self.count).unwrap_or_else(|| self.path.clone());
        let (mut target, file) = match self.first.take() {
            Some(target) => {
                let file = std::fs::OpenOptions::new().write(true).open(target.path());
                (target, file.map_err(|e| MediaError::io(&name, "write", e))?)
            }
            None => {
                let target = AtomicFile::new(&name)?;
                let file = target.create()?;
                (target, file)
            }
        };
        self.encode(file, frame).map_err(|e| match e {
            ImageError::IoError(io) => MediaError::io(&name, "write", io),
            other => MediaError::new(
                MediaErrorKind::Io,
                &name,
                format!("cannot encode the picture: {other}"),
            ),
        })?;
        if self.numbered {
            target.commit()?;
            self.written.push(name.into());
        } else {
            self.first = Some(target);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), MediaError> {
        if self.count == 0 {
            return Err(MediaError::new(
                MediaErrorKind::Usage,
                &self.path,
                "there is no frame to write",
            ));
        }
        if let Some(mut target) = self.first.take() {
            target.commit()?;
        }
        self.finished = true;
        Ok(())
    }
}

impl Drop for StillWriter {
    fn drop(&mut self) {
        // A numbered sequence is all or nothing, like every other output.
        if !self.finished {
            for path in &self.written {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// `frame-%04d.png` with a number in it; `None` when the name has no place for one.
pub fn numbered_name(pattern: &str, number: u64) -> Option<String> {
    let at = pattern.find('%')?;
    let rest = &pattern[at + 1..];
    let end = rest.find('d')?;
    let digits = &rest[..end];
    if digits.len() > 2 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let width: usize = digits.parse().unwrap_or(0);
    Some(format!("{}{number:0width$}{}", &pattern[..at], &rest[end + 1..]))
}

#[cfg(test)]
#[path = "still_tests.rs"]
mod tests;
