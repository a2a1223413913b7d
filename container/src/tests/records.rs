//! Records that this version does not know, and records in the wrong place (LBIT §3).

use super::{boundaries, read_all, read_strict, small};
use crate::end::{self, Totals};
use crate::record::{RecordHeader, Tag, append};
use crate::{Error, ErrorKind, Limits, PixelFrames, Reader, StreamId, Writer, WriterOptions};

fn record(tag: &[u8; 4], sequence: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, Tag(*tag), StreamId(0), sequence, payload).unwrap();
    out
}

/// The small stream with `extra` before record `n`.
fn with(n: usize, extra: &[u8]) -> Vec<u8> {
    let (_, _, bytes) = small();
    let at = boundaries(&bytes)[n];
    [&bytes[..at], extra, &bytes[at..]].concat()
}

fn error(bytes: &[u8]) -> Error {
    read_strict(bytes).2.unwrap()
}

#[test]
fn unknown_ancillary_records_are_skipped() {
    let (video, chunks, _) = small();
    for (n, sequence) in [(1, 0), (2, 1), (5, 4)] {
        for payload in [&[][..], &[0xa7; 500]] {
            let bytes = with(n, &record(b"note", sequence, payload));
            // The index of this stream is no longer in the place that the tail gives, as after a careless edit.
            let (read, _, error) = read_strict(&bytes);
            assert_eq!(read, chunks);
            assert!(error.unwrap().to_string().contains("place of the index"));
        }
    }
    let mut writer = Writer::new(
        Vec::new(),
        &video.into(),
        WriterOptions {
            index: false,
            ..WriterOptions::default()
        },
    )
    .unwrap();
    writer.write_chunk(&chunks[0]).unwrap();
    let bytes = writer.finish().unwrap().0;
    let at = boundaries(&bytes)[1];
    let noted = [&bytes[..at], &record(b"note", 0, b"hello"), &bytes[at..]].concat();
    assert_eq!(read_all(&noted).unwrap().1, chunks[..1]);
}

#[test]
fn damaged_ancillary_records_are_noticed() {
    let mut note = record(b"note", 0, b"hello");
    note[30] ^= 1;
    let error = error(&with(1, &note));
    assert_eq!(error.kind(), ErrorKind::Format);
    assert!(error.to_string().contains("payload checksum"), "{error}");
}

#[test]
fn unknown_critical_records_are_unsupported() {
    let error = error(&with(2, &record(b"MORE", 1, b"")));
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("`MORE`"), "{error}");
}

#[test]
fn newer_records_are_unsupported() {
    let (_, _, bytes) = small();
    let at = boundaries(&bytes)[1];
    let payload_len = u32::from_le_bytes(bytes[at + 12..at + 16].try_into().unwrap());
    for (version, flags) in [(1, 0), (0, 1)] {
        let header = RecordHeader {
            tag: Tag::CHUNK,
            version,
            flags,
            stream: StreamId(0),
            payload_len,
            sequence: 0,
        };
        let mut newer = bytes.clone();
        newer[at..at + 28].copy_from_slice(&header.encode());
        assert_eq!(error(&newer).kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn records_in_the_wrong_place() {
    let (_, _, bytes) = small();
    let at = boundaries(&bytes);
    let head = &bytes[at[0]..at[1]];
    assert!(
        error(&with(0, &record(b"note", 0, b"")))
            .to_string()
            .contains("first record")
    );
    assert!(error(&with(1, head)).to_string().contains("one header"));
    assert!(
        error(&with(1, &record(b"tail", 0, &[0; 12])))
            .to_string()
            .contains("end record before")
    );
    assert!(
        error(&with(6, &bytes[at[5]..at[6]]))
            .to_string()
            .contains("one end record")
    );
    let late = record(b"CHNK", 4, &bytes[at[4] + 28..at[5] - 4]);
    assert!(
        error(&with(6, &late))
            .to_string()
            .contains("after the end record")
    );
    assert!(
        error(&with(6, &record(b"tail", 4, &[0; 13])))
            .to_string()
            .contains("length of the tail")
    );
}

#[test]
fn the_end_record_must_agree() {
    let (_, _, bytes) = small();
    let at = boundaries(&bytes);
    for (frames, chunks) in [(22u64, 4u64), (21, 5)] {
        let totals = Totals {
            frames: PixelFrames(frames),
            chunks,
            digest: None,
        };
        let payload = end::encode(&[totals]).unwrap();
        let bad = [&bytes[..at[5]], &record(b"ENDS", 0, &payload), &bytes[at[6]..]].concat();
        assert_eq!(error(&bad).kind(), ErrorKind::Format);
    }
    let (mut video, chunks, _) = small();
    video.frame_count = Some(PixelFrames(20));
    let mut writer = Writer::new(Vec::new(), &video.into(), WriterOptions::default()).unwrap();
    for chunk in &chunks {
        writer.write_chunk(chunk).unwrap();
    }
    let error = writer.finish().unwrap_err();
    assert_eq!(
        error.to_string(),
        "bad frame count of the stream: expected 20, found 21"
    );
}

#[test]
fn lengths_are_limited_before_anything_is_read() {
    let (_, _, bytes) = small();
    let at = boundaries(&bytes)[1];
    for tag in [Tag::CHUNK, Tag::END] {
        let header = RecordHeader {
            tag,
            version: 0,
            flags: 0,
            stream: StreamId(0),
            payload_len: u32::MAX,
            sequence: 0,
        };
        let huge = [&bytes[..at], &header.encode()].concat();
        let error = error(&huge);
        assert_eq!(
            (error.kind(), error.offset()),
            (ErrorKind::Limits, Some(at as u64)),
            "{error}"
        );
    }
    let limits = Limits {
        max_chunk_tokens: Some(5),
        ..Limits::default()
    };
    let error = Reader::new(&bytes[..], limits).unwrap().next_chunk().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limits);
    assert!(
        error.to_string().contains("raise Limits::max_chunk_tokens"),
        "{error}"
    );
}
