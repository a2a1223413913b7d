//! Writes everything that libav can encode.

use super::packets::{Written, add_streams};
use super::{error, file_url, init, to_av};
use crate::atomic::AtomicFile;
use crate::background::PushSink;
use crate::color::{Converter, location, resolve, split_planes, split_planes_mut};
use crate::error::{MediaError, MediaErrorKind};
use crate::options::{OutputOptions, extension};
use crate::pixel::{Packing, PixelLayout};
use av::format::Pixel;
use av::software::scaling;
use ffmpeg_next as av;
use latentbit_codec::Frame;
use latentbit_container::{Chroma, Color, ColorRange, Packet};

/// Encodes frames into a file.
pub struct LibavWriter {
    place: String,
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
    /// Ticks from one frame to the next, and the time of the last frame; none if frames are only counted.
    times: Option<(i64, i64)>,
    packets: Vec<Option<Written>>,
    target: AtomicFile,
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
        let info = &options.info;
        let size = (info.width as usize, info.height as usize);
        let target = AtomicFile::new(place)?;
        // Fails with the plain message of the operating system, where libav has only a number.
        drop(target.create()?);
        let Some(path) = target.path().to_str() else {
            return Err(MediaError::new(
                MediaErrorKind::Usage,
                place,
                "the name is not valid UTF-8",
            ));
        };
        let mut output = av::format::output(&file_url(place, path)?).map_err(|e| match e {
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
        let codec = find_encoder(place, path, options.codec.as_deref(), &output)?;
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

        let frame_rate = to_av(info.frame_rate);
        let timed = takes_times(&name) && options.time_base.num > 0;
        let frame_base = match timed {
            true => to_av(options.time_base),
            false => av::Rational::new(frame_rate.denominator(), frame_rate.numerator()),
        };
        let mut encoder = av::codec::Context::new_with_codec(codec)
            .encoder()
            .video()
            .map_err(|e| error(place, "open the encoder", e))?;
        encoder.set_width(info.width);
        encoder.set_height(info.height);
        encoder.set_format(choice.format);
        encoder.set_time_base(frame_base);
        encoder.set_frame_rate(Some(frame_rate));
        encoder.set_aspect_ratio(to_av(info.pixel_aspect));
        let global_header = output.format().flags().contains(av::format::Flags::GLOBAL_HEADER);
        let settings = encoder_settings(&name, options, &color, &choice.layout, siting, global_header);
        let encoder = encoder.open_as_with(codec, settings).map_err(|e| {
            let (w, h) = size;
            MediaError::new(
                MediaErrorKind::Unsupported,
                place,
                format!(
                    "encoder {name} does not take {w}x{h} {} ({e}); choose another one",
                    choice.layout.ffmpeg_name()
                ),
            )
        })?;
        let mut stream = output.add_stream(codec).map_err(|e| error(place, "write", e))?;
        stream.set_parameters(&encoder);
        stream.set_time_base(frame_base);
        stream.set_rate(frame_rate);
        stream.set_avg_frame_rate(frame_rate);
        let mut packets = add_streams(place, &mut output, &options.packet_streams);
        output.write_header().map_err(|e| match e {
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
            times: timed.then_some((i64::from(options.frame_duration).max(1), i64::MIN)),
            packets,
            target,
        })
    }

    /// A libav frame with the samples that are in the buffer.
    fn picture(&mut self) -> Result<av::frame::Video, MediaError> {
        let (w, h) = self.size;
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
        for (p, plane) in split_planes(&self.layout, w, h, &self.buffer).iter().enumerate() {
            let stride = frame.stride(p);
            for (to, from) in frame
                .data_mut(p)
                .chunks_mut(stride)
                .zip(plane.data.chunks(plane.stride.max(1)))
            {
                let n = from.len().min(to.len());
                to[..n].copy_from_slice(&from[..n]);
            }
        }
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
            // Otherwise the last frame would be shown for no time at all.
            if packet.duration() == 0 {
                packet.set_duration(self.times.map_or(1, |(duration, _)| duration));
            }
            packet.rescale_ts(self.frame_base, self.stream_base);
            packet
                .write_interleaved(output)
                .map_err(|e| error(&self.place, "write", e))?;
        }
    }
}

impl PushSink for LibavWriter {
    fn push(&mut self, frame: &Frame, time: i64) -> Result<(), MediaError> {
        let (w, h) = self.size;
        self.converter
            .rgb_to_planes(frame, &mut split_planes_mut(&self.layout, w, h, &mut self.buffer));
        let mut picture = self.picture()?;
        let shown = match &mut self.times {
            None => self.frames,
            // Encoders refuse a frame that does not come after the one before.
            Some((_, last)) => {
                *last = time.max(last.saturating_add(1));
                *last
            }
        };
        picture.set_pts(Some(shown));
        self.frames += 1;
        self.encoder
            .send_frame(&picture)
            .map_err(|e| error(&self.place, "encode", e))?;
        self.write_packets()
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
            tracing::warn!("{why}; the rest of that stream is left out");
            if let Some(written) = self.packets.get_mut(stream) {
                *written = None;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), MediaError> {
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
        if let Some(mut output) = self.output.take() {
            output
                .write_trailer()
                .map_err(|e| error(&self.place, "write", e))?;
        }
        self.target.commit()
    }
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
        Some(name) => av::encoder::find_by_name(name),
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

/// Encoders that take any time base; for others a tick must be the duration of a frame.
fn takes_times(encoder: &str) -> bool {
    default_crf(encoder).is_some() || encoder == "ffv1"
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

fn encoder_settings(
    encoder: &str,
    options: &OutputOptions,
    color: &Color,
    layout: &PixelLayout,
    siting: u8,
    global_header: bool,
) -> av::Dictionary<'static> {
    let mut settings = av::Dictionary::new();
    let mut flags = String::new();
    if global_header {
        flags.push_str("+global_header");
    }
    settings.set("threads", &options.threads.to_string());
    match (options.crf, default_crf(encoder)) {
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
    match (&options.preset, encoder) {
        (Some(preset), _) => settings.set("preset", preset),
        (None, "libx264" | "libx264rgb" | "libx265") => settings.set("preset", "medium"),
        (None, "libsvtav1") => settings.set("preset", "6"),
        _ => {}
    }
    match encoder {
        "libx265" => settings.set("x265-params", "log-level=none"),
        "libvpx-vp9" => settings.set("row-mt", "1"),
        _ => {}
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
