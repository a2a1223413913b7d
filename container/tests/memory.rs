//! What reading hostile files takes of memory: flat where a file only grows, whatever it claims.
#![allow(clippy::unwrap_used)]

use std::io::Cursor;

use latentbit_container::{
    BundleId, File, Header, Limits, Metadata, Packet, PacketKind, PacketStream, Rational, ReadMode, Reader,
    Stream, StreamId, TokenLayout, VideoStream, Writer, WriterOptions, edit, verify_file,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn writer() -> Writer<Vec<u8>> {
    let bundle = BundleId {
        name: "test".to_owned(),
        sha256: [7; 32],
    };
    let layout = TokenLayout {
        bits: 36,
        patch: [1, 1, 1],
        strides: [4, 8, 8],
    };
    let milliseconds = Rational { num: 1, den: 1000 };
    let header = Header {
        streams: vec![
            Stream::Video(VideoStream::new([64, 48], bundle, layout)),
            Stream::Packets(PacketStream::new(PacketKind::Audio, "A_OPUS", milliseconds)),
        ],
    };
    Writer::new(Vec::new(), &header, WriterOptions::default()).unwrap()
}

/// Files of a kind, the larger the number the longer.
type Family = (&'static str, fn(usize) -> Vec<u8>);

fn families() -> [Family; 4] {
    [
        ("records of packets", |n| {
            let mut writer = writer();
            let packets = vec![Packet::default(); 1 << 12];
            (0..n).for_each(|_| writer.write_packets(StreamId(1), &packets).unwrap());
            writer.finish().unwrap().0
        }),
        ("metadata", |n| {
            let mut writer = writer();
            let entries = vec![("a".to_owned(), String::new()); 1 << 14];
            let stream = StreamId::NONE;
            let metadata = Metadata { stream, entries };
            (0..n).for_each(|_| writer.write_metadata(&metadata).unwrap());
            writer.finish().unwrap().0
        }),
        ("bad records", |n| {
            let mut bytes = writer().finish().unwrap().0;
            // The end record, with a wrong checksum, again and again before the right one.
            let end = bytes.split_off(bytes.len() - 132);
            let mut bad = end.clone();
            *bad.last_mut().unwrap() ^= 1;
            (0..n * 1000).for_each(|_| bytes.extend_from_slice(&bad));
            bytes.extend_from_slice(&end);
            bytes
        }),
        ("a record that claims 64 MiB", |n| {
            let mut bytes = writer().finish().unwrap().0;
            let mut header = b"\xa7LB\nCHNK\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\0".to_vec();
            header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
            let end = bytes.len() - 132;
            bytes.splice(end..end, header);
            bytes.truncate(end + 28 + n);
            bytes
        }),
    ]
}

/// What `run` takes at most beyond what there was.
fn peak(run: impl FnOnce()) -> usize {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    run();
    MEMORY.peak_usage() - before
}

/// One test, because the allocator counts for all threads.
#[test]
fn memory_is_flat() {
    let limits = Limits::default();
    let stream = |bytes: &[u8], mode| {
        if let Ok(mut reader) = Reader::with_mode(bytes, limits, mode) {
            while let Ok(Some(_)) = reader.next_stored_event() {}
        }
    };
    type Reading<'a> = (&'static str, &'a dyn Fn(&[u8]));
    let readings: [Reading<'_>; 4] = [
        ("resync", &|bytes| stream(bytes, ReadMode::Resync)),
        ("verify", &|bytes| drop(verify_file(Cursor::new(bytes), &limits))),
        ("recover", &|bytes| {
            let options = WriterOptions::default();
            drop(edit::recover(
                Cursor::new(bytes),
                std::io::sink(),
                &limits,
                options,
            ));
        }),
        ("random access", &|bytes| {
            if let Ok(mut file) = File::open(Cursor::new(bytes), limits) {
                drop((file.metadata(), file.chapters()));
                if let Ok(packets) = file.packets(StreamId(1), 0..1) {
                    packets.for_each(drop);
                }
            }
        }),
    ];
    for (family, make) in families() {
        let (small, large) = (make(8), make(64));
        for (reading, read) in readings {
            let little = peak(|| read(&small));
            let much = peak(|| read(&large));
            // Of what is only passed by, recovery keeps where it lies.
            let most = little + little / 2 + large.len() / 2 + (1 << 20);
            assert!(
                much <= most && much <= 48 << 20,
                "{family}, {reading}: {little} bytes for {}, {much} for {}",
                small.len(),
                large.len()
            );
        }
    }
}
