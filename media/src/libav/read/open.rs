//! Opens inputs of libav: files, what comes through pipes, and addresses.

use super::super::packets::{carried, needs_packet, warn_left_out};
use super::super::{attached, error, ffi, file_url, init, positive, seconds, tags};
use super::clock::Clock;
use super::filter::Chain;
use super::{LibavReader, SOUND_SLACK, rate};
use crate::along::Along;
use crate::error::{MediaError, MediaErrorKind};
use crate::exif::Directory;
use crate::name::{is_utf8, path_of};
use crate::options::InputOptions;
use crate::start::{Start, frames_after};
use crate::video::{Damage, Extras, MediaKind, VideoInfo, check_size};
use crate::whole;
use av::format::context::StreamIo;
use ffmpeg_next as av;
use latentbit_container::Rational;
use std::collections::VecDeque;
use std::io::{BufReader, Read};

/// Where the bytes of an input come from.
pub enum Origin {
    /// A file of the input's name, or numbered pictures.
    File,
    /// An address of the input's name.
    Address,
    /// A file that is open already, such as the one that stdin reads.
    Open(std::fs::File),
    /// A pipe, which is read once.
    Pipe(Box<dyn Read + Send>),
}

/// Protocols that `--allow-network` allows.
const NETWORK: &str = "file,http,https,tcp,tls,udp,rtp,rtsp,rtspt,srt,crypto,httpproxy";

impl LibavReader {
    /// Opens an input and decodes its first frame.
    ///
    /// # Errors
    /// [`MediaErrorKind::Invalid`] for what libav does not know, [`MediaErrorKind::Unsupported`] for what it cannot decode.
    pub fn new(place: &str, origin: Origin, options: &InputOptions) -> Result<Self, MediaError> {
        init();
        let (is_file, is_pipe) = (matches!(origin, Origin::File), matches!(origin, Origin::Pipe(_)));
        let opened = Self::open(place, origin, options);
        opened.map_err(|found| match found.kind() {
            // The index of an MP4 file may be found after the frames that it lists have gone by.
            MediaErrorKind::Truncated { frames: 0 } if is_pipe => not_from_a_pipe(place),
            MediaErrorKind::Invalid if is_file => cut_off(place).map_or(found, |why| {
                MediaError::new(
                    MediaErrorKind::Truncated { frames: 0 },
                    place,
                    format!("the file is cut off or damaged before its first frame: {why}"),
                )
            }),
            _ => found,
        })
    }

    fn open(place: &str, origin: Origin, options: &InputOptions) -> Result<Self, MediaError> {
        let is_file = matches!(origin, Origin::File);
        let mut input = match origin {
            Origin::File => open_file(place, options.network),
            Origin::Address => open_address(place),
            Origin::Open(file) => open_stream(place, StreamIo::from_read_seek(file), false),
            Origin::Pipe(pipe) => open_stream(place, StreamIo::from_read(pipe), true),
        }?;
        let has_audio = input
            .streams()
            .any(|s| s.parameters().medium() == av::media::Type::Audio);
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
        let mut context =
            av::codec::Context::from_parameters(best.parameters()).map_err(|e| error(place, "decode", e))?;
        context.set_threading(av::threading::Config {
            kind: av::threading::Type::Frame,
            count: options.threads,
            ..Default::default()
        });
        let opened = match decoder_with_alpha(&best) {
            Some(with_alpha) => context
                .decoder()
                .open_as(with_alpha)
                .and_then(|opened| opened.video()),
            None => context.decoder().video(),
        };
        let decoder = opened.map_err(|e| match e {
            av::Error::DecoderNotFound => MediaError::new(
                MediaErrorKind::Unsupported,
                place,
                format!("this libav has no decoder for {:?}", best.parameters().id()),
            ),
            other => error(place, "open the decoder", other),
        })?;
        check_size(place, u64::from(decoder.width()), u64::from(decoder.height()))?;
        let format = input.format().name().to_owned();
        let still = (format.ends_with("_pipe") || format == "image2") && !is_pattern(place);
        let claimed = positive(best.avg_frame_rate());
        let doubtful = !still && rate::is_doubtful(claimed);
        let frame_rate = claimed
            .or_else(|| positive(best.rate()))
            .unwrap_or(Rational { num: 25, den: 1 });
        let whole = (input.duration() > 0 && !ffi::duration_is_guessed(&input))
            .then(|| input.duration() as f64 / f64::from(av::ffi::AV_TIME_BASE));
        let declared = (
            // AVI counts places for frames, which may be empty.
            u64::try_from(best.frames())
                .ok()
                .filter(|n| *n > 0 && format != "avi"),
            (best.duration() > 0)
                .then(|| seconds(best.duration(), best.time_base()))
                // Of the whole file, so it speaks of the video only when there is nothing else.
                .or(whole.filter(|_| !has_audio)),
        );
        // Matroska counts from zero, whatever the first time; others from the first time on.
        let begin = match format.starts_with("matroska") {
            true => 0.0,
            false => start_of(&input),
        };
        let (stream, time_base) = (best.index(), best.time_base());
        let chain = Chain::new(place, &best, options, still);
        let mut along = tags::of_input(&input, stream, options);
        let kept_files;
        (along.attachments, kept_files) = attached::of_input(&input);
        let first_time = match best.start_time() {
            av::ffi::AV_NOPTS_VALUE => 0,
            known => known,
        };
        let peeked = peek_sound(&mut input);
        let (carried, packet_streams, packet_tags) = carried(place, &input, options, &peeked);
        if options.audio || options.subtitles {
            warn_left_out(place, &input, stream, &kept_files);
        }
        let mut reader = Self {
            place: place.to_owned(),
            options: options.clone(),
            is_file,
            clock: ffi::clock_may_jump(&input).then(|| Clock::new(input.streams().len())),
            has_edit_lists: format.contains("mp4"),
            input,
            decoder,
            stream,
            time_base,
            first_time,
            chain,
            pictures: None,
            info: VideoInfo {
                time_base: positive(time_base).filter(|_| !still),
                packet_streams,
                along: Along { packet_tags, ..along },
                kind: if still {
                    MediaKind::StillImage
                } else {
                    MediaKind::Video
                },
                // The first frame tells the size and the rest.
                ..VideoInfo::new(0, 0, frame_rate)
            },
            pending: None,
            start: options.start,
            frames: 0,
            draining: false,
            damage: Damage::default(),
            told: Damage::default(),
            packets: 0,
            declared,
            ends: (whole.map(|whole| whole + begin), f64::NEG_INFINITY),
            last_time: 0.0,
            last_shown: None,
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
            ended: false,
            begin_at: None,
            landing: None,
            peeked,
            ahead: VecDeque::new(),
            sought: false,
        };
        if doubtful {
            reader.judge_rate(claimed);
        }
        reader.info.nominal_rate = reader.nominal_rate();
        let frame_count = match still {
            true => Some(1),
            false => reader.count_hint(),
        };
        let Some(mut first) = reader.decode()? else {
            return Err(MediaError::new(
                MediaErrorKind::Truncated { frames: 0 },
                place,
                "not one frame could be decoded; the file is cut off or damaged",
            ));
        };
        if still && is_file && reader.decoder.id() == av::codec::Id::TIFF {
            tell_directory(place, &mut first);
        }
        reader.describe(&mut first)?;
        reader.pending = Some(first);
        let ratio = |rate: Rational| f64::from(rate.num) / f64::from(rate.den.max(1));
        let filtered = frame_count.map(|count| {
            let change = ratio(reader.info.frame_rate) / ratio(frame_rate).max(1e-9);
            match reader.chain.is_asked_for() && change.is_finite() {
                true => (count as f64 * change).round() as u64,
                false => count,
            }
        });
        // The caller cannot take these off: the reader is what goes by the start.
        let left = frames_after(options.start, filtered, reader.info.frame_rate);
        let most = options
            .filters
            .seconds
            .map(|end| Start::Seconds(end).frames_at(reader.info.frame_rate));
        reader.info.frame_count = [left, most].into_iter().flatten().min();
        Ok(reader)
    }

    /// Reads the first packets to find how many frames a second has, where the container's claim cannot be trusted.
    fn judge_rate(&mut self, claimed: Option<Rational>) {
        let shown = |packet: &av::Packet| {
            let time = packet.pts().filter(|_| packet.stream() == self.stream)?;
            Some(seconds(time, self.time_base))
        };
        let mut times: Vec<f64> = self.peeked.iter().filter_map(shown).collect();
        let mut bytes = 0;
        while times.len() < rate::PACKETS && bytes < rate::BYTES {
            let mut packet = av::Packet::empty();
            // What is wrong comes up again when frames are read.
            if packet.read(&mut self.input).is_err() {
                break;
            }
            bytes += packet.size();
            if packet.stream() == self.stream
                && let Some(time) = packet.pts()
            {
                times.push(seconds(time, self.time_base));
            }
            self.peeked.push_back(packet);
        }
        let claimed = claimed.or_else(|| positive(self.input.stream(self.stream)?.rate()));
        if let Some(found) = rate::judged(claimed, &times) {
            self.info.frame_rate = found;
        }
    }

    /// The rate that frames have where none is left out, if libav found one that can be.
    fn nominal_rate(&self) -> Option<Rational> {
        let nominal = positive(self.input.stream(self.stream)?.rate())?;
        let ratio = |rate: Rational| f64::from(rate.num) / f64::from(rate.den.max(1));
        let average = ratio(self.info.frame_rate);
        let plausible = !rate::is_doubtful(Some(nominal)) && ratio(nominal) > average * 1.001;
        plausible.then_some(nominal)
    }

    /// Frames as the container counts them, or as its duration suggests.
    fn count_hint(&self) -> Option<u64> {
        let stream = self.input.stream(self.stream)?;
        if let Some(frames) = u64::try_from(stream.frames()).ok().filter(|n| *n > 0) {
            return Some(frames);
        }
        let duration = if stream.duration() > 0 {
            seconds(stream.duration(), stream.time_base())
        } else if self.input.duration() > 0 {
            self.input.duration() as f64 / f64::from(av::ffi::AV_TIME_BASE)
        } else {
            return None;
        };
        let rate = self.info.frame_rate;
        Some((duration * f64::from(rate.num) / f64::from(rate.den.max(1))).round() as u64)
    }
}

/// Gives the picture of a TIFF file the orientation that its directory says, which libav leaves out.
fn tell_directory(place: &str, picture: &mut av::frame::Video) {
    let read = |file| Directory::read(BufReader::new(file)).ok().flatten();
    let Some(directory) = std::fs::File::open(path_of(place)).ok().and_then(read) else {
        return;
    };
    let mut tags = av::Dictionary::new();
    tags.set("Orientation", &directory.orientation.to_string());
    picture.set_metadata(tags);
    if directory.has_next {
        tracing::warn!("{place}: it has several pages; the first one is taken");
    }
}

/// The decoder of VP8 or VP9 that knows transparency, for a video that says that it has some; libav's own does not show it.
fn decoder_with_alpha(stream: &av::format::stream::Stream<'_>) -> Option<av::Codec> {
    let tags = stream.metadata();
    let alpha = tags.get("alpha_mode").or_else(|| tags.get("ALPHA_MODE"));
    let name = match stream.parameters().id() {
        av::codec::Id::VP8 => "libvpx",
        av::codec::Id::VP9 => "libvpx-vp9",
        _ => return None,
    };
    alpha.filter(|alpha| *alpha == "1")?;
    av::decoder::find_by_name(name)
}

/// Reads up to the first packet of each stream whose description lacks what only packets have.
fn peek_sound(input: &mut av::format::context::Input) -> VecDeque<av::Packet> {
    let lacks = |stream: &av::format::stream::Stream<'_>| needs_packet(&stream.parameters());
    let mut lacking: Vec<usize> = input
        .streams()
        .filter(lacks)
        .map(|stream| stream.index())
        .collect();
    let mut peeked = VecDeque::new();
    let mut bytes = 0;
    while !lacking.is_empty() && bytes < rate::BYTES {
        let mut packet = av::Packet::empty();
        // What is wrong comes up again when frames are read.
        if packet.read(input).is_err() {
            break;
        }
        bytes += packet.size();
        lacking.retain(|&index| index != packet.stream());
        peeked.push_back(packet);
    }
    peeked
}

/// Whether libav finds a video in a file. It takes text for pictures made of letters, and lists for what they list; those
/// are not meant.
pub fn has_video(path: &str) -> bool {
    init();
    let Ok(input) = open_file(path, false) else {
        return false;
    };
    let format = input.format().name().to_owned();
    let others = [
        "tty",
        "ansi",
        "bin",
        "xbin",
        "adf",
        "idf",
        "ffmetadata",
        "concat",
        "hls",
        "lrc",
        "srt",
        "ass",
        "webvtt",
    ];
    if others
        .iter()
        .any(|other| format.split(',').any(|name| name == *other))
    {
        return false;
    }
    let cover = av::format::stream::Disposition::ATTACHED_PIC;
    input.streams().any(|stream| {
        let parameters = stream.parameters();
        let decodable = || av::decoder::find(parameters.id()).is_some();
        parameters.medium() == av::media::Type::Video && !stream.disposition().contains(cover) && decodable()
    })
}

/// Whether a name is that of numbered pictures, such as `frame-%04d.png`, rather than of a file.
pub fn is_pattern(place: &str) -> bool {
    place.contains('%') && !path_of(place).exists()
}

/// What shows that the end of a file is missing, if anything does.
fn cut_off(place: &str) -> Option<String> {
    whole::missing(std::fs::File::open(path_of(place)).ok()?).ok()?
}

fn not_from_a_pipe(place: &str) -> MediaError {
    MediaError::new(
        MediaErrorKind::Invalid,
        place,
        "neither y4m nor another video that libav knows. An MP4 or MOV file whose index (moov) is at its end cannot be \
         read from a pipe: give its name, or move the index to the front (ffmpeg -i IN -c copy -movflags +faststart \
         OUT). Send y4m (ffmpeg -i FILE -f yuv4mpegpipe -strict -1 -), or say what the bytes are with \
         --raw WxH@FPS:PIXFMT",
    )
}

/// The first time of any stream, in seconds.
fn start_of(input: &av::format::context::Input) -> f64 {
    let starts = input.streams().filter_map(|stream| {
        let known = stream.start_time() != av::ffi::AV_NOPTS_VALUE;
        known.then(|| seconds(stream.start_time(), stream.time_base()))
    });
    starts.reduce(f64::min).unwrap_or(0.0)
}

fn unknown(place: &str, e: av::Error) -> MediaError {
    match e {
        av::Error::InvalidData | av::Error::Eof => MediaError::new(
            MediaErrorKind::Invalid,
            place,
            "not a video that libav knows, or its beginning or index is missing; \
                 expected a file such as mp4, mkv, webm, mov, avi or gif (check with ffprobe)",
        ),
        other => error(place, "open", other),
    }
}

pub fn open_file(place: &str, network: bool) -> Result<av::format::context::Input, MediaError> {
    // libav takes names as UTF-8 only.
    if !is_utf8(place) && !is_pattern(place) {
        let file = std::fs::File::open(path_of(place)).map_err(|e| MediaError::io(place, "open", e))?;
        return open_stream(place, StreamIo::from_read_seek(file), false);
    }
    let mut settings = av::Dictionary::new();
    // A playlist must not reach out into the network on its own.
    settings.set("protocol_whitelist", if network { NETWORK } else { "file" });
    if !is_pattern(place) {
        // The reader of numbered pictures would look for others than the one that has this name.
        settings.set("pattern_type", "none");
    }
    let url = file_url(place, place)?;
    match av::format::input_with_dictionary(&url, settings.clone()) {
        // libav looks at all fragments of an MP4 file first, and gives up where one is cut off; read front to back, it
        // gives those before.
        Err(av::Error::InvalidData) if cut_off(place).is_some() => {
            settings.set("seekable", "0");
            av::format::input_with_dictionary(&url, settings)
        }
        opened => opened,
    }
    .map_err(|e| unknown(place, e))
}

fn open_address(place: &str) -> Result<av::format::context::Input, MediaError> {
    let mut settings = av::Dictionary::new();
    settings.set("protocol_whitelist", NETWORK);
    av::format::input_with_dictionary(place, settings).map_err(|e| unknown(place, e))
}

fn open_stream(
    place: &str,
    io: Result<StreamIo, av::Error>,
    is_pipe: bool,
) -> Result<av::format::context::Input, MediaError> {
    let mut settings = av::Dictionary::new();
    settings.set("protocol_whitelist", "file");
    let opened = io.and_then(|io| av::format::input_from_stream(io, None, Some(settings)));
    opened.map_err(|e| match e {
        av::Error::InvalidData | av::Error::Eof if is_pipe => not_from_a_pipe(place),
        other => unknown(place, other),
    })
}
