//! YUV4MPEG2, the pipe format of ffmpeg and mjpegtools.

use crate::along::{Along, picture};
use crate::background::{PullSource, PushSink};
use crate::color::{Converter, code, location, split_planes, split_planes_mut};
use crate::error::{MediaError, MediaErrorKind};
use crate::options::reduced;
use crate::pixel::{Packing, PixelLayout};
use crate::video::{MAX_SIDE, VideoInfo, check_size};
use latentbit_codec::Frame;
use latentbit_container::{Chroma, Color, ColorRange, Rational};
use std::io::{BufRead, Read, Write};

/// The first bytes of every stream, before a space.
pub const MAGIC: &[u8] = b"YUV4MPEG2";

/// Longest header or frame line that is read before giving up.
const MAX_LINE: u64 = 16 << 10;

/// Rate if the header gives none, as in ffmpeg.
const DEFAULT_RATE: Rational = Rational { num: 25, den: 1 };

/// A parsed stream header.
#[derive(Debug, Clone, PartialEq)]
pub struct Y4mHeader {
    /// What the header says about the video.
    pub info: VideoInfo,
    /// Layout of the samples of a frame.
    pub layout: PixelLayout,
    /// Bytes after the colour planes that carry alpha.
    alpha_bytes: usize,
}

impl Y4mHeader {
    /// Bytes of one frame without its `FRAME` line.
    pub fn frame_bytes(&self) -> usize {
        self.layout
            .frame_bytes(self.info.width as usize, self.info.height as usize)
            + self.alpha_bytes
    }
}

/// Whether a stream that begins with these bytes says that it is interlaced.
#[cfg(feature = "libav")]
pub fn is_interlaced(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut fields = line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
    // libav has no way to take streams that change between the two.
    fields.any(|field| field == b"It" || field == b"Ib")
}

/// Parses the header line, given without its line feed.
pub fn parse_header(place: &str, line: &str) -> Result<Y4mHeader, MediaError> {
    let bad = |message: String| MediaError::new(MediaErrorKind::Invalid, place, message);
    let fields = line.as_bytes().strip_prefix(MAGIC);
    let fields = fields.filter(|rest| rest.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')));
    let Some(fields) = fields.and_then(|f| std::str::from_utf8(f).ok()) else {
        return Err(bad(
            "not a YUV4MPEG2 stream: it must begin with 'YUV4MPEG2 '".to_owned()
        ));
    };
    let (mut width, mut height) = (None, None);
    let mut rate = DEFAULT_RATE;
    let mut aspect = Rational { num: 1, den: 1 };
    let mut range = ColorRange::Unspecified;
    let (mut chroma, mut chroma_hint) = (None, None);
    let mut along = Along::default();
    // Some programs end lines as on Windows, or separate fields by tabs.
    for field in fields.split([' ', '\t', '\r']).filter(|f| !f.is_empty()) {
        let mut chars = field.chars();
        let tag = chars.next().unwrap_or(' ');
        let value = chars.as_str();
        match tag {
            'W' => {
                width = Some(number(value).ok_or_else(|| bad(format!("width '{value}' is not a number")))?)
            }
            'H' => {
                height = Some(number(value).ok_or_else(|| bad(format!("height '{value}' is not a number")))?)
            }
            'F' => {
                match ratio(value).ok_or_else(|| bad(format!("frame rate '{value}' is not a fraction")))? {
                    Rational { num: 0, .. } | Rational { den: 0, .. } => {
                        tracing::warn!(
                            "{place}: the y4m header gives no frame rate; taking 25 frames per second"
                        );
                    }
                    known => rate = known,
                }
            }
            'A' => {
                match ratio(value).ok_or_else(|| bad(format!("pixel aspect '{value}' is not a fraction")))? {
                    Rational { num: 0, .. } | Rational { den: 0, .. } => {}
                    known => aspect = known,
                }
            }
            'C' => chroma = Some(value),
            'I' if !matches!(value, "p" | "?" | "") => {
                tracing::warn!("{place}: interlaced video is taken as it is");
                let first = if value.starts_with('b') { "bottom" } else { "top" };
                along
                    .video_tags
                    .push((picture::FIELDS.to_owned(), first.to_owned()));
            }
            'X' => match value.split_once('=') {
                Some(("YSCSS", v)) => chroma_hint = Some(v.to_ascii_lowercase()),
                Some(("COLORRANGE", "FULL")) => range = ColorRange::Full,
                Some(("COLORRANGE", "LIMITED")) => range = ColorRange::Limited,
                _ => {}
            },
            _ => {}
        }
    }
    let (Some(width), Some(height)) = (width, height) else {
        return Err(bad("the y4m header has no width (W) or no height (H)".to_owned()));
    };
    check_size(place, width, height)?;
    let tag = chroma.or(chroma_hint.as_deref()).unwrap_or("420");
    let (layout, chroma_location, alpha) = parse_chroma(tag).ok_or_else(|| {
        MediaError::new(
            MediaErrorKind::Unsupported,
            place,
            format!(
                "y4m chroma 'C{tag}' is not known; known are 420*, 422, 444, 440, 411, 410, mono and their p9 to p16"
            ),
        )
    })?;
    let alpha_bytes = if alpha {
        width as usize * height as usize
    } else {
        0
    };
    let info = VideoInfo {
        pixel_aspect: aspect,
        color: Color {
            range,
            ..Color::default()
        },
        chroma: layout.chroma(),
        chroma_location,
        bit_depth: layout.depth,
        along,
        ..VideoInfo::new(width as u32, height as u32, rate)
    };
    Ok(Y4mHeader {
        info,
        layout,
        alpha_bytes,
    })
}

fn number(text: &str) -> Option<u64> {
    // Longer numbers are out of range anyway, and could overflow.
    (text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// A fraction in any terms; without a denominator it is a whole number.
fn ratio(text: &str) -> Option<Rational> {
    let (num, den) = text.split_once(':').unwrap_or((text, "1"));
    let part = |t: &str| {
        let digits = (1..=18).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| t.parse::<u64>().ok())?
    };
    let (num, den) = (part(num)?, part(den)?);
    let plain = |part: u64| u32::try_from(part).ok();
    match (plain(num), plain(den)) {
        (Some(num), Some(den)) => Some(Rational { num, den }),
        _ => reduced(num.into(), den.into()),
    }
}

/// Layout, chroma position and whether an alpha plane follows.
fn parse_chroma(tag: &str) -> Option<(PixelLayout, u8, bool)> {
    let yuv = |log2_w, log2_h, depth| PixelLayout {
        packing: Packing::Yuv,
        log2_w,
        log2_h,
        depth,
    };
    // By the rule of the format, a bare 420 has the siting of JPEG.
    match tag {
        "420" | "420jpeg" => return Some((yuv(1, 1, 8), location::CENTER, false)),
        "420mpeg2" => return Some((yuv(1, 1, 8), location::LEFT, false)),
        "420paldv" => return Some((yuv(1, 1, 8), location::TOP_LEFT, false)),
        "411" => return Some((yuv(2, 0, 8), location::LEFT, false)),
        "410" => return Some((yuv(2, 2, 8), location::LEFT, false)),
        "444alpha" => return Some((yuv(0, 0, 8), location::UNSPECIFIED, true)),
        _ => {}
    }
    if let Some(depth) = tag.strip_prefix("mono") {
        let depth = if depth.is_empty() { 8 } else { depth_number(depth)? };
        return Some((
            PixelLayout::planar(Chroma::Gray, depth),
            location::UNSPECIFIED,
            false,
        ));
    }
    if tag == "420p8" {
        return parse_chroma("420");
    }
    let (base, depth) = match tag.split_once('p') {
        Some((base, depth)) => (base, depth_number(depth)?),
        None => (tag, 8),
    };
    match base {
        // ffmpeg writes the deep 4:2:0 tags without a siting, for video that nearly always sits left.
        "420" => Some((yuv(1, 1, depth), location::LEFT, false)),
        "422" => Some((yuv(1, 0, depth), location::LEFT, false)),
        "444" => Some((yuv(0, 0, depth), location::UNSPECIFIED, false)),
        "440" => Some((yuv(0, 1, depth), location::UNSPECIFIED, false)),
        _ => None,
    }
}

fn depth_number(text: &str) -> Option<u8> {
    match text {
        "8" => Some(8),
        "9" => Some(9),
        "10" => Some(10),
        "12" => Some(12),
        "14" => Some(14),
        "16" => Some(16),
        _ => None,
    }
}

/// The layout in which video like `info` is written as y4m.
pub fn output_layout(info: &VideoInfo) -> PixelLayout {
    // The format has no RGB; full chroma keeps all of it but the rounding.
    let chroma = if info.chroma == Chroma::Rgb {
        Chroma::C444
    } else {
        info.chroma
    };
    let depth = match info.bit_depth {
        0..=8 => 8,
        // ffmpeg and others read gray and YUV in these depths only.
        9 | 10 => 10,
        11 | 12 => 12,
        _ => 16,
    };
    PixelLayout::planar(chroma, depth)
}

/// The header line for video like `info`, with its line feed.
pub fn format_header(info: &VideoInfo) -> String {
    let layout = output_layout(info);
    let (chroma, subsampling) = match (layout.chroma(), layout.depth) {
        (Chroma::Gray, 8) => ("mono".to_owned(), None),
        (Chroma::Gray, d) => (format!("mono{d}"), None),
        (Chroma::C420, 8) => match info.chroma_location {
            location::CENTER => ("420jpeg".to_owned(), Some("420JPEG".to_owned())),
            location::TOP_LEFT => ("420paldv".to_owned(), Some("420PALDV".to_owned())),
            _ => ("420mpeg2".to_owned(), Some("420MPEG2".to_owned())),
        },
        (Chroma::C420, d) => (format!("420p{d}"), Some(format!("420P{d}"))),
        (Chroma::C422, 8) => ("422".to_owned(), None),
        (Chroma::C422, d) => (format!("422p{d}"), Some(format!("422P{d}"))),
        (_, 8) => ("444".to_owned(), None),
        (_, d) => (format!("444p{d}"), Some(format!("444P{d}"))),
    };
    let fields = match info.along.picture(picture::FIELDS) {
        Some("top") => 't',
        Some(_) => 'b',
        None => 'p',
    };
    let mut line = format!(
        "YUV4MPEG2 W{} H{} F{}:{} I{fields} A{}:{} C{chroma}",
        info.width,
        info.height,
        info.frame_rate.num,
        info.frame_rate.den,
        info.pixel_aspect.num,
        info.pixel_aspect.den
    );
    if let Some(s) = subsampling {
        line.push_str(&format!(" XYSCSS={s}"));
    }
    match output_color(info).range {
        ColorRange::Full => line.push_str(" XCOLORRANGE=FULL"),
        ColorRange::Limited => line.push_str(" XCOLORRANGE=LIMITED"),
        ColorRange::Unspecified => {}
    }
    line.push('\n');
    line
}

/// RGB originals become ordinary limited-range YUV; everything else keeps its description.
fn output_color(info: &VideoInfo) -> Color {
    if info.chroma == Chroma::Rgb {
        Color {
            range: ColorRange::Limited,
            ..info.color
        }
    } else {
        info.color
    }
}

/// Reads a line of at most [`MAX_LINE`] bytes without its line feed; `None` at a clean end.
fn read_line(place: &str, input: &mut dyn BufRead) -> Result<Option<Vec<u8>>, MediaError> {
    let mut line = Vec::new();
    input
        .take(MAX_LINE)
        .read_until(b'\n', &mut line)
        .map_err(|e| MediaError::io(place, "read", e))?;
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Some(line));
    }
    if line.is_empty() {
        return Ok(None);
    }
    let kind = if line.len() as u64 >= MAX_LINE {
        MediaErrorKind::Invalid
    } else {
        MediaErrorKind::Truncated { frames: 0 }
    };
    Err(MediaError::new(
        kind,
        place,
        "a y4m header or frame line does not end",
    ))
}

/// Reads a y4m stream.
pub struct Y4mReader {
    place: String,
    input: Box<dyn BufRead>,
    header: Y4mHeader,
    converter: Converter,
    buffer: Vec<u8>,
    frames: u64,
    /// Whether an empty line came, after which no frame may.
    gap: bool,
}

impl Y4mReader {
    /// Reads the header. `input_bytes` is the size of the whole input where it is known.
    pub fn new(
        place: &str,
        mut input: Box<dyn BufRead>,
        input_bytes: Option<u64>,
    ) -> Result<Self, MediaError> {
        let Some(line) = read_line(place, &mut *input)? else {
            return Err(MediaError::new(
                MediaErrorKind::Invalid,
                place,
                "empty input; expected a YUV4MPEG2 stream",
            ));
        };
        let mut header = parse_header(place, &String::from_utf8_lossy(&line))?;
        // Frame lines are nearly always the bare word; with parameters this hint is a little high.
        header.info.frame_count = input_bytes
            .map(|bytes| bytes.saturating_sub(line.len() as u64 + 1) / (header.frame_bytes() as u64 + 6));
        let converter = Converter::new(
            header.info.width as usize,
            header.info.height as usize,
            header.layout,
            &header.info.color,
            header.info.chroma_location,
        );
        Ok(Self {
            place: place.to_owned(),
            input,
            header,
            converter,
            buffer: Vec::new(),
            frames: 0,
            gap: false,
        })
    }

    /// Reads the samples of the next frame into the buffer; false at a clean end.
    fn read_frame(&mut self) -> Result<bool, MediaError> {
        let truncated = |frames| {
            MediaError::new(
                MediaErrorKind::Truncated { frames },
                &self.place,
                format!("the y4m stream ends inside a frame, after {frames} complete frames"),
            )
        };
        let mut line = read_line(&self.place, &mut *self.input);
        // Editors and shells put empty lines after the last frame.
        while let Ok(Some(text)) = &line
            && (text.is_empty() || text == b"\r")
        {
            line = read_line(&self.place, &mut *self.input);
            self.gap = true;
        }
        let line = match line {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(false),
            Err(e) if matches!(e.kind(), MediaErrorKind::Truncated { .. }) => {
                return Err(truncated(self.frames));
            }
            Err(e) => return Err(e),
        };
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if self.gap || !(line == b"FRAME" || line.starts_with(b"FRAME ")) {
            return Err(MediaError::new(
                MediaErrorKind::Invalid,
                &self.place,
                format!(
                    "expected 'FRAME' after {} frames of the y4m stream, found other bytes",
                    self.frames
                ),
            ));
        }
        let want = self.header.frame_bytes();
        self.buffer.clear();
        // The buffer grows with the bytes that really come, so a header alone cannot claim memory.
        let got = (&mut *self.input)
            .take(want as u64)
            .read_to_end(&mut self.buffer)
            .map_err(|e| MediaError::io(&self.place, "read", e))?;
        if got < want {
            return Err(truncated(self.frames));
        }
        self.frames += 1;
        Ok(true)
    }
}

impl PullSource for Y4mReader {
    fn info(&self) -> &VideoInfo {
        &self.header.info
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
        let (w, h) = (self.header.info.width as usize, self.header.info.height as usize);
        Ok(Some(self.converter.planes_to_rgb(&split_planes(
            &self.header.layout,
            w,
            h,
            &self.buffer,
        ))))
    }
}

/// Writes a y4m stream.
pub struct Y4mWriter<W: Write> {
    place: String,
    output: W,
    layout: PixelLayout,
    converter: Converter,
    buffer: Vec<u8>,
    width: usize,
    height: usize,
}

impl<W: Write> Y4mWriter<W> {
    /// Writes the header at once, so that a reader at the other end of a pipe can set itself up.
    pub fn new(place: &str, mut output: W, info: &VideoInfo) -> Result<Self, MediaError> {
        debug_assert!(info.width <= MAX_SIDE && info.height <= MAX_SIDE);
        let layout = output_layout(info);
        let (width, height) = (info.width as usize, info.height as usize);
        let header = format_header(info);
        output
            .write_all(header.as_bytes())
            .and_then(|()| output.flush())
            .map_err(|e| MediaError::io(place, "write", e))?;
        // The siting that the header states is the one that readers will undo.
        let siting = parse_header(place, header.trim_end())?.info.chroma_location;
        let mut color = output_color(info);
        if info.chroma == Chroma::Rgb {
            color.matrix = code::UNSPECIFIED;
        }
        let converter = Converter::new(width, height, layout, &color, siting);
        let buffer = vec![0; layout.frame_bytes(width, height)];
        Ok(Self {
            place: place.to_owned(),
            output,
            layout,
            converter,
            buffer,
            width,
            height,
        })
    }
}

impl<W: Write> PushSink for Y4mWriter<W> {
    fn push(&mut self, frame: &Frame, _time: i64) -> Result<(), MediaError> {
        self.converter.rgb_to_planes(
            frame,
            &mut split_planes_mut(&self.layout, self.width, self.height, &mut self.buffer),
        );
        self.output
            .write_all(b"FRAME\n")
            .and_then(|()| self.output.write_all(&self.buffer))
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
mod tests;
