//! What the files of the suite are made of.

use latentbit_container::{
    BundleId, Chapter, Chroma, Chunk, ChunkPlan, Color, ColorRange, Compression, Header, Metadata, Packet,
    PacketKind, PacketStream, PixelFrames, Rational, Stream, StreamId, TokenLayout, VideoStream, Writer,
    WriterOptions,
};

/// A file of the suite.
#[derive(Clone)]
pub struct File {
    /// "subset", "uncommon" or "faulty".
    pub class: &'static str,
    pub name: &'static str,
    /// What is special about it.
    pub what: &'static str,
    pub bytes: Vec<u8>,
}

/// 48x32 pixels at 30000/1001 frames per second, 12 of 18 bits, chunks of 2 latent frames.
pub fn video() -> VideoStream {
    let bundle = BundleId {
        name: "conformance".to_owned(),
        sha256: std::array::from_fn(|i| 0xc0 ^ i as u8),
    };
    let layout = TokenLayout {
        bits: 18,
        patch: [1, 1, 1],
        strides: [4, 8, 8],
    };
    let color = Color {
        primaries: 1,
        transfer: 1,
        matrix: 1,
        range: ColorRange::Limited,
    };
    VideoStream::new([48, 32], bundle, layout)
        .with_pixel_aspect(Rational { num: 1, den: 1 })
        .with_color(color)
        .with_samples(Chroma::C420, 1, 8)
        .with_bits(12)
        .with_chunk_latent_frames(2)
        .with_constant_rate(Rational {
            num: 30000,
            den: 1001,
        })
}

pub fn opus() -> PacketStream {
    let mut opus = PacketStream::new(PacketKind::Audio, "A_OPUS", Rational { num: 1, den: 48000 })
        .with_private(b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00".to_vec())
        .with_sound(48000, 2);
    (opus.codec_delay, opus.seek_preroll) = (6_500_000, 80_000_000);
    opus.language = "en".to_owned();
    opus
}

pub fn subtitles() -> PacketStream {
    let time_base = Rational { num: 1, den: 1000 };
    let mut subtitles = PacketStream::new(PacketKind::Subtitles, "S_TEXT/UTF8", time_base);
    subtitles.language = "de".to_owned();
    subtitles.title = "Für Hörgeschädigte".to_owned();
    (subtitles.default, subtitles.forced) = (false, true);
    subtitles
}

/// Numbers that are the same everywhere.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 32
    }
}

/// Chunks of a video of `frames` frames in groups of `group` chunks. Even planes are noise; odd ones have structure that
/// a coder finds: they repeat what is to the left of a token, most of the time.
pub fn chunks(video: &VideoStream, frames: u64, group: u32, seed: u64) -> Vec<Chunk> {
    let mut numbers = Numbers(seed);
    let plan = ChunkPlan::new(
        PixelFrames(frames),
        video.chunk_latent_frames,
        group,
        video.strides[0],
    );
    plan.map(|planned| {
        let tokens = video.grid(planned.latent_frames).len();
        let mut last = 0;
        let values = (0..tokens).map(|_| {
            let noise = numbers.next() | numbers.next() << 32;
            let keep = (numbers.next() | numbers.next() << 32) | (numbers.next() | numbers.next() << 32);
            let structured = last & keep | noise & !keep;
            let even = 0x5555_5555_5555_5555;
            last = (noise & even | structured & !even) & (u64::MAX >> (64 - video.bits));
            last
        });
        let values = values.collect();
        planned.with_tokens(video, values)
    })
    .collect()
}

/// Every copy of the header and the index, but nothing compressed.
pub fn raw() -> WriterOptions {
    WriterOptions::default().with_compression(Compression::Raw)
}

pub fn write(video: &VideoStream, chunks: &[Chunk], options: WriterOptions) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &video.clone().into(), options).unwrap();
    chunks.iter().for_each(|chunk| writer.write_chunk(chunk).unwrap());
    writer.finish().unwrap().0
}

/// 21 frames in four chunks: 5 (key), 8, 5 (key), 3.
pub fn clip(options: WriterOptions) -> Vec<u8> {
    let video = video();
    write(&video, &chunks(&video, 21, 2, 1), options)
}

/// A packet of 20 ms of sound that no decoder would understand.
pub fn sound(number: i64) -> Packet {
    let mut numbers = Numbers(number as u64);
    Packet {
        pts: number * 960 - 312,
        dts: None,
        duration: 960,
        key: true,
        data: (0..3 + number % 5).map(|_| numbers.next() as u8).collect(),
    }
}

/// Video with sound, subtitles, metadata and chapters.
pub fn with_sound(options: WriterOptions) -> Vec<u8> {
    let video = video();
    let header = Header {
        streams: vec![
            Stream::Video(video.clone()),
            Stream::Packets(opus()),
            Stream::Packets(subtitles()),
        ],
    };
    let mut writer = Writer::new(Vec::new(), &header, options).unwrap();
    let entries = [
        ("title", "A clip"),
        ("original_name", "clip.mp4"),
        ("encoder", "latentbit conformance"),
        ("date", "2026-11-25T07:00:00Z"),
        ("x-note", "zwei\nZeilen"),
    ];
    writer
        .write_metadata(&Metadata {
            stream: StreamId::NONE,
            entries: entries
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
        })
        .unwrap();
    let chapter = |start, end, title: &str| Chapter {
        start,
        end,
        title: title.to_owned(),
    };
    writer
        .write_chapters(&[
            chapter(0, 300_000_000, "Anfang"),
            chapter(300_000_000, 700_700_000, ""),
        ])
        .unwrap();
    for (number, chunk) in chunks(&video, 21, 2, 2).iter().enumerate() {
        let from = number as i64 * 10;
        let packets: Vec<Packet> = (from..from + 10).map(sound).collect();
        writer.write_packets(StreamId(1), &packets).unwrap();
        if number == 2 {
            let line = Packet {
                pts: 450,
                dts: Some(440),
                duration: 200,
                key: true,
                data: "— Guten Tag!".as_bytes().to_vec(),
            };
            writer.write_packets(StreamId(2), &[line]).unwrap();
        }
        writer.write_chunk(chunk).unwrap();
    }
    writer.finish().unwrap().0
}
