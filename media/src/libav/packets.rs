//! Sound and subtitles: between the packets of libav and those that a `.lbit` file carries.

use super::{matroska, positive};
use crate::options::InputOptions;
use ffmpeg_next as av;
use latentbit_container::{Packet, PacketKind, PacketStream, Rational};

/// A stream that is carried.
pub struct Carried {
    /// Its index among the carried streams.
    pub number: usize,
    /// Whether its packets are MP4 timed text.
    mov_text: bool,
}

/// The streams of `input` that are wanted and can be carried, by their index in the file, and their descriptions. Others
/// are left out with a warning.
pub fn carried(
    place: &str,
    input: &av::format::context::Input,
    options: &InputOptions,
) -> (Vec<Option<Carried>>, Vec<PacketStream>) {
    let mut streams = Vec::new();
    let carried = input.streams().map(|stream| {
        let parameters = stream.parameters();
        let kind = match parameters.medium() {
            av::media::Type::Audio if options.audio => PacketKind::Audio,
            av::media::Type::Subtitle if options.subtitles => PacketKind::Subtitles,
            _ => return None,
        };
        let mov_text = parameters.id() == av::codec::Id::MOV_TEXT;
        match describe(&stream, kind, mov_text) {
            Ok(described) => {
                streams.push(described);
                Some(Carried {
                    number: streams.len() - 1,
                    mov_text,
                })
            }
            Err(why) => {
                let id = parameters.id();
                tracing::warn!("{place}: stream {} ({id:?}) is left out: {why}", stream.index());
                None
            }
        }
    });
    let carried = carried.collect();
    (carried, streams)
}

fn describe(
    stream: &av::format::stream::Stream<'_>,
    kind: PacketKind,
    mov_text: bool,
) -> Result<PacketStream, String> {
    let base = positive(stream.time_base()).unwrap_or(Rational { num: 1, den: 1000 });
    let mut described = match mov_text {
        // The text without its styles is what Matroska calls plain text.
        true => matroska::Track {
            codec: "S_TEXT/UTF8".to_owned(),
            ..matroska::Track::default()
        }
        .into_stream(kind, base),
        false => matroska::describe(stream.parameters(), kind, base)?,
    };
    is_carried(&described)?;
    let plain = |text: &str| text.replace(char::is_control, " ");
    described.language = plain(stream.metadata().get("language").unwrap_or_default());
    described.title = plain(stream.metadata().get("title").unwrap_or_default());
    let disposition = stream.disposition();
    described.default = disposition.contains(av::format::stream::Disposition::DEFAULT);
    described.forced = disposition.contains(av::format::stream::Disposition::FORCED);
    Ok(described)
}

/// Codecs whose packets are the same in libav and in Matroska; those of others would have to be converted.
const SAME_PACKETS: [&str; 15] = [
    "A_AAC",
    "A_AC3",
    "A_ALAC",
    "A_DTS",
    "A_EAC3",
    "A_FLAC",
    "A_MPEG/L2",
    "A_MPEG/L3",
    "A_OPUS",
    "A_PCM/FLOAT/IEEE",
    "A_PCM/INT/BIG",
    "A_PCM/INT/LIT",
    "A_VORBIS",
    "S_TEXT/ASS",
    "S_TEXT/UTF8",
];

/// Fails for streams whose packets differ from those of Matroska.
fn is_carried(stream: &PacketStream) -> Result<(), String> {
    let codec = stream.codec.as_str();
    if !SAME_PACKETS.contains(&codec) && codec != "S_HDMV/PGS" {
        return Err(format!("{codec} is not carried yet"));
    }
    // In transport streams every packet has a header of its own instead, which Matroska does not have.
    if codec == "A_AAC" && stream.private.is_empty() {
        return Err(
            "AAC in packets with ADTS headers is not carried; put it in an MP4 or Matroska file first"
                .to_owned(),
        );
    }
    Ok(())
}

impl Carried {
    /// The packet as it is carried; none if it is empty or has no time.
    pub fn packet(&self, packet: &av::Packet) -> Option<Packet> {
        let data = packet.data()?;
        let data = match self.mov_text {
            true => text_of(data)?,
            false => data,
        };
        let pts = packet.pts().or(packet.dts())?;
        Some(Packet {
            pts,
            dts: packet.dts().filter(|&dts| dts != pts),
            duration: u64::try_from(packet.duration()).unwrap_or(0),
            key: packet.is_key(),
            data: data.to_vec(),
        })
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
}

/// Adds those `streams` to `output` that its format can hold, and says where each one is. Others are left out with a
/// warning.
pub fn add_streams(
    place: &str,
    output: &mut av::format::context::Output,
    streams: &[PacketStream],
) -> Vec<Option<Written>> {
    let format = output.format().name().to_owned();
    let added = streams.iter().map(|stream| {
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
        added.set_metadata(metadata(stream));
        Some(Written {
            index: added.index(),
            from,
            to: from,
            mov_text,
        })
    });
    added.collect()
}

fn metadata(stream: &PacketStream) -> av::Dictionary<'static> {
    let mut metadata = av::Dictionary::new();
    for (key, value) in [("language", &stream.language), ("title", &stream.title)] {
        if !value.is_empty() && !value.contains('\0') {
            metadata.set(key, value);
        }
    }
    metadata
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
        made.rescale_ts(self.from, self.to);
        Some(made)
    }
}
