//! Sound and subtitles: between the packets of libav and those that a `.lbit` file carries.

use super::ffi::{self, PacketFilter};
use super::{matroska, opus, positive, tags};
use crate::along::Along;
use crate::options::InputOptions;
use av::codec::packet::side_data::Type as SideData;
use av::format::stream::Disposition;
use ffmpeg_next as av;
use latentbit_container::{Packet, PacketKind, PacketStream, Rational, rescale};

/// A stream that is carried.
pub struct Carried {
    /// Its index among the carried streams.
    pub number: usize,
    /// Whether its packets are MP4 timed text.
    mov_text: bool,
    /// Brings its packets to the form that Matroska has.
    filter: Option<PacketFilter>,
    opus: bool,
    /// Seconds per tick of its packets, as they come and as they are carried.
    source: Rational,
    time_base: Rational,
}

const OPUS: &str = "A_OPUS";

/// What the streams that are carried have: how they are read, their descriptions, and their tags.
type CarriedStreams = (Vec<Option<Carried>>, Vec<PacketStream>, Vec<tags::Tags>);

/// Whether a stream can only be described with one of its packets at hand: AAC whose packets have ADTS headers, as in
/// transport streams.
pub fn needs_packet(parameters: &av::codec::Parameters) -> bool {
    parameters.id() == av::codec::Id::AAC && ffi::private_data(parameters).is_empty()
}

/// The streams of `input` that are wanted and can be carried, by their index in the file. Others are left out with a
/// warning. `packets` are the first ones of the file, with one at least of those streams that [need one](needs_packet).
pub fn carried<'a>(
    place: &str,
    input: &av::format::context::Input,
    options: &InputOptions,
    packets: impl IntoIterator<Item = &'a av::Packet> + Clone,
) -> CarriedStreams {
    let (mut streams, mut all_tags) = (Vec::new(), Vec::new());
    let carried = input.streams().map(|stream| {
        let parameters = stream.parameters();
        let kind = match parameters.medium() {
            av::media::Type::Audio if options.audio => PacketKind::Audio,
            av::media::Type::Subtitle if options.subtitles => PacketKind::Subtitles,
            _ => return None,
        };
        let mut packets = packets.clone().into_iter();
        let first = packets.find(|packet| packet.stream() == stream.index());
        match describe(&stream, kind, first) {
            Ok((described, filter)) => {
                let made = Carried {
                    number: streams.len(),
                    mov_text: parameters.id() == av::codec::Id::MOV_TEXT,
                    filter,
                    opus: described.codec == OPUS,
                    source: positive(stream.time_base()).unwrap_or(described.time_base),
                    time_base: described.time_base,
                };
                streams.push(described);
                all_tags.push(tags::of_stream(&stream));
                Some(made)
            }
            Err(why) => {
                let id = parameters.id();
                tracing::warn!("{place}: stream {} ({id:?}) is left out: {why}", stream.index());
                None
            }
        }
    });
    let carried = carried.collect();
    (carried, streams, all_tags)
}

/// Names the streams for which `.lbit` has no place: whatever is neither the video at index `video`, sound, subtitles nor an
/// attachment that is kept.
pub fn warn_left_out(place: &str, input: &av::format::context::Input, video: usize, attached: &[usize]) {
    let others = input.streams().filter_map(|stream| {
        let tags = stream.metadata();
        let name = match stream.parameters().medium() {
            _ if stream.index() == video || attached.contains(&stream.index()) => return None,
            av::media::Type::Audio | av::media::Type::Subtitle => return None,
            // A track of time codes, which are in the tags of the video, too.
            av::media::Type::Data if tags.get("timecode").is_some() => return None,
            av::media::Type::Video if stream.disposition().contains(Disposition::ATTACHED_PIC) => {
                "the cover picture".to_owned()
            }
            av::media::Type::Video => "another video".to_owned(),
            _ => match tags.get("filename") {
                Some(name) => format!("'{}'", name.escape_debug()),
                None => "data".to_owned(),
            },
        };
        Some(format!("{name} (stream {})", stream.index()))
    });
    let others: Vec<String> = others.collect();
    if !others.is_empty() {
        tracing::warn!(
            "{place}: a .lbit file has no place for {}, which is left out",
            others.join(", ")
        );
    }
}

fn describe(
    stream: &av::format::stream::Stream<'_>,
    kind: PacketKind,
    first: Option<&av::Packet>,
) -> Result<(PacketStream, Option<PacketFilter>), String> {
    let base = positive(stream.time_base()).unwrap_or(Rational { num: 1, den: 1000 });
    let mut parameters = ffi::without_tag(&stream.parameters());
    let mut filter = None;
    if needs_packet(&parameters) {
        let lacking = "it is AAC without the description that its packets' ADTS headers should give";
        let mut made = PacketFilter::new("aac_adtstoasc", &parameters).ok_or(lacking)?;
        let filtered = first.and_then(|packet| made.run(packet)).ok_or(lacking)?;
        let description = made.private_data(&filtered);
        if description.is_empty() {
            return Err(lacking.to_owned());
        }
        ffi::set_private_data(&mut parameters, &description);
        filter = Some(made);
    }
    let mut described = match parameters.id() {
        // The text without its styles is what Matroska calls plain text.
        av::codec::Id::MOV_TEXT => matroska::Track {
            codec: "S_TEXT/UTF8".to_owned(),
            ..matroska::Track::default()
        }
        .into_stream(kind, base),
        _ => matroska::describe(parameters, kind, base)?,
    };
    is_carried(&described)?;
    if described.codec == OPUS {
        // Its end is a matter of samples, and ticks of containers may be longer.
        described.time_base = opus::SAMPLE;
    }
    let plain = |text: &str| text.replace(char::is_control, " ");
    described.language = plain(stream.metadata().get("language").unwrap_or_default());
    described.title = plain(stream.metadata().get("title").unwrap_or_default());
    let disposition = stream.disposition();
    described.default = disposition.contains(Disposition::DEFAULT);
    described.forced = disposition.contains(Disposition::FORCED);
    Ok((described, filter))
}

/// Codecs whose packets are the same in libav and in Matroska; those of others would have to be converted.
const SAME_PACKETS: [&str; 22] = [
    "A_AAC",
    "A_AC3",
    "A_ALAC",
    "A_DTS",
    "A_EAC3",
    "A_FLAC",
    "A_MLP",
    "A_MPEG/L1",
    "A_MPEG/L2",
    "A_MPEG/L3",
    "A_MS/ACM",
    "A_OPUS",
    "A_PCM/FLOAT/IEEE",
    "A_PCM/INT/BIG",
    "A_PCM/INT/LIT",
    "A_TRUEHD",
    "A_TTA1",
    "A_VORBIS",
    "S_HDMV/PGS",
    "S_TEXT/ASS",
    "S_TEXT/UTF8",
    "S_VOBSUB",
];

/// Fails for streams whose packets differ from those of Matroska.
fn is_carried(stream: &PacketStream) -> Result<(), String> {
    let codec = stream.codec.as_str();
    match SAME_PACKETS.contains(&codec) {
        true => Ok(()),
        false => Err(format!(
            "{codec} is not carried: its packets differ from those of Matroska"
        )),
    }
}

impl Carried {
    /// The packet as it is carried; none if it is empty or has no time.
    pub fn packet(&mut self, packet: &av::Packet) -> Option<Packet> {
        let filtered = self.filter.as_mut().map(|filter| filter.run(packet));
        let packet = match &filtered {
            Some(filtered) => filtered.as_ref()?,
            None => packet,
        };
        let data = packet.data()?;
        let data = match self.mov_text {
            true => text_of(data)?,
            false => data,
        };
        let pts = packet.pts().or(packet.dts())?;
        let time = |time: i64| match self.source == self.time_base {
            true => time,
            false => rescale(time, self.source, self.time_base),
        };
        Some(Packet {
            pts: time(pts),
            dts: packet.dts().filter(|&dts| dts != pts).map(time),
            duration: match self.opus {
                true => self.heard(packet, data),
                false => u64::try_from(packet.duration()).unwrap_or(0),
            },
            key: packet.is_key(),
            data: data.to_vec(),
        })
    }

    /// How long an Opus packet is heard, without the padding at the end of a stream.
    fn heard(&self, packet: &av::Packet, data: &[u8]) -> u64 {
        let skipped = packet
            .side_data()
            .find(|data| data.kind() == SideData::SkipSamples);
        let padding =
            skipped.and_then(|data| Some(u32::from_le_bytes(data.data().get(4..8)?.try_into().ok()?)));
        let whole = opus::samples(data);
        match padding {
            Some(padding) if padding <= whole => u64::from(whole - padding),
            // The last packet of an MP4 file has a shorter duration instead.
            _ => {
                let shown = rescale(packet.duration().max(0), self.source, self.time_base);
                let tick = rescale(1, self.source, self.time_base);
                match i64::from(whole) - shown > tick && shown > 0 {
                    true => u64::try_from(shown).unwrap_or(0),
                    false => u64::from(whole),
                }
            }
        }
    }
}

/// The text of MP4 timed text, without its styles; none if it is empty, which only ends the text before it.
fn text_of(data: &[u8]) -> Option<&[u8]> {
    let (len, rest) = data.split_first_chunk::<2>()?;
    let text = rest.get(..usize::from(u16::from_be_bytes(*len)))?;
    (!text.is_empty()).then_some(text)
}

/// A stream that is written.
pub struct Written {
    /// Its place in the output.
    index: usize,
    from: av::Rational,
    to: av::Rational,
    /// Whether its texts are written as MP4 timed text.
    mov_text: bool,
    opus: bool,
    /// Seconds per tick of the packets that come.
    time_base: Rational,
}

/// Adds those `streams` to `output` that its format can hold, and says where each one is. Others are left out with a
/// warning.
pub fn add_streams(
    place: &str,
    output: &mut av::format::context::Output,
    streams: &[PacketStream],
    along: &Along,
) -> Vec<Option<Written>> {
    let format = output.format().name().to_owned();
    let added = streams.iter().enumerate().map(|(number, stream)| {
        let (parameters, mov_text) = match accepted(&format, stream) {
            Ok(accepted) => accepted,
            Err(why) => {
                tracing::warn!(
                    "{place}: {} does not fit in this kind of file and is left out: {why}",
                    stream.codec
                );
                return None;
            }
        };
        let from = av::Rational::new(
            i32::try_from(stream.time_base.num).unwrap_or(1),
            i32::try_from(stream.time_base.den).unwrap_or(1000),
        );
        let mut added = output.add_stream(None::<av::Codec>).ok()?;
        added.set_parameters(parameters);
        added.set_time_base(from);
        let none = tags::Tags::new();
        let all = along.packet_tags.get(number).unwrap_or(&none);
        added.set_metadata(metadata(stream, all));
        let mut disposition = tags::disposition(all);
        disposition.set(Disposition::DEFAULT, stream.default);
        disposition.set(Disposition::FORCED, stream.forced);
        ffi::set_disposition(&mut added, disposition);
        Some(Written {
            index: added.index(),
            from,
            to: from,
            mov_text,
            opus: stream.codec == OPUS,
            time_base: stream.time_base,
        })
    });
    added.collect()
}

fn metadata(stream: &PacketStream, all: &tags::Tags) -> av::Dictionary<'static> {
    let known = [("language", &stream.language), ("title", &stream.title)];
    let others = all.iter().map(|(key, value)| (key.as_str(), value));
    tags::dictionary(
        known
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .chain(others),
    )
}

/// What libav must know to write a stream in a format, and whether its texts become MP4 timed text.
fn accepted(format: &str, stream: &PacketStream) -> Result<(av::codec::Parameters, bool), String> {
    let text = stream.codec == "S_TEXT/UTF8" && matches!(format, "mp4" | "mov" | "ipod" | "3gp");
    let parameters = match text {
        true => {
            let mut parameters = av::codec::Parameters::new();
            parameters.set_medium(av::media::Type::Subtitle);
            parameters.set_id(av::codec::Id::MOV_TEXT);
            parameters
        }
        false => matroska::parameters(stream)?,
    };
    matroska::try_format(format, &parameters)?;
    Ok((parameters, text))
}

impl Written {
    /// Takes over the time base that the format chose, once the header was written.
    pub fn settle(&mut self, output: &av::format::context::Output) {
        if let Some(stream) = output.stream(self.index) {
            self.to = stream.time_base();
        }
    }

    /// The packet as libav writes it.
    pub fn packet(&self, packet: &Packet) -> Option<av::Packet> {
        let data = match self.mov_text {
            true => {
                let len = u16::try_from(packet.data.len()).ok()?;
                [&len.to_be_bytes()[..], &packet.data].concat()
            }
            false => packet.data.clone(),
        };
        let mut made = av::Packet::copy(&data);
        made.set_stream(self.index);
        made.set_pts(Some(packet.pts));
        made.set_dts(Some(packet.dts.unwrap_or(packet.pts)));
        made.set_duration(i64::try_from(packet.duration).unwrap_or(0));
        if packet.key {
            made.set_flags(av::codec::packet::Flags::KEY);
        }
        if self.opus && packet.duration > 0 {
            let whole = opus::samples(&packet.data);
            let duration = i64::try_from(packet.duration).unwrap_or(i64::MAX);
            let heard = rescale(duration, self.time_base, opus::SAMPLE);
            let padding = i64::from(whole).saturating_sub(heard);
            // Ticks may be as coarse as a millisecond, so a little less is no padding.
            if padding > rescale(1, self.time_base, opus::SAMPLE) {
                ffi::set_padding(&mut made, u32::try_from(padding).unwrap_or(0));
            }
        }
        made.rescale_ts(self.from, self.to);
        Some(made)
    }
}
