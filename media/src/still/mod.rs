//! PNG and JPEG pictures.

mod coding;

use crate::along::{Along, color_name, picture};
use crate::atomic::AtomicFile;
use crate::background::{PullSource, PushSink};
use crate::color::code;
use crate::error::{MediaError, MediaErrorKind};
use crate::icc::is_srgb;
use crate::video::{MediaKind, VideoInfo};
use base64::Engine;
pub use coding::Coding;
use coding::{MAX_BYTES, Picture};
use latentbit_codec::Frame;
use latentbit_container::{Chroma, Color, ColorRange, Rational};
use std::io::{BufWriter, Read, Write};

/// The formats that need no libav.
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

/// A decoded picture, as a video of one frame.
pub struct StillReader {
    place: String,
    info: VideoInfo,
    frame: Option<Frame>,
    /// Whether the file ends before the picture does, which is gray from there on.
    cut_off: bool,
}

impl StillReader {
    /// Reads and decodes the picture.
    pub fn new(place: &str, input: Box<dyn Read>, background: [f32; 3]) -> Result<Self, MediaError> {
        let mut bytes = Vec::new();
        input
            .take(MAX_BYTES as u64)
            .read_to_end(&mut bytes)
            .map_err(|e| MediaError::io(place, "read", e))?;
        let picture = match StillFormat::from_magic(&bytes) {
            Some(StillFormat::Png) => Picture::from_png(place, &bytes)?,
            Some(StillFormat::Jpeg) => Picture::from_jpeg(place, &bytes)?,
            None => {
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
        };
        let mut along = Along::default();
        if let Some(profile) = picture.profile.as_ref().filter(|profile| !is_srgb(profile)) {
            let text = base64::engine::general_purpose::STANDARD.encode(profile);
            along.video_tags.push((picture::ICC_PROFILE.to_owned(), text));
        }
        if picture.alpha {
            let color = color_name(background);
            tracing::warn!("{place}: the picture has transparency; it is laid over {color} (--background)");
            along.video_tags.push((picture::BACKGROUND.to_owned(), color));
        }
        let (gray, wide, alpha) = (picture.gray, picture.wide, picture.alpha);
        let frame = picture.into_frame(background);
        let info = VideoInfo {
            color: Color {
                primaries: code::BT709,
                transfer: code::TRANSFER_SRGB,
                matrix: if gray { code::UNSPECIFIED } else { code::MATRIX_RGB },
                range: ColorRange::Full,
            },
            chroma: if gray { Chroma::Gray } else { Chroma::Rgb },
            bit_depth: if wide { 16 } else { 8 },
            frame_count: Some(1),
            kind: MediaKind::StillImage,
            alpha,
            along,
            ..VideoInfo::new(
                frame.width as u32,
                frame.height as u32,
                Rational { num: 25, den: 1 },
            )
        };
        Ok(Self {
            place: place.to_owned(),
            info,
            frame: Some(frame),
            cut_off: is_cut_off(&bytes),
        })
    }
}

/// Whether a JPEG file has no end after its first scan; decoders make do with less.
fn is_cut_off(bytes: &[u8]) -> bool {
    if StillFormat::from_magic(bytes) != Some(StillFormat::Jpeg) {
        return false;
    }
    let mut at = 2;
    // Segments up to the first scan: their lengths leave out what they hold, such as a picture in small with an end.
    while let Some(&[0xff, kind, high, low]) = bytes.get(at..at + 4).and_then(|head| head.first_chunk()) {
        match kind {
            0xff => at += 1,
            0xda => return !bytes[at..].windows(2).any(|marker| marker == [0xff, 0xd9]),
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    true
}

impl PullSource for StillReader {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn skip(&mut self, count: u64) -> Result<u64, MediaError> {
        Ok(u64::from(count > 0 && self.frame.take().is_some()))
    }

    fn pull(&mut self) -> Result<Option<Frame>, MediaError> {
        match self.frame.take() {
            Some(frame) => Ok(Some(frame)),
            None if std::mem::take(&mut self.cut_off) => Err(MediaError::new(
                MediaErrorKind::Truncated { frames: 1 },
                &self.place,
                "the picture is cut off: its file ends before it does",
            )),
            None => Ok(None),
        }
    }
}

/// Writes one picture, or numbered pictures for a name such as `frame-%04d.png`.
pub struct StillWriter {
    path: String,
    numbered: bool,
    format: StillFormat,
    coding: Coding,
    first: Option<AtomicFile>,
    written: Vec<std::path::PathBuf>,
    count: u64,
    finished: bool,
}

impl StillWriter {
    /// A writer to `path`; `quality` (1 to 100) is for JPEG.
    pub fn new(path: &str, format: StillFormat, info: &VideoInfo, quality: u8) -> Result<Self, MediaError> {
        let numbered = numbered_name(path, 0).is_some();
        // Fails now if the target cannot be written, not after the first frame was decoded.
        let probe = numbered_name(path, 1);
        let first = AtomicFile::new(probe.as_deref().unwrap_or(path))?;
        first.create()?;
        Ok(Self {
            path: path.to_owned(),
            numbered,
            format,
            coding: Coding {
                gray: info.chroma == Chroma::Gray,
                wide: info.bit_depth > 8,
                quality,
                profile: profile_of(info),
            },
            first: Some(first),
            written: Vec::new(),
            count: 0,
            finished: false,
        })
    }

    /// Whether it writes a picture for each frame.
    pub const fn is_numbered(&self) -> bool {
        self.numbered
    }

    fn encode(&self, file: impl Write, frame: &Frame) -> std::io::Result<()> {
        let mut file = BufWriter::new(file);
        match self.format {
            StillFormat::Png => self.coding.write_png(&mut file, frame)?,
            StillFormat::Jpeg => self.coding.write_jpeg(&mut file, frame)?,
        }
        file.flush()
    }
}

/// The ICC profile that goes along with pictures.
fn profile_of(info: &VideoInfo) -> Option<Vec<u8>> {
    let text = info.along.picture(picture::ICC_PROFILE)?;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
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
                let mut target = AtomicFile::new(&name)?;
                let file = target.create_unnamed()?;
                (target, file)
            }
        };
        self.encode(file, frame)
            .map_err(|e| MediaError::io(&name, "write", e))?;
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

/// `frame-%04d.png` with the number filled in; `None` if the name has no place for one.
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
mod tests {
    use super::*;
    use std::fs;

    fn info(chroma: Chroma, bit_depth: u8) -> VideoInfo {
        VideoInfo {
            width: 13,
            height: 7,
            frame_rate: Rational { num: 25, den: 1 },
            pixel_aspect: Rational { num: 1, den: 1 },
            color: Color {
                primaries: 1,
                transfer: 13,
                matrix: 0,
                range: ColorRange::Full,
            },
            chroma,
            chroma_location: 0,
            bit_depth,
            frame_count: Some(1),
            kind: MediaKind::StillImage,
            ..VideoInfo::new(13, 7, Rational { num: 25, den: 1 })
        }
    }

    fn frame(gray: bool) -> Frame {
        let pixel = |i: usize| {
            let v = i as f32 / 91.0;
            if gray { [v, v, v] } else { [v, 1.0 - v, 0.5 * v] }
        };
        Frame {
            width: 13,
            height: 7,
            data: (0..91).flat_map(pixel).collect(),
        }
    }

    fn open(path: &str) -> Result<StillReader, MediaError> {
        StillReader::new(path, Box::new(fs::File::open(path).unwrap()), [0.0; 3])
    }

    fn worst(a: &Frame, b: &Frame) -> f32 {
        a.data
            .iter()
            .zip(&b.data)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max)
    }

    #[test]
    fn pictures_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        for (name, format, chroma, depth, limit) in [
            ("a.png", StillFormat::Png, Chroma::Rgb, 8, 0.5 / 255.0),
            ("b.png", StillFormat::Png, Chroma::Rgb, 16, 0.5 / 65535.0),
            ("c.png", StillFormat::Png, Chroma::Gray, 8, 0.5 / 255.0),
            ("d.png", StillFormat::Png, Chroma::Gray, 10, 0.5 / 65535.0),
            ("e.jpg", StillFormat::Jpeg, Chroma::Rgb, 8, 0.1),
            ("f.jpg", StillFormat::Jpeg, Chroma::Gray, 8, 0.05),
        ] {
            let path = dir.path().join(name);
            let path = path.to_str().unwrap();
            let original = frame(chroma == Chroma::Gray);
            let mut writer = StillWriter::new(path, format, &info(chroma, depth), 95).unwrap();
            writer.push(&original, 0).unwrap();
            writer.finish().unwrap();
            let mut reader = open(path).unwrap();
            assert_eq!(reader.info().chroma, chroma, "{name}");
            assert_eq!(reader.info().bit_depth, if depth > 8 { 16 } else { 8 }, "{name}");
            let back = reader.pull().unwrap().unwrap();
            assert!(
                worst(&back, &original) <= limit + 1e-6,
                "{name} {}",
                worst(&back, &original)
            );
            assert!(reader.pull().unwrap().is_none());
        }
    }

    #[test]
    fn colour_profiles_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let profile: Vec<u8> = (0..600u32).map(|i| (i * 7) as u8).collect();
        let text = base64::engine::general_purpose::STANDARD.encode(&profile);
        let mut info = info(Chroma::Rgb, 8);
        info.along.video_tags = vec![(picture::ICC_PROFILE.to_owned(), text)];
        for (name, format) in [("a.png", StillFormat::Png), ("a.jpg", StillFormat::Jpeg)] {
            let path = dir.path().join(name);
            let path = path.to_str().unwrap();
            let mut writer = StillWriter::new(path, format, &info, 95).unwrap();
            writer.push(&frame(false), 0).unwrap();
            writer.finish().unwrap();
            let reader = open(path).unwrap();
            assert_eq!(profile_of(reader.info()).as_ref(), Some(&profile), "{name}");
        }
    }

    #[test]
    fn transparency_is_laid_over_black() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let mut encoder = png::Encoder::new(fs::File::create(&path).unwrap(), 2, 2);
        encoder.set_color(png::ColorType::Rgba);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[255, 128, 0, 0].repeat(4)).unwrap();
        writer.finish().unwrap();
        let back = open(path.to_str().unwrap()).unwrap().pull().unwrap().unwrap();
        assert!(back.data.iter().all(|v| *v == 0.0));
    }

    #[test]
    fn damaged_pictures_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        for (name, format) in [("a.png", StillFormat::Png), ("a.jpg", StillFormat::Jpeg)] {
            let path = dir.path().join(name);
            let path = path.to_str().unwrap();
            let mut writer = StillWriter::new(path, format, &info(Chroma::Rgb, 8), 95).unwrap();
            writer.push(&frame(false), 0).unwrap();
            writer.finish().unwrap();
            let bytes = fs::read(path).unwrap();
            for cut in [0, 1, 8, 20, bytes.len() / 2] {
                fs::write(path, &bytes[..cut]).unwrap();
                // Of a JPEG there may be a part.
                let end = open(path).and_then(|mut reader| {
                    reader.pull()?;
                    reader.pull()
                });
                assert!(end.is_err(), "{name} {cut}");
            }
        }
        // A header that claims more pixels than any limit allows.
        let mut huge = fs::read(dir.path().join("a.png")).unwrap();
        huge.clear();
        huge.extend_from_slice(
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\0\0\0\0\0\0\0",
        );
        let path = dir.path().join("huge.png");
        fs::write(&path, huge).unwrap();
        assert!(open(path.to_str().unwrap()).is_err());
    }

    #[test]
    fn names_with_numbers() {
        assert_eq!(numbered_name("f-%04d.png", 7).unwrap(), "f-0007.png");
        assert_eq!(numbered_name("%d.jpg", 12).unwrap(), "12.jpg");
        for plain in ["a.png", "100%.png", "a%sd.png", "%123d.png"] {
            assert_eq!(numbered_name(plain, 1), None, "{plain}");
        }
    }

    #[test]
    fn several_frames_need_a_numbered_name() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("a.png");
        let mut writer = StillWriter::new(
            plain.to_str().unwrap(),
            StillFormat::Png,
            &info(Chroma::Rgb, 8),
            95,
        )
        .unwrap();
        writer.push(&frame(false), 0).unwrap();
        let error = writer.push(&frame(false), 0).unwrap_err();
        assert!(error.kind() == MediaErrorKind::Usage && error.to_string().contains("%04d"));
        drop(writer);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        let pattern = dir.path().join("%03d.png");
        let mut writer = StillWriter::new(
            pattern.to_str().unwrap(),
            StillFormat::Png,
            &info(Chroma::Rgb, 8),
            95,
        )
        .unwrap();
        writer.push(&frame(false), 0).unwrap();
        writer.push(&frame(false), 0).unwrap();
        writer.finish().unwrap();
        drop(writer);
        assert!(dir.path().join("001.png").exists() && dir.path().join("002.png").exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
