//! Legal files that the command does not write, or seldom.

use latentbit_container::{
    Attachment, AttachmentKind, Chroma, Compression, Header, Limits, PixelFrames, Rational, Stream, StreamId,
    Writer, edit,
};

use crate::files::{File, chunks, clip, raw, subtitles, video, with_sound, write};
use crate::record::{NONE, Record, chunk, find, join, record, split, with_version};

pub fn files() -> Vec<File> {
    let file = |name, what, bytes| File {
        class: "uncommon",
        name,
        what,
        bytes,
    };
    vec![
        file("empty", "no chunk at all", write(&video(), &[], raw())),
        file(
            "no-index",
            "neither index nor tail",
            without(&clip(raw()), &[*b"indx", *b"tail"]),
        ),
        file("no-copies", "the header is not repeated", no_copies()),
        file("no-digest", "digests are zeros", no_digest()),
        file(
            "cut-index",
            "cut off after the end record: nothing is missing",
            cut_index(),
        ),
        file("bits-1", "one bit per token", bits(1)),
        file("bits-64", "64 bits per token", bits(64)),
        file(
            "odd-sizes",
            "33x17 pixels, patch 2x3x2, strides 3x5x7, gray, 10 bits",
            odd_sizes(),
        ),
        file("one-group", "one key chunk, at the start", one_group()),
        file(
            "two-videos",
            "two streams of tokens, of other sizes",
            two_videos(),
        ),
        file("only-sound", "no stream of tokens", only_sound()),
        file(
            "padded-groups",
            "chunks with padding in the middle: each ends its group",
            padded(),
        ),
        file(
            "lost-chunks",
            "places held for chunks that are lost: a key chunk and one after it",
            lost(),
        ),
        file(
            "gap-in-time",
            "a chunk begins later than the one before ends; times begin below zero",
            gap(),
        ),
        file(
            "newer-minor",
            "minor version 9: more fields in header, descriptions and end record",
            newer(),
        ),
        file(
            "unknown-kind",
            "a stream of kind 77 with records of its own",
            unknown_kind(),
        ),
        file(
            "unknown-records",
            "ancillary records of unknown type, version and flags",
            unknown_records(),
        ),
        file(
            "attachments",
            "a font and a cover before the chunks, and a file of kind 9 between them, with reserved bytes that are not zero",
            attachments(),
        ),
        file("newer-tail", "a longer tail, with a flag that nobody knows", {
            let tail = with_version(b"tail", 0, 4, NONE, 0, &[0; 14]);
            [without(&clip(raw()), &[*b"tail"]), tail].concat()
        }),
        file("reserved-fields", "reserved fields that are not zero", reserved()),
        file(
            "zstd-levels",
            "planes of one chunk stored raw and as zstd frames of level 19",
            zstd_levels(),
        ),
    ]
}

/// The file without records of these types.
fn without(bytes: &[u8], tags: &[[u8; 4]]) -> Vec<u8> {
    let mut records = split(bytes);
    records.retain(|record| !tags.contains(&record.tag));
    join(&records)
}

fn no_copies() -> Vec<u8> {
    clip(raw().with_header_interval(0))
}

fn no_digest() -> Vec<u8> {
    clip(raw().with_digests(false))
}

fn cut_index() -> Vec<u8> {
    let bytes = clip(raw());
    bytes[..bytes.len() - 60].to_vec()
}

fn bits(bits: u8) -> Vec<u8> {
    let mut video = video();
    (video.bits, video.bundle_bits) = (bits, 64);
    write(
        &video,
        &chunks(&video, 6, 1, 7),
        raw().with_compression(Compression::Cm),
    )
}

fn odd_sizes() -> Vec<u8> {
    let mut video = video();
    (video.width, video.height) = (33, 17);
    (video.patch, video.strides) = ([2, 3, 2], [3, 5, 7]);
    (video.chroma, video.bit_depth, video.chroma_location) = (Chroma::Gray, 10, 0);
    video.pixel_aspect = Rational { num: 16, den: 11 };
    video.chunk_latent_frames = 3;
    write(&video, &chunks(&video, 40, 3, 8), raw())
}

fn one_group() -> Vec<u8> {
    let video = video();
    write(&video, &chunks(&video, 30, 0, 9), raw())
}

fn two_videos() -> Vec<u8> {
    let first = video();
    let mut second = video();
    (second.width, second.bits) = (16, 7);
    let mut other = chunks(&second, 13, 2, 11);
    other.iter_mut().for_each(|chunk| chunk.stream = StreamId(1));
    let header = Header {
        streams: vec![Stream::Video(first.clone()), Stream::Video(second)],
    };
    let mut writer = Writer::new(Vec::new(), &header, raw()).unwrap();
    let first = chunks(&first, 13, 2, 10);
    for chunk in [&first[0], &other[0], &other[1], &first[1]] {
        writer.write_chunk(chunk).unwrap();
    }
    writer.finish().unwrap().0
}

fn only_sound() -> Vec<u8> {
    let header = Header {
        streams: vec![Stream::Packets(subtitles())],
    };
    let mut writer = Writer::new(Vec::new(), &header, raw()).unwrap();
    writer
        .write_packets(StreamId(0), &[crate::files::sound(1)])
        .unwrap();
    writer.finish().unwrap().0
}

fn padded() -> Vec<u8> {
    let video = video();
    let mut all = chunks(&video, 15, 1, 12);
    let mut first_frame = 0;
    for chunk in &mut all {
        chunk.frame_count = PixelFrames(3);
        chunk.first_frame = PixelFrames(first_frame);
        chunk.times.start = first_frame as i64;
        first_frame += 3;
    }
    write(&video, &all, raw())
}

fn lost() -> Vec<u8> {
    let mut records = split(&clip(raw()));
    records.retain(|record| !(record.tag == *b"CHNK" && [1, 2].contains(&record.sequence)));
    edit::recover(
        std::io::Cursor::new(join(&records)),
        Vec::new(),
        &Limits::default(),
        raw(),
    )
    .unwrap()
    .0
}

fn gap() -> Vec<u8> {
    let video = video();
    let mut all = chunks(&video, 21, 2, 13);
    for (chunk, start) in all.iter_mut().zip([-7, -2, 100, 100]) {
        chunk.times.start = start;
    }
    write(&video, &all, raw())
}

/// The records with another header: chunks and copies follow it.
fn with_header(mut records: Vec<Record>, payload: Vec<u8>) -> Vec<u8> {
    let crc = crc32fast::hash(&payload);
    for record in &mut records {
        match &record.tag {
            b"HEAD" | b"head" => record.payload = payload.clone(),
            b"CHNK" => record.payload[..4].copy_from_slice(&crc.to_le_bytes()),
            _ => {}
        }
    }
    join(&records)
}

fn newer() -> Vec<u8> {
    let mut records = split(&without(&clip(raw()), &[*b"indx", *b"tail"]));
    let mut payload = records[0].payload.clone();
    payload[2] = 9;
    let len = u32::from_le_bytes(payload[8..12].try_into().unwrap());
    payload[8..12].copy_from_slice(&(len + 6).to_le_bytes());
    payload.extend_from_slice(b"fields");
    payload.extend_from_slice(b"and more after the streams");
    let end = find(&records, b"ENDS");
    records[end].payload.extend_from_slice(b"new totals");
    with_header(records, payload)
}

fn unknown_kind() -> Vec<u8> {
    let mut records = split(&without(&with_sound(raw()), &[*b"indx", *b"tail"]));
    let mut payload = records[0].payload.clone();
    // The description of the sound becomes one of a kind that nobody knows.
    let video = u32::from_le_bytes(payload[8..12].try_into().unwrap()) as usize;
    payload[8 + 8 + video + 4] = 77;
    records.insert(
        2,
        Record {
            tag: *b"myst",
            stream: 1,
            sequence: 0,
            payload: b"only for those who know it".to_vec(),
        },
    );
    with_header(records, payload)
}

fn unknown_records() -> Vec<u8> {
    let bytes = without(&clip(raw()), &[*b"indx", *b"tail"]);
    let mut out = bytes[..8].to_vec();
    for (number, part) in split(&bytes).iter().enumerate() {
        out.extend(part.bytes());
        let extra = match number {
            0 => record(b"xprv", 12345, 0, b"private"),
            1 => record(b"note", NONE, 0, &[0xa7; 500]),
            2 => with_version(b"meta", 1, 0, NONE, 0, b"metadata of a later version"),
            3 => with_version(b"pack", 0, 4, 0, 0, b"packets with a flag"),
            _ => Vec::new(),
        };
        out.extend(extra);
    }
    out
}

fn attachments() -> Vec<u8> {
    let video = video();
    let mut writer = Writer::new(Vec::new(), &video.clone().into(), raw()).unwrap();
    let write = |writer: &mut Writer<Vec<u8>>, kind, texts: [&str; 3], data: &[u8]| {
        let [name, media_type, description] = texts.map(str::to_owned);
        let attachment = Attachment {
            kind,
            name,
            media_type,
            description,
            data: data.to_vec(),
        };
        writer.write_attachment(&attachment).unwrap();
    };
    let font = ["Grüße.ttf", "font/ttf", "a font"];
    write(&mut writer, AttachmentKind::File, font, &[0xf0; 300]);
    let cover = ["", "image/jpeg", ""];
    write(&mut writer, AttachmentKind::Cover, cover, b"\xff\xd8\xff\xd9");
    let all = chunks(&video, 13, 2, 15);
    writer.write_chunk(&all[0]).unwrap();
    write(&mut writer, AttachmentKind::Other(9), [""; 3], b"");
    all[1..]
        .iter()
        .for_each(|chunk| writer.write_chunk(chunk).unwrap());
    let mut records = split(&writer.finish().unwrap().0);
    let font = find(&records, b"atch");
    records[font].payload[1..4].fill(0xee);
    join(&records)
}

fn reserved() -> Vec<u8> {
    let mut records = split(&clip(raw()));
    let mut payload = records[0].payload.clone();
    payload[13..16].fill(0xee);
    payload[16 + 62..16 + 64].fill(0xee);
    for number in 0..4 {
        chunk(&mut records, number).payload[39] = 0xee;
    }
    let end = find(&records, b"ENDS");
    records[end].payload[2..4].fill(0xee);
    with_header(records, payload)
}

fn zstd_levels() -> Vec<u8> {
    let mut video = video();
    (video.width, video.height) = (128, 128);
    let options = raw().with_compression(Compression::Zstd { level: 19 });
    write(&video, &chunks(&video, 13, 2, 14), options)
}
