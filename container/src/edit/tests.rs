use std::io::Cursor;

use std::ops::Range;

use super::*;
use crate::record::{self, Tag};
use crate::testing::{chunks, listed, sound, video};
use crate::{
    Attachment, AttachmentKind, Chunk, Compression, ErrorKind, File, Needed, Packet, PacketKind, ReadMode,
    StreamId, Writer, WriterOptions, verify_file,
};

const LIMITS: Limits = Limits {
    max_frame_side: Some(1000),
    ..Limits::none()
};

fn options() -> WriterOptions {
    WriterOptions {
        compression: Compression::Raw,
        header_interval: 1,
        ..WriterOptions::default()
    }
}

fn header() -> Header {
    Header {
        streams: vec![Stream::Video(video()), Stream::Packets(sound())],
    }
}

/// 21 frames at 30000/1001 per second in four chunks, with a packet of 20 ms every 20 ms.
fn file(seed: u64) -> (Vec<Chunk>, Vec<u8>) {
    let chunks = chunks(&video(), 21, 2, seed);
    let mut writer = Writer::new(Vec::new(), &header(), options()).unwrap();
    for chunk in &chunks {
        let before = (chunk.times.start * 1001 * 48000 / 30000 + 959) / 960;
        let after = ((chunk.times.start + chunk.frame_count.0 as i64) * 1001 * 48000 / 30000 + 959) / 960;
        let packets: Vec<Packet> = (before..after).map(packet).collect();
        writer.write_packets(StreamId(1), &packets).unwrap();
        writer.write_chunk(chunk).unwrap();
    }
    (chunks, writer.finish().unwrap().0)
}

fn packet(number: i64) -> Packet {
    Packet {
        pts: number * 960,
        duration: 960,
        key: true,
        data: number.to_le_bytes().to_vec(),
        ..Packet::default()
    }
}

/// All chunks and packets of an intact file.
fn read(bytes: &[u8]) -> (Vec<Chunk>, Vec<Packet>) {
    assert!(verify_file(Cursor::new(bytes), &LIMITS).unwrap().is_whole());
    let mut reader = Reader::new(bytes, LIMITS).unwrap();
    let (mut chunks, mut packets) = (Vec::new(), Vec::new());
    while let Some(event) = reader.next_event().unwrap() {
        match event {
            Event::Chunk(chunk) => chunks.push(chunk),
            Event::Packets(mut more) => packets.append(&mut more.packets),
            other => panic!("{other:?}"),
        }
    }
    (chunks, packets)
}

#[test]
fn trimmed_is_as_if_written_with_fewer_bits() {
    let (mut chunks, bytes) = file(5);
    let (trimmed, summary) = trim(&bytes[..], Vec::new(), 2, &LIMITS, options()).unwrap();
    chunks.iter_mut().for_each(|chunk| chunk.tokens.truncate_bits(2));
    let (found, packets) = read(&trimmed);
    assert_eq!(found, chunks);
    assert_eq!(packets, read(&bytes).1);
    assert_eq!(summary.bytes, trimmed.len() as u64);
    let reader = Reader::new(&trimmed[..], LIMITS).unwrap();
    assert_eq!(reader.header().video(StreamId(0)).unwrap().bits, 2);

    let (same, _) = trim(&bytes[..], Vec::new(), 64, &LIMITS, options()).unwrap();
    assert_eq!(same, bytes, "nothing to leave out");
    let error = trim(&bytes[..], Vec::new(), 0, &LIMITS, options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Parameter);
}

/// The chunks that hold `frames`, from their key chunk on.
fn part(bytes: &[u8], frames: Range<u64>) -> (File<Cursor<&[u8]>>, Needed) {
    let file = File::open(Cursor::new(bytes), LIMITS).unwrap();
    let needed = file.chunks_for(StreamId(0), PixelFrames(frames.start)..PixelFrames(frames.end));
    (file, needed.unwrap())
}

fn cut_out(bytes: &[u8], frames: Range<u64>) -> Vec<u8> {
    let (file, needed) = part(bytes, frames);
    cut(file, Vec::new(), &needed, options()).unwrap().0
}

#[test]
fn a_cut_keeps_its_chunks_and_their_sound() {
    let (chunks, bytes) = file(5);
    // Chunks of 5 (key), 8, 5 (key) and 3 frames.
    let (found, packets) = read(&cut_out(&bytes, 15..19));
    assert_eq!(found.len(), 2);
    for (found, original) in found.iter().zip(&chunks[2..]) {
        assert_eq!(found.tokens, original.tokens);
        assert_eq!(found.times.start, original.times.start - 13);
    }
    assert_eq!((found[0].sequence, found[0].first_frame), (0, PixelFrames(0)));
    // Frame 13 is shown at 433.8 ms: packet 21 began 13.8 ms before that and lasts 6.2 ms longer.
    let start = 13 * 1001 * 48000 / 30000;
    assert_eq!(packets[0].data, 21i64.to_le_bytes());
    assert_eq!(packets[0].pts, 21 * 960 - start);
    assert_eq!(packets.last().unwrap().data, 35i64.to_le_bytes());

    // Up to the chunk after the part, and no packet of that.
    let (found, packets) = read(&cut_out(&bytes, 7..8));
    assert_eq!(found, chunks[..2]);
    assert_eq!(packets.last().unwrap().data, 21i64.to_le_bytes());
    assert_eq!(read(&cut_out(&bytes, 0..21)), read(&bytes));
}

/// A file whose sound is primed, with one subtitle that lasts long.
fn file_with_priming() -> Vec<u8> {
    let mut header = header();
    let mut subtitles = sound();
    (subtitles.kind, subtitles.codec) = (PacketKind::Subtitles, "S_TEXT/UTF8".to_owned());
    header.streams.push(Stream::Packets(subtitles));
    let mut writer = Writer::new(Vec::new(), &header, options()).unwrap();
    for (number, chunk) in chunks(&video(), 21, 2, 5).iter().enumerate() {
        if number == 0 {
            writer
                .write_packets(StreamId(1), &[packet(-2), packet(-1), packet(0)])
                .unwrap();
        }
        if number == 1 {
            let long = Packet {
                pts: 6 * 1600,
                duration: 9 * 1600,
                key: true,
                data: b"hello".to_vec(),
                ..Packet::default()
            };
            writer.write_packets(StreamId(2), &[long]).unwrap();
        }
        writer.write_chunk(chunk).unwrap();
    }
    writer.finish().unwrap().0
}

#[test]
fn a_cut_keeps_primed_sound_and_what_spans_its_start() {
    let bytes = file_with_priming();
    let packets = |bytes: &[u8]| {
        let packets = read(bytes).1;
        packets
            .iter()
            .map(|packet| (packet.pts, packet.data.clone()))
            .collect::<Vec<_>>()
    };
    let sound = |number: i64| (number * 960, number.to_le_bytes().to_vec());
    assert_eq!(packets(&cut_out(&bytes, 0..5)), [sound(-2), sound(-1), sound(0)]);
    // The subtitle is shown from frame 6 to 15; the third chunk begins with frame 13, at 20820 of 48000.
    assert_eq!(
        packets(&cut_out(&bytes, 13..18)),
        [(6 * 1600 - 20820, b"hello".to_vec())]
    );
    assert_eq!(
        packets(&cut_out(&bytes, 5..8)).len(),
        4,
        "the group begins at frame 0"
    );
}

#[test]
fn damaged_parts_are_not_cut_out() {
    let (_, mut bytes) = file(5);
    let (file, needed) = part(&bytes, 15..19);
    let offset = file.chunks(StreamId(0))[2].offset as usize;
    bytes[offset + 60] ^= 1;
    let file = File::open(Cursor::new(&bytes[..]), LIMITS).unwrap();
    let error = cut(file, Vec::new(), &needed, options()).unwrap_err();
    assert_eq!((error.kind(), error.chunk()), (ErrorKind::Format, Some(2)));
    // Damage elsewhere does not matter, unless the whole file had to be read.
    assert_eq!(read(&cut_out(&bytes, 0..4)).0.len(), 1);
    let file = File::open(Cursor::new(&bytes[..bytes.len() - 9]), LIMITS).unwrap();
    assert_eq!(file.intact().unwrap_err().kind(), ErrorKind::Format);
}

#[test]
fn what_is_lost_stays_lost_in_a_cut() {
    let (_, bytes) = degraded(Loss::Hold);
    let (found, missing) = found_and_missing(&cut_out(&bytes, 0..8), ReadMode::Strict);
    assert_eq!((found, missing), (vec![0], vec![[1..2, 5..13]]));
}

#[test]
fn joined_files_go_on_in_a_new_segment() {
    let files = [file(5), file(6), file(7)];
    let inputs = |number: usize| Ok(&files[number].1[..]);
    let (bytes, summary) = concat(3, inputs, Vec::new(), &LIMITS, options()).unwrap();
    let (chunks, packets) = read(&bytes);
    assert_eq!(summary.totals[0].frames, PixelFrames(63));
    for (number, chunk) in chunks.iter().enumerate() {
        let (file, at) = (number / 4, number % 4);
        assert_eq!(chunk.tokens, files[file].0[at].tokens);
        assert_eq!(chunk.segment, file as u32);
        assert_eq!(
            chunk.times.start,
            files[file].0[at].times.start + 21 * file as i64
        );
    }
    let each = read(&files[0].1).1.len();
    assert_eq!(packets.len(), 3 * each);
    assert_eq!(packets[each].pts, 21 * 1001 * 48000 / 30000);

    // One file is copied as it is.
    let (same, _) = concat(1, inputs, Vec::new(), &LIMITS, options()).unwrap();
    assert_eq!(same, files[0].1);
    let none = concat(0, inputs, Vec::new(), &LIMITS, options());
    assert_eq!(none.unwrap_err().kind(), ErrorKind::Parameter);
}

#[test]
fn attachments_go_along() {
    let font = |name: &str| Attachment {
        kind: AttachmentKind::File,
        name: name.to_owned(),
        media_type: "font/ttf".to_owned(),
        description: String::new(),
        data: vec![7; 100],
    };
    let with = |fonts: &[Attachment]| {
        let mut writer = Writer::new(Vec::new(), &header(), options()).unwrap();
        fonts
            .iter()
            .for_each(|font| writer.write_attachment(font).unwrap());
        file(5)
            .0
            .iter()
            .for_each(|chunk| writer.write_chunk(chunk).unwrap());
        writer.finish().unwrap().0
    };
    let (one, two) = (font("one.ttf"), font("two.ttf"));
    let bytes = with(&[one.clone(), two.clone()]);
    let of = |bytes: &[u8]| {
        let mut file = File::open(Cursor::new(bytes), LIMITS).unwrap();
        file.attachments().unwrap()
    };
    let both = [one.clone(), two];
    assert_eq!(of(&bytes), both);
    let (trimmed, _) = trim(&bytes[..], Vec::new(), 3, &LIMITS, options()).unwrap();
    assert_eq!(of(&trimmed), both);
    assert_eq!(of(&cut_out(&bytes, 13..20)), both);
    let (recovered, _) = recover(Cursor::new(&bytes), Vec::new(), &LIMITS, options()).unwrap();
    assert_eq!(of(&recovered), both);
    // What a season has in common is there once.
    let files = [with(std::slice::from_ref(&one)), bytes, with(&[one])];
    let (joined, _) = concat(3, |number| Ok(&files[number][..]), Vec::new(), &LIMITS, options()).unwrap();
    assert_eq!(of(&joined), both);
    // A writer makes nothing that readers refuse.
    let mut writer = Writer::new(Vec::new(), &header(), options()).unwrap();
    let large = Attachment {
        data: vec![0; 33 << 20],
        ..font("large.ttf")
    };
    writer.write_attachment(&large).unwrap();
    assert_eq!(
        writer.write_attachment(&large).unwrap_err().kind(),
        ErrorKind::Parameter
    );
}

#[test]
fn only_files_of_a_kind_are_joined() {
    let (_, bytes) = file(5);
    let refused = |header: &Header| {
        let other = Writer::new(Vec::new(), header, options())
            .unwrap()
            .finish()
            .unwrap()
            .0;
        let files = [&bytes, &other];
        let error = concat(2, |n| Ok(&files[n][..]), Vec::new(), &LIMITS, options()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parameter);
        assert!(error.to_string().contains("file 2"), "{error}");
        error.to_string()
    };
    let with = |change: &dyn Fn(&mut crate::VideoStream)| {
        let mut header = header();
        if let Stream::Video(video) = &mut header.streams[0] {
            change(video);
        }
        header
    };
    assert!(refused(&video().into()).contains("number of streams"));
    assert!(refused(&with(&|video| video.bundle.sha256[0] ^= 1)).contains("bundle"));
    assert!(refused(&with(&|video| video.width += 8)).contains("description of the video"));
    let mut other = header();
    if let Stream::Packets(packets) = &mut other.streams[1] {
        packets.codec = "A_AAC".to_owned();
    }
    assert!(refused(&other).contains("A_AAC"));
    // Fewer bits are no other kind.
    let (few, _) = trim(&bytes[..], Vec::new(), 1, &LIMITS, options()).unwrap();
    let files = [few, bytes];
    let (joined, _) = concat(2, |n| Ok(&files[n][..]), Vec::new(), &LIMITS, options()).unwrap();
    assert_eq!(
        read(&joined).0.iter().map(|chunk| chunk.tokens.bits).sum::<u8>(),
        4 + 12
    );
}

#[test]
fn a_new_index_is_the_old_one() {
    let (_, bytes) = file(5);
    let index = listed(&bytes);
    let end = {
        let mut reader = Reader::new(&bytes[..], LIMITS).unwrap();
        while reader.next_event().unwrap().is_some() {}
        reader.end_offset().unwrap() as usize
    };
    let mut bad = bytes.clone();
    bad[end + 40] ^= 1;
    for broken in [&bytes[..end], &bytes[..end + 30], &bad[..], &bytes[..]] {
        let mut new = Vec::new();
        let written = reindex(Cursor::new(broken), &mut new, &LIMITS).unwrap();
        assert_eq!((new.len() as u64, &new), (written, &bytes));
        let found = File::with_index(Cursor::new(&new), LIMITS).unwrap().unwrap();
        assert_eq!(found.chunks(StreamId(0)), index);
    }
    let mut damaged = bytes.clone();
    damaged[index[1].offset as usize + 50] ^= 1;
    for (broken, kind) in [
        (&damaged[..], ErrorKind::Format),
        (&bytes[..end - 1], ErrorKind::Truncated),
    ] {
        let error = reindex(Cursor::new(broken), &mut Vec::new(), &LIMITS).unwrap_err();
        assert_eq!(error.kind(), kind);
    }
}

#[test]
fn chunks_of_an_unknown_kind_have_no_index_and_break_none() {
    let bytes = include_bytes!("../../../testdata/conformance/uncommon/unknown-kind.lbit");
    let end = bytes.windows(4).position(|tag| tag == b"ENDS").unwrap() - 4;
    let mut with_more = bytes[..end].to_vec();
    record::append(&mut with_more, Tag::CHUNK, StreamId(1), 0, b"as they are there").unwrap();
    with_more.extend_from_slice(&bytes[end..]);
    let mut new = Vec::new();
    reindex(Cursor::new(&with_more), &mut new, &LIMITS).unwrap();
    let found = File::with_index(Cursor::new(&new), LIMITS).unwrap().unwrap();
    assert_eq!(found.chunks(StreamId(0)).len(), 4);
    assert_eq!(found.chunks(StreamId(1)).len(), 0);
}

#[test]
fn what_is_whole_is_recovered_unchanged() {
    let (_, bytes) = file(5);
    let (same, recovered) = recover(Cursor::new(&bytes), Vec::new(), &LIMITS, options()).unwrap();
    assert_eq!(same, bytes);
    assert!(recovered.is_whole());
}

#[test]
fn places_of_lost_chunks_are_held() {
    let (chunks, bytes) = file(5);
    let all = listed(&bytes);
    for lost in [0..1, 1..2, 1..3, 3..4, 0..4usize] {
        let mut bad = bytes.clone();
        for info in &all[lost.clone()] {
            bad[info.offset as usize + 60] ^= 0x10;
        }
        let result = recover(Cursor::new(&bad), Vec::new(), &LIMITS, options());
        let (new, recovered) = result.unwrap();
        assert_eq!(recovered.lost_chunks, lost.len() as u64);
        let frames: u64 = chunks[lost.clone()].iter().map(|chunk| chunk.frame_count.0).sum();
        assert_eq!(recovered.lost_frames, frames);
        let found = verify_file(Cursor::new(&new), &LIMITS).unwrap();
        assert_eq!((found.problems.len(), found.lost_chunks), (0, lost.len() as u64));
        assert!(!found.is_whole());

        let mut reader = Reader::new(&new[..], LIMITS).unwrap();
        let mut seen = Vec::new();
        while let Some(event) = reader.next_event().unwrap() {
            match event {
                Event::Chunk(chunk) => {
                    assert_eq!(chunk, chunks[chunk.sequence as usize]);
                    seen.push(chunk.sequence);
                }
                Event::Missing { chunks, .. } => seen.push(chunks.start),
                Event::Metadata(metadata) => assert!(metadata.get("recovered").is_some()),
                _ => {}
            }
        }
        assert_eq!(seen, [0, 1, 2, 3]);
        // What holds a place is kept by whoever copies the file, and stays lost.
        let (again, recovered) = recover(Cursor::new(&new), Vec::new(), &LIMITS, options()).unwrap();
        assert_eq!(recovered.lost_chunks, lost.len() as u64);
        assert!(again.len() > new.len(), "with one more line of metadata");
    }
}

#[test]
fn a_damaged_start_is_made_good_by_a_copy() {
    let (chunks, bytes) = file(5);
    for at in [0, 5, 9, 40, 60] {
        let mut bad = bytes.clone();
        bad[at] ^= 4;
        let (new, recovered) = recover(Cursor::new(&bad), Vec::new(), &LIMITS, options()).unwrap();
        assert!(recovered.header_copy, "{at}");
        assert_eq!((recovered.chunks, recovered.lost_chunks), (4, 0));
        let mut reader = Reader::new(&new[..], LIMITS).unwrap();
        let found: Vec<Chunk> = std::iter::from_fn(|| reader.next_chunk().unwrap()).collect();
        assert_eq!(found, chunks);
    }
    let plain = WriterOptions {
        header_interval: 0,
        ..options()
    };
    let (mut bad, _) = trim(&bytes[..], Vec::new(), 64, &LIMITS, plain).unwrap();
    bad[40] ^= 4;
    let error = recover(Cursor::new(&bad), Vec::new(), &LIMITS, options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
}

/// Chunks 1 and 3 of four are lost: what a reader makes of it.
fn degraded(loss: Loss) -> (Vec<u8>, Vec<u8>) {
    let (_, bytes) = file(5);
    let chosen = |chunk: &crate::ChunkInfo| chunk.sequence % 2 == 1;
    let (out, report) = degrade(Cursor::new(&bytes), Vec::new(), loss, chosen, &LIMITS, options()).unwrap();
    let lost: Vec<u64> = report.lost.iter().map(|chunk| chunk.sequence).collect();
    assert_eq!((lost, report.chunks), (vec![1, 3], 4));
    assert_eq!(report.bytes, out.len() as u64);
    (bytes, out)
}

/// Numbers of the chunks that a reader finds, and numbers and frames of those that it misses.
fn found_and_missing(bytes: &[u8], mode: ReadMode) -> (Vec<u64>, Vec<[Range<u64>; 2]>) {
    let mut reader = Reader::with_mode(bytes, LIMITS, mode).unwrap();
    let (mut found, mut missed) = (Vec::new(), Vec::new());
    while let Some(event) = reader.next_event().unwrap() {
        match event {
            Event::Chunk(chunk) => found.push(chunk.sequence),
            Event::Missing { chunks, frames, .. } => missed.push([chunks, frames]),
            Event::Lost(lost) => panic!("{}", lost.reason),
            _ => {}
        }
    }
    (found, missed)
}

#[test]
fn lost_records_are_missing_and_nothing_else_is_wrong() {
    let (bytes, out) = degraded(Loss::LeaveOut);
    assert!(out.len() < bytes.len());
    let expected = (vec![0, 2], vec![[1..2, 5..13], [3..4, 18..21]]);
    assert_eq!(found_and_missing(&out, ReadMode::Resync), expected);
    let mut strict = Reader::new(&out[..], LIMITS).unwrap();
    let error = std::iter::from_fn(|| strict.next_event().transpose()).find_map(Result::err);
    assert_eq!(error.unwrap().kind(), ErrorKind::Format);
}

#[test]
fn places_are_held_in_a_legal_file() {
    let (_, out) = degraded(Loss::Hold);
    let expected = (vec![0, 2], vec![[1..2, 5..13], [3..4, 18..21]]);
    assert_eq!(found_and_missing(&out, ReadMode::Strict), expected);
    // What is lost stays so, and is not asked for.
    let again = degrade(
        Cursor::new(&out),
        Vec::new(),
        Loss::Hold,
        |_| true,
        &LIMITS,
        options(),
    );
    assert_eq!(again.unwrap().1.lost.len(), 2);
}

#[test]
fn leading_planes_stay() {
    let (bytes, out) = degraded(Loss::KeepPlanes(2));
    let (mut whole, packets) = read(&bytes);
    let (found, others) = read(&out);
    whole
        .iter_mut()
        .skip(1)
        .step_by(2)
        .for_each(|chunk| chunk.tokens.truncate_bits(2));
    assert_eq!((found, others), (whole, packets));
    let none = degrade(
        Cursor::new(&bytes),
        Vec::new(),
        Loss::KeepPlanes(0),
        |_| true,
        &LIMITS,
        options(),
    );
    assert_eq!(none.unwrap_err().kind(), ErrorKind::Parameter);
}

#[test]
fn damaged_files_are_not_degraded_further() {
    let (_, out) = degraded(Loss::LeaveOut);
    let again = degrade(
        Cursor::new(&out),
        Vec::new(),
        Loss::LeaveOut,
        |_| true,
        &LIMITS,
        options(),
    );
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Format);
    let (bytes, same) = {
        let (_, bytes) = file(5);
        let (same, _) = degrade(
            Cursor::new(&bytes),
            Vec::new(),
            Loss::LeaveOut,
            |_| false,
            &LIMITS,
            options(),
        )
        .unwrap();
        (bytes, same)
    };
    assert_eq!(same, bytes);
}

/// A chunk whose checksums hold and whose planes cannot be unpacked is damage of the file that is copied.
#[test]
fn planes_that_cannot_be_unpacked_are_damage() {
    let bytes = include_bytes!("../../../testdata/conformance/faulty/zstd-nonsense.lbit");
    let options = WriterOptions::default();
    let limits = Limits::default();
    let trimmed = trim(&bytes[..], std::io::sink(), 64, &limits, options).map(drop);
    let joined = concat(1, |_| Ok(&bytes[..]), std::io::sink(), &limits, options).map(drop);
    let file = File::open(Cursor::new(&bytes[..]), limits).unwrap();
    let (stream, _) = file.first_video().unwrap();
    let needed = file
        .chunks_for(stream, PixelFrames(0)..PixelFrames(u64::MAX))
        .unwrap();
    let cut = cut(file, std::io::sink(), &needed, options).map(drop);
    for copied in [trimmed, joined, cut] {
        let error = copied.unwrap_err();
        assert_eq!(
            (error.kind(), error.chunk()),
            (ErrorKind::Format, Some(1)),
            "{error}"
        );
    }
}
