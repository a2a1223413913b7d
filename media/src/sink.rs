//! Opens outputs: chooses the writer by name.

use super::atomic::AtomicFile;
use super::background::{PushSink, spawn_sink};
use super::error::{MediaError, MediaErrorKind};
use super::pixel::PixelLayout;
use super::raw::RawWriter;
use super::source::extension;
use super::still::{StillFormat, StillWriter};
use super::tensor::TensorSink;
use super::types::{Frame, Packet, PacketStream, Rational};
use super::y4m::Y4mWriter;
use super::{FrameSink, VideoInfo, check_size};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// How to write an output.
#[derive(Debug, Clone)]
pub struct OutputOptions {
    /// Write raw video of this layout.
    pub raw: Option<PixelLayout>,
    /// Size, rate, colour, chroma and depth of the video.
    pub info: VideoInfo,
    /// Name of a libav encoder; chosen by the file extension otherwise.
    pub codec: Option<String>,
    /// Constant rate factor; the encoder's own default for this program otherwise.
    pub crf: Option<f32>,
    /// Encoder preset, such as `medium`.
    pub preset: Option<String>,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
    /// Seconds per tick of the frames' times. Only libav's outputs hold times.
    pub time_base: Rational,
    /// Ticks from one frame to the next at a constant rate.
    pub frame_duration: u32,
    /// Sound and subtitles to write along.
    pub packet_streams: Vec<PacketStream>,
    /// Threads of the encoder; 0 = as it likes.
    pub threads: usize,
}

impl OutputOptions {
    /// Options for video like `info` with everything else left to its default.
    pub fn new(info: VideoInfo) -> Self {
        Self {
            raw: None,
            codec: None,
            crf: None,
            preset: None,
            quality: 95,
            time_base: Rational {
                num: info.frame_rate.den,
                den: info.frame_rate.num.max(1),
            },
            frame_duration: 1,
            packet_streams: Vec::new(),
            threads: 0,
            info,
        }
    }
}

impl OutputOptions {
    /// Refuses what only libav's encoders know, for an output that none of them writes.
    fn without_encoder(&self, place: &str) -> Result<(), MediaError> {
        let given = [
            ("--codec", self.codec.is_some()),
            ("--crf", self.crf.is_some()),
            ("--preset", self.preset.is_some()),
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

const BUFFER: usize = 1 << 20;

/// Opens a file, or stdout for `-`. Files appear under their name in [`FrameSink::finish`] and replace what was there.
pub fn open_sink(path_or_dash: &str, options: &OutputOptions) -> Result<Box<dyn FrameSink>, MediaError> {
    let mut options = options.clone();
    let dash = path_or_dash == "-";
    let place = if dash { "stdout" } else { path_or_dash };
    check_size(
        place,
        u64::from(options.info.width),
        u64::from(options.info.height),
    )?;
    let rate = &mut options.info.frame_rate;
    if rate.num == 0 || rate.den == 0 {
        tracing::warn!("{place}: the frame rate is not known; taking 25 frames per second");
        *rate = Rational { num: 25, den: 1 };
    }
    let aspect = &mut options.info.pixel_aspect;
    if aspect.num == 0 || aspect.den == 0 {
        *aspect = Rational { num: 1, den: 1 };
    }
    let info = &options.info;
    let (name, owned) = (place.to_owned(), info.clone());
    let raw = options.raw;
    let extension = if dash { String::new() } else { extension(place) };
    let still = StillFormat::from_extension(&extension);
    let y4m = extension == "y4m" || (extension.is_empty() && (dash || is_special(place)));
    let tensor = extension == "safetensors";
    if raw.is_some() || still.is_some() || y4m || tensor {
        options.without_encoder(place)?;
    }
    if dash {
        return match raw {
            Some(layout) => spawn_sink(place, info, move || {
                Ok(RawWriter::new(&name, stdout(), &owned, layout))
            }),
            None => spawn_sink(place, info, move || Y4mWriter::new(&name, stdout(), &owned)),
        };
    }
    if let Some(layout) = raw {
        return spawn_sink(place, info, move || {
            let (target, file) = create(&name)?;
            Ok(FileSink {
                inner: RawWriter::new(&name, file, &owned, layout),
                target,
            })
        });
    }
    if let Some(format) = still {
        let quality = options.quality;
        return spawn_sink(place, info, move || {
            StillWriter::new(&name, format, &owned, quality)
        });
    }
    if tensor {
        return spawn_sink(place, info, move || TensorSink::new(&name, &owned));
    }
    if y4m {
        return spawn_sink(place, info, move || {
            let (target, file) = create(&name)?;
            Ok(FileSink {
                inner: Y4mWriter::new(&name, file, &owned)?,
                target,
            })
        });
    }
    if extension.is_empty() {
        return Err(MediaError::new(
            MediaErrorKind::Usage,
            place,
            "the name has no extension to choose a format by; name it .mp4, .mkv, .webm, .y4m, .png or .safetensors",
        ));
    }
    open_libav(place, &options)
}

#[cfg(feature = "libav")]
fn open_libav(place: &str, options: &OutputOptions) -> Result<Box<dyn FrameSink>, MediaError> {
    let (name, owned) = (place.to_owned(), options.clone());
    spawn_sink(place, &options.info, move || {
        super::libav_out::LibavWriter::new(&name, &owned)
    })
}

#[cfg(not(feature = "libav"))]
fn open_libav(place: &str, _options: &OutputOptions) -> Result<Box<dyn FrameSink>, MediaError> {
    Err(MediaError::new(
        MediaErrorKind::Unsupported,
        place,
        "this build writes y4m, raw video (--raw), PNG and JPEG only; \
         use a build with libav, or pipe: latentbit decode FILE -o - | ffmpeg -i - OUT.mp4",
    ))
}

fn stdout() -> BufWriter<std::io::Stdout> {
    BufWriter::with_capacity(BUFFER, std::io::stdout())
}

fn create(place: &str) -> Result<(AtomicFile, BufWriter<File>), MediaError> {
    let target = AtomicFile::new(place)?;
    let file = target.create()?;
    Ok((target, BufWriter::with_capacity(BUFFER, file)))
}

/// Devices and pipes have no use for an extension.
fn is_special(path: &str) -> bool {
    std::fs::metadata(Path::new(path)).is_ok_and(|m| !m.is_file() && !m.is_dir())
}

/// A writer into a file that gets its name at the end.
struct FileSink<S> {
    inner: S,
    target: AtomicFile,
}

impl<S: PushSink> PushSink for FileSink<S> {
    fn push(&mut self, frame: &Frame, time: i64) -> Result<(), MediaError> {
        self.inner.push(frame, time)
    }

    fn push_packet(&mut self, stream: usize, packet: &Packet) -> Result<(), MediaError> {
        self.inner.push_packet(stream, packet)
    }

    fn finish(&mut self) -> Result<(), MediaError> {
        self.inner.finish()?;
        self.target.commit()
    }
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
