//! Opens outputs: chooses the writer by name.

use crate::along::picture;
use crate::atomic::{AtomicFile, stdout};
use crate::background::{PushSink, spawn_sink};
use crate::cadence::AtConstantRate;
use crate::error::{MediaError, MediaErrorKind};
use crate::name::path_of;
use crate::options::{FpsMode, OutputOptions, extension};
use crate::raw::RawWriter;
use crate::still::{StillFormat, StillWriter};
use crate::tensor::TensorSink;
use crate::video::{FrameSink, VideoInfo, check_size};
use crate::y4m::Y4mWriter;
use latentbit_codec::Frame;
use latentbit_container::{Packet, PacketKind, Rational};
use std::fs::File;
use std::io::{BufWriter, Write};

const BUFFER: usize = 1 << 20;

/// Opens a file, or stdout for `-`. A file appears under its name in [`FrameSink::finish`] and replaces what was there.
///
/// # Errors
/// [`MediaErrorKind::Io`] if it cannot be created, [`MediaErrorKind::Usage`] for options that do not go with it,
/// [`MediaErrorKind::Unsupported`] if this build cannot write such a file.
pub fn open_sink(path_or_dash: &str, options: &OutputOptions) -> Result<Box<dyn FrameSink>, MediaError> {
    let dash = path_or_dash == "-";
    let place = if dash { "stdout" } else { path_or_dash };
    let options = completed(place, options)?;
    if options.filters.change_pictures() {
        return open_filtered(path_or_dash, place, &options);
    }
    let info = &options.info;
    let name = place.to_owned();
    let raw = options.raw;
    // What the header of an output without times says.
    let rate = match options.fps_mode {
        FpsMode::Vfr => info.frame_rate,
        FpsMode::Auto | FpsMode::Cfr => options.constant_rate(),
    };
    let owned = VideoInfo {
        frame_rate: rate,
        ..info.clone()
    };
    // Raw samples are for programs that count frames.
    let evens = match options.fps_mode {
        FpsMode::Auto => raw.is_none() && options.time_base.num > 0,
        FpsMode::Cfr => options.time_base.num > 0,
        FpsMode::Vfr => false,
    };
    let even = Even {
        rate: evens.then_some(rate),
        time_base: options.time_base,
        frame_duration: options.frame_duration,
    };
    let extension = if dash { String::new() } else { extension(place) };
    let still = StillFormat::from_extension(&extension);
    let y4m = extension == "y4m" || (extension.is_empty() && (dash || is_special(place)));
    let tensor = extension == "safetensors";
    if raw.is_some() || still.is_some() || y4m || tensor {
        options.without_encoder(place)?;
    }
    let plain = raw.is_some() || still.is_some() || y4m || tensor;
    let left_out = left_out(&options, plain, still.is_some(), &extension);
    if !left_out.is_empty() {
        tracing::warn!(
            "{place}: this kind of file holds no {}; they are left out",
            left_out.join(", no ")
        );
    }
    if dash {
        return match raw {
            Some(layout) => spawn_sink(place, info, move || {
                Ok(even.of(RawWriter::new(&name, buffered(stdout()?), &owned, layout)))
            }),
            None => spawn_sink(place, info, move || {
                Ok(even.of(Y4mWriter::new(&name, buffered(stdout()?), &owned)?))
            }),
        };
    }
    if let Some(layout) = raw {
        return spawn_sink(place, info, move || {
            let (target, file) = create(&name)?;
            Ok(even.of(FileSink {
                inner: RawWriter::new(&name, file, &owned, layout),
                target,
            }))
        });
    }
    if let Some(format) = still {
        let quality = options.quality;
        return spawn_sink(place, info, move || {
            let writer = StillWriter::new(&name, format, &owned, quality)?;
            // A single picture has no rate; one frame too many is to be told.
            let even = Even {
                rate: even.rate.filter(|_| writer.is_numbered()),
                ..even
            };
            Ok(even.of(writer))
        });
    }
    if tensor {
        return spawn_sink(place, info, move || TensorSink::new(&name, &owned));
    }
    if y4m {
        return spawn_sink(place, info, move || {
            let (target, file) = create(&name)?;
            Ok(even.of(FileSink {
                inner: Y4mWriter::new(&name, file, &owned)?,
                target,
            }))
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

/// Opens what a player reads from a pipe, as uncompressed pictures: Matroska with sound and subtitles in a build with libav,
/// else YUV4MPEG2, of pictures alone. `place` is the player's name in messages.
///
/// # Errors
/// As for [`open_sink`]. Once the player has closed the pipe, [`MediaErrorKind::BrokenPipe`].
pub fn open_player(
    place: &str,
    pipe: impl Write + Send + 'static,
    options: &OutputOptions,
) -> Result<Box<dyn FrameSink>, MediaError> {
    start_player(place, pipe, completed(place, options)?)
}

#[cfg(feature = "libav")]
fn start_player(
    place: &str,
    pipe: impl Write + Send + 'static,
    options: OutputOptions,
) -> Result<Box<dyn FrameSink>, MediaError> {
    let (name, info) = (place.to_owned(), options.info.clone());
    spawn_sink(place, &info, move || {
        crate::libav::write::LibavWriter::to_pipe(&name, pipe, &options)
    })
}

#[cfg(not(feature = "libav"))]
fn start_player(
    place: &str,
    pipe: impl Write + Send + 'static,
    options: OutputOptions,
) -> Result<Box<dyn FrameSink>, MediaError> {
    let left_out = left_out(&options, true, false, "");
    if !left_out.is_empty() {
        let parts = left_out.join(", no ");
        tracing::warn!("{place}: this build plays no {parts}; they are left out");
    }
    let rate = options.constant_rate();
    let info = VideoInfo {
        frame_rate: rate,
        ..options.info.clone()
    };
    let even = Even {
        rate: Some(rate),
        time_base: options.time_base,
        frame_duration: options.frame_duration,
    };
    let name = place.to_owned();
    spawn_sink(place, &options.info, move || {
        let pipe = BufWriter::with_capacity(BUFFER, pipe);
        Ok(even.of(Y4mWriter::new(&name, pipe, &info)?))
    })
}

/// Checks options, and fills in what every output needs.
fn completed(place: &str, options: &OutputOptions) -> Result<OutputOptions, MediaError> {
    let mut options = options.clone();
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
    Ok(options)
}

/// An output with filters before it.
#[cfg(feature = "libav")]
fn open_filtered(
    path_or_dash: &str,
    place: &str,
    options: &OutputOptions,
) -> Result<Box<dyn FrameSink>, MediaError> {
    let (path, name, owned) = (path_or_dash.to_owned(), place.to_owned(), options.clone());
    spawn_sink(place, &options.info, move || {
        crate::libav::filtered::FilteredSink::new(&name, &owned, |options| open_sink(&path, options))
    })
}

#[cfg(not(feature = "libav"))]
fn open_filtered(
    _path_or_dash: &str,
    place: &str,
    _options: &OutputOptions,
) -> Result<Box<dyn FrameSink>, MediaError> {
    Err(MediaError::new(
        MediaErrorKind::Unsupported,
        place,
        "this build has no filters for outputs; use a build with libav, or pipe: latentbit decode FILE -o - | ffmpeg -i - …",
    ))
}

#[cfg(feature = "libav")]
fn open_libav(place: &str, options: &OutputOptions) -> Result<Box<dyn FrameSink>, MediaError> {
    let (name, owned) = (place.to_owned(), options.clone());
    spawn_sink(place, &options.info, move || {
        crate::libav::write::LibavWriter::new(&name, &owned)
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

/// What goes along with a video and finds no place in an output: one of pictures alone, of a `still`, or of libav.
fn left_out(options: &OutputOptions, plain: bool, still: bool, extension: &str) -> Vec<&'static str> {
    let along = &options.info.along;
    let has = |key: &str| along.picture(key).is_some();
    let chapters = [
        "mkv", "webm", "mka", "mp4", "m4v", "mov", "ogv", "ogg", "wmv", "nut",
    ];
    let light = ["mkv", "webm", "mp4", "m4v", "mov"];
    let sound = options
        .packet_streams
        .iter()
        .any(|stream| stream.kind == PacketKind::Audio);
    let text = options
        .packet_streams
        .iter()
        .any(|stream| stream.kind == PacketKind::Subtitles);
    let titles = along
        .tags
        .iter()
        .chain(&along.video_tags)
        .any(|(key, _)| key == "title");
    let holds_light = !plain && light.contains(&extension);
    let all = [
        ("sound", plain && sound),
        ("subtitles", plain && text),
        (
            "chapters",
            (plain || !chapters.contains(&extension)) && !along.chapters.is_empty(),
        ),
        ("titles", plain && titles),
        (
            "description of the mastering display",
            !holds_light && (has(picture::MASTERING_DISPLAY) || has(picture::CONTENT_LIGHT)),
        ),
        (
            "stereo mode",
            !(holds_light && extension != "mov") && has(picture::STEREO_MODE),
        ),
        (
            "mapping onto a sphere",
            !(holds_light && extension != "mov") && has(picture::SPHERICAL),
        ),
        (
            "attached files and cover pictures",
            plain && !along.attachments.is_empty(),
        ),
        ("ICC profile", !still && has(picture::ICC_PROFILE)),
    ];
    all.into_iter()
        .filter(|(_, lost)| *lost)
        .map(|(name, _)| name)
        .collect()
}

/// What makes the rate of an output without times even.
#[derive(Clone, Copy)]
struct Even {
    /// None to write every frame once.
    rate: Option<Rational>,
    time_base: Rational,
    frame_duration: u32,
}

impl Even {
    fn of<S: PushSink>(self, inner: S) -> MaybeEven<S> {
        match self.rate {
            None => MaybeEven::Plain(inner),
            Some(rate) => MaybeEven::Even(AtConstantRate::new(
                inner,
                rate,
                self.time_base,
                self.frame_duration,
            )),
        }
    }
}

enum MaybeEven<S> {
    Plain(S),
    Even(AtConstantRate<S>),
}

impl<S: PushSink> MaybeEven<S> {
    fn sink(&mut self) -> &mut dyn PushSink {
        match self {
            Self::Plain(sink) => sink,
            Self::Even(sink) => sink,
        }
    }
}

impl<S: PushSink> PushSink for MaybeEven<S> {
    fn push(&mut self, frame: &Frame, time: i64) -> Result<(), MediaError> {
        self.sink().push(frame, time)
    }

    fn push_packet(&mut self, stream: usize, packet: &Packet) -> Result<(), MediaError> {
        self.sink().push_packet(stream, packet)
    }

    fn end_at(&mut self, time: i64) {
        self.sink().end_at(time);
    }

    fn finish(&mut self) -> Result<(), MediaError> {
        self.sink().finish()
    }
}

fn buffered<W: Write>(inner: W) -> BufWriter<W> {
    BufWriter::with_capacity(BUFFER, inner)
}

fn create(place: &str) -> Result<(AtomicFile, BufWriter<File>), MediaError> {
    let mut target = AtomicFile::new(place)?;
    let file = target.create_unnamed()?;
    Ok((target, buffered(file)))
}

/// Devices and pipes have no use for an extension.
fn is_special(path: &str) -> bool {
    std::fs::metadata(path_of(path)).is_ok_and(|m| !m.is_file() && !m.is_dir())
}

/// A writer whose file gets its name at the end.
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
mod tests {
    use super::*;
    use crate::error::MediaErrorKind as Kind;
    use crate::testing::plain_info;
    use std::fs;

    fn info() -> VideoInfo {
        plain_info(6, 4)
    }

    fn frame() -> Frame {
        Frame {
            width: 6,
            height: 4,
            data: vec![0.5; 72],
        }
    }

    #[test]
    fn files_appear_only_when_finished() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.y4m");
        let name = path.to_str().unwrap();
        fs::write(&path, b"before").unwrap();

        let mut sink = open_sink(name, &OutputOptions::new(info())).unwrap();
        sink.write_frame(frame(), 0).unwrap();
        drop(sink);
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

        let mut sink = open_sink(name, &OutputOptions::new(info())).unwrap();
        sink.write_frame(frame(), 0).unwrap();
        sink.finish().unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.starts_with(b"YUV4MPEG2 W6 H4 F25:1 Ip A1:1 C420mpeg2"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn devices_are_legal_and_a_full_disk_is_told() {
        let mut sink = open_sink("/dev/null", &OutputOptions::new(info())).unwrap();
        sink.write_frame(frame(), 0).unwrap();
        sink.finish().unwrap();
        let result = open_sink("/dev/full", &OutputOptions::new(info())).and_then(|mut sink| {
            sink.write_frame(frame(), 0)?;
            sink.finish()
        });
        let error = result.unwrap_err();
        assert!(
            error.kind() == Kind::Io
                && error
                    .to_string()
                    .contains("/dev/full: cannot write: the disk is full")
        );
    }

    #[test]
    fn impossible_outputs_are_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        for name in ["noextension", "missing/a.y4m", "missing/a.png", "a.xyz", ""] {
            let error = open_sink(&at(name), &OutputOptions::new(info())).err().unwrap();
            assert!(
                error.to_string().starts_with(dir.path().to_str().unwrap()),
                "{error}"
            );
        }
        let mut zero = OutputOptions::new(info());
        zero.info.width = 0;
        assert!(open_sink(&at("a.y4m"), &zero).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_frame_of_another_size_is_refused() {
        let mut sink = open_sink("/dev/null", &OutputOptions::new(info())).unwrap();
        let other = Frame {
            width: 4,
            height: 4,
            data: vec![0.0; 48],
        };
        assert_eq!(sink.write_frame(other, 0).unwrap_err().kind(), Kind::Usage);
    }
}
