//! The seekable reader against the streaming one: on every conformance file and on random files, whole and damaged.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;

use latentbit_container::{
    BundleId, Chapter, Chunk, ChunkPlan, Compression, ErrorKind, Event, File, Header, Limits, Metadata,
    Packet, PacketKind, PacketStream, PixelFrames, Rational, ReadMode, Reader, Stream, StreamId, Times,
    TokenLayout, VideoStream, Writer, WriterOptions,
};
use proptest::prelude::*;

/// Milliseconds.
const BASE: Rational = Rational { num: 1, den: 1000 };

/// What a reading of a whole file gives.
#[derive(Debug, Default, PartialEq)]
struct Contents {
    chunks: BTreeMap<StreamId, Vec<Chunk>>,
    packets: BTreeMap<StreamId, Vec<Packet>>,
    metadata: Vec<Metadata>,
    chapters: Vec<Chapter>,
}

/// All that the streaming reader finds, and what ended it.
fn streamed(bytes: &[u8]) -> Result<(Header, Contents, Option<ErrorKind>), ErrorKind> {
    let mut reader =
        Reader::with_mode(bytes, Limits::default(), ReadMode::Resync).map_err(|error| error.kind())?;
    let mut found = Contents::default();
    let header = reader.header().clone();
    loop {
        match reader.next_event() {
            Ok(Some(Event::Chunk(chunk))) => found.chunks.entry(chunk.stream).or_default().push(chunk),
            Ok(Some(Event::Packets(packets))) => {
                found
                    .packets
                    .entry(packets.stream)
                    .or_default()
                    .extend(packets.packets);
            }
            Ok(Some(Event::Metadata(metadata))) => found.metadata.push(metadata),
            Ok(Some(Event::Chapters(chapters))) => found.chapters = chapters,
            Ok(Some(_)) => {}
            Ok(None) => return Ok((header, found, None)),
            Err(error) => return Ok((header, found, Some(error.kind()))),
        }
    }
}

/// All that the seekable reader finds, where the streaming one ended with `end`.
fn sought(file: &mut File<Cursor<&[u8]>>, end: Option<ErrorKind>) -> Contents {
    let mut found = Contents::default();
    for id in file.header().ids().collect::<Vec<_>>() {
        for info in file.chunks(id).to_vec() {
            match file.read(&info, u8::MAX) {
                Ok(chunk) => found.chunks.entry(id).or_default().push(chunk),
                Err(error) => assert!(
                    matches!(error.kind(), ErrorKind::Format | ErrorKind::Parameter)
                        || Some(error.kind()) == end,
                    "{error}"
                ),
            }
        }
        if file.header().packets(id).is_some() {
            let packets = file.packets(id, i64::MIN..i64::MAX).unwrap();
            let packets: Vec<Packet> = packets.filter_map(Result::ok).collect();
            if !packets.is_empty() {
                found.packets.insert(id, packets);
            }
        }
    }
    found.metadata = file.metadata().unwrap();
    found.chapters = file.chapters().unwrap();
    found
}

/// Both readers find the same. Where a newer feature or a limit ends the streaming one, or the order of chunks is wrong, the
/// other may find more.
fn both_agree(name: &str, bytes: &[u8]) {
    let opened = File::open(Cursor::new(bytes), Limits::default());
    let (header, expected, end) = match streamed(bytes) {
        Ok(streamed) => streamed,
        Err(kind) => {
            assert_eq!(
                opened.map(|_| ()).map_err(|error| error.kind()),
                Err(kind),
                "{name}"
            );
            return;
        }
    };
    let mut file = match opened {
        Ok(file) => file,
        Err(error) => {
            assert_eq!(end, Some(error.kind()), "{name}");
            assert!(
                matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Limits),
                "{name}"
            );
            return;
        }
    };
    assert_eq!(*file.header(), header, "{name}");
    for id in header.ids() {
        let chunks = file.chunks(id);
        let mut next = PixelFrames(0);
        for (info, number) in chunks.iter().zip(0..) {
            assert_eq!((info.sequence, info.first_frame), (number, next), "{name}");
            next = info.end_frame();
        }
        assert_eq!(file.frames(id), next, "{name}");
    }
    let found = sought(&mut file, end);
    let ended_early = matches!(end, Some(ErrorKind::Unsupported | ErrorKind::Limits));
    // A chunk by itself may be right, although it must not follow the one before it.
    let breaks_order = ["segment-", "time-"].iter().any(|part| name.contains(part));
    if ended_early || breaks_order {
        for (id, chunks) in &expected.chunks {
            assert!(
                chunks.iter().all(|chunk| found.chunks[id].contains(chunk)),
                "{name}"
            );
        }
        return;
    }
    assert_eq!(found, expected, "{name}");
}

#[test]
fn the_conformance_files_are_read_alike() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/conformance");
    let mut files = 0;
    for class in ["subset", "uncommon", "faulty"] {
        for entry in std::fs::read_dir(folder.join(class)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "lbit") {
                both_agree(&path.display().to_string(), &std::fs::read(&path).unwrap());
                files += 1;
            }
        }
    }
    assert!(files > 60, "{files} files");
}

fn video() -> VideoStream {
    let bundle = BundleId {
        name: "test".to_owned(),
        sha256: [7; 32],
    };
    let layout = TokenLayout {
        bits: 18,
        patch: [1, 1, 1],
        strides: [4, 8, 8],
    };
    VideoStream::new([24, 16], bundle, layout)
        .with_times(Rational { num: 25, den: 1 }, BASE, 40)
        .with_bits(3)
        .with_chunk_latent_frames(2)
}

fn sound(kind: PacketKind) -> PacketStream {
    PacketStream::new(kind, "A_OPUS", BASE).with_sound(48000, 1)
}

/// What a file of the tests is like.
#[derive(Clone, Debug)]
struct Recipe {
    frames: u64,
    group: u32,
    /// Durations of frames in milliseconds, one after the other, again and again; none for a constant rate.
    durations: Vec<u32>,
    start: i64,
    index: bool,
    /// Every how many chunks metadata and a subtitle of `long` milliseconds come.
    notes: u64,
    long: u64,
    seed: u64,
    bundle: u8,
}

fn recipes() -> impl Strategy<Value = Recipe> {
    (
        1u64..120,
        0u32..5,
        proptest::collection::vec(0u32..100, 0..5),
        -50i64..50,
        any::<bool>(),
        1u64..5,
        0u64..3000,
        any::<u64>(),
    )
        .prop_map(
            |(frames, group, durations, start, index, notes, long, seed)| Recipe {
                frames,
                group,
                durations,
                start,
                index,
                notes,
                long,
                seed,
                bundle: 0,
            },
        )
}

impl Recipe {
    /// The file, and when each frame is shown, with the end of the last one.
    fn write(&self) -> (Vec<u8>, Vec<i64>) {
        let mut video = video();
        video.bundle.sha256[0] = self.bundle;
        let header = Header {
            streams: vec![
                Stream::Packets(sound(PacketKind::Audio)),
                Stream::Video(video.clone()),
                Stream::Packets(sound(PacketKind::Subtitles)),
            ],
        };
        let options = WriterOptions::default()
            .with_compression(Compression::Raw)
            .with_index(self.index)
            .with_header_interval(3);
        let mut writer = Writer::new(Vec::new(), &header, options).unwrap();
        let mut state = self.seed | 1;
        let mut random = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let mut shown = vec![self.start];
        // Sound of 20 ms, from 60 ms before the picture on.
        let mut heard = self.start - 60;
        for planned in ChunkPlan::new(PixelFrames(self.frames), 2, self.group, 4) {
            let tokens = video.grid(planned.latent_frames).len();
            let mut chunk = planned.with_tokens(&video, (0..tokens).map(|_| random() & 7).collect());
            chunk.stream = StreamId(1);
            let start = *shown.last().unwrap();
            let durations: Vec<u32> = match self.durations.is_empty() {
                true => vec![40; planned.frames.0 as usize],
                false => (shown.len()..)
                    .take(planned.frames.0 as usize)
                    .map(|n| self.durations[n % self.durations.len()])
                    .collect(),
            };
            for ticks in &durations {
                shown.push(shown.last().unwrap() + i64::from(*ticks));
            }
            chunk.times = Times {
                start,
                durations: Some(durations).filter(|_| !self.durations.is_empty()),
            };
            if planned.sequence % self.notes == 0 {
                let metadata = Metadata {
                    stream: StreamId::NONE,
                    entries: vec![("n".to_owned(), planned.sequence.to_string())],
                };
                writer.write_metadata(&metadata).unwrap();
                let chapter = Chapter {
                    start: 0,
                    end: planned.sequence,
                    title: "x".to_owned(),
                };
                writer.write_chapters(&[chapter]).unwrap();
                let subtitle = Packet {
                    pts: start,
                    duration: self.long,
                    key: true,
                    data: vec![1; 9],
                    dts: None,
                };
                writer.write_packets(StreamId(2), &[subtitle]).unwrap();
            }
            let mut packets = Vec::new();
            while heard < *shown.last().unwrap() {
                let data = vec![random() as u8; 1 + (random() % 40) as usize];
                packets.push(Packet {
                    pts: heard,
                    duration: 20,
                    key: true,
                    data,
                    dts: None,
                });
                heard += 20;
            }
            if !packets.is_empty() {
                writer.write_packets(StreamId(0), &packets).unwrap();
            }
            writer.write_chunk(&chunk).unwrap();
        }
        (writer.finish().unwrap().0, shown)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_files_are_read_alike(recipe in recipes()) {
        both_agree("a whole file", &recipe.write().0);
    }

    #[test]
    fn damaged_files_are_read_alike(
        recipe in recipes(), at in any::<prop::sample::Index>(), bit in 0u32..8, kind in 0..5,
        len in 1usize..40,
    ) {
        let (mut bytes, _) = recipe.write();
        let at = at.index(bytes.len());
        let end = (at + len).min(bytes.len());
        match kind {
            0 => bytes[at] ^= 1 << bit,
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..end)),
            3 => bytes[at..end].fill(0),
            _ => drop(bytes.splice(at..at, vec![0xa7; len])),
        }
        both_agree("a damaged file", &bytes);
    }

    /// A part holds the wanted frames and begins at a key chunk, by frames and by times.
    #[test]
    fn parts_are_what_was_asked_for(recipe in recipes(), from in 0u64..130, len in 0u64..60, late in -5i64..5) {
        let (bytes, shown) = recipe.write();
        let mut file = File::open(Cursor::new(&bytes[..]), Limits::default()).unwrap();
        let stream = file.first_video().unwrap().0;
        let chunks = file.chunks(stream).to_vec();
        for (frame, &time) in (0..).zip(&shown) {
            prop_assert_eq!(file.time_of(stream, PixelFrames(frame)).unwrap(), time);
            let time = time + late;
            let first = shown[..recipe.frames as usize].iter().position(|&shown| shown >= time);
            let first = first.map_or(recipe.frames, |first| first as u64);
            prop_assert_eq!(file.frame_at(stream, time).unwrap(), PixelFrames(first));
        }
        prop_assert_eq!(file.span(stream).unwrap(), shown[0]..shown[recipe.frames as usize]);
        let wanted = PixelFrames(from)..PixelFrames(from + len);
        let Some(needed) = file.chunks_for(stream, wanted.clone()) else {
            prop_assert!(from >= recipe.frames || len == 0);
            return Ok(());
        };
        prop_assert_eq!(&needed.frames, &(wanted.start..wanted.end.min(PixelFrames(recipe.frames))));
        prop_assert!(chunks[needed.from_key].key);
        prop_assert!(chunks[needed.from_key + 1..=needed.first].iter().all(|chunk| !chunk.key));
        prop_assert!((chunks[needed.first].first_frame..chunks[needed.first].end_frame()).contains(&wanted.start));
        prop_assert!((chunks[needed.end - 1].first_frame..chunks[needed.end - 1].end_frame()).contains(&(needed.frames.end - PixelFrames(1))));

        // The chunks and the packets of that part, by a reading of the whole file.
        let (_, all, _) = streamed(&bytes).unwrap();
        let start = shown[from as usize];
        let end = match needed.frames.end.0 == recipe.frames {
            true => i64::MAX,
            false => shown[needed.frames.end.0 as usize],
        };
        let mut expected = Contents::default();
        expected.chunks.insert(stream, all.chunks[&stream][needed.from_key..needed.end].to_vec());
        for (id, packets) in all.packets {
            let inside = packets.into_iter().filter(|packet| {
                packet.pts < end && (start <= 0 || packet.pts >= start || packet.pts + packet.duration as i64 > start)
            });
            let inside: Vec<Packet> = inside.collect();
            prop_assert_eq!(
                &file.packets(id, start..end).unwrap().collect::<Result<Vec<_>, _>>().unwrap(),
                &inside
            );
            if !inside.is_empty() {
                expected.packets.insert(id, inside);
            }
        }
        let streams: Vec<StreamId> = file.header().ids().collect();
        let mut part = file.part(needed).with_packets(&streams).unwrap();
        let mut found = Contents::default();
        while let Some(event) = part.next_event().unwrap() {
            match event {
                Event::Chunk(chunk) => found.chunks.entry(stream).or_default().push(chunk),
                Event::Packets(packets) => found.packets.entry(packets.stream).or_default().extend(packets.packets),
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(found, expected);
    }
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.read.set(self.read.get() + len as u64);
        Ok(len)
    }
}

impl<R: Seek> Seek for Counted<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// A file of some 4 MB.
fn long() -> Vec<u8> {
    let recipe = Recipe {
        frames: 1000,
        group: 4,
        durations: Vec::new(),
        start: 0,
        index: true,
        notes: 7,
        long: 5000,
        seed: 1,
        bundle: 0,
    };
    let (small, _) = recipe.write();
    let parts = 40;
    let (bytes, _) = latentbit_container::edit::concat(
        parts,
        |_| Ok(&small[..]),
        Vec::new(),
        &Limits::default(),
        WriterOptions::default().with_compression(Compression::Raw),
    )
    .unwrap();
    bytes
}

#[test]
fn opening_reads_the_ends_only() {
    let bytes = long();
    let read = Rc::new(Cell::new(0));
    let counted = Counted {
        inner: Cursor::new(&bytes[..]),
        read: read.clone(),
    };
    let file = File::open(counted, Limits::default()).unwrap();
    let stream = file.first_video().unwrap().0;
    assert!(file.is_indexed());
    let frames = file.frames(stream);
    assert_eq!(frames, PixelFrames(40_000));
    assert_eq!(file.totals()[1].frames, frames);
    assert!(file.totals()[1].digest.is_some());
    let index = file.chunks(stream).len() as u64 * 15;
    let most = 2 * (1 << 16) + index;
    assert!(bytes.len() as u64 > 8 * most, "{} bytes", bytes.len());
    assert!(read.get() <= most, "{} of {} bytes read", read.get(), bytes.len());

    // The last second: its chunks from the key chunk on, twice for those at both ends.
    read.set(0);
    let needed = file.chunks_for(stream, frames - PixelFrames(25)..frames).unwrap();
    let stored: u64 = file.chunks(stream)[needed.from_key..]
        .iter()
        .map(|chunk| chunk.stored_len)
        .sum();
    let mut part = file.part(needed);
    while part.next_event().unwrap().is_some() {}
    assert_eq!(read.get(), stored);
}

#[test]
fn without_an_index_the_file_is_read_once() {
    let bytes = long();
    let read = Rc::new(Cell::new(0));
    let counted = Counted {
        inner: Cursor::new(&bytes[..bytes.len() - 50]),
        read: read.clone(),
    };
    assert!(File::with_index(counted, Limits::default()).unwrap().is_none());
    assert!(read.get() <= 2 * (1 << 16));
    read.set(0);
    let counted = Counted {
        inner: Cursor::new(&bytes[..bytes.len() - 50]),
        read: read.clone(),
    };
    let file = File::open(counted, Limits::default()).unwrap();
    assert!(!file.is_indexed());
    assert!(read.get() <= bytes.len() as u64 + 2 * (1 << 16));
}

/// Where the index has a chunk in the wrong place, the chunk is found all the same.
#[test]
fn an_index_is_only_a_hint() {
    let recipe = Recipe {
        frames: 60,
        group: 2,
        durations: Vec::new(),
        start: 0,
        index: true,
        notes: 100,
        long: 0,
        seed: 3,
        bundle: 0,
    };
    let (bytes, _) = recipe.write();
    let file = File::open(Cursor::new(&bytes[..]), Limits::default()).unwrap();
    let stream = file.first_video().unwrap().0;
    let chunks = file.chunks(stream).to_vec();
    // Two neighbouring records change places; the last one stays.
    let [a, b] =
        [chunks[1], chunks[2]].map(|info| info.offset as usize..(info.offset + info.stored_len) as usize);
    let swapped = [
        &bytes[..a.start],
        &bytes[b.clone()],
        &bytes[a.end..b.start],
        &bytes[a.clone()],
        &bytes[b.end..],
    ]
    .concat();
    both_agree("swapped", &swapped);
    // A chunk of another file is none of this one's, even if all else fits.
    let (other, _) = Recipe {
        bundle: 1,
        ..recipe.clone()
    }
    .write();
    let foreign = [&bytes[..a.start], &other[a.clone()], &bytes[a.end..]].concat();
    both_agree("foreign", &foreign);
    let mut file = File::open(Cursor::new(&foreign[..]), Limits::default()).unwrap();
    assert!(file.is_indexed());
    let error = file.read(&chunks[1], u8::MAX).unwrap_err();
    assert!(error.to_string().contains("that of another one"), "{error}");
    assert_eq!(file.read(&chunks[2], u8::MAX).unwrap().sequence, 2);
    // Nor is one that the caller made up.
    let mut wrong = chunks[1];
    wrong.sequence = 2;
    assert_eq!(file.read(&wrong, u8::MAX).unwrap_err().kind(), ErrorKind::Format);
}
