//! What is written is read back, however the input arrives; records that this version does not know, and records in the
//! wrong place (LBIT §3).

use std::io::{self, Read};

use proptest::prelude::*;

use crate::end::{self, Totals};
use crate::record::{RecordHeader, Tag, append};
use crate::testing::{any_video, boundaries, chunks, listed, read_all, read_strict, small, sound, write};
use crate::{
    Chapter, Chunk, Compression, Error, ErrorKind, Event, Header, Limits, Metadata, Next, Packet, Packets,
    Parser, PixelFrames, ReadMode, Reader, Status, Stream, StreamId, Writer, WriterOptions,
};

/// Gives one byte at a time, with an interruption before each.
struct Trickle<'a>(&'a [u8], bool);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        match (self.1, self.0.split_first()) {
            (true, _) => Err(io::ErrorKind::Interrupted.into()),
            (false, None) => Ok(0),
            (false, Some((&byte, rest))) => {
                buffer[0] = byte;
                self.0 = rest;
                Ok(1)
            }
        }
    }
}

#[test]
fn one_byte_at_a_time() {
    let (video, expected, bytes) = small();
    let mut reader = Reader::new(Trickle(&bytes, false), Limits::default()).unwrap();
    assert_eq!(reader.header(), &Header::from(video));
    for chunk in expected {
        assert_eq!(reader.next_chunk().unwrap(), Some(chunk));
    }
    assert_eq!(reader.status(), Status::Reading);
    assert!(reader.next_chunk().unwrap().is_none());
    assert_eq!(reader.status(), Status::Complete { tail: true });
    let totals = reader.ended().unwrap()[0];
    assert_eq!((totals.frames, totals.chunks), (PixelFrames(21), 4));
    assert_eq!(totals, reader.so_far(StreamId(0)));
}

#[test]
fn a_chunk_comes_with_its_last_byte() {
    let (_, chunks, bytes) = small();
    let info = listed(&bytes);
    let mut parser = Parser::new(Limits::default(), ReadMode::Strict);
    let mut next = 0;
    for (at, byte) in bytes.iter().enumerate() {
        parser.push(&[*byte]);
        match parser.poll().unwrap() {
            Next::NeedInput => {}
            Next::Event(Event::Chunk(chunk)) => {
                assert_eq!(at as u64 + 1, info[next].offset + info[next].stored_len);
                assert_eq!(chunk, chunks[next]);
                next += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(next, chunks.len());
}

#[test]
fn a_stream_without_chunks() {
    let video = crate::testing::video();
    let bytes = write(&video, &[], WriterOptions::default());
    assert_eq!(read_all(&bytes).unwrap(), (video, vec![]));
}

#[test]
fn planes_are_dropped_without_unpacking() {
    let (mut video, mut chunks, bytes) = small();
    video.bits = 2;
    let mut reader = Reader::new(&bytes[..], Limits::default()).unwrap();
    let mut writer = Writer::new(Vec::new(), &video.clone().into(), WriterOptions::default()).unwrap();
    while let Some(mut stored) = reader.next_stored().unwrap() {
        stored.truncate_bits(2);
        writer.write_stored(&stored).unwrap();
    }
    chunks.iter_mut().for_each(|chunk| chunk.tokens.truncate_bits(2));
    assert_eq!(read_all(&writer.finish().unwrap().0).unwrap(), (video, chunks));
}

/// Two streams of tokens, one of sound, metadata and chapters, in an order that nobody would expect.
#[test]
fn several_streams() {
    let (video, chunks, _) = small();
    let mut other = chunks.clone();
    for chunk in &mut other {
        chunk.stream = StreamId(2);
        chunk.tokens.values.iter_mut().for_each(|value| *value ^= 1);
    }
    let header = Header {
        streams: vec![
            Stream::Video(video.clone()),
            Stream::Packets(sound()),
            Stream::Video(video),
        ],
    };
    let packet = |pts: i64| Packet {
        pts,
        dts: (pts > 0).then_some(pts - 1),
        duration: 960,
        key: pts == 0,
        data: vec![pts as u8; 7],
    };
    let metadata = |stream| Metadata {
        stream,
        entries: vec![
            ("title".to_owned(), "Größe".to_owned()),
            ("x".to_owned(), String::new()),
        ],
    };
    let chapters = vec![Chapter {
        start: 0,
        end: 5_000_000_000,
        title: "One".to_owned(),
    }];
    let mut writer = Writer::new(Vec::new(), &header, WriterOptions::default()).unwrap();
    writer.write_metadata(&metadata(StreamId::NONE)).unwrap();
    writer.write_chapters(&chapters).unwrap();
    writer
        .write_packets(StreamId(1), &[packet(0), packet(960)])
        .unwrap();
    writer.write_chunk(&other[0]).unwrap();
    writer.write_chunk(&other[1]).unwrap();
    writer.write_chunk(&chunks[0]).unwrap();
    writer.write_packets(StreamId(1), &[packet(1920)]).unwrap();
    writer.write_metadata(&metadata(StreamId(2))).unwrap();
    writer.write_chunk(&chunks[1]).unwrap();
    assert!(writer.write_packets(StreamId(0), &[packet(0)]).is_err());
    assert!(writer.write_packets(StreamId(9), &[packet(0)]).is_err());
    let (bytes, summary) = writer.finish().unwrap();
    assert_eq!(
        summary
            .totals
            .iter()
            .map(|totals| totals.chunks)
            .collect::<Vec<_>>(),
        [2, 2, 2]
    );

    for mode in [ReadMode::Strict, ReadMode::Resync, ReadMode::Join] {
        let mut reader = Reader::with_mode(&bytes[..], Limits::default(), mode).unwrap();
        assert_eq!(reader.header(), &header);
        let mut seen = Vec::new();
        while let Some(event) = reader.next_event().unwrap() {
            seen.push(event);
        }
        let packets = |sequence, packets| {
            let stream = StreamId(1);
            Event::Packets(Packets {
                stream,
                sequence,
                packets,
            })
        };
        let expected = [
            Event::Metadata(metadata(StreamId::NONE)),
            Event::Chapters(chapters.clone()),
            packets(0, vec![packet(0), packet(960)]),
            Event::Chunk(other[0].clone()),
            Event::Chunk(other[1].clone()),
            Event::Chunk(chunks[0].clone()),
            packets(1, vec![packet(1920)]),
            Event::Metadata(metadata(StreamId(2))),
            Event::Chunk(chunks[1].clone()),
        ];
        assert_eq!(format!("{seen:?}"), format!("{expected:?}"));
        assert_eq!(reader.ended().unwrap(), summary.totals);
        assert!(matches!(reader.status(), Status::Complete { tail: true }));
    }
}

/// Whoever joins in the middle begins at the next copy of the header.
#[test]
fn joining_midway() {
    let (video, chunks, _) = small();
    let options = WriterOptions {
        header_interval: 1,
        ..WriterOptions::default()
    };
    let bytes = write(&video, &chunks, options);
    let info = listed(&bytes);
    let joined = |from: u64| {
        let mut parser = Parser::new(Limits::default(), ReadMode::Join);
        parser.push(&bytes[from as usize..]);
        parser.finish();
        let mut seen = Vec::new();
        while let Next::Event(event) = parser.poll().unwrap() {
            seen.extend(match event {
                Event::Chunk(chunk) => Some(chunk),
                Event::Lost(_) => None,
                other => panic!("{other:?}"),
            });
        }
        seen
    };
    // The second key chunk has a copy before it.
    assert_eq!(joined(9), chunks[2..]);
    assert_eq!(joined(info[1].offset), chunks[2..]);
    assert_eq!(joined(0), chunks);
    // Without the magic the header still stands.
    assert_eq!(joined(1), chunks);
    // After the last copy there is nothing to read, and without any there is no stream.
    assert!(joined(info[3].offset).is_empty());
    let mut parser = Parser::new(Limits::default(), ReadMode::Join);
    parser.push(&bytes[info[0].offset as usize..info[1].offset as usize]);
    parser.finish();
    assert!(parser.poll_header().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whole_streams(
        mut video in any_video(), frames in 0u64..60, group in 0u32..4, seed in any::<u64>(),
        level in proptest::option::of(-3i32..4), index in any::<bool>(), header_interval in 0u32..4, piece in 1usize..5000,
    ) {
        if video.frame_count.is_some() {
            video.frame_count = Some(PixelFrames(frames));
        }
        let chunks = chunks(&video, frames, group, seed);
        let compression = match level {
            None => Compression::Raw,
            Some(0) => Compression::Cm,
            Some(level) => Compression::Zstd { level },
        };
        let options = WriterOptions { compression, index, header_interval, ..WriterOptions::default() };
        let bytes = write(&video, &chunks, options);
        prop_assert_eq!(&read_all(&bytes).unwrap(), &(video, chunks.clone()));

        let mut parser = Parser::new(Limits::default(), ReadMode::Resync);
        let mut read: Vec<Chunk> = Vec::new();
        let mut pieces = bytes.chunks(piece);
        loop {
            match parser.poll().unwrap() {
                Next::NeedInput => match pieces.next() {
                    Some(piece) => parser.push(piece),
                    None => parser.finish(),
                },
                Next::Event(Event::Chunk(chunk)) => read.push(chunk),
                Next::Event(other) => prop_assert!(false, "{:?}", other),
                Next::End => break,
            }
        }
        prop_assert_eq!(read, chunks);
    }
}

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
