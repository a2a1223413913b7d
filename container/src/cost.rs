//! Hostile files that grow, and what reading them costs (LBIT §9.1): work linear in their bytes and in the bits that they
//! declare, counted and not timed; `tests/cost.rs` does the same for memory.

use std::io::Cursor;

use crate::record::{self, RecordHeader, Tag};
use crate::testing::{chunks, sound, video};
use crate::work::work_of;
use crate::*;

/// Passes over every byte that a reading may make, all in all: hashing, moving, searching, reading again for an edit.
const PASSES: u64 = 40;

/// Work that any file may take: blocks that are read ahead, and searches of a fixed length.
const ALLOWANCE: u64 = 1 << 20;

fn record_of(tag: &[u8; 4], stream: StreamId, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    record::append(&mut out, Tag(*tag), stream, sequence, payload).unwrap();
    out
}

/// A record whose payload checksum is wrong.
fn bad_record(tag: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut record = record_of(tag, StreamId::NONE, 0, payload);
    *record.last_mut().unwrap() ^= 1;
    record
}

/// Headers right after each other, each of a record that would hold all that follow.
fn nested(tag: &[u8; 4], count: usize, claim: u32) -> Vec<u8> {
    let header = RecordHeader {
        tag: Tag(*tag),
        version: 0,
        flags: 0,
        stream: StreamId(0),
        payload_len: claim,
        sequence: 0,
    };
    header.encode().repeat(count)
}

/// The bytes of a header and of the chunk that may follow it again and again.
fn start() -> (Vec<u8>, Vec<u8>, u32) {
    let header = Header {
        streams: vec![Stream::Video(video()), Stream::Packets(sound())],
    };
    let writer = Writer::new(Vec::new(), &header, WriterOptions::default()).unwrap();
    let crc = crc32fast::hash(&header.encode().unwrap());
    let chunk = chunks(&video(), 5, 1, 9).remove(0);
    let payload = StoredChunk::pack(&chunk, Compression::Raw)
        .unwrap()
        .encode(crc)
        .unwrap();
    let bytes = writer_bytes(writer);
    (bytes, payload, crc)
}

/// What a writer has written, without an end.
fn writer_bytes(writer: Writer<Vec<u8>>) -> Vec<u8> {
    let (bytes, _) = writer.finish().unwrap();
    // The end record of two streams: header, counts, checksum.
    let end = 28 + 4 + 2 * 48 + 4;
    bytes[..bytes.len() - end].to_vec()
}

/// A family of files: a larger number makes a larger file of the same kind.
type Family = (&'static str, fn(usize) -> Vec<u8>);

fn families() -> Vec<Family> {
    fn after_start(rest: impl Fn(&mut Vec<u8>, &[u8])) -> Vec<u8> {
        let (mut bytes, chunk, _) = start();
        rest(&mut bytes, &chunk);
        bytes
    }
    vec![
        ("chunks that never fit", |n| {
            after_start(|out, chunk| {
                (1..=n as u64).for_each(|i| out.extend(record_of(b"CHNK", StreamId(0), i, chunk)))
            })
        }),
        ("chunks of one number", |n| {
            after_start(|out, chunk| {
                (0..n).for_each(|_| out.extend(record_of(b"CHNK", StreamId(0), 0, chunk)))
            })
        }),
        ("chunks in the wrong order", |n| {
            after_start(|out, chunk| {
                (0..n as u64)
                    .rev()
                    .for_each(|i| out.extend(record_of(b"CHNK", StreamId(0), i, chunk)))
            })
        }),
        ("nested chunks", |n| {
            after_start(|out, _| out.extend(nested(b"CHNK", n, 28 * n as u32 / 2)))
        }),
        ("nested metadata", |n| {
            after_start(|out, _| out.extend(nested(b"meta", n, 28 * n as u32 / 2)))
        }),
        ("nested unknown records", |n| {
            after_start(|out, _| out.extend(nested(b"xfoo", n, 28 * n as u32 / 2)))
        }),
        ("nested records of packets", |n| {
            after_start(|out, _| out.extend(nested(b"pack", n, 28 * n as u32 / 3)))
        }),
        ("headers that reach past the end", |n| {
            after_start(|out, _| out.extend(nested(b"pack", n, 1 << 24)))
        }),
        ("bad records", |n| {
            after_start(|out, _| out.extend(bad_record(b"meta", b"\0").repeat(n)))
        }),
        ("bad unknown records", |n| {
            after_start(|out, _| out.extend(bad_record(b"xfoo", b"bar").repeat(n)))
        }),
        ("sync words", |n| after_start(|out, _| out.extend(SYNC.repeat(n)))),
        ("small metadata", |n| {
            after_start(|out, _| {
                out.extend(record_of(b"meta", StreamId::NONE, 0, &[1, 1, b'a', 0]).repeat(n))
            })
        }),
        ("second headers", |n| {
            after_start(|out, _| {
                let copy = out[8..].to_vec();
                out.extend(copy.repeat(n / 8 + 1));
            })
        }),
        ("packets", |n| {
            let record = [&[200u8, 1][..], &[0, 1, 0, 0].repeat(200)].concat();
            after_start(|out, _| {
                (0..n as u64 / 16).for_each(|i| out.extend(record_of(b"pack", StreamId(1), i, &record)))
            })
        }),
    ]
}

/// A way to read a file, and what it is called.
type Reading = (&'static str, fn(&[u8]));

fn readings() -> Vec<Reading> {
    fn stream(bytes: &[u8], mode: ReadMode) {
        if let Ok(mut reader) = Reader::with_mode(bytes, Limits::default(), mode) {
            while let Ok(Some(_)) = reader.next_event() {}
        }
    }
    vec![
        ("strict", |bytes| stream(bytes, ReadMode::Strict)),
        ("resync", |bytes| stream(bytes, ReadMode::Resync)),
        ("join", |bytes| stream(bytes, ReadMode::Join)),
        ("verify", |bytes| {
            drop(verify_file(Cursor::new(bytes), &Limits::default()))
        }),
        ("recover", |bytes| {
            let options = WriterOptions::default();
            drop(edit::recover(
                Cursor::new(bytes),
                std::io::sink(),
                &Limits::default(),
                options,
            ));
        }),
        ("index", |bytes| {
            drop(edit::reindex(
                Cursor::new(bytes),
                std::io::sink(),
                &Limits::default(),
            ))
        }),
        ("random access", |bytes| {
            let Ok(mut file) = File::open(Cursor::new(bytes), Limits::default()) else {
                return;
            };
            for chunk in file.chunks(StreamId(0)).to_vec() {
                let _ = file.read(&chunk, u8::MAX);
            }
            let _ = (file.metadata(), file.chapters(), file.attachments());
            if let Ok(packets) = file.packets(StreamId(1), i64::MIN..i64::MAX) {
                packets.for_each(drop);
            }
        }),
    ]
}

#[test]
fn work_is_linear() {
    for (family, make) in families() {
        let (small, large) = (make(4_000), make(16_000));
        for (reading, read) in readings() {
            let (_, little) = work_of(|| read(&small));
            let (_, much) = work_of(|| read(&large));
            let most = large.len() as u64 * PASSES + ALLOWANCE;
            assert!(
                much <= most && much <= little * 6 + ALLOWANCE,
                "{family}, {reading}: {little} for {} bytes, {much} for {} bytes, at most {most}",
                small.len(),
                large.len()
            );
        }
    }
}

/// Every coder's planes are unpacked once in each reading, however many bits a few bytes stand for.
#[test]
fn planes_are_unpacked_once() {
    let mut wide = video();
    (wide.width, wide.height, wide.bits) = (2048, 2048, 18);
    let grid = wide.grid(LatentFrames(1));
    let planned = ChunkPlan::new(PixelFrames(1), 1, 1, 4).next().unwrap();
    let header = Header::from(wide.clone());
    for compression in [Compression::Cm, Compression::Zstd { level: 1 }] {
        let options = WriterOptions::default().with_compression(compression);
        let mut writer = Writer::new(Vec::new(), &header, options).unwrap();
        let chunk = planned.with_tokens(&wide, vec![0; grid.len()]);
        writer.write_chunk(&chunk).unwrap();
        let (bytes, _) = writer.finish().unwrap();
        let declared = (grid.len() / 8 * 18) as u64;
        assert!((bytes.len() as u64) < declared / 20);
        for (reading, read) in readings() {
            let (_, work) = work_of(|| read(&bytes));
            let most = declared + bytes.len() as u64 * PASSES + (1 << 17);
            assert!(
                work <= most,
                "{compression:?}, {reading}: {work} for {declared} declared bytes, at most {most}"
            );
        }
    }
}
