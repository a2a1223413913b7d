//! Reads everything that libav can decode.

mod clock;
mod convert;
mod filter;
mod open;
mod rate;
mod start;

use super::packets::Carried;
use super::tags::{MasteringDisplay, content_light_of};
use super::{error, positive, seconds, to_av, views};
use crate::along::{color_name, picture};
use crate::background::{PullSource, starts_after_end};
use crate::color::{code, matrix_of};
use crate::error::{MediaError, MediaErrorKind};
use crate::icc::is_srgb;
use crate::options::InputOptions;
use crate::start::Start;
use crate::video::{Damage, Extras, VideoInfo, check_size};
use crate::whole;
use base64::Engine;
use clock::Clock;
pub use convert::{Pictures, is_rgb, layout_of};
use ffmpeg_next as av;
use filter::Chain;
use latentbit_codec::Frame;
use latentbit_container::{Color, ColorRange, Rational, rescale};
pub use open::{Origin, has_video, is_pattern};
use std::collections::VecDeque;

/// Decodes the best video stream of a file.
pub struct LibavReader {
    place: String,
    options: InputOptions,
    /// Whether the input is a file that can be opened again.
    is_file: bool,
    input: av::format::context::Input,
    decoder: av::decoder::Video,
    stream: usize,
    time_base: av::Rational,
    first_time: i64,
    info: VideoInfo,
    /// What is done to decoded frames before they become RGB.
    chain: Chain,
    /// None until the first frame has told what pictures are.
    pictures: Option<Pictures>,
    /// The first frame is decoded while opening, because only frames tell their true format.
    pending: Option<av::frame::Video>,
    start: Option<Start>,
    frames: u64,
    draining: bool,
    damage: Damage,
    /// What of it was told with frames.
    told: Damage,
    packets: u64,
    /// Packets and seconds of the video stream by the container's own account.
    declared: (Option<u64>, Option<f64>),
    /// When the file ends by the container's own account, and when the last packet of any stream did, in seconds.
    ends: (Option<f64>, f64),
    /// Whether containers of this kind have lists that hide packets.
    has_edit_lists: bool,
    /// When the last decoded frame is shown.
    last_time: f64,
    /// The time of the last decoded frame, mended to rise.
    last_shown: Option<i64>,
    /// Time of the first frame that was given, and of the last one after it.
    times: Option<(i64, i64)>,
    /// Sound and subtitles, by their streams in the file.
    carried: Vec<Option<Carried>>,
    /// Mends times that jump; none for kinds of files in which they do not.
    clock: Option<Clock>,
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
    /// Whether the last frame has been decoded.
    ended: bool,
    /// When the first frame that was given is shown, in seconds.
    begin_at: Option<f64>,
    /// How the start is being reached, until it has been.
    landing: Option<Landing>,
    /// Packets of all streams that were read to judge the rate.
    peeked: VecDeque<av::Packet>,
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

/// Packets that may fail to decode one after the other before the file counts as broken.
const MAX_DAMAGED: u64 = 1000;

/// Times are compared with this slack, as those of a start are.
const TIME_SLACK: f64 = 1e-6;

/// Seconds by which sound may be late or early and still belong to a frame.
const SOUND_SLACK: f64 = 1.0;

/// Bytes of packets that may come before a frame: seconds of sound, or a minute of it uncompressed.
const MAX_WAITING: usize = 64 << 20;

impl LibavReader {
    /// Takes from the first frame what the file's header may not say.
    fn describe(&mut self, frame: &mut av::frame::Video) -> Result<(), MediaError> {
        check_size(&self.place, u64::from(frame.width()), u64::from(frame.height()))?;
        let decoded = frame.format();
        let name = convert::format_name(decoded);
        let rgb = is_rgb(&layout_of(decoded).0);
        let range = match frame.color_range() {
            _ if rgb || name.starts_with("yuvj") => ColorRange::Full,
            av::color::Range::MPEG => ColorRange::Limited,
            av::color::Range::JPEG => ColorRange::Full,
            _ => ColorRange::Unspecified,
        };
        let mut color = Color {
            primaries: av::ffi::AVColorPrimaries::from(frame.color_primaries()) as u32 as u8,
            transfer: av::ffi::AVColorTransferCharacteristic::from(frame.color_transfer_characteristic())
                as u32 as u8,
            matrix: av::ffi::AVColorSpace::from(frame.color_space()) as u32 as u8,
            range,
        };
        if !rgb {
            let matrix = matrix_of(&color);
            color.matrix = matrix.ok_or_else(|| {
                MediaError::new(
                    MediaErrorKind::Unsupported,
                    &self.place,
                    format!(
                        "its colours have the matrix {} of H.273, which is not known here and would come out wrong; \
                         bring them to another one first (ffmpeg -vf zscale=matrix=709)",
                        color.matrix
                    ),
                )
            })?;
        }
        self.chain
            .begin(&mut self.input, self.stream, frame, self.info.frame_rate)?;
        let output = self.chain.output();
        check_size(&self.place, output.width.into(), output.height.into())?;
        let (layout, target) = layout_of(output.format);
        if is_rgb(&layout) {
            (color.matrix, color.range) = (code::MATRIX_RGB, ColorRange::Full);
        } else if rgb {
            (color.matrix, color.range) = (code::UNSPECIFIED, ColorRange::Unspecified);
        }
        (self.info.width, self.info.height) = (output.width, output.height);
        self.info.unfiltered = self.chain.upright_size();
        self.info.pixel_aspect = output.aspect;
        if self.chain.is_asked_for() {
            self.info.nominal_rate = None;
        }
        self.info.frame_rate = output.rate;
        self.info.time_base = self.info.time_base.map(|_| output.time_base);
        self.info.color = color;
        self.info.chroma = layout.chroma();
        self.info.chroma_location = av::ffi::AVChromaLocation::from(frame.chroma_location()) as u32 as u8;
        self.info.bit_depth = layout.depth;
        self.info.alpha = convert::has_alpha(target) && convert::is_transparent(frame);
        if self.info.alpha {
            let color = color_name(self.options.background);
            tracing::warn!(
                "{}: pictures have transparency; they are laid over {color} (--background)",
                self.place
            );
            self.info
                .along
                .video_tags
                .push((picture::BACKGROUND.to_owned(), color));
        }
        self.describe_along(frame);
        self.pictures = Some(Pictures::new(
            &self.place,
            (output.width, output.height),
            color,
            self.info.chroma_location,
            self.options.background,
        ));
        Ok(())
    }

    /// Notes what stream and first frame say of brightness, colours, transparency and fields.
    fn describe_along(&mut self, frame: &av::frame::Video) {
        use av::codec::packet::side_data::Type as Beside;
        use av::frame::side_data::Type as Within;
        let Some(stream) = self.input.stream(self.stream) else {
            return;
        };
        let beside = |kind: Beside| stream.side_data().find(|data| data.kind() == kind);
        let bytes = |kind: Beside, within: Within| {
            let found = beside(kind).map(|data| data.data().to_vec());
            found.or_else(|| frame.side_data(within).map(|data| data.data().to_vec()))
        };
        let tags = &mut self.info.along.video_tags;
        if let Some(display) = bytes(Beside::MasteringDisplayMetadata, Within::MasteringDisplayMetadata)
            .and_then(|bytes| MasteringDisplay::of_libav(&bytes))
        {
            tags.push((picture::MASTERING_DISPLAY.to_owned(), display.text()));
        }
        let light = bytes(Beside::ContentLightLevel, Within::ContentLightLevel);
        tags.extend(light.and_then(|bytes| content_light_of(&bytes)));
        let profile = bytes(Beside::ICC_PROFILE, Within::IccProfile);
        if let Some(profile) = profile.filter(|profile| !is_srgb(profile)) {
            let text = base64::engine::general_purpose::STANDARD.encode(profile);
            tags.push((picture::ICC_PROFILE.to_owned(), text));
        }
        let has_mode = tags.iter().any(|(key, _)| key == picture::STEREO_MODE);
        let stereo = bytes(Beside::Stereo3d, Within::Stereo3D).filter(|_| !has_mode);
        tags.extend(stereo.and_then(|bytes| views::stereo_of(&bytes)));
        let sphere = bytes(Beside::DataSpherical, Within::Spherical);
        tags.extend(sphere.and_then(|bytes| views::spherical_of(&bytes)));
        if self.chain.keeps_fields() {
            let first = if frame.is_top_first() { "top" } else { "bottom" };
            tags.push((picture::FIELDS.to_owned(), first.to_owned()));
        }
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
                    if self.landing.is_none() && (frame.is_corrupt() || frame.has_decode_errors()) {
                        self.damage.frames += 1;
                    }
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
            match self.read_packet() {
                Ok(packet) if packet.stream() != self.stream => self.carry(&packet),
                Ok(packet) => {
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

    /// The next packet of any stream, with times that run on.
    fn read_packet(&mut self) -> Result<av::Packet, av::Error> {
        let mut packet = match self.peeked.pop_front() {
            Some(packet) => packet,
            None => {
                let mut packet = av::Packet::empty();
                packet.read(&mut self.input)?;
                packet
            }
        };
        self.mend_times(&mut packet);
        Ok(packet)
    }

    /// Brings the times of a packet to a clock that does not jump, and keeps in mind when it ends.
    fn mend_times(&mut self, packet: &mut av::Packet) {
        use av::Rescale;
        const MICROSECONDS: av::Rational = av::Rational(1, 1_000_000);
        let index = packet.stream();
        let Some(stream) = self.input.stream(index) else {
            return;
        };
        let base = stream.time_base();
        let medium = stream.parameters().medium();
        if let Some(clock) = &mut self.clock
            && matches!(medium, av::media::Type::Video | av::media::Type::Audio)
        {
            let time = packet.dts().or(packet.pts());
            let frame = Rational {
                num: self.info.frame_rate.den,
                den: self.info.frame_rate.num,
            };
            let duration = match packet.duration() {
                known @ 1.. => known.rescale(base, MICROSECONDS),
                _ if index == self.stream => rescale(
                    1,
                    frame,
                    Rational {
                        num: 1,
                        den: 1_000_000,
                    },
                ),
                _ => 0,
            };
            let (offset, jump) =
                clock.mend(index, time.map(|time| time.rescale(base, MICROSECONDS)), duration);
            if let Some(jump) = jump
                && clock.jumps == 1
                && self.landing.is_none()
            {
                let begin = seconds(self.first_time, self.time_base);
                tracing::warn!(
                    "{}: the clock jumps by {:.3} s at {:.3} s, as where recordings were joined; times run on",
                    self.place,
                    jump.by as f64 / 1e6,
                    jump.at as f64 / 1e6 - begin
                );
            }
            if offset != 0 {
                let offset = offset.rescale(MICROSECONDS, base);
                packet.set_pts(packet.pts().map(|time| time.saturating_add(offset)));
                packet.set_dts(packet.dts().map(|time| time.saturating_add(offset)));
            }
        }
        if let Some(time) = packet.pts().or(packet.dts()) {
            let end = seconds(time.saturating_add(packet.duration().max(0)), base);
            self.ends.1 = self.ends.1.max(end);
        }
    }

    /// Keeps a packet of another stream.
    fn carry(&mut self, packet: &av::Packet) {
        let Some(carried) = self.carried.get_mut(packet.stream()).and_then(Option::as_mut) else {
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

    /// The time of a decoded frame; times that do not rise are mended.
    fn shown_at(&mut self, frame: &av::frame::Video) -> i64 {
        let tick = Rational {
            num: self.info.frame_rate.den,
            den: self.info.frame_rate.num,
        };
        let base = positive(self.time_base).unwrap_or(tick);
        let step = rescale(1, tick, base).max(1);
        let time = match (frame.timestamp(), self.last_shown) {
            (Some(time), Some(last)) if time <= last => last.saturating_add(step),
            (Some(time), _) => time,
            (None, Some(last)) => last.saturating_add(step),
            (None, None) => self.first_time,
        };
        self.last_shown = Some(time);
        time
    }

    /// As in players, a packet that does not decode costs its frames, not the rest of the video.
    fn damage(&mut self, e: av::Error) -> Result<(), MediaError> {
        self.damage.packets += 1;
        if self.damage.packets == 1 && self.landing.is_none() {
            tracing::warn!(
                "{}: a damaged packet after frame {} is left out: {e}",
                self.place,
                self.frames
            );
        }
        if self.damage.packets > MAX_DAMAGED {
            return Err(error(&self.place, "decode", e));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<Option<av::frame::Video>, MediaError> {
        if self.landing.is_some() {
            return Ok(None);
        }
        let Damage { packets, frames } = self.damage;
        if packets > 0 {
            tracing::warn!("{}: {packets} damaged packets were left out", self.place);
        }
        if frames > 0 {
            tracing::warn!(
                "{}: {frames} frames are damaged; the decoder made up what it could not read",
                self.place
            );
        }
        match self.lacking() {
            None => Ok(None),
            Some(why) => Err(MediaError::new(
                MediaErrorKind::Truncated { frames: self.frames },
                &self.place,
                format!(
                    "the file is cut off or damaged after {} frames: {why}",
                    self.frames
                ),
            )),
        }
    }

    /// At the end of what can be read: what shows that there was more, if anything does.
    fn lacking(&self) -> Option<String> {
        if let Some(e) = &self.read_error {
            return Some(e.to_string());
        }
        let frame_time = f64::from(self.info.frame_rate.den) / f64::from(self.info.frame_rate.num.max(1));
        let end = self.last_time + frame_time;
        if let (Some(packets), Some(duration)) = self.declared {
            // Edit lists hide packets and shorten the duration with them, so one shortfall alone proves nothing.
            let short = end < duration - 0.5 * frame_time || !self.has_edit_lists;
            if short && self.all_packets() < packets {
                return Some(format!("its index lists {packets} frames and {duration:.2} s"));
            }
        }
        // Whatever the streams, one of them lasts to the end of a whole file.
        let (declared, last) = self.ends;
        let last = last.max(end + seconds(self.first_time, self.time_base));
        if let Some(declared) = declared
            && last < declared - 0.5 - frame_time
        {
            return Some(format!(
                "it says that it ends at {declared:.2} s, and the last packet does at {last:.2} s"
            ));
        }
        if self.is_file {
            let file = std::fs::File::open(crate::name::path_of(&self.place)).ok()?;
            return whole::missing(file).ok().flatten();
        }
        None
    }

    /// How many packets the video has in this file.
    fn all_packets(&self) -> u64 {
        match self.sought && self.is_file {
            true => count_packets(&self.place, self.stream).unwrap_or(self.packets),
            false => self.packets,
        }
    }

    /// The next decoded frame that is not before the start and not after the end.
    fn next_wanted(&mut self) -> Result<Option<av::frame::Video>, MediaError> {
        while let Some(frame) = self.decode()? {
            let time = self.time_of(&frame);
            if let Some(start) = self.start {
                if start.skips(self.frames, time) {
                    self.unwanted = self.unwanted.max(time - SOUND_SLACK);
                    self.frames += 1;
                    continue;
                }
                self.start = None;
            }
            let begin = *self.begin_at.get_or_insert(time);
            if self
                .options
                .filters
                .seconds
                .is_some_and(|end| time - begin >= end - TIME_SLACK)
            {
                return Ok(None);
            }
            self.frames += 1;
            return Ok(Some(frame));
        }
        Ok(None)
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
            if self.pull()?.is_none() {
                return Ok(done);
            }
        }
        Ok(count)
    }

    fn pull(&mut self) -> Result<Option<Frame>, MediaError> {
        if !self.begun {
            self.go_to_start()?;
            self.begun = true;
        }
        loop {
            if let Some(frame) = self.chain.pull()? {
                let Some(pictures) = &mut self.pictures else {
                    return Ok(None);
                };
                let picture = pictures.convert(&frame)?;
                if self.info.time_base.is_some()
                    && let Some(time) = frame.pts()
                {
                    let (first, last) = *self.times.get_or_insert((time, time));
                    self.times = Some((first, time.max(last)));
                    self.extras.time = Some(time.saturating_sub(first));
                    self.extras.duration = self.chain.duration(&frame);
                }
                return Ok(Some(picture));
            }
            if self.ended {
                break;
            }
            match self.next_wanted()? {
                Some(mut frame) => {
                    let time = self.shown_at(&frame);
                    frame.set_pts(Some(time));
                    self.chain.push(&mut self.input, self.stream, &mut frame)?;
                }
                None => {
                    self.ended = true;
                    self.chain.end()?;
                }
            }
        }
        if self.start.take().is_some() && self.frames > 0 {
            return Err(starts_after_end(&self.place, self.frames));
        }
        Ok(None)
    }

    fn extras(&mut self) -> Extras {
        let mut extras = std::mem::take(&mut self.extras);
        self.waiting = 0;
        extras.damage = self.damage.since(self.told);
        self.told = self.damage;
        let base = positive(self.time_base).unwrap_or(Rational { num: 1, den: 1 });
        let (first, base) = match (self.times, self.info.time_base) {
            (Some((first, _)), Some(base)) => (first, base),
            _ => (self.first_time, base),
        };
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

/// Packets of a stream, counted one by one.
fn count_packets(place: &str, stream: usize) -> Result<u64, MediaError> {
    let mut input = open::open_file(place, false)?;
    let mut count = 0;
    let mut packet = av::Packet::empty();
    while packet.read(&mut input).is_ok() {
        count += u64::from(packet.stream() == stream);
    }
    Ok(count)
}
