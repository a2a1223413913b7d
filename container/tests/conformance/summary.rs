//! What a reader finds in a file, as JSON. The tests of `spec/reader/` compare it with what the second reader finds.

use std::io::Cursor;

use latentbit_container::{
    AttachmentKind, Chroma, Chunk, ColorRange, Error, ErrorKind, Event, Header, Limits, PacketKind, Packets,
    Reader, Stream, StreamId, Totals, bits,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn kind(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Format => "format",
        ErrorKind::Truncated => "truncated",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Limits => "limits",
        other => panic!("{other:?} is no fault of a file"),
    }
}

/// The class of the error that ends a strict reading; null if there is none.
pub fn strict_error(bytes: &[u8]) -> Value {
    let mut reader = match Reader::new(bytes, Limits::default()) {
        Ok(reader) => reader,
        Err(error) => return json!({ "kind": kind(&error) }),
    };
    loop {
        match reader.next_event() {
            Ok(Some(_)) => {}
            Ok(None) => return Value::Null,
            Err(error) => return json!({ "kind": kind(&error) }),
        }
    }
}

/// Everything that a reader that goes on after damage finds.
pub fn summary(bytes: &[u8]) -> Value {
    let mut found = Found::default();
    let error = match Reader::salvaging(Cursor::new(bytes), Limits::default()) {
        Err(error) => Some(error),
        Ok(mut reader) => {
            let version = reader.version();
            found.version = Some(format!("{}.{}", version.major, version.minor));
            found.streams = streams(reader.header());
            let error = loop {
                match reader.next_event() {
                    Ok(Some(event)) => found.take(event, &mut reader),
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            found.totals = reader.ended().map(totals);
            error
        }
    };
    let mut summary = json!({
        "version": found.version,
        "streams": found.streams,
        "chunks": found.chunks,
        "packets": found.packets,
        "metadata": found.metadata,
        "chapters": found.chapters,
        "totals": found.totals,
        "lost": found.lost,
        "missing": found.missing,
        "error": error.map(|error| json!({ "kind": kind(&error) })),
    });
    // Files that are older than attachments say nothing of them.
    if !found.attachments.is_empty() {
        summary["attachments"] = found.attachments.into();
    }
    summary
}

#[derive(Default)]
struct Found {
    version: Option<String>,
    streams: Vec<Value>,
    chunks: Vec<Value>,
    packets: Vec<Value>,
    metadata: Vec<Value>,
    chapters: Vec<Value>,
    attachments: Vec<Value>,
    totals: Option<Value>,
    lost: Vec<Value>,
    missing: Vec<Value>,
}

impl Found {
    fn take(&mut self, event: Event, reader: &mut Reader<Cursor<&[u8]>>) {
        match event {
            Event::Chunk(chunk) => {
                let place = reader.last_chunk().unwrap();
                self.chunks.push(described(&chunk, place.offset));
            }
            Event::Packets(packets) => self.packets.push(packet_record(&packets)),
            Event::Metadata(metadata) => self.metadata.push(json!({
                "stream": (metadata.stream != StreamId::NONE).then_some(metadata.stream.0),
                "entries": metadata.entries,
            })),
            Event::Chapters(chapters) => {
                self.chapters = chapters
                    .iter()
                    .map(|chapter| {
                        json!({ "start": chapter.start, "end": chapter.end, "title": chapter.title })
                    })
                    .collect();
            }
            Event::Attachment(attachment) => self.attachments.push(json!({
                "kind": match attachment.kind {
                    AttachmentKind::File => 1,
                    AttachmentKind::Cover => 2,
                    AttachmentKind::Other(number) => number,
                    other => panic!("{other:?}"),
                },
                "name": attachment.name,
                "media_type": attachment.media_type,
                "description": attachment.description,
                "sha256": hex(Sha256::digest(&attachment.data)),
            })),
            Event::Lost(lost) => self.lost.push(json!({
                "offset": lost.offset,
                "bytes": lost.bytes,
                "kind": kind(&lost.reason),
            })),
            Event::Missing {
                stream,
                chunks,
                frames,
            } => self.missing.push(json!({
                "stream": stream.0,
                "chunks": [chunks.start, chunks.end],
                "frames": [frames.start, frames.end],
            })),
            other => panic!("{other:?}"),
        }
    }
}

fn described(chunk: &Chunk, offset: u64) -> Value {
    let packed = bits::pack_planes(&chunk.tokens.values, chunk.tokens.bits);
    let depths = chunk.tokens.depths.as_ref();
    json!({
        "offset": offset,
        "stream": chunk.stream.0,
        "number": chunk.sequence,
        "first_frame": chunk.first_frame.0,
        "frames": chunk.frame_count.0,
        "latent_frames": chunk.latent_frames.0,
        "key": chunk.key,
        "segment": chunk.segment,
        "start": chunk.times.start,
        "durations": chunk.times.durations,
        "bits": chunk.tokens.bits,
        "grid": [chunk.tokens.grid.t, chunk.tokens.grid.h, chunk.tokens.grid.w],
        "sha256": hex(Sha256::digest(&packed)),
        "depths": depths.map(|depths| depths.values.iter().map(|&depth| u64::from(depth)).sum::<u64>()),
        "depths_sha256": depths.map(|depths| hex(Sha256::digest(&depths.values))),
    })
}

/// A record of packets: the hash is over the length of each packet, as u64, and its data.
fn packet_record(packets: &Packets) -> Value {
    let mut hash = Sha256::new();
    for packet in &packets.packets {
        hash.update((packet.data.len() as u64).to_le_bytes());
        hash.update(&packet.data);
    }
    let list = packets.packets.iter();
    json!({
        "stream": packets.stream.0,
        "number": packets.sequence,
        "packets": list.map(|packet| json!([packet.pts, packet.dts, packet.duration, packet.key])).collect::<Vec<_>>(),
        "sha256": hex(hash.finalize()),
    })
}

fn totals(totals: &[Totals]) -> Value {
    let list = totals.iter().map(|totals| {
        json!({
            "frames": totals.frames.0,
            "chunks": totals.chunks,
            "digest": totals.digest.map(hex),
        })
    });
    list.collect()
}

fn streams(header: &Header) -> Vec<Value> {
    let streams = header.streams.iter().map(|stream| match stream {
        Stream::Video(video) => json!({
            "kind": "video",
            "depth_step": video.depth_step.unwrap_or(0),
            "width": video.width,
            "height": video.height,
            "frame_rate": [video.frame_rate.num, video.frame_rate.den],
            "time_base": [video.time_base.num, video.time_base.den],
            "frame_duration": video.frame_duration,
            "pixel_aspect": [video.pixel_aspect.num, video.pixel_aspect.den],
            "frames": video.frame_count.map(|frames| frames.0),
            "color": [video.color.primaries, video.color.transfer, video.color.matrix],
            "range": match video.color.range {
                ColorRange::Unspecified => 0,
                ColorRange::Limited => 1,
                ColorRange::Full => 2,
            },
            "chroma": match video.chroma {
                Chroma::C420 => 0,
                Chroma::C422 => 1,
                Chroma::C444 => 2,
                Chroma::Gray => 3,
                Chroma::Rgb => 4,
                other => panic!("{other:?}"),
            },
            "chroma_location": video.chroma_location,
            "bit_depth": video.bit_depth,
            "bits": video.bits,
            "bundle_bits": video.bundle_bits,
            "patch": video.patch,
            "strides": video.strides,
            "chunk_latent_frames": video.chunk_latent_frames,
            "bundle": video.bundle.name,
            "sha256": video.bundle.sha256_hex(),
        }),
        Stream::Packets(packets) => json!({
            "kind": "packets",
            "purpose": match packets.kind {
                PacketKind::Audio => "audio",
                PacketKind::Subtitles => "subtitles",
                _ => "other",
            },
            "time_base": [packets.time_base.num, packets.time_base.den],
            "default": packets.default,
            "forced": packets.forced,
            "channels": packets.channels,
            "sample_rate": packets.sample_rate,
            "bits_per_sample": packets.bits_per_sample,
            "codec_delay": packets.codec_delay,
            "seek_preroll": packets.seek_preroll,
            "codec": packets.codec,
            "language": packets.language,
            "title": packets.title,
            "private": hex(&packets.private),
        }),
        Stream::Unknown { kind } => json!({ "kind": "unknown", "number": kind }),
        other => panic!("{other:?}"),
    });
    streams.collect()
}
