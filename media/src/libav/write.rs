//! Writes everything that libav can encode.

use super::packets::{Written, add_streams};
use super::{attached, error, ffi, file_url, init, tags, to_av, views};
use crate::along::picture;
use crate::atomic::AtomicFile;
use crate::background::PushSink;
use crate::cadence::Cadence;
use crate::color::{Converter, location, resolve, split_planes, split_planes_mut};
use crate::error::{MediaError, MediaErrorKind};
use crate::options::{FpsMode, OutputOptions, extension};
use crate::pixel::{Packing, PixelLayout};
use av::format::Pixel;
use av::format::context::StreamIo;
use av::software::scaling;
use ffmpeg_next as av;
use latentbit_codec::Frame;
use latentbit_container::{Chroma, Color, ColorRange, Packet, Rational};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Encodes frames into a file.
pub struct LibavWriter {
    place: String,
    /// Keeps the folder open through which libav reaches the file, if its path is not UTF-8.
    _folder: Option<File>,
    /// Dropped before `target`, so that the file is closed when it is removed.
    output: Option<av::format::context::Output>,
    encoder: av::encoder::Video,
    frame_base: av::Rational,
    stream_base: av::Rational,
    format: Pixel,
    layout: PixelLayout,
    scaler: Option<scaling::Context>,
    converter: Converter,
    buffer: Vec<u8>,
    size: (usize, usize),
    frames: i64,
    /// How times become the encoder's; none if frames are only counted.
    times: Option<Times>,
    /// Repeats and drops frames, where the output has no times.
    cadence: Option<Cadence>,
    /// Ticks from one frame to the next, as they come.
    frame_duration: i64,
    /// The last frame that came, until it is known how long it is shown; the one before it; and when the last one ends.
    held: Option<(av::frame::Video, i64)>,
    before: Option<av::frame::Video>,
    end: Option<i64>,
    /// How long frames in the encoder are shown, by their times.
    durations: BTreeMap<i64, i64>,
    packets: Vec<Option<Written>>,
    /// None for a pipe.
    target: Option<AtomicFile>,
}

/// How times of frames become those of an output.
struct Times {
    from: Rational,
    /// Ticks of the encoder and of the file.
    encoder: av::Rational,
    file: av::Rational,
    last: Option<i64>,
    /// Frames that are shown late because the file's ticks are too coarse for them.
    late: u64,
}

impl Times {
    /// When a frame is shown, in ticks of the encoder; each one after the one before.
    fn place(&mut self, time: i64) -> i64 {
        use av::Rescale;
        let fine = time.rescale(to_av(self.from), self.encoder);
        let per_second =
            |tick: av::Rational| f64::from(tick.denominator()) / f64::from(tick.numerator().max(1));
        // Two frames in one tick of the file would be one.
        let coarse = per_second(self.file) < per_second(self.encoder);
        let tick = if coarse { self.file } else { self.encoder };
        let mut place = fine.rescale(self.encoder, tick);
        if let Some(last) = self.last.filter(|&last| place <= last) {
            place = last.saturating_add(1);
            self.late += 1;
        }
        self.last = Some(place);
        place.rescale(tick, self.encoder)
    }
}

/// Most ticks in a second of an output: files of MP4 count the time between decoding and showing in 28 bits.
const MOST_TICKS: u32 = 400_000;

/// The tick of an output for times in ticks of `time_base` seconds: the same one, unless that is too fine.
fn bounded(time_base: Rational) -> av::Rational {
    const FINE: u32 = 240_000;
    let Rational { num, den } = time_base;
    if den <= MOST_TICKS && num <= MOST_TICKS {
        return to_av(time_base);
    }
    // The largest tick count below it that divides the clock evenly, if there is one nearby.
    let whole = (num == 1).then(|| {
        let least = den.div_ceil(FINE);
        (least..least.saturating_mul(2)).find(|&part| den.is_multiple_of(part))
    });
    match whole.flatten() {
        Some(part) => to_av(Rational {
            num: 1,
            den: den / part,
        }),
        None => to_av(Rational { num: 1, den: FINE }),
    }
}

/// Rates above it are clocks rather than rates, and encoders refuse some of them.
fn bounded_rate(rate: Rational) -> av::Rational {
    const HIGHEST: f64 = 1000.0;
    let per_second = f64::from(rate.num) / f64::from(rate.den.max(1));
    match per_second <= HIGHEST && rate.num <= MOST_TICKS && rate.den <= MOST_TICKS {
        true => to_av(rate),
        false => av::Rational::new((per_second.clamp(0.01, HIGHEST) * 1000.0) as i32, 1000),
    }
}

/// Whether frames in a format may come at any time. libav says so of only some of those in which they may.
fn holds_times(format: &av::format::format::Output) -> bool {
    let others = [
        "mov", "mp4", "ipod", "3gp", "3g2", "psp", "ismv", "f4v", "flv", "mpegts",
    ];
    let is = |name: &str| format.name().split(',').any(|other| other == name);
    format.flags().contains(av::format::Flags::VARIABLE_FPS) || others.iter().any(|name| is(name))
}

fn format_is_mp4(output: &av::format::context::Output) -> bool {
    matches!(output.format().name(), "mp4" | "ipod")
}

/// A path as libav takes it, which must be UTF-8. The folder of one that is not is reached by its descriptor, for as long as
/// what is returned beside the path lives; the hidden name in it is UTF-8.
fn for_libav(path: &Path) -> io::Result<(String, Option<File>)> {
    if let Some(path) = path.to_str() {
        return Ok((path.to_owned(), None));
    }
    #[cfg(target_os = "linux")]
    if let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) {
        use std::os::fd::AsRawFd;
        let folder = File::open(folder)?;
        return Ok((
            format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()),
            Some(folder),
        ));
    }
    Err(io::Error::other("the name is not valid UTF-8, as libav needs it"))
}

/// The pixel format that an encoder gets.
struct Choice {
    format: Pixel,
    /// Layout of our samples: that of `format`, or packed RGB that the scaler brings to `format`.
    layout: PixelLayout,
    scaled: bool,
    full_range: bool,
}

impl LibavWriter {
    /// Opens the encoder and writes the file's header.
    pub fn new(place: &str, options: &OutputOptions) -> Result<Self, MediaError> {
        init();
        let target = AtomicFile::new(place)?;
        // Fails with the plain message of the operating system, where libav has only a number.
        drop(target.create()?);
        let (path, folder) = for_libav(target.path()).map_err(|e| MediaError::io(place, "write", e))?;
        let path = path.as_str();
        let output = av::format::output(&file_url(place, path)?).map_err(|e| match e {
            av::Error::Other {
                errno: av::error::EINVAL,
            }
            | av::Error::MuxerNotFound => MediaError::new(
                MediaErrorKind::Unsupported,
                place,
                "no file format has this extension; use .mp4, .mkv, .mov, .webm, .y4m or .png",
            ),
            other => error(place, "write", other),
        })?;
        let format = output.format().name().to_owned();
        let several = [
            "hls",
            "dash",
            "segment",
            "ssegment",
            "stream_segment",
            "smoothstreaming",
            "tee",
        ];
        if format.split(',').any(|name| several.contains(&name)) {
            return Err(MediaError::new(
                MediaErrorKind::Unsupported,
                place,
                format!(
                    "outputs of several files ({format}) are not written; write a .mp4 or .ts file, and cut that up \
                     (ffmpeg -i FILE -c copy OUT.m3u8)"
                ),
            ));
        }
        let codec = find_encoder(place, path, options.codec.as_deref(), &output)?;
        Self::begin(place, output, Some((target, folder)), codec, options)
    }

    /// Writes the header of a stream of uncompressed pictures, with sound and subtitles.
    pub fn to_pipe(
        place: &str,
        pipe: impl Write + Send + 'static,
        options: &OutputOptions,
    ) -> Result<Self, MediaError> {
        init();
        let opened = StreamIo::from_write(pipe);
        let opened = opened.and_then(|pipe| av::format::output_to_stream(pipe, None, Some("matroska")));
        let output = opened.map_err(|e| error(place, "write", e))?;
        let Some(codec) = encoder_called("rawvideo") else {
            let message = "this libav has no encoder of uncompressed pictures";
            return Err(MediaError::new(MediaErrorKind::Unsupported, place, message));
        };
        Self::begin(place, output, None, codec, options)
    }

    fn begin(
        place: &str,
        mut output: av::format::context::Output,
        target: Option<(AtomicFile, Option<File>)>,
        codec: av::Codec,
        options: &OutputOptions,
    ) -> Result<Self, MediaError> {
        let info = &options.info;
        let (target, folder) = target.map_or((None, None), |(target, folder)| (Some(target), folder));
        let size = (info.width as usize, info.height as usize);
        let name = codec.name().to_owned();
        let choice = choose_format(place, codec, options)?;

        let mut color = Color {
            range: ColorRange::Unspecified,
            ..info.color
        };
        if PixelLayout::planar(info.chroma, 8).packing == choice.layout.packing {
            color.range = info.color.range;
        }
        if choice.full_range {
            color.range = ColorRange::Full;
        }
        let color = resolve(&color, &choice.layout, size.0, size.1);
        let siting = if info.chroma_location == location::UNSPECIFIED {
            location::LEFT
        } else {
            info.chroma_location
        };

        let has_times = holds_times(&output.format());
        let known = options.time_base.num > 0;
        let timed = known && has_times && takes_times(&name) && options.fps_mode != FpsMode::Cfr;
        let even = known && !timed && options.fps_mode != FpsMode::Vfr;
        let rate = if even {
            options.constant_rate()
        } else {
            info.frame_rate
        };
        let frame_rate = bounded_rate(rate);
        let frame_base = match timed {
            true if has_short_clock(&name) => short_clock(options.time_base),
            true => bounded(options.time_base),
            false => av::Rational::new(frame_rate.denominator(), frame_rate.numerator()),
        };
        let frame_rate_of_clock = Rational {
            num: u32::try_from(frame_rate.numerator()).unwrap_or(25),
            den: u32::try_from(frame_rate.denominator()).unwrap_or(1),
        };
        let cadence = even.then(|| Cadence::new(frame_rate_of_clock, options.time_base));
        let prepare = || {
            let mut encoder = av::codec::Context::new_with_codec(codec).encoder().video()?;
            encoder.set_width(info.width);
            encoder.set_height(info.height);
            encoder.set_format(choice.format);
            encoder.set_time_base(frame_base);
            encoder.set_frame_rate(Some(frame_rate));
            encoder.set_aspect_ratio(to_av(info.pixel_aspect));
            Ok(encoder)
        };
        let global_header = output.format().flags().contains(av::format::Flags::GLOBAL_HEADER);
        for (key, _) in &options.encoder_options {
            if !ffi::has_option(codec, key) {
                let message = format!("encoder {name} has no option '{key}'; see ffmpeg -h encoder={name}");
                return Err(MediaError::new(MediaErrorKind::Usage, place, message));
            }
        }
        let settings = |without: Option<&str>| {
            encoder_settings(
                &name,
                options,
                &color,
                &choice.layout,
                siting,
                global_header,
                without,
            )
        };
        let encoder = open_encoder(&prepare, codec, settings(None)).map_err(|e| {
            let asked = options
                .encoder_options
                .iter()
                .map(|(key, value)| (key.as_str(), value.clone()));
            let crf = options.crf.map(|crf| ("crf", crf.to_string()));
            let preset = options.preset.clone().map(|preset| ("preset", preset));
            // What it opens without is what it does not take.
            let wrong = crf
                .into_iter()
                .chain(preset)
                .chain(asked)
                .find(|(key, _)| open_encoder(&prepare, codec, settings(Some(key))).is_ok());
            match wrong {
                Some((key, value)) => MediaError::new(
                    MediaErrorKind::Usage,
                    place,
                    format!("encoder {name} does not take '{value}' for {key}; see ffmpeg -h encoder={name}"),
                ),
                None => MediaError::new(
                    MediaErrorKind::Unsupported,
                    place,
                    format!(
                        "encoder {name} does not take {}x{} {} ({e}); choose another one",
                        size.0,
                        size.1,
                        choice.layout.ffmpeg_name()
                    ),
                ),
            }
        })?;
        let mut stream = output.add_stream(codec).map_err(|e| error(place, "write", e))?;
        stream.set_parameters(&encoder);
        stream.set_time_base(frame_base);
        stream.set_rate(frame_rate);
        stream.set_avg_frame_rate(frame_rate);
        ffi::set_pixel_aspect(&mut stream, to_av(info.pixel_aspect));
        ffi::set_disposition(&mut stream, av::format::stream::Disposition::DEFAULT);
        stream.set_metadata(tags::dictionary(tags::of_pictures(&info.along)));
        tags::add_side_data(&mut stream, &info.along);
        views::add_side_data(&mut stream, &info.along);
        output.set_metadata(tags::dictionary(
            info.along.tags.iter().map(|(key, value)| (key.as_str(), value)),
        ));
        tags::add_chapters(&mut output, &info.along.chapters);
        let mut packets = add_streams(place, &mut output, &options.packet_streams, &info.along);
        let covers = attached::add(place, &mut output, &info.along);
        let mut muxing = av::Dictionary::new();
        if format_is_mp4(&output) {
            // Its boxes for spheres and stereo modes stand in no standard of ISO.
            muxing.set("strict", "unofficial");
        }
        let written = output.write_header_with(muxing).map(drop);
        written.map_err(|e| match e {
            av::Error::InvalidData
            | av::Error::Other {
                errno: av::error::EINVAL,
            } => MediaError::new(
                MediaErrorKind::Unsupported,
                place,
                format!(
                    "this file format does not hold video of {name}; choose another extension or encoder"
                ),
            ),
            other => error(place, "write", other),
        })?;
        for written in packets.iter_mut().flatten() {
            written.settle(&output);
        }
        for cover in covers {
            cover
                .write(&mut output)
                .map_err(|e| error(place, "write the cover picture", e))?;
        }
        let stream_base = output.stream(0).map_or(frame_base, |s| s.time_base());
        let scaler = if choice.scaled {
            let flags = scaling::Flags::BICUBIC | scaling::Flags::ACCURATE_RND;
            let (w, h) = (info.width, info.height);
            let made = scaling::Context::get(Pixel::RGB24, w, h, choice.format, w, h, flags);
            Some(made.map_err(|e| error(place, "convert", e))?)
        } else {
            None
        };
        Ok(Self {
            place: place.to_owned(),
            _folder: folder,
            output: Some(output),
            encoder,
            frame_base,
            stream_base,
            format: choice.format,
            layout: choice.layout,
            scaler,
            converter: Converter::new(size.0, size.1, choice.layout, &color, siting),
            buffer: vec![0; choice.layout.frame_bytes(size.0, size.1)],
            size,
            frames: 0,
            times: timed.then_some(Times {
                from: options.time_base,
                encoder: frame_base,
                file: stream_base,
                last: None,
                late: 0,
            }),
            cadence,
            frame_duration: i64::from(options.frame_duration).max(1),
            held: None,
            before: None,
            end: None,
            durations: BTreeMap::new(),
            packets,
            target,
        })
    }

    /// A frame as the encoder takes it.
    fn picture(&mut self, frame: &Frame) -> Result<av::frame::Video, MediaError> {
        let (w, h) = self.size;
        self.converter
            .rgb_to_planes(frame, &mut split_planes_mut(&self.layout, w, h, &mut self.buffer));
        let format = if self.scaler.is_some() {
            Pixel::RGB24
        } else {
            self.format
        };
        // Encoders keep references to frames, so each one needs its own memory.
        let mut frame = av::frame::Video::new(format, w as u32, h as u32);
        if frame.planes() < self.layout.plane_count() {
            return Err(MediaError::new(
                MediaErrorKind::Io,
                &self.place,
                "there is no memory for a frame",
            ));
        }
        super::fill(&mut frame, &split_planes(&self.layout, w, h, &self.buffer));
        if let Some(scaler) = &mut self.scaler {
            let mut scaled = av::frame::Video::empty();
            scaler
                .run(&frame, &mut scaled)
                .map_err(|e| error(&self.place, "convert", e))?;
            frame = scaled;
        }
        Ok(frame)
    }

    fn write_packets(&mut self) -> Result<(), MediaError> {
        let Some(output) = &mut self.output else {
            return Ok(());
        };
        loop {
            let mut packet = av::Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {}
                Err(
                    av::Error::Eof
                    | av::Error::Other {
                        errno: av::error::EAGAIN,
                    },
                ) => return Ok(()),
                Err(e) => return Err(error(&self.place, "encode", e)),
            }
            packet.set_stream(0);
            let shown = packet.pts().and_then(|time| self.durations.remove(&time));
            packet.set_duration(shown.unwrap_or(1).max(1));
            packet.rescale_ts(self.frame_base, self.stream_base);
            packet
                .write_interleaved(output)
                .map_err(|e| error(&self.place, "write", e))?;
        }
    }
}

impl LibavWriter {
    /// Tells formats of animations how long the last frame is shown, which they cannot know otherwise.
    fn set_last_delay(&mut self, ticks: i64) {
        use av::Rescale;
        let (Some(times), Some(output)) = (&self.times, &mut self.output) else {
            return;
        };
        let name = output.format().name().to_owned();
        let from = to_av(times.from);
        if name == "gif" {
            let delay = ticks.rescale(from, av::Rational::new(1, 100));
            ffi::set_muxer_option(output, "final_delay", delay.clamp(0, 65535));
        }
        if name == "apng" {
            let delay = ticks.rescale(from, av::Rational::new(1, 1000));
            ffi::set_muxer_fraction(
                output,
                "final_delay",
                av::Rational::new(delay.clamp(0, 65535) as i32, 1000),
            );
        }
    }

    /// Encodes the frame that was held back, which is shown until `end`.
    fn release(&mut self, end: i64) -> Result<(), MediaError> {
        let Some((mut picture, time)) = self.held.take() else {
            return Ok(());
        };
        match (&mut self.times, &mut self.cadence) {
            (Some(times), _) => {
                use av::Rescale;
                let place = times.place(time);
                let length = end.saturating_sub(time).rescale(to_av(times.from), times.encoder);
                self.encode(&mut picture, place, length)?;
            }
            (None, Some(cadence)) => {
                let shows = cadence.take(time, end);
                let mut before = self.before.take();
                for _ in 0..shows.before {
                    let shown = before.as_mut().unwrap_or(&mut picture);
                    self.encode(shown, self.frames, 1)?;
                }
                for _ in 0..shows.this {
                    self.encode(&mut picture, self.frames, 1)?;
                }
                self.before = Some(picture);
            }
            (None, None) => self.encode(&mut picture, self.frames, 1)?,
        }
        Ok(())
    }

    /// Encodes a picture, which may come again with another time: an encoder keeps what it needs of it by reference.
    fn encode(&mut self, picture: &mut av::frame::Video, time: i64, duration: i64) -> Result<(), MediaError> {
        picture.set_pts(Some(time));
        self.durations.insert(time, duration);
        self.frames += 1;
        self.encoder
            .send_frame(picture)
            .map_err(|e| error(&self.place, "encode", e))?;
        self.write_packets()
    }
}

impl PushSink for LibavWriter {
    fn push(&mut self, frame: &Frame, time: i64) -> Result<(), MediaError> {
        self.release(time)?;
        self.held = Some((self.picture(frame)?, time));
        Ok(())
    }

    fn end_at(&mut self, time: i64) {
        self.end = Some(time);
    }

    fn push_packet(&mut self, stream: usize, packet: &Packet) -> Result<(), MediaError> {
        let written = self.packets.get(stream).and_then(Option::as_ref);
        let (Some(written), Some(output)) = (written, &mut self.output) else {
            return Ok(());
        };
        let Some(packet) = written.packet(packet) else {
            return Ok(());
        };
        // A failing stream of sound should not cost the pictures.
        if let Err(e) = packet.write_interleaved(output) {
            let why = error(&self.place, "write a packet of sound or subtitles", e);
            if why.kind() == MediaErrorKind::BrokenPipe {
                return Err(why);
            }
            tracing::warn!("{why}; the rest of that stream is left out");
            if let Some(written) = self.packets.get_mut(stream) {
                *written = None;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), MediaError> {
        if let Some(time) = self.held.as_ref().map(|(_, time)| *time) {
            let end = self.end.filter(|&end| end > time);
            let end = end.unwrap_or(time.saturating_add(self.frame_duration));
            self.set_last_delay(end.saturating_sub(time));
            self.release(end)?;
        }
        if self.frames == 0 {
            return Err(MediaError::new(
                MediaErrorKind::Usage,
                &self.place,
                "there is no frame to write",
            ));
        }
        self.encoder
            .send_eof()
            .map_err(|e| error(&self.place, "encode", e))?;
        self.write_packets()?;
        if let Some(times) = self.times.as_ref().filter(|times| times.late > 0) {
            tracing::warn!(
                "{}: {} frames are shown a little late, because the clock of this file format is too coarse for them",
                self.place,
                times.late
            );
        }
        if let Some(mut output) = self.output.take() {
            output
                .write_trailer()
                .map_err(|e| error(&self.place, "write", e))?;
        }
        self.target.as_mut().map_or(Ok(()), AtomicFile::commit)
    }
}

/// Opens an encoder that `prepare` prepares.
fn open_encoder(
    prepare: &impl Fn() -> Result<av::encoder::video::Video, av::Error>,
    codec: av::Codec,
    settings: av::Dictionary<'_>,
) -> Result<av::encoder::Video, av::Error> {
    prepare()?.open_as_with(codec, settings)
}

fn find_encoder(
    place: &str,
    path: &str,
    wanted: Option<&str>,
    output: &av::format::context::Output,
) -> Result<av::Codec, MediaError> {
    let by_extension = match extension(path).as_str() {
        "mp4" | "m4v" | "mov" | "mkv" | "ts" | "m2ts" | "mts" | "flv" | "avi" | "nut" | "3gp" => {
            Some("libx264")
        }
        "webm" => Some("libvpx-vp9"),
        _ => None,
    };
    let found = match wanted.or(by_extension) {
        Some(name) => encoder_called(name),
        None => av::encoder::find(output.format().codec(path, av::media::Type::Video)),
    };
    found
        .filter(|c| c.medium() == av::media::Type::Video)
        .ok_or_else(|| {
            let message = match wanted.or(by_extension) {
                Some(name) => format!("this libav has no video encoder '{name}'; see ffmpeg -encoders"),
                None => "this file format holds no video; use .mp4, .mkv, .mov or .webm".to_owned(),
            };
            MediaError::new(MediaErrorKind::Unsupported, place, message)
        })
}

/// The encoder of this name, or the one that libav takes for a codec of this name: `hevc`, `av1`, `vp9`.
fn encoder_called(name: &str) -> Option<av::Codec> {
    let name = match name {
        "h265" | "x265" => "hevc",
        "x264" | "avc" => "h264",
        other => other,
    };
    av::encoder::find_by_name(name).or_else(|| av::encoder::find(ffi::codec_id(name)?))
}

/// Encoders whose formats know only some rates, for which a tick must be the duration of a frame.
fn takes_times(encoder: &str) -> bool {
    let even = [
        "mpeg1video",
        "mpeg2video",
        "h261",
        "h263",
        "dvvideo",
        "rv10",
        "rv20",
        "libtheora",
        "dirac",
        "vc2",
    ];
    !even.contains(&encoder) && !encoder.starts_with("mpeg2_")
}

/// Encoders whose formats count ticks in 16 bits.
fn has_short_clock(encoder: &str) -> bool {
    [
        "mpeg4",
        "libxvid",
        "msmpeg4v2",
        "msmpeg4",
        "wmv1",
        "wmv2",
        "flv",
        "h263p",
    ]
    .contains(&encoder)
}

/// The tick for such an encoder: the same one if it fits, else a finer one of a constant rate.
fn short_clock(time_base: Rational) -> av::Rational {
    match time_base.den <= 65535 && time_base.num <= 65535 {
        true => to_av(time_base),
        false => av::Rational::new(1, 60_000),
    }
}

/// Encoders that take a constant rate factor, with a default that is visually close to the source.
fn default_crf(encoder: &str) -> Option<f32> {
    match encoder {
        "libx264" | "libx264rgb" => Some(16.0),
        "libx265" => Some(18.0),
        "libvpx-vp9" | "libvpx" | "libaom-av1" | "libsvtav1" => Some(24.0),
        _ => None,
    }
}

/// Settings of an encoder, those that were asked for last; `without` the one of this name.
fn encoder_settings(
    encoder: &str,
    options: &OutputOptions,
    color: &Color,
    layout: &PixelLayout,
    siting: u8,
    global_header: bool,
    without: Option<&str>,
) -> av::Dictionary<'static> {
    let mut settings = av::Dictionary::new();
    let mut flags = String::new();
    if global_header {
        flags.push_str("+global_header");
    }
    settings.set("threads", &options.threads.to_string());
    // Who asks for a rate of bits or a quantizer wants no constant quality beside it.
    let has_rate = options
        .encoder_options
        .iter()
        .any(|(key, _)| matches!(key.as_str(), "b" | "qp" | "global_quality" | "lossless"));
    match (
        options.crf.filter(|_| without != Some("crf")),
        default_crf(encoder),
    ) {
        (None, _) if has_rate => {}
        (Some(crf), _) | (None, Some(crf)) => {
            settings.set("crf", &crf.to_string());
            // libvpx takes the rate factor alone only when the bit rate is zero.
            settings.set("b", "0");
        }
        // The older encoders would fall to libav's 200 kbit/s; quantizer 2 is their best useful quality.
        (None, None) => {
            flags.push_str("+qscale");
            settings.set("global_quality", "236");
        }
    }
    match (
        options.preset.as_ref().filter(|_| without != Some("preset")),
        encoder,
    ) {
        (Some(preset), _) => settings.set("preset", preset),
        (None, "libx264" | "libx264rgb" | "libx265") => settings.set("preset", "medium"),
        (None, "libsvtav1") => settings.set("preset", "6"),
        _ => {}
    }
    let mut x265 = String::from("log-level=none");
    let along = &options.info.along;
    if let Some(display) = along.picture(picture::MASTERING_DISPLAY) {
        x265.push_str(&format!(":master-display={display}"));
    }
    if let Some(light) = along.picture(picture::CONTENT_LIGHT) {
        x265.push_str(&format!(":max-cll={light}"));
    }
    match encoder {
        "libx265" => settings.set("x265-params", &x265),
        "libvpx-vp9" => settings.set("row-mt", "1"),
        _ => {}
    }
    if let Some(fields) = along.picture(picture::FIELDS) {
        settings.set("field_order", if fields == "top" { "tt" } else { "bb" });
    }
    // libav refuses an empty list.
    if !flags.is_empty() {
        settings.set("flags", &flags);
    }
    settings.set("color_primaries", &color.primaries.to_string());
    settings.set("color_trc", &color.transfer.to_string());
    settings.set("colorspace", &color.matrix.to_string());
    settings.set(
        "color_range",
        if color.range == ColorRange::Full { "2" } else { "1" },
    );
    if layout.packing == Packing::Yuv && layout.log2_h > 0 {
        settings.set("chroma_sample_location", &siting.to_string());
    }
    for (key, value) in &options.encoder_options {
        match key.as_str() {
            key if without == Some(key) => {}
            "x265-params" => settings.set(key, &format!("{x265}:{value}")),
            "flags" => settings.set(key, &format!("{flags}{value}")),
            key => settings.set(key, value),
        }
    }
    settings
}

/// The pixel format of the encoder that is nearest to the original.
fn choose_format(place: &str, codec: av::Codec, options: &OutputOptions) -> Result<Choice, MediaError> {
    let none = |e| error(place, "open the encoder", e);
    let supported: Option<Vec<Pixel>> = codec.video().map_err(none)?.formats().map(Iterator::collect);
    let name_of = |p: Pixel| p.descriptor().map_or("", |d| d.name());
    for layout in candidates(codec.name(), options) {
        let wanted = layout.ffmpeg_name();
        let Some(list) = &supported else {
            if let Ok(format) = wanted.parse() {
                return Ok(Choice {
                    format,
                    layout,
                    scaled: false,
                    full_range: false,
                });
            }
            continue;
        };
        let j = wanted.replacen("yuv", "yuvj", 1);
        // MJPEG samples are in full range and the encoder insists on the J names, which say so.
        let plain = if codec.name() == "mjpeg" { &j } else { &wanted };
        for (name, full_range) in [(plain, plain == &j && j != wanted), (&j, j != wanted)] {
            if let Some(&format) = list.iter().find(|p| name_of(**p) == name.as_str()) {
                return Ok(Choice {
                    format,
                    layout,
                    scaled: false,
                    full_range,
                });
            }
        }
    }
    match supported.as_deref() {
        Some([format, ..]) => Ok(Choice {
            format: *format,
            layout: PixelLayout::packed_rgb(8),
            scaled: true,
            full_range: false,
        }),
        _ => Err(MediaError::new(
            MediaErrorKind::Unsupported,
            place,
            format!("encoder {} takes none of the known pixel formats", codec.name()),
        )),
    }
}

/// Layouts from the most to the least wanted.
fn candidates(encoder: &str, options: &OutputOptions) -> Vec<PixelLayout> {
    let info = &options.info;
    let lossy = default_crf(encoder).is_some() && encoder != "libx264rgb";
    let mut chromas = match info.chroma {
        // Players expect 4:2:0 of the everyday codecs; encoders for archives get the RGB itself.
        Chroma::Rgb if lossy => vec![Chroma::C420],
        known => vec![known],
    };
    chromas.extend([Chroma::C420, Chroma::C422, Chroma::C444, Chroma::Rgb]);
    if info.chroma != Chroma::C420 && info.chroma != Chroma::Gray && !(lossy && info.chroma == Chroma::Rgb) {
        // Falling back should not halve chroma while there is a full one.
        chromas[1..].reverse();
    }
    // These encoders count chroma in whole samples, so an odd size has no 4:2:0; full chroma keeps every pixel where
    // padding or cropping would change the size of the picture.
    let whole = matches!(encoder, "libx264" | "libx265" | "libsvtav1" | "libopenh264");
    if whole {
        chromas.retain(|c| match c {
            Chroma::C420 => info.width.is_multiple_of(2) && info.height.is_multiple_of(2),
            Chroma::C422 => info.width.is_multiple_of(2),
            _ => true,
        });
    }
    let depth = info.bit_depth.clamp(8, 16);
    let mut layouts = Vec::new();
    for chroma in chromas {
        // The same depth first, then the next deeper one, which loses nothing, then shallower ones.
        let deeper = [8, 9, 10, 12, 14, 16].into_iter().filter(|d| *d >= depth);
        let shallower = [14, 12, 10, 9, 8].into_iter().filter(|d| *d < depth);
        for d in deeper.chain(shallower) {
            layouts.push(PixelLayout::planar(chroma, d));
            if chroma == Chroma::Rgb && matches!(d, 8 | 16) {
                layouts.push(PixelLayout::packed_rgb(d));
            }
        }
    }
    layouts
}
