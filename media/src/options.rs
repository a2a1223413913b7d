//! What callers ask of readers and writers, and how people write it: start points, rates, raw formats.

use crate::error::{MediaError, MediaErrorKind};
use crate::filters::Filters;
use crate::pixel::PixelLayout;
use crate::start::Start;
use crate::video::{MAX_SIDE, VideoInfo};
use latentbit_container::{PacketStream, Rational};
use std::path::Path;
use std::str::FromStr;

/// How to read an input.
///
/// ```
/// use latentbit_media::{InputOptions, Start};
///
/// let options = InputOptions::default().with_start(Start::Seconds(12.5)).with_frames(100);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InputOptions {
    /// The format, if the input is raw video.
    pub raw: Option<RawFormat>,
    /// Where to begin; at the first frame if there is none.
    pub start: Option<Start>,
    /// Number of frames to stop after.
    pub frames: Option<u64>,
    /// Whether to read sound, too. Only libav's inputs have any.
    pub audio: bool,
    /// Whether to read subtitles, too. Only libav's inputs have any.
    pub subtitles: bool,
    /// Threads of libav's decoder; 0 lets it choose.
    pub threads: usize,
    /// What is done to frames on their way in.
    pub filters: Filters,
    /// Whether pictures are turned the right way up, if their file says how. Only libav's inputs go by it.
    pub autorotate: bool,
    /// Whether interlaced video is deinterlaced. Only libav's inputs go by it.
    pub deinterlace: bool,
    /// What transparent pictures are laid over: red, green and blue from 0 to 1.
    pub background: [f32; 3],
    /// Whether inputs may be read over the network.
    pub network: bool,
}

impl Default for InputOptions {
    fn default() -> Self {
        Self {
            raw: None,
            start: None,
            frames: None,
            audio: false,
            subtitles: false,
            threads: 0,
            filters: Filters::default(),
            autorotate: true,
            deinterlace: true,
            background: [0.0; 3],
            network: false,
        }
    }
}

impl InputOptions {
    /// Reads raw video of this format.
    #[must_use]
    pub fn with_raw(mut self, format: impl Into<Option<RawFormat>>) -> Self {
        self.raw = format.into();
        self
    }

    /// Begins here.
    #[must_use]
    pub fn with_start(mut self, start: impl Into<Option<Start>>) -> Self {
        self.start = start.into();
        self
    }

    /// Stops after this many frames.
    #[must_use]
    pub fn with_frames(mut self, frames: impl Into<Option<u64>>) -> Self {
        self.frames = frames.into();
        self
    }

    /// Reads sound, subtitles, or both beside the frames.
    #[must_use]
    pub fn with_packets(mut self, audio: bool, subtitles: bool) -> Self {
        (self.audio, self.subtitles) = (audio, subtitles);
        self
    }

    /// Decodes with this many threads; 0 lets libav choose.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }
}

impl InputOptions {
    /// Puts frames through these filters.
    #[must_use]
    pub fn with_filters(mut self, filters: Filters) -> Self {
        self.filters = filters;
        self
    }

    /// Turns pictures the right way up, or not.
    #[must_use]
    pub fn with_autorotate(mut self, autorotate: bool) -> Self {
        self.autorotate = autorotate;
        self
    }

    /// Deinterlaces interlaced video, or not.
    #[must_use]
    pub fn with_deinterlace(mut self, deinterlace: bool) -> Self {
        self.deinterlace = deinterlace;
        self
    }

    /// Lays transparent pictures over this red, green and blue, from 0 to 1.
    #[must_use]
    pub fn with_background(mut self, background: [f32; 3]) -> Self {
        self.background = background;
        self
    }

    /// Allows inputs that are read over the network.
    #[must_use]
    pub fn with_network(mut self, network: bool) -> Self {
        self.network = network;
        self
    }
}

/// How to write an output.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OutputOptions {
    /// The layout, if the output is raw video.
    pub raw: Option<PixelLayout>,
    /// Size, rate, colour, chroma and depth of the video.
    pub info: VideoInfo,
    /// Name of a libav encoder; none to choose one by the file extension.
    pub codec: Option<String>,
    /// Constant rate factor of the encoder; none for a default that is visually close to the source.
    pub crf: Option<f32>,
    /// Encoder preset, such as `medium`.
    pub preset: Option<String>,
    /// Other options of the encoder: names and values, as ffmpeg has them.
    pub encoder_options: Vec<(String, String)>,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
    /// Seconds per tick of the frames' times. Only libav's outputs hold times.
    pub time_base: Rational,
    /// Ticks from one frame to the next at a constant rate.
    pub frame_duration: u32,
    /// Streams of sound and subtitles to write beside the frames.
    pub packet_streams: Vec<PacketStream>,
    /// Threads of libav's encoder; 0 lets it choose.
    pub threads: usize,
    /// What is done about times.
    pub fps_mode: FpsMode,
    /// What is done to frames before they are written; an end is not among it.
    pub filters: Filters,
}

/// What is done about the times of frames in an output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FpsMode {
    /// They are kept where the output has times; elsewhere frames are repeated and dropped to a constant rate.
    #[default]
    Auto,
    /// Frames are repeated and dropped to a constant rate.
    Cfr,
    /// Every frame is written once, also where the output has no times.
    Vfr,
}

impl OutputOptions {
    /// Options for video like `info`: JPEG quality 95, times that count frames, and everything else left to the writer.
    pub fn new(info: VideoInfo) -> Self {
        Self {
            raw: None,
            codec: None,
            crf: None,
            preset: None,
            encoder_options: Vec::new(),
            quality: 95,
            time_base: Rational {
                num: info.frame_rate.den,
                den: info.frame_rate.num.max(1),
            },
            frame_duration: 1,
            packet_streams: Vec::new(),
            threads: 0,
            fps_mode: FpsMode::Auto,
            filters: Filters::default(),
            info,
        }
    }

    /// Writes raw video of this layout.
    #[must_use]
    pub fn with_raw(mut self, layout: impl Into<Option<PixelLayout>>) -> Self {
        self.raw = layout.into();
        self
    }

    /// Takes the libav encoder of this name.
    #[must_use]
    pub fn with_codec(mut self, name: impl Into<Option<String>>) -> Self {
        self.codec = name.into();
        self
    }

    /// Sets the constant rate factor of libav's encoder.
    #[must_use]
    pub fn with_crf(mut self, crf: impl Into<Option<f32>>) -> Self {
        self.crf = crf.into();
        self
    }

    /// Sets the preset of libav's encoder.
    #[must_use]
    pub fn with_preset(mut self, preset: impl Into<Option<String>>) -> Self {
        self.preset = preset.into();
        self
    }

    /// Sets other options of libav's encoder, by the names that ffmpeg has for them.
    #[must_use]
    pub fn with_encoder_options(mut self, options: Vec<(String, String)>) -> Self {
        self.encoder_options = options;
        self
    }

    /// Sets the JPEG quality, 1 to 100.
    #[must_use]
    pub fn with_quality(mut self, quality: u8) -> Self {
        self.quality = quality;
        self
    }

    /// Times of frames are ticks of `time_base` seconds, `frame_duration` of them from one frame to the next.
    #[must_use]
    pub fn with_times(mut self, time_base: Rational, frame_duration: u32) -> Self {
        (self.time_base, self.frame_duration) = (time_base, frame_duration);
        self
    }

    /// Writes packets of these streams beside the frames.
    #[must_use]
    pub fn with_packet_streams(mut self, streams: Vec<PacketStream>) -> Self {
        self.packet_streams = streams;
        self
    }

    /// Encodes with this many threads; 0 lets libav choose.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Puts frames through these filters.
    #[must_use]
    pub fn with_filters(mut self, filters: Filters) -> Self {
        self.filters = filters;
        self
    }

    /// Sets what is done about times.
    #[must_use]
    pub fn with_fps_mode(mut self, mode: FpsMode) -> Self {
        self.fps_mode = mode;
        self
    }

    /// The constant rate of an output without times: that of the frames' own duration, unless the average is nearly that.
    pub(crate) fn constant_rate(&self) -> Rational {
        let average = self.info.frame_rate;
        let duration = u128::from(self.time_base.num) * u128::from(self.frame_duration);
        let Some(nominal) = reduced(self.time_base.den.into(), duration) else {
            return average;
        };
        let ratio = |rate: Rational| f64::from(rate.num) / f64::from(rate.den.max(1));
        match (ratio(nominal) / ratio(average) - 1.0).abs() < 0.02 {
            true => average,
            false => nominal,
        }
    }

    /// Refuses what only libav's encoders know, for an output that none of them writes.
    pub(crate) fn without_encoder(&self, place: &str) -> Result<(), MediaError> {
        let given = [
            ("--codec", self.codec.is_some()),
            ("--crf", self.crf.is_some()),
            ("--preset", self.preset.is_some()),
            ("--encoder-option", !self.encoder_options.is_empty()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((option, _)) => Err(MediaError::new(
                MediaErrorKind::Usage,
                place,
                format!("{option} is for files that libav encodes, such as .mp4 or .mkv"),
            )),
        }
    }
}

/// The description of raw video, written `WxH@FPS:PIXFMT`, for example `1920x1080@30000/1001:yuv420p10le`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RawFormat {
    /// Width in pixels, 1 to [`MAX_SIDE`].
    pub width: u32,
    /// Height in pixels, 1 to [`MAX_SIDE`].
    pub height: u32,
    /// Frames per second.
    pub frame_rate: Rational,
    /// Layout of the samples.
    pub layout: PixelLayout,
}

impl RawFormat {
    /// A description from its parts. [`open_source`](crate::open_source) refuses sizes that are out of range.
    pub fn new(width: u32, height: u32, frame_rate: Rational, layout: PixelLayout) -> Self {
        Self {
            width,
            height,
            frame_rate,
            layout,
        }
    }
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
            // An alpha plane, which is skipped in files, would shift every following frame here.
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

/// Reads `25`, `30000/1001`, `30000:1001`, `29.97` or `12.5`.
///
/// The decimals that stand for NTSC rates (23.976, 29.97, 59.94 and so on) become the exact n/1001 fraction, because
/// nobody who writes 29.97 means 2997/100.
pub fn parse_rate(text: &str) -> Option<Rational> {
    if let Some((num, den)) = text.split_once(['/', ':']) {
        let rate = Rational {
            num: num.parse().ok()?,
            den: den.parse().ok()?,
        };
        return (rate.num > 0 && rate.den > 0).then_some(rate);
    }
    if !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    if !(0.001..=100_000.0).contains(&value) {
        return None;
    }
    if value.fract() == 0.0 {
        return Some(Rational {
            num: value as u32,
            den: 1,
        });
    }
    let ntsc = value.ceil() * 1000.0 / 1001.0;
    if (value - ntsc).abs() < 0.006 && value > 20.0 {
        return Some(Rational {
            num: value.ceil() as u32 * 1000,
            den: 1001,
        });
    }
    reduced((value * 1000.0).round() as u128, 1000)
}

/// The fraction in lowest terms; none unless it is positive and fits.
pub(crate) fn reduced(num: u128, den: u128) -> Option<Rational> {
    fn gcd(a: u128, b: u128) -> u128 {
        if b == 0 { a } else { gcd(b, a % b) }
    }
    let common = gcd(num, den).max(1);
    let part = |part: u128| u32::try_from(part / common).ok().filter(|&part| part > 0);
    Some(Rational {
        num: part(num)?,
        den: part(den)?,
    })
}

/// The lower-case extension of a file name; empty if it has none.
pub(crate) fn extension(path: &str) -> String {
    Path::new(path)
        .extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use latentbit_container::Chroma;

    #[test]
    fn common_rates() {
        for (text, num, den) in [
            ("25", 25, 1),
            ("25.0", 25, 1),
            ("30000/1001", 30000, 1001),
            ("30000:1001", 30000, 1001),
            ("29.97", 30000, 1001),
            ("23.976", 24000, 1001),
            ("23.98", 24000, 1001),
            ("59.94", 60000, 1001),
            ("12.5", 25, 2),
        ] {
            assert_eq!(parse_rate(text), Some(Rational { num, den }), "{text}");
        }
        for text in ["", "0", "-1", "x", "1/0", "0/1", "1e3", "NaN", "inf", "."] {
            assert_eq!(parse_rate(text), None, "{text}");
        }
    }

    #[test]
    fn raw_formats() {
        let f: RawFormat = "101x67@30000/1001:yuv420p10le".parse().unwrap();
        assert_eq!((f.width, f.height, f.layout.depth), (101, 67, 10));
        assert_eq!(
            f.frame_rate,
            Rational {
                num: 30000,
                den: 1001
            }
        );
        let f: RawFormat = "4x2@29.97:gray".parse().unwrap();
        assert_eq!((f.layout.chroma(), f.frame_rate.den), (Chroma::Gray, 1001));
        for bad in [
            "",
            "4x2",
            "4x2@25",
            "4@25:gray",
            "0x2@25:gray",
            "4x16385@25:gray",
            "4x2@0:gray",
            "4x2@25:nv12",
            "4x2@25:yuva420p",
            "x@:",
            "-4x2@25:gray",
        ] {
            let e = bad.parse::<RawFormat>().unwrap_err();
            assert!(e.contains("WxH@FPS:PIXFMT"), "{e}");
        }
    }
}
