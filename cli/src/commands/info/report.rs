//! What `info` tells.

use std::collections::BTreeMap;

use latentbit_container::{
    Chroma, ColorRange, ErrorKind, Lost, PacketKind, PacketStream, Rational, Status, Stream, StreamId,
};
use serde::Serialize;

use super::gather::{ChunkContents, Contents, PacketContents};
use crate::exit::Exit;
use crate::report::{BundleReport, bits_per_pixel};

#[derive(Debug, Serialize)]
pub struct Report<'a> {
    schema: &'static str,
    pub file: &'a str,
    pub version: String,
    /// "complete", "truncated" or "damaged".
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
    pub bpp: f64,
    pub bits_per_second: Option<f64>,
    pub streams: Vec<StreamReport>,
    pub metadata: Vec<MetadataReport<'a>>,
    pub chapters: Vec<ChapterReport<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_table: Option<Vec<ChunkReport>>,
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
    pub coder: &'static str,
    pub plane_bytes: Vec<usize>,
}

impl<'a> Report<'a> {
    /// What there is to tell of a file, and the exit code that follows; none if it has no video.
    pub fn new(file: &'a str, contents: &'a Contents, bytes: u64, with_chunks: bool) -> Option<(Self, Exit)> {
        let (stream, video) = contents.header.first_video()?;
        let mine = |chunk: &&ChunkContents| chunk.info.stream == stream;
        let chunks: Vec<&ChunkContents> = contents.chunks.iter().filter(mine).collect();
        let present: Vec<&&ChunkContents> = chunks.iter().filter(|chunk| chunk.info.bits > 0).collect();
        let frames: u64 = chunks.iter().map(|chunk| chunk.info.frame_count.0).sum();
        let lost_chunks = contents.missing.get(stream.index()).copied().unwrap_or(0);
        let (state, exit) = state(contents);
        let Rational { num, den } = video.frame_rate;
        let seconds = (num > 0).then(|| frames as f64 * f64::from(den) / f64::from(num));
        let mut problems: Vec<String> = contents.lost.iter().map(|lost| lost.reason.to_string()).collect();
        problems.extend(contents.error.as_ref().map(ToString::to_string));
        let mut coders = BTreeMap::new();
        for chunk in &present {
            *coders.entry(chunk.coder.name()).or_default() += 1;
        }
        let tick = f64::from(video.time_base.num) / f64::from(video.time_base.den);
        let report = Self {
            schema: "latentbit.info/2",
            file,
            version: format!("{}.{}", contents.version.major, contents.version.minor),
            state,
            width: video.width,
            height: video.height,
            frame_rate: [num, den],
            time_base: [video.time_base.num, video.time_base.den],
            variable_frame_rate: chunks.iter().any(|chunk| chunk.timed),
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
            patch: video.patch,
            strides: video.strides,
            chunk_latent_frames: video.chunk_latent_frames,
            frames,
            seconds,
            chunks: present.len(),
            key_chunks: present.iter().filter(|chunk| chunk.info.key).count(),
            lost_chunks,
            segments: segments(&chunks),
            coders,
            token_bytes: present.iter().flat_map(|chunk| &chunk.plane_bytes).sum(),
            index: matches!(contents.status, Status::Complete { tail: true, .. }),
            bytes,
            bpp: bits_per_pixel(bytes, frames, video.width, video.height),
            bits_per_second: seconds.filter(|&s| s > 0.0).map(|s| bytes as f64 * 8.0 / s),
            streams: other_streams(contents, stream),
            metadata: metadata(contents),
            chapters: chapters(contents),
            chunk_table: with_chunks.then(|| chunks.iter().map(|chunk| row(chunk, tick)).collect()),
            problems,
        };
        Some((report, exit))
    }
}

fn state(contents: &Contents) -> (&'static str, Exit) {
    let cut_off = |lost: &Lost| lost.reason.kind() == ErrorKind::Truncated;
    let damaged = contents.missing.iter().any(|&chunks| chunks > 0) || !contents.lost.iter().all(cut_off);
    match contents.status {
        _ if damaged => ("damaged", Exit::Damaged),
        Status::Complete { .. } => ("complete", Exit::Success),
        Status::Truncated { .. } => ("truncated", Exit::Truncated),
        _ => ("damaged", Exit::Damaged),
    }
}

fn segments(chunks: &[&ChunkContents]) -> usize {
    let mut numbers: Vec<u32> = chunks.iter().map(|chunk| chunk.info.segment).collect();
    numbers.dedup();
    numbers.len()
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

fn row(chunk: &ChunkContents, tick: f64) -> ChunkReport {
    let info = &chunk.info;
    ChunkReport {
        number: info.sequence,
        offset: info.offset,
        bytes: info.stored_len,
        first_frame: info.first_frame.0,
        frames: info.frame_count.0,
        latent_frames: info.latent_frames.0,
        key: info.key,
        lost: info.bits == 0,
        segment: info.segment,
        start_seconds: info.start as f64 * tick,
        bits: info.bits,
        coder: chunk.coder.name(),
        plane_bytes: chunk.plane_bytes.clone(),
    }
}
