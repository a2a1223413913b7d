//! What a file holds, and the report of it for programs and people.

use std::collections::BTreeMap;
use std::io::Read;

use latentbit_container::{
    Attachment, AttachmentKind, Chapter, Chroma, ChunkInfo, ColorRange, Error, ErrorKind, Event, Header,
    Lost, Metadata, PacketKind, PacketStream, Problems, Rational, Reader, Status, StoredChunk, Stream,
    StreamId, Totals, Version,
};
use serde::Serialize;

use crate::exit::Exit;
use crate::limits::limits;
use crate::report::{BundleReport, beside_pictures, bits_per_pixel, more_problems};

#[derive(Debug, Serialize)]
pub struct InfoReport<'a> {
    schema: &'static str,
    pub file: &'a str,
    pub version: String,
    /// "complete", "truncated", "damaged", or "unreadable" if the file is for a newer reader or over a limit.
    pub state: &'static str,
    pub width: u32,
    pub height: u32,
    pub frame_rate: [u32; 2],
    pub time_base: [u32; 2],
    /// Whether frames are shown for different times.
    pub variable_frame_rate: bool,
    pub pixel_aspect: [u32; 2],
    pub chroma: &'static str,
    pub bit_depth: u8,
    color: ColorReport,
    pub bundle: BundleReport,
    pub bits: u8,
    pub bundle_bits: u8,
    /// Planes from one depth to the next, if the stream is elastic.
    pub depth_step: Option<u8>,
    /// Planes that tokens have on average, and how many tokens have each depth, if the stream is elastic.
    pub mean_depth: Option<f64>,
    pub depths: Option<BTreeMap<u8, u64>>,
    pub patch: [u8; 3],
    pub strides: [u8; 3],
    pub chunk_latent_frames: u16,
    pub frames: u64,
    pub seconds: Option<f64>,
    pub chunks: usize,
    pub key_chunks: usize,
    pub lost_chunks: u64,
    pub segments: usize,
    /// How many chunks each payload coder made.
    pub coders: BTreeMap<&'static str, usize>,
    /// Bytes of the planes of all chunks as they are stored.
    pub token_bytes: usize,
    pub index: bool,
    pub bytes: u64,
    /// Bits per pixel of the video, and with the packets of other streams.
    pub bpp: f64,
    pub file_bpp: f64,
    pub bits_per_second: Option<f64>,
    pub streams: Vec<StreamReport>,
    pub metadata: Vec<MetadataReport<'a>>,
    pub chapters: Vec<ChapterReport<'a>>,
    pub attachments: &'a [AttachmentReport],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_table: Option<&'a [ChunkReport]>,
    pub problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ColorReport {
    primaries: u8,
    transfer: u8,
    matrix: u8,
    range: &'static str,
}

/// A stream beside the video that the rest of the report is about.
#[derive(Debug, Serialize)]
pub struct StreamReport {
    pub id: u16,
    /// "video", "audio", "subtitles", "other" or "unknown".
    pub kind: &'static str,
    pub codec: Option<String>,
    pub language: Option<String>,
    pub title: Option<String>,
    pub sample_rate: Option<u32>,
    pub channels: Option<u16>,
    pub packets: u64,
    pub bytes: u64,
}

#[derive(Debug, Serialize)]
pub struct MetadataReport<'a> {
    /// Absent if it is about the whole file.
    pub stream: Option<u16>,
    pub key: &'a str,
    pub value: &'a str,
}

#[derive(Debug, Serialize)]
pub struct ChapterReport<'a> {
    pub start_seconds: f64,
    pub end_seconds: f64,
    pub title: &'a str,
}

/// A file that goes along.
#[derive(Debug, Serialize)]
pub struct AttachmentReport {
    /// "file", "cover" or "other".
    pub kind: &'static str,
    pub name: String,
    pub media_type: String,
    pub description: String,
    pub bytes: usize,
    /// With what is said of it.
    #[serde(skip)]
    stored: u64,
}

impl AttachmentReport {
    fn of(attachment: Attachment) -> Self {
        Self {
            kind: match attachment.kind {
                AttachmentKind::File => "file",
                AttachmentKind::Cover => "cover",
                _ => "other",
            },
            bytes: attachment.data.len(),
            stored: attachment.stored_len(),
            name: attachment.name,
            media_type: attachment.media_type,
            description: attachment.description,
        }
    }
}

#[derive(Debug, Serialize)]
pub struct ChunkReport {
    pub number: u64,
    pub offset: u64,
    pub bytes: u64,
    pub first_frame: u64,
    pub frames: u64,
    pub latent_frames: u64,
    pub key: bool,
    pub lost: bool,
    pub segment: u32,
    pub start_seconds: f64,
    pub bits: u8,
    /// Planes that its tokens have on average, if it is a chunk of an elastic stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_depth: Option<f64>,
    pub coder: &'static str,
    pub plane_bytes: Vec<usize>,
}

impl<'a> InfoReport<'a> {
    /// The report of a file, and the exit code for it; none if it has no video.
    pub fn new(file: &'a str, contents: &'a Contents, bytes: u64) -> Option<(Self, Exit)> {
        let (stream, video) = contents.header.first_video()?;
        let chunks = &contents.chunks;
        let frames = chunks.frames;
        let depths = chunks.depths.clone();
        let lost_chunks = contents.missing.get(stream.index()).copied().unwrap_or(0);
        let (state, exit) = state(contents);
        let Rational { num, den } = video.frame_rate;
        let seconds = (num > 0).then(|| frames as f64 * f64::from(den) / f64::from(num));
        let mut problems: Vec<String> = contents.lost.iter().map(|lost| lost.reason.to_string()).collect();
        problems.extend(more_problems(contents.lost.more()));
        problems.extend(contents.error.as_ref().map(ToString::to_string));
        let report = Self {
            schema: "latentbit.info/2",
            file,
            version: format!("{}.{}", contents.version.major, contents.version.minor),
            state,
            width: video.width,
            height: video.height,
            frame_rate: [num, den],
            time_base: [video.time_base.num, video.time_base.den],
            variable_frame_rate: chunks.timed,
            pixel_aspect: [video.pixel_aspect.num, video.pixel_aspect.den],
            chroma: match video.chroma {
                Chroma::C420 => "4:2:0",
                Chroma::C422 => "4:2:2",
                Chroma::C444 => "4:4:4",
                Chroma::Gray => "gray",
                Chroma::Rgb => "rgb",
                _ => "unknown",
            },
            bit_depth: video.bit_depth,
            color: ColorReport {
                primaries: video.color.primaries,
                transfer: video.color.transfer,
                matrix: video.color.matrix,
                range: match video.color.range {
                    ColorRange::Limited => "limited",
                    ColorRange::Full => "full",
                    _ => "unspecified",
                },
            },
            bundle: (&video.bundle).into(),
            bits: video.bits,
            bundle_bits: video.bundle_bits,
            depth_step: video.depth_step,
            mean_depth: depths.as_ref().map(mean_depth),
            depths,
            patch: video.patch,
            strides: video.strides,
            chunk_latent_frames: video.chunk_latent_frames,
            frames,
            seconds,
            chunks: chunks.present,
            key_chunks: chunks.key,
            lost_chunks,
            segments: chunks.segments,
            coders: chunks.coders.clone(),
            token_bytes: chunks.token_bytes,
            index: matches!(contents.status, Status::Complete { tail: true, .. }),
            bytes,
            bpp: bits_per_pixel(
                bytes.saturating_sub(contents.bytes_beside()),
                frames,
                video.width,
                video.height,
            ),
            file_bpp: bits_per_pixel(bytes, frames, video.width, video.height),
            bits_per_second: seconds.filter(|&s| s > 0.0).map(|s| bytes as f64 * 8.0 / s),
            streams: other_streams(contents, stream),
            metadata: metadata(contents),
            chapters: chapters(contents),
            attachments: &contents.attachments,
            chunk_table: chunks.table.as_deref(),
            problems,
        };
        Some((report, exit))
    }
}

fn state(contents: &Contents) -> (&'static str, Exit) {
    let cut_off = |lost: &Lost| lost.reason.kind() == ErrorKind::Truncated;
    let damaged = contents.missing.iter().any(|&chunks| chunks > 0) || !contents.lost.iter().all(cut_off);
    match contents.status {
        // Of a file for a newer reader nobody can say whether it is damaged.
        _ if contents.error.as_ref().is_some_and(refused) => ("unreadable", Exit::Error),
        _ if damaged => ("damaged", Exit::Damaged),
        Status::Complete { .. } => ("complete", Exit::Success),
        Status::Truncated { .. } => ("truncated", Exit::Truncated),
        _ => ("damaged", Exit::Damaged),
    }
}

/// Whether a file was not read to its end for what it asks, and not for what is wrong with it.
fn refused(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Limits)
}

fn other_streams(contents: &Contents, shown: StreamId) -> Vec<StreamReport> {
    let streams = contents.header.ids().zip(&contents.header.streams);
    streams
        .filter(|(id, _)| *id != shown)
        .map(|(id, stream)| {
            let PacketContents { packets, bytes } =
                contents.packets.get(id.index()).copied().unwrap_or_default();
            let known = match stream {
                Stream::Packets(packets) => Some(packets),
                _ => None,
            };
            let text = |text: fn(&PacketStream) -> &String| known.map(text).filter(|text| !text.is_empty());
            StreamReport {
                id: id.0,
                kind: match stream {
                    Stream::Video(_) => "video",
                    Stream::Packets(packets) => match packets.kind {
                        PacketKind::Audio => "audio",
                        PacketKind::Subtitles => "subtitles",
                        _ => "other",
                    },
                    _ => "unknown",
                },
                codec: text(|packets| &packets.codec).cloned(),
                language: text(|packets| &packets.language).cloned(),
                title: text(|packets| &packets.title).cloned(),
                sample_rate: known.map(|packets| packets.sample_rate).filter(|&rate| rate > 0),
                channels: known
                    .map(|packets| packets.channels)
                    .filter(|&channels| channels > 0),
                packets,
                bytes,
            }
        })
        .collect()
}

fn metadata(contents: &Contents) -> Vec<MetadataReport<'_>> {
    let entries = contents.metadata.iter().flat_map(|metadata| {
        let stream = (metadata.stream != StreamId::NONE).then_some(metadata.stream.0);
        metadata
            .entries
            .iter()
            .map(move |(key, value)| MetadataReport { stream, key, value })
    });
    entries.collect()
}

fn chapters(contents: &Contents) -> Vec<ChapterReport<'_>> {
    let chapters = contents.chapters.iter().map(|chapter| ChapterReport {
        start_seconds: chapter.start as f64 / 1e9,
        end_seconds: chapter.end as f64 / 1e9,
        title: &chapter.title,
    });
    chapters.collect()
}

/// The mean depth of tokens.
fn mean_depth(depths: &BTreeMap<u8, u64>) -> f64 {
    let sum: f64 = depths
        .iter()
        .map(|(&depth, &tokens)| f64::from(depth) * tokens as f64)
        .sum();
    sum / depths.values().sum::<u64>().max(1) as f64
}

/// What is told of the chunks of the video.
#[derive(Default)]
struct Chunks {
    frames: u64,
    /// Chunks whose tokens are there.
    present: usize,
    key: usize,
    segments: usize,
    last_segment: Option<u32>,
    coders: BTreeMap<&'static str, usize>,
    token_bytes: usize,
    /// Whether one of them says how long each frame is shown.
    timed: bool,
    /// How many tokens have each depth, if the stream is elastic.
    depths: Option<BTreeMap<u8, u64>>,
    /// All of them, if they are to be listed.
    table: Option<Vec<ChunkReport>>,
}

impl Chunks {
    /// Counts a chunk in, of a video whose ticks are `tick` seconds long; `depths` are those of its tokens, if it has any.
    fn count(
        &mut self,
        chunk: &StoredChunk,
        info: &ChunkInfo,
        tick: f64,
        depths: Option<&BTreeMap<u8, u64>>,
    ) {
        self.frames += info.frame_count.0;
        self.segments += usize::from(self.last_segment != Some(info.segment));
        self.last_segment = Some(info.segment);
        self.timed |= chunk.times.durations.is_some();
        if !chunk.is_lost() {
            self.present += 1;
            self.key += usize::from(info.key);
            *self.coders.entry(chunk.coder.name()).or_default() += 1;
            self.token_bytes += chunk.planes.iter().map(|plane| plane.bytes.len()).sum::<usize>();
        }
        if let Some(depths) = depths {
            let all = self.depths.get_or_insert_default();
            for (&depth, &tokens) in depths {
                *all.entry(depth).or_default() += tokens;
            }
        }
        if let Some(table) = &mut self.table {
            table.push(ChunkReport {
                number: info.sequence,
                offset: info.offset,
                bytes: info.stored_len,
                first_frame: info.first_frame.0,
                frames: info.frame_count.0,
                latent_frames: info.latent_frames.0,
                key: info.key,
                lost: chunk.is_lost(),
                segment: info.segment,
                start_seconds: info.start as f64 * tick,
                bits: info.bits,
                mean_depth: depths.map(mean_depth),
                coder: chunk.coder.name(),
                plane_bytes: chunk.planes.iter().map(|plane| plane.bytes.len()).collect(),
            });
        }
    }
}

/// Packets of one stream.
#[derive(Clone, Copy, Default)]
pub struct PacketContents {
    pub packets: u64,
    pub bytes: u64,
}

/// What a file holds.
pub struct Contents {
    pub header: Header,
    pub version: Version,
    chunks: Chunks,
    /// By stream.
    pub packets: Vec<PacketContents>,
    pub metadata: Vec<Metadata>,
    pub chapters: Vec<Chapter>,
    pub attachments: Vec<AttachmentReport>,
    /// Chunks that are missing, by stream.
    pub missing: Vec<u64>,
    pub lost: Problems<Lost>,
    pub status: Status,
    pub ended: Option<Vec<Totals>>,
    /// What ended the reading, if it was not the end of the file.
    pub error: Option<Error>,
}

impl Contents {
    /// Reads a file to its end. Keeps of its chunks only what is told; `with_chunks` says whether that is each of them.
    pub fn of<R: Read>(mut reader: Reader<R>, with_chunks: bool) -> Self {
        let header = reader.header().clone();
        let streams = header.streams.len();
        let mut contents = Self {
            header,
            version: reader.version(),
            chunks: Chunks {
                table: with_chunks.then(Vec::new),
                ..Chunks::default()
            },
            packets: vec![PacketContents::default(); streams],
            metadata: Vec::new(),
            chapters: Vec::new(),
            attachments: Vec::new(),
            missing: vec![0; streams],
            lost: Problems::new(&limits()),
            status: Status::Reading,
            ended: None,
            error: None,
        };
        loop {
            match reader.next_stored_event() {
                Ok(Some(event)) => contents.take(event, reader.last_chunk()),
                Ok(None) => break,
                Err(error) => {
                    contents.error = Some(error);
                    break;
                }
            }
        }
        contents.status = reader.status();
        contents.ended = reader.ended().map(<[Totals]>::to_vec);
        contents
    }

    fn take(&mut self, event: Event, info: Option<&ChunkInfo>) {
        match event {
            Event::Stored(chunk) => {
                if chunk.is_lost() {
                    self.count_missing(chunk.stream, 1);
                }
                let depths = self.depths(&chunk);
                let shown = self.header.first_video().filter(|(id, _)| *id == chunk.stream);
                if let (Some((_, video)), Some(info)) = (shown, info) {
                    let Rational { num, den } = video.time_base;
                    self.chunks
                        .count(&chunk, info, f64::from(num) / f64::from(den), depths.as_ref());
                }
            }
            Event::Packets(packets) => {
                if let Some(contents) = self.packets.get_mut(packets.stream.index()) {
                    contents.packets += packets.packets.len() as u64;
                    let bytes = packets.packets.iter().map(|packet| packet.data.len() as u64);
                    contents.bytes += bytes.sum::<u64>();
                }
            }
            Event::Metadata(metadata) => self.metadata.push(metadata),
            Event::Chapters(chapters) => self.chapters = chapters,
            Event::Attachment(attachment) => self.attachments.push(AttachmentReport::of(attachment)),
            Event::Missing { stream, chunks, .. } => self.count_missing(stream, chunks.end - chunks.start),
            Event::Lost(lost) => self.lost.push(lost),
            _ => {}
        }
    }

    /// Bytes of packets and attachments.
    fn bytes_beside(&self) -> u64 {
        let packets = self.packets.iter().map(|packets| packets.bytes);
        let attached = self.attachments.iter().map(|attachment| attachment.stored);
        packets.chain(attached).sum()
    }

    /// How many tokens of a chunk have each depth, if its stream is elastic and it can be unpacked: `verify` tells if not.
    fn depths(&self, chunk: &StoredChunk) -> Option<BTreeMap<u8, u64>> {
        self.header.video(chunk.stream)?.depth_step?;
        let tokens = (!chunk.is_lost()).then(|| chunk.unpack().ok()).flatten()?.tokens;
        let mut counts = BTreeMap::new();
        let depths = tokens.depth_values();
        depths
            .iter()
            .for_each(|&depth| *counts.entry(depth).or_default() += 1);
        Some(counts)
    }

    fn count_missing(&mut self, stream: StreamId, chunks: u64) {
        if let Some(missing) = self.missing.get_mut(stream.index()) {
            *missing += chunks;
        }
    }
}

pub fn text(r: &InfoReport<'_>) -> String {
    let mut lines = vec![format!("{}: LBIT {}, {}", r.file, r.version, r.state)];
    let mut video = format!("{}x{}, {} frames", r.width, r.height, r.frames);
    if let Some(seconds) = r.seconds {
        let rate = f64::from(r.frame_rate[0]) / f64::from(r.frame_rate[1].max(1));
        let about = if r.variable_frame_rate { "about " } else { "" };
        video.push_str(&format!(", {about}{rate:.5} frames/s").replace(".00000", ""));
        video.push_str(&format!(", {seconds:.2} s"));
    }
    lines.push(format!(
        "  video    {video}, {} of {} bits",
        r.chroma, r.bit_depth
    ));
    lines.extend(r.streams.iter().map(stream));
    let mut size = format!("{} bytes, {:.4} bits per pixel", r.bytes, r.bpp);
    if r.file_bpp > r.bpp {
        size.push_str(&beside_pictures(r.file_bpp));
    }
    if let Some(rate) = r.bits_per_second {
        size.push_str(&format!(", {:.1} kbit/s", rate / 1000.0));
    }
    lines.push(format!("  size     {size}"));
    lines.push(format!(
        "  tokens   {} of {} bits{}, patch {}, strides {}",
        r.bits,
        r.bundle_bits,
        r.depth_step
            .map_or(String::new(), |step| format!(" (elastic, in steps of {step})")),
        join(r.patch),
        join(r.strides)
    ));
    if let (Some(mean), Some(depths)) = (r.mean_depth, &r.depths) {
        let all = depths.values().sum::<u64>().max(1) as f64;
        let shares: Vec<String> = depths
            .iter()
            .map(|(depth, tokens)| format!("{depth}: {:.0} %", *tokens as f64 / all * 100.0))
            .collect();
        lines.push(format!(
            "  depths   {mean:.2} bits on average; {}",
            shares.join(", ")
        ));
    }
    let coders: Vec<String> = r
        .coders
        .iter()
        .map(|(name, chunks)| format!("{name} {chunks}"))
        .collect();
    lines.push(format!(
        "  chunks   {} ({} key, {} lost) of {} latent frames in {} segment{}, {}; coders: {}",
        r.chunks,
        r.key_chunks,
        r.lost_chunks,
        r.chunk_latent_frames,
        r.segments,
        if r.segments == 1 { "" } else { "s" },
        if r.index { "with index" } else { "without index" },
        coders.join(", ")
    ));
    lines.push(format!("  bundle   {} {}", r.bundle.name, r.bundle.sha256));
    lines.extend(r.metadata.iter().map(|entry| {
        let stream = entry
            .stream
            .map_or_else(String::new, |id| format!(" (stream {id})"));
        let (key, value) = (entry.key.escape_debug(), entry.value.escape_debug());
        format!("  metadata {key}{stream}: {value}")
    }));
    lines.extend(r.chapters.iter().map(|chapter| {
        let title = chapter.title.escape_debug();
        format!(
            "  chapter  {:.3} to {:.3} s: {title}",
            chapter.start_seconds, chapter.end_seconds
        )
    }));
    lines.extend(r.attachments.iter().map(attachment));
    lines.extend(r.problems.iter().map(|problem| format!("  problem  {problem}")));
    if let Some(chunks) = r.chunk_table {
        lines.push(String::new());
        lines.push(format!(
            "{:>7} {:>10} {:>8} {:>8} {:>6} {:>3} {:>4} {:>7} {:>9} {:>4} {:<5}",
            "chunk",
            "offset",
            "bytes",
            "frame",
            "frames",
            "lat",
            "key",
            "segment",
            "start/s",
            "bits",
            "coder"
        ));
        lines.extend(chunks.iter().map(line));
    }
    lines.join("\n")
}

fn stream(stream: &StreamReport) -> String {
    let mut parts = vec![stream.codec.clone().unwrap_or_else(|| "tokens".to_owned())];
    parts.extend(stream.sample_rate.map(|rate| format!("{rate} Hz")));
    parts.extend(stream.channels.map(|channels| format!("{channels} channels")));
    parts.extend(stream.language.clone());
    parts.extend(stream.title.as_ref().map(|title| format!("\"{title}\"")));
    parts.push(format!("{} packets, {} bytes", stream.packets, stream.bytes));
    format!("  {:<8} {}", stream.kind, parts.join(", "))
}

fn attachment(attachment: &AttachmentReport) -> String {
    let mut parts = vec![attachment.kind.to_owned()];
    let texts = [&attachment.name, &attachment.media_type, &attachment.description];
    let texts = texts.into_iter().filter(|text| !text.is_empty());
    parts.extend(texts.map(|text| text.escape_debug().to_string()));
    parts.push(format!("{} bytes", attachment.bytes));
    format!("  attached {}", parts.join(", "))
}

fn line(chunk: &ChunkReport) -> String {
    format!(
        "{:>7} {:>10} {:>8} {:>8} {:>6} {:>3} {:>4} {:>7} {:>9.3} {:>4} {:<5}",
        chunk.number,
        chunk.offset,
        chunk.bytes,
        chunk.first_frame,
        chunk.frames,
        chunk.latent_frames,
        if chunk.lost {
            "lost"
        } else if chunk.key {
            "key"
        } else {
            ""
        },
        chunk.segment,
        chunk.start_seconds,
        chunk
            .mean_depth
            .map_or_else(|| chunk.bits.to_string(), |mean| format!("{mean:.1}")),
        chunk.coder
    )
}

fn join(sides: [u8; 3]) -> String {
    sides.map(|side| side.to_string()).join("x")
}
