//! Files with an elastic stream (LBIT §5.8): common, uncommon and faulty ones.

use latentbit_container::{Chunk, Compression, DepthMap, Limits, VideoStream, WriterOptions, edit};

use crate::files::{File, Numbers, chunks, raw, video, write};
use crate::record::{Record, chunk, join, split};

/// As [`video`], with depths in steps of `step` planes.
fn elastic(step: u8) -> VideoStream {
    video().with_depth_step(Some(step))
}

/// Gives tokens depths that are alike where they are close together.
fn with_depths(mut all: Vec<Chunk>, step: u8) -> Vec<Chunk> {
    let mut numbers = Numbers(21);
    for chunk in &mut all {
        let tokens = chunk.tokens.clone();
        let most = u64::from(tokens.bits.div_ceil(step));
        let mut depth = most / 2;
        let depths = (0..tokens.values.len()).map(|_| {
            depth = match numbers.next() % 6 {
                0 => numbers.next() % (most + 1),
                1 => depth.saturating_sub(1),
                2 => (depth + 1).min(most),
                _ => depth,
            };
            (depth * u64::from(step)).min(u64::from(tokens.bits)) as u8
        });
        let values = depths.collect();
        chunk.tokens = tokens.with_depths(DepthMap { step, values });
    }
    all
}

fn with(compression: Compression) -> WriterOptions {
    WriterOptions::default().with_compression(compression)
}

/// 21 frames in four chunks, with depths in steps of `step`.
fn clip(step: u8, compression: Compression) -> Vec<u8> {
    let video = elastic(step);
    let all = with_depths(chunks(&video, 21, 2, 1), step);
    write(&video, &all, with(compression))
}

/// One chunk of more than a thousand tokens.
fn large(compression: Compression) -> Vec<u8> {
    let mut video = elastic(3).with_bits(18);
    (video.width, video.height) = (200, 180);
    let all = with_depths(chunks(&video, 5, 1, 8), 3);
    write(&video, &all, with(compression))
}

/// A plain chunk, one without any bit, one that only has some layers, and one with all bits.
fn mixed() -> Vec<u8> {
    let video = elastic(4);
    let mut all = with_depths(chunks(&video, 21, 2, 3), 4);
    all[0].tokens.depths = None;
    for (chunk, depth) in all.iter_mut().zip([12, 0, 4, 12]).skip(1) {
        let values = vec![depth; chunk.tokens.values.len()];
        chunk.tokens = chunk.tokens.clone().with_depths(DepthMap { step: 4, values });
    }
    write(&video, &all, with(Compression::Cm))
}

/// One of two chunks is lost for good.
fn lost() -> Vec<u8> {
    let mut records = split(&clip(5, Compression::Raw));
    records.retain(|record| !(record.tag == *b"CHNK" && record.sequence == 1));
    let input = std::io::Cursor::new(join(&records));
    edit::recover(input, Vec::new(), &Limits::default(), raw())
        .unwrap()
        .0
}

pub fn files() -> Vec<File> {
    let subset = |name, what, bytes| file("subset", name, what, bytes);
    let uncommon = |name, what, bytes| file("uncommon", name, what, bytes);
    let trimmed = edit::trim(
        &clip(3, Compression::Cm)[..],
        Vec::new(),
        7,
        &Limits::default(),
        raw(),
    );
    let plain = crate::files::clip(raw());
    let elastic = clip(3, Compression::Raw);
    let both = [&plain[..], &elastic[..]];
    let joined = edit::concat(2, |n| Ok(both[n]), Vec::new(), &Limits::default(), raw());
    let mut files = vec![
        subset(
            "elastic-raw",
            "tokens with depths in steps of 3, coder raw",
            elastic.clone(),
        ),
        subset(
            "elastic-zstd",
            "the same, coder zstd",
            clip(3, Compression::Zstd { level: 3 }),
        ),
        subset("elastic-cm", "the same, coder cm", clip(3, Compression::Cm)),
        subset(
            "elastic-large-cm",
            "1150 tokens with depths in a chunk, coder cm, 18 bits",
            large(Compression::Cm),
        ),
        subset(
            "elastic-trimmed",
            "layers dropped: from 12 planes to 6",
            trimmed.unwrap().0,
        ),
        uncommon(
            "elastic-large-zstd",
            "1150 tokens with depths in a chunk, coder zstd, 18 bits",
            large(Compression::Zstd { level: 19 }),
        ),
        uncommon(
            "elastic-step-1",
            "depths in steps of one plane",
            clip(1, Compression::Cm),
        ),
        uncommon(
            "elastic-step-5",
            "depths in steps of 5 of 12 planes: the last layer has two",
            clip(5, Compression::Cm),
        ),
        uncommon(
            "elastic-step-64",
            "depths in steps of 64 planes: all or nothing",
            clip(64, Compression::Cm),
        ),
        uncommon(
            "elastic-mixed",
            "a chunk without depths, one with no bit at all, one with equal depths, one with all bits",
            mixed(),
        ),
        uncommon(
            "elastic-lost",
            "an elastic stream with a place held for a lost chunk",
            lost(),
        ),
        uncommon(
            "elastic-joined",
            "a plain file and an elastic one joined",
            joined.unwrap().0,
        ),
    ];
    files.extend(faulty());
    files
}

fn file(class: &'static str, name: &'static str, what: &'static str, bytes: Vec<u8>) -> File {
    File {
        class,
        name,
        what,
        bytes,
    }
}

/// The payload of a chunk up to its lengths of layers.
const FIXED: usize = 40;

fn faulty() -> Vec<File> {
    let changed = |compression, change: fn(&mut Vec<u8>)| {
        let mut records: Vec<Record> = split(&clip(3, compression));
        change(&mut chunk(&mut records, 1).payload);
        join(&records)
    };
    let raw_changed = |change| changed(Compression::Raw, change);
    let plain = {
        let mut records = split(&crate::files::clip(raw()));
        chunk(&mut records, 1).payload[30] |= 8;
        join(&records)
    };
    let step_in_header = {
        let mut records = split(&clip(3, Compression::Raw));
        if let Some(step) = records[0].payload.last_mut() {
            *step = 65;
        }
        join(&records)
    };
    let faulty = |name, what, bytes| file("faulty", name, what, bytes);
    vec![
        faulty("depths-in-plain", "a chunk with depths in a plain stream", plain),
        faulty(
            "depths-and-lost",
            "a lost chunk with depths",
            raw_changed(|payload| {
                payload.truncate(FIXED);
                payload[30] |= 2;
                payload[31] = 0;
            }),
        ),
        faulty(
            "depths-other-step",
            "a chunk with another step than the header",
            raw_changed(|payload| payload[39] = 4),
        ),
        faulty(
            "depths-step-0",
            "a step of 0",
            raw_changed(|payload| payload[39] = 0),
        ),
        faulty("depths-step-65", "a step of 65 in the header", step_in_header),
        faulty(
            "layer-coded-raw",
            "a coded layer in a chunk of coder raw",
            raw_changed(|payload| payload[FIXED] |= 2),
        ),
        faulty(
            "layer-spare-bits",
            "a bit after the last token of a layer",
            raw_changed(|payload| {
                if let Some(last) = payload.last_mut() {
                    *last |= 0x80;
                }
            }),
        ),
        faulty(
            "layer-short",
            "the last layer ends too early",
            raw_changed(|payload| {
                payload.pop();
            }),
        ),
        faulty(
            "layer-other-bits",
            "the code of a layer ends in other bits than the tokens need",
            changed(Compression::Cm, |payload| {
                let at = payload.len() / 2;
                payload[at] ^= 0x55;
                payload.push(7);
            }),
        ),
    ]
}
