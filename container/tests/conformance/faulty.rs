//! Files that break a rule, or stop too early.

use latentbit_container::Compression;

use crate::files::{File, clip, raw, with_sound};
use crate::record::{NONE, Record, chunk, find, join, record, split, with_version};

type Change = fn(&mut Vec<Record>);

pub fn files() -> Vec<File> {
    let file = |name, what, bytes| File {
        class: "faulty",
        name,
        what,
        bytes,
    };
    let bytes = clip(raw());
    let records = split(&bytes);
    let at = |n: usize| join(&records[..n]).len();
    let changed = |change: Change| {
        let mut records = records.clone();
        change(&mut records);
        join(&records)
    };
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let mut text = bytes.clone();
    text.splice(6..8, [b'\n']);
    let mut zeros = bytes.clone();
    zeros[at(2) + 10..at(3) + 10].fill(0);
    let with = |n: usize, extra: Vec<u8>| [&bytes[..at(n)], &extra, &bytes[at(n)..]].concat();
    let zstd = split(&clip(raw().with_compression(Compression::Zstd { level: 3 })));
    let coded = |coder: u8, change: fn(&mut Vec<u8>)| {
        let mut records = zstd.clone();
        let chunk = chunk(&mut records, 1);
        chunk.payload = one_coded_plane(&chunk.payload, coder);
        change(&mut chunk.payload);
        join(&records)
    };
    vec![
        file("no-bytes", "an empty file", Vec::new()),
        file(
            "no-lbit",
            "another kind of file",
            b"RIFF\x24\x00\x00\x00WAVEfmt ".to_vec(),
        ),
        file("text-mode", "sent as text: a CR was dropped", text),
        file("cut-in-magic", "cut off in the magic", bytes[..5].to_vec()),
        file("cut-in-header", "cut off in the header", bytes[..60].to_vec()),
        file("cut-in-chunk", "cut off in chunk 2", bytes[..at(4) - 20].to_vec()),
        file(
            "cut-between",
            "cut off between two chunks",
            bytes[..at(3)].to_vec(),
        ),
        file("bad-magic", "a bit of the magic is flipped", flipped(3)),
        file("bad-header", "a bit of the header is flipped", flipped(50)),
        file(
            "bad-record-header",
            "a bit of the record header of chunk 1 is flipped",
            flipped(at(2) + 14),
        ),
        file(
            "bad-payload",
            "a bit of the payload of chunk 1 is flipped",
            flipped(at(2) + 90),
        ),
        file(
            "bad-crc",
            "a bit of the payload checksum of chunk 1 is flipped",
            flipped(at(3) - 2),
        ),
        file(
            "bad-copy",
            "a bit of the copy of the header is flipped",
            flipped(at(5) + 40),
        ),
        file(
            "bad-end",
            "a bit of the end record is flipped",
            flipped(at(6) + 40),
        ),
        file("bad-index", "a bit of the index is flipped", flipped(at(7) + 35)),
        file("bad-tail", "a bit of the tail is flipped", flipped(at(8) + 30)),
        file("zeros", "a stretch of zeros over the border of two chunks", zeros),
        file("byte-lost", "a byte of chunk 1 is gone", {
            let mut bytes = bytes.clone();
            bytes.remove(at(2) + 70);
            bytes
        }),
        file(
            "byte-added",
            "a byte more between two chunks",
            with(2, vec![0xa7]),
        ),
        file(
            "chunk-missing",
            "chunk 1 is not there",
            changed(|r| drop(r.remove(2))),
        ),
        file(
            "chunks-missing",
            "chunks 1 and 2 are not there",
            changed(|r| drop(r.drain(2..4))),
        ),
        file(
            "last-chunk-missing",
            "chunk 3 is not there",
            changed(|r| drop(r.remove(4))),
        ),
        file(
            "chunk-twice",
            "chunk 1 is there twice",
            changed(|r| r.insert(3, r[2].clone())),
        ),
        file(
            "chunks-swapped",
            "chunks 1 and 2 have changed places",
            changed(|r| r.swap(2, 3)),
        ),
        file(
            "foreign-chunk",
            "chunk 1 is from another file",
            changed(|r| {
                chunk(r, 1).payload[0] ^= 1;
            }),
        ),
        file(
            "two-headers",
            "a second header",
            changed(|r| r.insert(2, r[0].clone())),
        ),
        file(
            "two-ends",
            "a second end record",
            changed(|r| {
                let end = find(r, b"ENDS");
                r.insert(end, r[end].clone());
            }),
        ),
        file(
            "no-header",
            "chunks without a header",
            changed(|r| drop(r.remove(0))),
        ),
        file(
            "bad-magic-cut-header",
            "a bit of the magic is flipped, and the file is cut off in the header: the first fault is told",
            flipped(3)[..60].to_vec(),
        ),
        file(
            "after-the-tail",
            "another file after the first",
            [&bytes[..], &bytes].concat(),
        ),
        file(
            "wrong-copy",
            "a copy of the header that differs, with right checksums",
            changed(|r| {
                let copy = find(r, b"head");
                r[copy].payload[16] ^= 1;
            }),
        ),
        file(
            "wrong-totals",
            "the end record counts a frame too many",
            changed(|r| {
                let end = find(r, b"ENDS");
                r[end].payload[4] += 1;
            }),
        ),
        file(
            "wrong-digest",
            "the digest is that of other tokens",
            changed(|r| {
                let end = find(r, b"ENDS");
                r[end].payload[30] ^= 1;
            }),
        ),
        file(
            "wrong-tail",
            "the tail points beside the index",
            changed(|r| {
                let tail = find(r, b"tail");
                r[tail].payload[0] ^= 1;
            }),
        ),
        file("packets-missing", "a record of packets is not there", {
            let mut records = split(&with_sound(raw()));
            let packets = records
                .iter()
                .position(|r| r.tag == *b"pack" && r.sequence == 1)
                .unwrap();
            records.remove(packets);
            join(&records)
        }),
        file(
            "packets-miscounted",
            "the end record counts a record of packets too few",
            {
                let mut records = split(&with_sound(raw()));
                let end = find(&records, b"ENDS");
                records[end].payload[4 + 48 + 8] -= 1;
                join(&records)
            },
        ),
        file(
            "nonsense-before-the-header",
            "a header that makes no sense, then the right one",
            changed(|r| {
                let mut header = r[0].clone();
                header.payload[4] = 1;
                r.insert(0, header);
            }),
        ),
        file(
            "two-indexes",
            "a second index",
            changed(|r| {
                let index = find(r, b"indx");
                r.insert(index, r[index].clone());
            }),
        ),
        file(
            "cut-chunk-behind-the-end",
            "a chunk after the end record, cut off",
            [&bytes[..at(7)], &records[2].bytes()[..60]].concat(),
        ),
        file("major-2", "major version 2", changed(|r| r[0].payload[0] = 2)),
        file(
            "minor-needed",
            "made for readers of minor version 2",
            changed(|r| {
                (r[0].payload[2], r[0].payload[4]) = (2, 2);
            }),
        ),
        file(
            "minor-nonsense",
            "the least minor version is above the minor version",
            changed(|r| {
                r[0].payload[4] = 1;
            }),
        ),
        file(
            "unknown-critical",
            "a critical record of an unknown type",
            with(2, record(b"MORE", NONE, 0, b"")),
        ),
        file("newer-chunk", "a chunk record of version 1", {
            let chunk = &records[2];
            let newer = with_version(b"CHNK", 1, 0, 0, chunk.sequence, &chunk.payload);
            [&bytes[..at(2)], &newer, &bytes[at(3)..]].concat()
        }),
        file(
            "unknown-chunk-flag",
            "a flag of a chunk that nobody knows",
            changed(|r| {
                chunk(r, 1).payload[30] |= 0x80;
            }),
        ),
        file(
            "unknown-coder",
            "coder 250",
            changed(|r| chunk(r, 1).payload[38] = 250),
        ),
        file(
            "lost-with-coder",
            "a lost chunk with a coder",
            changed(|r| {
                let payload = &mut chunk(r, 1).payload;
                payload.truncate(40);
                (payload[30], payload[31], payload[38]) = (0x02, 0, 1);
            }),
        ),
        file(
            "wrong-stream",
            "a chunk of a stream that is not there",
            changed(|r| chunk(r, 1).stream = 5),
        ),
        file(
            "wrong-grid",
            "a chunk with another grid",
            changed(|r| chunk(r, 1).payload[34] += 1),
        ),
        file(
            "wrong-frames",
            "more frames than the chunk can hold",
            changed(|r| chunk(r, 1).payload[20] = 9),
        ),
        file(
            "wrong-first-frame",
            "a first frame that leaves one out",
            changed(|r| {
                chunk(r, 1).payload[4] += 1;
            }),
        ),
        file(
            "wrong-bits",
            "more bits than the header allows",
            changed(|r| chunk(r, 1).payload[31] = 13),
        ),
        file(
            "time-goes-back",
            "a chunk that is shown before the one before it",
            changed(|r| {
                chunk(r, 2).payload[12] = 2;
            }),
        ),
        file(
            "segment-goes-back",
            "a segment number that falls",
            changed(|r| {
                chunk(r, 0).payload[24] = 1;
            }),
        ),
        file(
            "segment-without-key",
            "a segment that does not begin with a key chunk",
            changed(|r| {
                for number in 1..4 {
                    chunk(r, number).payload[24] = 1;
                }
            }),
        ),
        file(
            "no-key-at-start",
            "a stream that does not begin with a key chunk",
            changed(|r| {
                chunk(r, 0).payload[30] = 0;
            }),
        ),
        file("padding-bits", "bits after the last token that are not zero", {
            let mut records = split(&odd());
            let last = chunk(&mut records, 0).payload.last_mut().unwrap();
            *last |= 0x80;
            join(&records)
        }),
        file(
            "plane-too-short",
            "a chunk whose last byte is missing",
            changed(|r| {
                chunk(r, 1).payload.pop();
            }),
        ),
        file(
            "plane-too-long",
            "a chunk with a byte too many",
            changed(|r| chunk(r, 1).payload.push(0)),
        ),
        file(
            "zstd-wrong-size",
            "a zstd frame of another length than the plane's",
            coded(1, |payload| {
                let at = payload.len() - 9;
                payload[at] ^= 1;
            }),
        ),
        file(
            "zstd-nonsense",
            "no zstd frame at all",
            coded(1, |payload| {
                let at = payload.len() - 14;
                payload[at..].fill(0x55);
            }),
        ),
        file(
            "saved-too-much",
            "a plane that says it saved all its bytes",
            coded(1, |payload| {
                payload[40] = 6;
            }),
        ),
        file(
            "long-varint",
            "a varint in more bytes than it takes",
            coded(1, |payload| {
                payload[41] = 0x80;
                payload.insert(42, 0);
            }),
        ),
        file(
            "huge-frame",
            "a frame of 20000 pixels in width",
            changed(|r| {
                r[0].payload[16..20].copy_from_slice(&20000u32.to_le_bytes());
            }),
        ),
        file("huge-chunk", "a chunk of 4 GiB, by its header", {
            let mut huge = record(b"CHNK", 0, 1, b"");
            huge[12..16].fill(0xff);
            let crc = crc32fast::hash(&huge[..24]);
            huge[24..28].copy_from_slice(&crc.to_le_bytes());
            [&bytes[..at(2)], &huge].concat()
        }),
        file("codec-with-space", "a codec name with a space", {
            let mut records = split(&with_sound(raw()));
            let header = &mut records[0].payload;
            let at = header.windows(6).position(|text| text == b"A_OPUS").unwrap();
            header[at + 1] = b' ';
            join(&records)
        }),
        file(
            "chapter-too-late",
            "a chapter that ends at 2^63 nanoseconds",
            with(1, record(b"chap", NONE, 0, &chapter_at_the_end())),
        ),
        file(
            "metadata-of-no-stream",
            "metadata of a stream that is not there",
            with(1, record(b"meta", 5, 0, b"\x01\x01k\x01v")),
        ),
        file(
            "bytes-lost-in-unknown",
            "bytes of a record of unknown type are gone",
            {
                let unknown = record(b"xfoo", NONE, 0, &[b'.'; 300]);
                [&bytes[..at(2)], &unknown[..100], &unknown[130..], &bytes[at(2)..]].concat()
            },
        ),
        file(
            "many-lost-frames",
            "a chunk number that claims a hundred thousand missing chunks",
            changed(|r| {
                let chunk = chunk(r, 1);
                chunk.sequence = 100_001;
                chunk.payload[4..12].copy_from_slice(&800_005u64.to_le_bytes());
            }),
        ),
    ]
}

/// The payload of a record with a chapter that starts a nanosecond before 2^63 and is as long.
fn chapter_at_the_end() -> Vec<u8> {
    let mut out = vec![1];
    out.extend_from_slice(&[0xff; 8]);
    out.extend_from_slice(&[0x7f, 1, 1, b'x']);
    out
}

/// A file whose chunks have 5 tokens, so that planes have bits to spare.
fn odd() -> Vec<u8> {
    let mut video = crate::files::video();
    (video.width, video.height) = (40, 8);
    crate::files::write(&video, &crate::files::chunks(&video, 1, 1, 15), raw())
}

/// The payload of a chunk of 48 tokens and 12 planes with its first plane, of 6 bytes, replaced by 5 bytes of a coder, and
/// the others raw. (No coder makes so few bytes of so few tokens; what they hold is wrong, then.)
fn one_coded_plane(payload: &[u8], coder: u8) -> Vec<u8> {
    let mut out = payload[..40].to_vec();
    out[38] = coder;
    out.push(1);
    out.extend_from_slice(&[0; 11]);
    out.extend_from_slice(&[0x28, 0xb5, 0x2f, 0xfd, 0x20]);
    out.extend_from_slice(&payload[payload.len() - 11 * 6..]);
    out
}
