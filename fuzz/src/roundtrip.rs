//! Any legal file: what is written is read back, unchanged and complete.

use arbitrary::Arbitrary;
use latentbit_container::{
    Attachment, AttachmentKind, BundleId, Chapter, ChunkPlan, Color, Compression, DepthMap, Event, Header,
    Limits, Metadata, Packet, PacketKind, PacketStream, PixelFrames, Rational, Reader, Status, Stream,
    StreamId, Times, TokenLayout, VideoStream, Writer, WriterOptions,
};

#[derive(Arbitrary, Debug)]
pub struct Input {
    size: (u8, u8),
    rate: (u32, u32),
    base: (u32, u32),
    frame_duration: u32,
    color: [u8; 3],
    bits: u8,
    patch: [u8; 3],
    strides: [u8; 3],
    chunk_latent_frames: u8,
    chunks_per_group: u8,
    frames: u8,
    promise: bool,
    coder: u8,
    index: bool,
    header_interval: u8,
    digests: bool,
    start: i64,
    durations: Option<Vec<u32>>,
    packets: Vec<(i64, Option<i64>, u64, bool, Vec<u8>)>,
    metadata: Vec<(String, String)>,
    chapter: Option<(u32, u32, String)>,
    attachment: Option<(bool, [String; 3], Vec<u8>)>,
    tokens: Vec<u64>,
}

fn video(input: &Input) -> VideoStream {
    let bits = 1 + input.bits % 64;
    let at_least_one = |(num, den): (u32, u32)| Rational {
        num: num.max(1),
        den: den.max(1),
    };
    let size = [1 + u32::from(input.size.0), 1 + u32::from(input.size.1)];
    let bundle = BundleId {
        name: "fuzz".to_owned(),
        sha256: [1; 32],
    };
    let layout = TokenLayout {
        bits: 64,
        patch: input.patch.map(|side| 1 + side % 4),
        strides: input.strides.map(|stride| 1 + stride % 16),
    };
    let color = Color {
        primaries: input.color[0],
        transfer: input.color[1],
        matrix: input.color[2],
        ..Color::default()
    };
    VideoStream::new(size, bundle, layout)
        .with_depth_step(Some(input.coder >> 2).filter(|&step| step > 0))
        .with_times(
            at_least_one(input.rate),
            at_least_one(input.base),
            input.frame_duration,
        )
        .with_pixel_aspect(Rational { num: 1, den: 1 })
        .with_color(color)
        .with_bits(bits)
        .with_chunk_latent_frames(1 + u16::from(input.chunk_latent_frames % 4))
        .with_frame_count(input.promise.then_some(PixelFrames(u64::from(input.frames % 40))))
}

fn sound() -> PacketStream {
    PacketStream::new(PacketKind::Audio, "A_FUZZ", Rational { num: 1, den: 48000 })
        .with_private(vec![1, 2, 3])
        .with_sound(48000, 2)
}

pub fn run(input: &Input) {
    let video = video(input);
    let compression = match input.coder % 3 {
        0 => Compression::Raw,
        1 => Compression::Zstd { level: 1 },
        _ => Compression::Cm,
    };
    let options = WriterOptions::default()
        .with_compression(compression)
        .with_index(input.index)
        .with_header_interval(u32::from(input.header_interval % 4))
        .with_digests(input.digests);
    let header = Header {
        streams: vec![Stream::Video(video.clone()), Stream::Packets(sound())],
    };
    let mut writer = Writer::new(Vec::new(), &header, options).expect("a legal header");
    let mut expected = Vec::new();
    let metadata = Metadata {
        stream: StreamId::NONE,
        entries: input.metadata.clone(),
    };
    if writer.write_metadata(&metadata).is_ok() {
        expected.push(format!("{:?}", Event::Metadata(metadata)));
    }
    if let Some((start, length, title)) = &input.chapter {
        let chapters = vec![Chapter {
            start: u64::from(*start),
            end: u64::from(*start) + u64::from(*length),
            title: title.clone(),
        }];
        if writer.write_chapters(&chapters).is_ok() {
            expected.push(format!("{:?}", Event::Chapters(chapters)));
        }
    }
    if let Some((cover, texts, data)) = &input.attachment {
        let [name, media_type, description] = texts.clone();
        let attachment = Attachment {
            kind: if *cover {
                AttachmentKind::Cover
            } else {
                AttachmentKind::File
            },
            name,
            media_type,
            description,
            data: data.clone(),
        };
        if writer.write_attachment(&attachment).is_ok() {
            expected.push(format!("{:?}", Event::Attachment(attachment)));
        }
    }
    let packets: Vec<Packet> = input.packets.iter().map(packet).collect();
    if !packets.is_empty() {
        writer
            .write_packets(StreamId(1), &packets)
            .expect("legal packets");
        let stream = StreamId(1);
        let packets = latentbit_container::Packets {
            stream,
            sequence: 0,
            packets,
        };
        expected.push(format!("{:?}", Event::Packets(packets)));
    }
    let frames = PixelFrames(u64::from(input.frames % 40));
    let mut values = input.tokens.iter().copied().cycle();
    let group = u32::from(input.chunks_per_group % 4);
    for planned in ChunkPlan::new(frames, video.chunk_latent_frames, group, video.strides[0]) {
        let tokens = video.grid(planned.latent_frames).len();
        if tokens > 1 << 13 {
            return;
        }
        let values = (0..tokens).map(|_| values.next().unwrap_or(0) >> (64 - video.bits));
        let mut chunk = planned.with_tokens(&video, values.collect());
        if let Some(step) = video.depth_step {
            let most = u64::from(video.bits.div_ceil(step));
            let depth = |value: &u64| (value % (most + 1) * u64::from(step)).min(u64::from(video.bits)) as u8;
            let values = chunk.tokens.values.iter().map(depth).collect();
            chunk.tokens = chunk.tokens.with_depths(DepthMap { step, values });
        }
        let durations = input.durations.as_ref().filter(|durations| !durations.is_empty());
        chunk.times = Times {
            start: input.start,
            durations: durations.map(|durations| {
                let count = chunk.frame_count.0 as usize;
                durations.iter().copied().cycle().take(count).collect()
            }),
        };
        writer.write_chunk(&chunk).expect("a legal chunk");
        expected.push(format!("{:?}", Event::Chunk(chunk)));
    }
    let (bytes, summary) = writer.finish().expect("a legal end");
    assert_eq!(summary.bytes, bytes.len() as u64);

    let mut reader = Reader::new(&bytes[..], Limits::default()).expect("a readable header");
    assert_eq!(reader.header(), &header);
    for expected in &expected {
        let event = reader.next_event().expect("a readable file");
        assert_eq!(
            format!("{:?}", event.expect("as many as were written")),
            *expected
        );
    }
    assert!(reader.next_event().expect("a readable end").is_none());
    assert!(matches!(reader.status(), Status::Complete { .. }));
}

fn packet((pts, dts, duration, key, data): &(i64, Option<i64>, u64, bool, Vec<u8>)) -> Packet {
    Packet {
        pts: *pts,
        dts: *dts,
        duration: *duration,
        key: *key,
        data: data.clone(),
    }
}
