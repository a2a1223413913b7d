//! What JavaScript gets to see: plain objects whose types are in `ts/types.ts`.
//!
//! Ticks are `bigint`, because they may be any number of 64 bits; counts and offsets are `number`, exact below 2^53.

use js_sys::{BigUint64Array, Uint8Array, Uint32Array};
use latentbit_container::edit::Recovered;
use latentbit_container::{
    Chapter, Chroma, Chunk, ChunkHead, ChunkInfo, ColorRange, Error, ErrorKind, Event, Header, Limits,
    Metadata, Needed, Packet, PacketKind, PacketStream, Packets, Problems, Rational, Status, Stream,
    StreamId, Totals, Verification, Version, VideoStream,
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use wasm_bindgen::JsValue;

/// `value` for JavaScript.
pub fn to_js(value: &impl Serialize) -> Result<JsValue, JsValue> {
    let serializer = serde_wasm_bindgen::Serializer::new()
        .serialize_missing_as_null(true)
        .serialize_maps_as_objects(true)
        .serialize_large_number_types_as_bigints(true);
    Ok(value.serialize(&serializer)?)
}

/// A count or an offset as JavaScript has numbers.
const fn count(value: u64) -> f64 {
    value as f64
}

const fn rational(value: Rational) -> [u32; 2] {
    [value.num, value.den]
}

fn stream_or_null(stream: StreamId) -> Option<u16> {
    (stream != StreamId::NONE).then_some(stream.0)
}

/// An error as JavaScript gets it.
pub fn problem(error: &Error) -> impl Serialize + use<> {
    #[derive(Serialize)]
    struct Problem {
        kind: &'static str,
        message: String,
        offset: Option<f64>,
        chunk: Option<f64>,
    }
    Problem {
        kind: match error.kind() {
            ErrorKind::Io => "io",
            ErrorKind::Format => "format",
            ErrorKind::Truncated => "truncated",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Limits => "limits",
            ErrorKind::Parameter => "parameter",
            _ => "unknown",
        },
        message: error.to_string(),
        offset: error.offset().map(count),
        chunk: error.chunk().map(count),
    }
}

/// What is thrown for an error.
pub fn thrown(error: &Error) -> JsValue {
    to_js(&problem(error)).unwrap_or_else(|other| other)
}

fn problems(list: &Problems<Error>) -> Vec<impl Serialize + use<>> {
    list.iter().map(problem).collect()
}

/// Limits as JavaScript gives them: a number, `Infinity` for none, nothing for the default.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GivenLimits {
    max_frame_side: Option<f64>,
    max_header_bytes: Option<f64>,
    max_streams: Option<f64>,
    max_chunk_bytes: Option<f64>,
    max_chunk_frames: Option<f64>,
    max_chunk_tokens: Option<f64>,
    max_packet_bytes: Option<f64>,
    max_packets: Option<f64>,
    max_waiting_bytes: Option<f64>,
    max_metadata_entries: Option<f64>,
    max_metadata_bytes: Option<f64>,
    max_attachment_bytes: Option<f64>,
    max_index_bytes: Option<f64>,
    max_missing_frames: Option<f64>,
    max_problems: Option<f64>,
}

impl GivenLimits {
    /// Takes them over the defaults.
    pub fn over_defaults(&self) -> Result<Limits, JsValue> {
        let mut limits = Limits::default();
        macro_rules! take {
            ($($field:ident: $of:ty,)*) => {$(
                if let Some(value) = self.$field {
                    // Not a number is refused as well.
                    if !(value >= 0.0) {
                        let name = stringify!($field);
                        return Err(js_sys::RangeError::new(&format!("limit {name}: expected 0 or more, found {value}")).into());
                    }
                    let fits = value <= <$of>::MAX as f64;
                    limits.$field = fits.then_some(value as $of);
                }
            )*};
        }
        take! {
            max_frame_side: u32,
            max_header_bytes: u32,
            max_streams: u32,
            max_chunk_bytes: u64,
            max_chunk_frames: u32,
            max_chunk_tokens: u64,
            max_packet_bytes: u32,
            max_packets: u32,
            max_waiting_bytes: u64,
            max_metadata_entries: u32,
            max_metadata_bytes: u64,
            max_attachment_bytes: u64,
            max_index_bytes: u32,
            max_missing_frames: u64,
            max_problems: u32,
        }
        Ok(limits)
    }
}

/// The header and the version that the file was written in.
pub fn header(header: &Header, version: Version) -> impl Serialize + use<> {
    #[derive(Serialize)]
    struct Found {
        version: String,
        streams: Vec<FoundStream>,
    }
    Found {
        version: format!("{}.{}", version.major, version.minor),
        streams: header.streams.iter().map(FoundStream::of).collect(),
    }
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum FoundStream {
    Video(Video),
    Packets(PacketsInfo),
    Unknown { number: u8 },
}

impl FoundStream {
    fn of(stream: &Stream) -> Self {
        match stream {
            Stream::Video(video) => Self::Video(Video::of(video)),
            Stream::Packets(packets) => Self::Packets(PacketsInfo::of(packets)),
            Stream::Unknown { kind } => Self::Unknown { number: *kind },
            _ => Self::Unknown { number: 0 },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Video {
    width: u32,
    height: u32,
    frame_rate: [u32; 2],
    time_base: [u32; 2],
    frame_duration: u32,
    pixel_aspect: [u32; 2],
    frames: Option<f64>,
    color: [u8; 3],
    range: &'static str,
    chroma: &'static str,
    chroma_location: u8,
    bit_depth: u8,
    bits: u8,
    bundle_bits: u8,
    depth_step: Option<u8>,
    patch: [u8; 3],
    strides: [u8; 3],
    chunk_latent_frames: u16,
    bundle: String,
    sha256: String,
}

impl Video {
    fn of(video: &VideoStream) -> Self {
        Self {
            width: video.width,
            height: video.height,
            frame_rate: rational(video.frame_rate),
            time_base: rational(video.time_base),
            frame_duration: video.frame_duration,
            pixel_aspect: rational(video.pixel_aspect),
            frames: video.frame_count.map(|frames| count(frames.0)),
            color: [video.color.primaries, video.color.transfer, video.color.matrix],
            range: match video.color.range {
                ColorRange::Unspecified => "unspecified",
                ColorRange::Limited => "limited",
                ColorRange::Full => "full",
            },
            chroma: match video.chroma {
                Chroma::C420 => "4:2:0",
                Chroma::C422 => "4:2:2",
                Chroma::C444 => "4:4:4",
                Chroma::Gray => "gray",
                Chroma::Rgb => "rgb",
                _ => "unknown",
            },
            chroma_location: video.chroma_location,
            bit_depth: video.bit_depth,
            bits: video.bits,
            bundle_bits: video.bundle_bits,
            depth_step: video.depth_step,
            patch: video.patch,
            strides: video.strides,
            chunk_latent_frames: video.chunk_latent_frames,
            bundle: video.bundle.name.clone(),
            sha256: video.bundle.sha256_hex(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PacketsInfo {
    purpose: &'static str,
    codec: String,
    private: ByteBuf,
    time_base: [u32; 2],
    sample_rate: u32,
    channels: u16,
    bits_per_sample: u16,
    codec_delay: u64,
    seek_preroll: u64,
    language: String,
    title: String,
    default: bool,
    forced: bool,
}

impl PacketsInfo {
    fn of(packets: &PacketStream) -> Self {
        Self {
            purpose: match packets.kind {
                PacketKind::Audio => "audio",
                PacketKind::Subtitles => "subtitles",
                _ => "other",
            },
            codec: packets.codec.clone(),
            private: ByteBuf::from(packets.private.clone()),
            time_base: rational(packets.time_base),
            sample_rate: packets.sample_rate,
            channels: packets.channels,
            bits_per_sample: packets.bits_per_sample,
            codec_delay: packets.codec_delay,
            seek_preroll: packets.seek_preroll,
            language: packets.language.clone(),
            title: packets.title.clone(),
            default: packets.default,
            forced: packets.forced,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    stream: u16,
    number: f64,
    first_frame: f64,
    frames: f64,
    latent_frames: f64,
    key: bool,
    segment: u32,
}

impl Head {
    const fn of(head: &ChunkHead) -> Self {
        Self {
            stream: head.stream.0,
            number: count(head.sequence),
            first_frame: count(head.first_frame.0),
            frames: count(head.frame_count.0),
            latent_frames: count(head.latent_frames.0),
            key: head.key,
            segment: head.segment,
        }
    }
}

/// An entry of the list of chunks.
pub fn chunk_info(info: &ChunkInfo) -> impl Serialize + use<> {
    #[derive(Serialize)]
    struct Entry {
        #[serde(flatten)]
        head: Head,
        start: i64,
        bits: u8,
        offset: f64,
        bytes: f64,
        lost: bool,
    }
    Entry {
        head: Head::of(&info.head),
        start: info.start,
        bits: info.bits,
        offset: count(info.offset),
        bytes: count(info.stored_len),
        lost: info.is_lost(),
    }
}

/// A chunk with its tokens; `offset` is where its record begins.
pub fn chunk(chunk: &Chunk, offset: u64) -> impl Serialize + use<> {
    #[derive(Serialize)]
    struct Found {
        #[serde(flatten)]
        head: Head,
        offset: f64,
        start: i64,
        #[serde(with = "serde_wasm_bindgen::preserve")]
        durations: JsValue,
        bits: u8,
        grid: [u32; 3],
        #[serde(with = "serde_wasm_bindgen::preserve")]
        tokens: BigUint64Array,
        #[serde(with = "serde_wasm_bindgen::preserve")]
        depths: JsValue,
    }
    let tokens = &chunk.tokens;
    let durations = chunk.times.durations.as_deref();
    let depths = tokens.depths.as_ref();
    Found {
        head: Head::of(&chunk.head),
        offset: count(offset),
        start: chunk.times.start,
        durations: durations.map_or(JsValue::NULL, |durations| Uint32Array::from(durations).into()),
        bits: tokens.bits,
        grid: [tokens.grid.t, tokens.grid.h, tokens.grid.w],
        tokens: BigUint64Array::from(&tokens.values[..]),
        depths: depths.map_or(JsValue::NULL, |depths| {
            Uint8Array::from(&depths.values[..]).into()
        }),
    }
}

/// A packet of another codec.
pub fn packet(packet: Packet) -> impl Serialize {
    #[derive(Serialize)]
    struct Found {
        pts: i64,
        dts: Option<i64>,
        duration: u64,
        key: bool,
        data: ByteBuf,
    }
    Found {
        pts: packet.pts,
        dts: packet.dts,
        duration: packet.duration,
        key: packet.key,
        data: ByteBuf::from(packet.data),
    }
}

fn packet_record(record: Packets) -> impl Serialize {
    #[derive(Serialize)]
    struct Found<P> {
        stream: u16,
        number: f64,
        packets: Vec<P>,
    }
    Found {
        stream: record.stream.0,
        number: count(record.sequence),
        packets: record.packets.into_iter().map(packet).collect(),
    }
}

/// Keys and values.
pub fn metadata(metadata: Metadata) -> impl Serialize {
    #[derive(Serialize)]
    struct Found {
        stream: Option<u16>,
        entries: Vec<(String, String)>,
    }
    Found {
        stream: stream_or_null(metadata.stream),
        entries: metadata.entries,
    }
}

/// A chapter, in nanoseconds.
pub fn chapter(chapter: Chapter) -> impl Serialize {
    #[derive(Serialize)]
    struct Found {
        start: u64,
        end: u64,
        title: String,
    }
    Found {
        start: chapter.start,
        end: chapter.end,
        title: chapter.title,
    }
}

/// Totals of each stream.
pub fn totals(totals: &[Totals]) -> Vec<impl Serialize + use<>> {
    #[derive(Serialize)]
    struct Found {
        frames: f64,
        chunks: f64,
        digest: Option<String>,
    }
    let hex = |digest: [u8; 32]| digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = totals.iter().map(|totals| Found {
        frames: count(totals.frames.0),
        chunks: count(totals.chunks),
        digest: totals.digest.map(hex),
    });
    list.collect()
}

/// Which chunks some frames need.
pub fn needed(needed: &Needed) -> impl Serialize + use<> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Found {
        from_key: f64,
        first: f64,
        end: f64,
        frames: [f64; 2],
        decoded_from: f64,
    }
    Found {
        from_key: count(needed.from_key as u64),
        first: count(needed.first as u64),
        end: count(needed.end as u64),
        frames: [count(needed.frames.start.0), count(needed.frames.end.0)],
        decoded_from: count(needed.decoded_from.0),
    }
}

const fn status(status: Status) -> &'static str {
    match status {
        Status::Complete { tail: true } => "complete",
        Status::Complete { tail: false } => "complete-without-tail",
        Status::Truncated { .. } => "truncated",
        Status::Reading => "reading",
        Status::Failed => "failed",
        _ => "unknown",
    }
}

/// An event with its name in `type`.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Told<H, C, P, M, A, L> {
    Header {
        header: H,
    },
    Chunk {
        chunk: C,
    },
    Packets {
        packets: P,
    },
    Metadata {
        metadata: M,
    },
    Chapters {
        chapters: Vec<A>,
    },
    #[serde(rename_all = "camelCase")]
    Attachment {
        kind: u8,
        name: String,
        media_type: String,
        description: String,
        data: ByteBuf,
    },
    Lost {
        offset: f64,
        bytes: f64,
        reason: L,
    },
    Missing {
        stream: u16,
        chunks: [f64; 2],
        frames: [f64; 2],
    },
}

/// The header as the event that comes first.
pub fn header_event(found: &Header, version: Version) -> Result<JsValue, JsValue> {
    to_js(&Told::<_, (), (), (), (), ()>::Header {
        header: header(found, version),
    })
}

/// An event; `last` is where the chunk that came last lies. Nothing for an event of a later version.
pub fn event(event: Event, last: Option<&ChunkInfo>) -> Result<Option<JsValue>, JsValue> {
    type Any<C, P, M, A, L> = Told<(), C, P, M, A, L>;
    let told = match event {
        Event::Chunk(found) => to_js(&Any::<_, (), (), (), ()>::Chunk {
            chunk: chunk(&found, last.map_or(0, |last| last.offset)),
        }),
        Event::Packets(record) => to_js(&Any::<(), _, (), (), ()>::Packets {
            packets: packet_record(record),
        }),
        Event::Metadata(found) => to_js(&Any::<(), (), _, (), ()>::Metadata {
            metadata: metadata(found),
        }),
        Event::Chapters(found) => to_js(&Any::<(), (), (), _, ()>::Chapters {
            chapters: found.into_iter().map(chapter).collect(),
        }),
        Event::Attachment(found) => to_js(&Any::<(), (), (), (), ()>::Attachment {
            kind: found.kind.number(),
            name: found.name,
            media_type: found.media_type,
            description: found.description,
            data: ByteBuf::from(found.data),
        }),
        Event::Lost(lost) => to_js(&Any::<(), (), (), (), _>::Lost {
            offset: count(lost.offset),
            bytes: count(lost.bytes),
            reason: problem(&lost.reason),
        }),
        Event::Missing {
            stream,
            chunks,
            frames,
        } => to_js(&Any::<(), (), (), (), ()>::Missing {
            stream: stream.0,
            chunks: [count(chunks.start), count(chunks.end)],
            frames: [count(frames.start), count(frames.end)],
        }),
        _ => return Ok(None),
    };
    told.map(Some)
}

/// How a reading ended.
pub fn end_event(found: Status, ended: Option<&[Totals]>) -> Result<JsValue, JsValue> {
    #[derive(Serialize)]
    struct End<T> {
        r#type: &'static str,
        status: &'static str,
        totals: Option<Vec<T>>,
    }
    to_js(&End {
        r#type: "end",
        status: status(found),
        totals: ended.map(totals),
    })
}

/// What a check of a whole file found.
pub fn verification(found: &Verification) -> Result<JsValue, JsValue> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Found<H, T, P> {
        whole: bool,
        header: Option<H>,
        bytes: f64,
        chunks: f64,
        lost_chunks: f64,
        lost_frames: f64,
        status: &'static str,
        totals: Option<Vec<T>>,
        problems: Vec<P>,
        more_problems: f64,
    }
    let known = found.header.as_ref().zip(found.version);
    to_js(&Found {
        whole: found.is_whole(),
        header: known.map(|(known, version)| header(known, version)),
        bytes: count(found.bytes),
        chunks: count(found.chunks),
        lost_chunks: count(found.lost_chunks),
        lost_frames: count(found.lost_frames),
        status: status(found.status),
        totals: found.totals.as_deref().map(totals),
        problems: problems(&found.problems),
        more_problems: count(found.problems.more()),
    })
}

/// A file made of what was left of another.
pub fn recovered(bytes: &[u8], found: &Recovered) -> Result<JsValue, JsValue> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Lost<P> {
        offset: f64,
        bytes: f64,
        reason: P,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Found<P> {
        #[serde(with = "serde_wasm_bindgen::preserve")]
        bytes: Uint8Array,
        whole: bool,
        chunks: f64,
        lost_chunks: f64,
        lost_frames: f64,
        lost: Vec<Lost<P>>,
        more_lost: f64,
        truncated: bool,
        header_copy: bool,
    }
    let lost = found.lost.iter().map(|lost| Lost {
        offset: count(lost.offset),
        bytes: count(lost.bytes),
        reason: problem(&lost.reason),
    });
    to_js(&Found {
        bytes: Uint8Array::from(bytes),
        whole: found.is_whole(),
        chunks: count(found.chunks),
        lost_chunks: count(found.lost_chunks),
        lost_frames: count(found.lost_frames),
        lost: lost.collect(),
        more_lost: count(found.lost.more()),
        truncated: found.truncated,
        header_copy: found.header_copy,
    })
}

/// Problems that were found while a file was opened.
pub fn damage(found: &Problems<Error>) -> Result<JsValue, JsValue> {
    to_js(&problems(found))
}
