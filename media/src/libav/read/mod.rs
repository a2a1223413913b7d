//! Reads everything that libav can decode.

mod start;

use super::packets::{Carried, carried};
use super::{error, file_url, init, positive, seconds, to_av};
use crate::background::{PullSource, starts_after_end};
use crate::color::{Converter, PlaneRef, code};
use crate::error::{MediaError, MediaErrorKind};
use crate::options::{InputOptions, Start, frames_after};
use crate::pixel::{Packing, PixelLayout};
use crate::video::{Extras, MediaKind, VideoInfo, check_size};
use av::codec::packet::side_data::Type as SideDataType;
use av::format::Pixel;
use av::software::scaling;
use ffmpeg_next as av;
use latentbit_codec::Frame;
use latentbit_container::{Color, ColorRange, Rational, rescale};
use std::collections::VecDeque;

/// Decodes the best video stream of a file.
pub struct LibavReader {
    place: String,
    options: InputOptions,
    input: av::format::context::Input,
    decoder: av::decoder::Video,
    stream: usize,
    time_base: av::Rational,
    first_time: i64,
    info: VideoInfo,
    /// The format of the last frame and how to convert it.
    converter: Option<(Pixel, Route)>,
    /// The first frame is decoded while opening, because only frames tell their true format.
    pending: Option<av::frame::Video>,
    start: Option<Start>,
    frames: u64,
    draining: bool,
    damaged: u64,
    packets: u64,
    /// Packets and seconds of the video stream by the container's own account.
    declared: (Option<u64>, Option<f64>),
    /// When the last decoded frame is shown.
    last_time: f64,
    /// Time of the first frame that was given, and of the last one after it.
    times: Option<(i64, i64)>,
    /// Sound and subtitles, by their streams in the file.
    carried: Vec<Option<Carried>>,
    /// The start that was asked for.
    starting: Option<Start>,
    extras: Extras,
    /// Bytes of packets that wait for a frame.
    waiting: usize,
    /// Packets of other streams that end before this time, in seconds, belong to no frame that is given.
    unwanted: f64,
    read_error: Option<MediaError>,
    /// Whether frames have been asked for.
    begun: bool,
    /// How the start is being reached, until it has been.
    landing: Option<Landing>,
    /// Video packets that were read ahead of the decoder.
    ahead: VecDeque<av::Packet>,
    /// Whether packets at the beginning were not read.
    sought: bool,
}

/// A way to the start that leaves out packets, and what shows that nothing is missing.
struct Landing {
    /// The start in seconds.
    start: f64,
    /// Whether packets are read from the beginning of the file, and kept from the last key packet on.
    walking: bool,
    /// Time of the key packet that decoding begins with.
    key: Option<i64>,
    /// Whether a frame before the start came out of the decoder.
    before: bool,
    /// Bytes of the video packets that are kept.
    bytes: usize,
    /// For each stream of the file, time and end of the first packet that was read.
    first_packets: Vec<Option<(i64, i64)>>,
}

/// The way from a decoded frame to RGB.
struct Route {
    /// Brings packed and exotic formats, or another size, to a layout that [`Converter`] takes.
    scaler: Option<scaling::Context>,
    layout: PixelLayout,
    converter: Converter,
}

/// Packets that may fail to decode one after the other before the file counts as broken.
const MAX_DAMAGED: u64 = 1000;

/// Seconds by which sound may be late or early and still belong to a frame.
const SOUND_SLACK: f64 = 1.0;

/// Bytes of packets that may come before a frame: seconds of sound, or a minute of it uncompressed.
const MAX_WAITING: usize = 64 << 20;

impl LibavReader {
    /// Opens a file and decodes its first frame.
    pub fn new(place: &str, options: &InputOptions) -> Result<Self, MediaError> {
        init();
        let input = open_input(place)?;
        let streams = || input.streams();
        let has_audio = streams().any(|s| s.parameters().medium() == av::media::Type::Audio);
        let cover = av::format::stream::Disposition::ATTACHED_PIC;
        let best = input
            .streams()
            .best(av::media::Type::Video)
            .filter(|s| !s.disposition().contains(cover));
        let Some(best) = best else {
            let what = if has_audio {
                "there is sound but no video"
            } else {
                "there is no video"
            };
            return Err(MediaError::new(
                MediaErrorKind::Invalid,
                place,
                format!("{what} in this file"),
            ));
        };
        if best.side_data().any(|d| d.kind() == SideDataType::DisplayMatrix) {
            tracing::warn!(
                "{place}: the rotation that the file asks for is ignored; frames stay as they are coded"
            );
        }
        let mut context =
            av::codec::Context::from_parameters(best.parameters()).map_err(|e| error(place, "decode", e))?;
        context.set_threading(av::threading::Config {
            kind: av::threading::Type::Frame,
            count: options.threads,
            ..Default::default()
        });
        let decoder = context.decoder().video().map_err(|e| match e {
            av::Error::DecoderNotFound => MediaError::new(
                MediaErrorKind::Unsupported,
                place,
                format!("this libav has no decoder for {:?}", best.parameters().id()),
            ),
            other => error(place, "open the decoder", other),
        })?;
        check_size(place, u64::from(decoder.width()), u64::from(decoder.height()))?;
        let format = input.format().name().to_owned();
        let still = (format.ends_with("_pipe") || format == "image2") && !place.contains('%');
        let frame_rate = positive(best.avg_frame_rate())
            .or_else(|| positive(best.rate()))
            .unwrap_or(Rational { num: 25, den: 1 });
        let frame_count = if still {
            Some(1)
        } else {
            count_hint(&best, &input, frame_rate)
        };
        let declared = (
            u64::try_from(best.frames()).ok().filter(|n| *n > 0),
            (best.duration() > 0)
                .then(|| seconds(best.duration(), best.time_base()))
                .or_else(|| {
                    // Of the whole file, so it speaks of the video only when there is nothing else.
                    (!has_audio && input.duration() > 0)
                        .then(|| input.duration() as f64 / f64::from(av::ffi::AV_TIME_BASE))
                }),
        );
        let (stream, time_base) = (best.index(), best.time_base());
        let (carried, packet_streams) = carried(place, &input, options);
        let first_time = if best.start_time() == av::ffi::AV_NOPTS_VALUE {
            0
        } else {
            best.start_time()
        };
        let mut reader = Self {
            place: place.to_owned(),
            options: options.clone(),
            input,
            decoder,
            stream,
            time_base,
            first_time,
            info: VideoInfo {
                time_base: positive(time_base).filter(|_| !still),
                // The caller cannot take these off: the reader is what goes by the start.
                frame_count: frames_after(options.start, frame_count, frame_rate),
                packet_streams,
                kind: if still {
                    MediaKind::StillImage
                } else {
                    MediaKind::Video
                },
                // The first frame tells the size and the rest.
                ..VideoInfo::new(0, 0, frame_rate)
            },
            converter: None,
            pending: None,
            start: options.start,
            frames: 0,
            draining: false,
            damaged: 0,
            packets: 0,
            declared,
            last_time: 0.0,
            times: None,
            carried,
            starting: options.start,
            extras: Extras::default(),
            waiting: 0,
            unwanted: match options.start {
                Some(Start::Seconds(start)) => start - SOUND_SLACK,
                _ => f64::NEG_INFINITY,
            },
            read_error: None,
            begun: false,
            landing: None,
            ahead: VecDeque::new(),
            sought: false,
        };
        let Some(first) = reader.decode()? else {
            return Err(MediaError::new(
                MediaErrorKind::Truncated { frames: 0 },
                place,
                "not one frame could be decoded; the file is cut off or damaged",
            ));
        };
        reader.describe(&first)?;
        reader.pending = Some(first);
        Ok(reader)
    }

    /// Takes from the first frame what the file's header may not say.
    fn describe(&mut self, frame: &av::frame::Video) -> Result<(), MediaError> {
        check_size(&self.place, u64::from(frame.width()), u64::from(frame.height()))?;
        let name = format_name(frame.format());
        let (layout, _) = direct_layout(frame.format()).unwrap_or_else(|| nearest_layout(name));
        let rgb = matches!(layout.packing, Packing::Gbr | Packing::Rgb);
        let range = match frame.color_range() {
            _ if rgb || name.starts_with("yuvj") => ColorRange::Full,
            av::color::Range::MPEG => ColorRange::Limited,
            av::color::Range::JPEG => ColorRange::Full,
            _ => ColorRange::Unspecified,
        };
        let matrix = av::ffi::AVColorSpace::from(frame.color_space()) as u32 as u8;
        self.info.width = frame.width();
        self.info.height = frame.height();
        self.info.pixel_aspect = positive(frame.aspect_ratio()).unwrap_or(Rational { num: 1, den: 1 });
        self.info.color = Color {
            primaries: av::ffi::AVColorPrimaries::from(frame.color_primaries()) as u32 as u8,
            transfer: av::ffi::AVColorTransferCharacteristic::from(frame.color_transfer_characteristic())
                as u32 as u8,
            // A YUV picture that claims the RGB matrix has simply left the field at zero.
            matrix: match (rgb, matrix) {
                (true, _) => code::MATRIX_RGB,
                (false, code::MATRIX_RGB) => code::UNSPECIFIED,
                (false, known) => known,
            },
            range,
        };
        self.info.chroma = layout.chroma();
        self.info.chroma_location = av::ffi::AVChromaLocation::from(frame.chroma_location()) as u32 as u8;
        self.info.bit_depth = layout.depth;
        Ok(())
    }

    /// The next decoded frame in display order.
    fn decode(&mut self) -> Result<Option<av::frame::Video>, MediaError> {
        if let Some(frame) = self.pending.take() {
            return Ok(Some(frame));
        }
        loop {
            let mut frame = av::frame::Video::empty();
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) => {
                    self.last_time = self.last_time.max(self.time_of(&frame));
                    return Ok(Some(frame));
                }
                Err(av::Error::Eof) => return self.end(),
                Err(av::Error::Other {
                    errno: av::error::EAGAIN,
                }) => self.feed()?,
                Err(e) => self.damage(e)?,
            }
        }
    }

    /// Gives the decoder one more packet, or tells it that there are none.
    fn feed(&mut self) -> Result<(), MediaError> {
        if self.draining {
            // A decoder that still asks for packets after the end would spin here for ever.
            return Err(MediaError::new(
                MediaErrorKind::Invalid,
                &self.place,
                "the decoder does not come to an end",
            ));
        }
        match self.next_packet()? {
            Some(packet) => match self.decoder.send_packet(&packet) {
                Ok(()) => Ok(()),
                Err(e) => self.damage(e),
            },
            None => {
                self.draining = true;
                self.decoder
                    .send_eof()
                    .map_err(|e| error(&self.place, "decode", e))
            }
        }
    }

    /// The next packet for the decoder; none at the end of what can be read.
    fn next_packet(&mut self) -> Result<Option<av::Packet>, MediaError> {
        loop {
            if !self.is_walking()
                && let Some(packet) = self.ahead.pop_front()
            {
                return Ok(Some(packet));
            }
            let mut packet = av::Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() != self.stream => self.carry(&packet),
                Ok(()) => {
                    self.packets += 1;
                    if let Some(packet) = self.approach(packet)? {
                        return Ok(Some(packet));
                    }
                }
                Err(e) => {
                    if e != av::Error::Eof {
                        self.read_error = Some(error(&self.place, "read", e));
                    }
                    if self.is_walking() {
                        self.stop_walking();
                        continue;
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// Keeps a packet of another stream.
    fn carry(&mut self, packet: &av::Packet) {
        let Some(carried) = self.carried.get(packet.stream()).and_then(Option::as_ref) else {
            return;
        };
        let Some(made) = carried.packet(packet) else {
            return;
        };
        let (number, end) = (carried.number, made.pts.saturating_add(made.duration as i64));
        if let Some(landing) = &mut self.landing
            && let Some(first @ None) = landing.first_packets.get_mut(packet.stream())
        {
            *first = Some((made.pts, end));
        }
        if !self.is_wanted(number, end) {
            return;
        }
        self.waiting += made.data.len();
        if self.waiting > MAX_WAITING {
            self.forget_unwanted();
        }
        if self.waiting > MAX_WAITING {
            tracing::warn!(
                "{}: sound or subtitles lie too far from their pictures; the rest of them is left out",
                self.place
            );
            self.carried.clear();
            return;
        }
        self.extras.packets.push((number, made));
    }

    /// Whether a packet that ends at `end` may belong to a frame that is given.
    fn is_wanted(&self, stream: usize, end: i64) -> bool {
        let Some(stream) = self.info.packet_streams.get(stream) else {
            return false;
        };
        let base = to_av(stream.time_base);
        seconds(end, base) - seconds(self.first_time, self.time_base) > self.unwanted
    }

    /// Drops packets that were kept for frames before the start.
    fn forget_unwanted(&mut self) {
        let mut packets = std::mem::take(&mut self.extras.packets);
        packets.retain(|(stream, packet)| {
            self.is_wanted(*stream, packet.pts.saturating_add(packet.duration as i64))
        });
        self.waiting = packets.iter().map(|(_, packet)| packet.data.len()).sum();
        self.extras.packets = packets;
    }

    /// The time of a frame, counted from the first one that was given; times that do not rise are mended.
    fn frame_time(&mut self, frame: &av::frame::Video) -> Option<i64> {
        let base = self.info.time_base?;
        let tick = Rational {
            num: self.info.frame_rate.den,
            den: self.info.frame_rate.num,
        };
        let step = rescale(1, tick, base).max(1);
        let time = match (frame.timestamp(), self.times) {
            (Some(time), None) => time,
            (Some(time), Some((_, last))) if time > last => time,
            (_, Some((_, last))) => last.saturating_add(step),
            (None, None) => self.first_time,
        };
        let (first, _) = *self.times.get_or_insert((time, time));
        self.times = Some((first, time));
        Some(time.saturating_sub(first))
    }

    /// As in players, a packet that does not decode costs its frames, not the rest of the video.
    fn damage(&mut self, e: av::Error) -> Result<(), MediaError> {
        self.damaged += 1;
        if self.damaged == 1 && self.landing.is_none() {
            tracing::warn!(
                "{}: a damaged packet after frame {} is left out: {e}",
                self.place,
                self.frames
            );
        }
        if self.damaged > MAX_DAMAGED {
            return Err(error(&self.place, "decode", e));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<Option<av::frame::Video>, MediaError> {
        if self.landing.is_some() {
            return Ok(None);
        }
        if self.damaged > 0 {
            tracing::warn!("{}: {} damaged packets were left out", self.place, self.damaged);
        }
        let truncated = |why: String| {
            Err(MediaError::new(
                MediaErrorKind::Truncated { frames: self.frames },
                &self.place,
                format!(
                    "the file is cut off or damaged after {} frames: {why}",
                    self.frames
                ),
            ))
        };
        if let Some(e) = &self.read_error {
            return truncated(e.to_string());
        }
        let frame_time = f64::from(self.info.frame_rate.den) / f64::from(self.info.frame_rate.num);
        let end = self.last_time + frame_time;
        match self.declared {
            // Edit lists hide packets and shorten the duration with them, so one shortfall alone proves nothing.
            (Some(packets), Some(duration))
                if end < duration - 0.5 * frame_time && self.all_packets() < packets =>
            {
                truncated(format!("its index lists {packets} and {duration:.2} s"))
            }
            (None, Some(duration)) if end < duration - 0.5 - frame_time => {
                tracing::warn!(
                    "{}: the video ends after {end:.2} s and the file says {duration:.2} s; it may be cut off",
                    self.place
                );
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// How many packets the video has in this file.
    fn all_packets(&self) -> u64 {
        match self.sought {
            true => count_packets(&self.place, self.stream).unwrap_or(self.packets),
            false => self.packets,
        }
    }

    fn convert(&mut self, frame: &av::frame::Video) -> Result<Frame, MediaError> {
        let (w, h) = (self.info.width, self.info.height);
        let upside_down = (0..frame.planes()).any(|p| (frame.stride(p) as isize) < 0);
        let plain = !upside_down && (frame.width(), frame.height()) == (w, h);
        let reusable = |route: &Route| match &route.scaler {
            None => plain,
            Some(s) => (s.input().width, s.input().height) == (frame.width(), frame.height()),
        };
        if !self
            .converter
            .as_ref()
            .is_some_and(|(format, route)| *format == frame.format() && reusable(route))
        {
            self.converter = Some((frame.format(), self.route(frame, plain)?));
        }
        let Some((_, route)) = &mut self.converter else {
            return Err(MediaError::new(
                MediaErrorKind::Unsupported,
                &self.place,
                "no way to RGB",
            ));
        };
        let mut scaled = av::frame::Video::empty();
        let source = match &mut route.scaler {
            Some(scaler) => {
                scaler
                    .run(frame, &mut scaled)
                    .map_err(|e| error(&self.place, "convert", e))?;
                &scaled
            }
            None => frame,
        };
        if source.planes() < route.layout.plane_count() {
            return Err(MediaError::new(
                MediaErrorKind::Io,
                &self.place,
                "there is no memory for a frame",
            ));
        }
        let planes: Vec<PlaneRef<'_>> = (0..route.layout.plane_count())
            .map(|p| PlaneRef {
                data: source.data(p),
                stride: source.stride(p),
            })
            .collect();
        Ok(route.converter.planes_to_rgb(&planes))
    }

    fn route(&self, frame: &av::frame::Video, plain: bool) -> Result<Route, MediaError> {
        let (w, h) = (self.info.width, self.info.height);
        let direct = direct_layout(frame.format());
        let (layout, target) = direct.unwrap_or_else(|| nearest_layout(format_name(frame.format())));
        let scaler = if direct.is_some() && plain {
            None
        } else {
            let flags =
                scaling::Flags::BICUBIC | scaling::Flags::ACCURATE_RND | scaling::Flags::FULL_CHR_H_INT;
            let made =
                scaling::Context::get(frame.format(), frame.width(), frame.height(), target, w, h, flags);
            Some(made.map_err(|_| {
                let name = format_name(frame.format());
                MediaError::new(
                    MediaErrorKind::Unsupported,
                    &self.place,
                    format!("pixel format {name} cannot be converted"),
                )
            })?)
        };
        let converter = Converter::new(
            w as usize,
            h as usize,
            layout,
            &self.info.color,
            self.info.chroma_location,
        );
        Ok(Route {
            scaler,
            layout,
            converter,
        })
    }

    /// Seconds since the first frame; frames without a time count on at the frame rate.
    fn time_of(&self, frame: &av::frame::Video) -> f64 {
        match frame.timestamp() {
            Some(t) => seconds(t.saturating_sub(self.first_time), self.time_base),
            None => {
                self.frames as f64 * f64::from(self.info.frame_rate.den) / f64::from(self.info.frame_rate.num)
            }
        }
    }
}

impl PullSource for LibavReader {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn skip(&mut self, count: u64) -> Result<u64, MediaError> {
        for done in 0..count {
            if self.decode()?.is_none() {
                return Ok(done);
            }
            self.frames += 1;
        }
        Ok(count)
    }

    fn pull(&mut self) -> Result<Option<Frame>, MediaError> {
        if !self.begun {
            self.go_to_start()?;
            self.begun = true;
        }
        while let Some(frame) = self.decode()? {
            if let Some(start) = self.start {
                let time = self.time_of(&frame);
                if start.skips(self.frames, time) {
                    self.unwanted = self.unwanted.max(time - SOUND_SLACK);
                    self.frames += 1;
                    continue;
                }
                self.start = None;
            }
            let picture = self.convert(&frame)?;
            self.extras.time = self.frame_time(&frame);
            self.frames += 1;
            return Ok(Some(picture));
        }
        if self.start.take().is_some() && self.frames > 0 {
            return Err(starts_after_end(&self.place, self.frames));
        }
        Ok(None)
    }

    fn extras(&mut self) -> Extras {
        let mut extras = std::mem::take(&mut self.extras);
        self.waiting = 0;
        let first = self.times.map_or(self.first_time, |(first, _)| first);
        let base = positive(self.time_base).unwrap_or(Rational { num: 1, den: 1 });
        extras.packets.retain_mut(|(number, packet)| {
            let Some(stream) = self.info.packet_streams.get(*number) else {
                return false;
            };
            let first = rescale(first, base, stream.time_base);
            packet.pts = packet.pts.saturating_sub(first);
            packet.dts = packet.dts.map(|dts| dts.saturating_sub(first));
            // After a start, what ends before the first frame is dropped; else it primes the decoder of the sound.
            self.starting.is_none() || packet.pts.saturating_add(packet.duration as i64) > 0
        });
        extras
    }
}

fn open_input(place: &str) -> Result<av::format::context::Input, MediaError> {
    let mut settings = av::Dictionary::new();
    // A playlist must not reach out into the network on its own.
    settings.set("protocol_whitelist", "file");
    av::format::input_with_dictionary(&file_url(place, place)?, settings).map_err(|e| match e {
        av::Error::InvalidData | av::Error::Eof => MediaError::new(
            MediaErrorKind::Invalid,
            place,
            "not a video that libav knows, or its beginning or index is missing; \
                 expected a file such as mp4, mkv, webm, mov, avi or gif (check with ffprobe)",
        ),
        other => error(place, "open", other),
    })
}

/// Packets of a stream, counted one by one.
fn count_packets(place: &str, stream: usize) -> Result<u64, MediaError> {
    let mut input = open_input(place)?;
    let mut count = 0;
    let mut packet = av::Packet::empty();
    while packet.read(&mut input).is_ok() {
        count += u64::from(packet.stream() == stream);
    }
    Ok(count)
}

/// Frames as the container counts them, or as its duration suggests.
fn count_hint(
    stream: &av::format::stream::Stream<'_>,
    input: &av::format::context::Input,
    rate: Rational,
) -> Option<u64> {
    if let Some(frames) = u64::try_from(stream.frames()).ok().filter(|n| *n > 0) {
        return Some(frames);
    }
    let duration = if stream.duration() > 0 {
        seconds(stream.duration(), stream.time_base())
    } else if input.duration() > 0 {
        input.duration() as f64 / f64::from(av::ffi::AV_TIME_BASE)
    } else {
        return None;
    };
    Some((duration * f64::from(rate.num) / f64::from(rate.den)).round() as u64)
}

fn format_name(format: Pixel) -> &'static str {
    format.descriptor().map_or("none", |d| d.name())
}

/// The layout of a format that [`Converter`] takes as it is.
fn direct_layout(format: Pixel) -> Option<(PixelLayout, Pixel)> {
    // A name without its byte order would be another format, so the parser's short forms do no harm here.
    PixelLayout::from_ffmpeg_name(format_name(format)).map(|layout| (layout, format))
}

/// For other formats than those of [`direct_layout`]: the layout, with its libav format, that loses least.
fn nearest_layout(name: &str) -> (PixelLayout, Pixel) {
    // The same samples in the other byte order.
    if let Some(base) = name.strip_suffix("be")
        && let Some(layout) = PixelLayout::from_ffmpeg_name(&format!("{base}le"))
        && let Ok(format) = layout.ffmpeg_name().parse()
    {
        return (layout, format);
    }
    let target = match name {
        "nv12" | "nv21" => "yuv420p",
        "nv16" | "yuyv422" | "uyvy422" | "yvyu422" => "yuv422p",
        "nv24" | "nv42" => "yuv444p",
        "uyyvyy411" => "yuv411p",
        "monow" | "monob" | "ya8" => "gray",
        "ya16le" | "ya16be" => "gray16le",
        _ if name.starts_with("p010") => "yuv420p10le",
        _ if name.starts_with("p016") => "yuv420p16le",
        _ if name.starts_with("p210") || name.starts_with("y210") || name.starts_with("nv20") => {
            "yuv422p10le"
        }
        _ if name.starts_with("p216") => "yuv422p16le",
        _ if name.starts_with("p410") => "yuv444p10le",
        _ if name.starts_with("p416") => "yuv444p16le",
        _ if [
            "rgb48", "bgr48", "rgba64", "bgra64", "x2rgb", "x2bgr", "gbrp", "gbrap", "xyz12",
        ]
        .iter()
        .any(|p| name.starts_with(p)) =>
        {
            "rgb48le"
        }
        _ if name.starts_with("grayf32") => "gray16le",
        _ => "rgb24",
    };
    match (PixelLayout::from_ffmpeg_name(target), target.parse()) {
        (Some(layout), Ok(format)) => (layout, format),
        _ => (PixelLayout::packed_rgb(8), Pixel::RGB24),
    }
}
