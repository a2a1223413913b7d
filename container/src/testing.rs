//! Small headers, chunks and files for tests.

use proptest::prelude::*;

use crate::{
    BundleId, Chroma, Chunk, ChunkHead, ChunkInfo, ChunkPlan, Color, ColorRange, Compression, DepthMap,
    Error, LatentFrames, Limits, PacketKind, PacketStream, PixelFrames, Rational, Reader, Result, Status,
    StreamId, Times, TokenGrid, Tokens, VideoStream, Writer, WriterOptions,
};

pub fn video() -> VideoStream {
    VideoStream {
        width: 24,
        height: 16,
        frame_rate: Rational {
            num: 30000,
            den: 1001,
        },
        time_base: Rational {
            num: 1001,
            den: 30000,
        },
        frame_duration: 1,
        pixel_aspect: Rational { num: 1, den: 1 },
        color: Color {
            primaries: 1,
            transfer: 13,
            matrix: 6,
            range: ColorRange::Limited,
        },
        chroma: Chroma::C420,
        chroma_location: 1,
        bit_depth: 8,
        bundle: BundleId {
            name: "test".to_owned(),
            sha256: std::array::from_fn(|i| i as u8),
        },
        bits: 3,
        bundle_bits: 18,
        patch: [1, 1, 1],
        strides: [4, 8, 8],
        chunk_latent_frames: 2,
        frame_count: None,
        depth_step: None,
    }
}

pub fn chunk(grid: TokenGrid, bits: u8, values: Vec<u64>) -> Chunk {
    Chunk {
        head: ChunkHead {
            stream: StreamId(0),
            segment: 0,
            sequence: 3,
            first_frame: PixelFrames(77),
            frame_count: PixelFrames(5),
            latent_frames: LatentFrames(2),
            key: true,
        },
        times: Times::default(),
        tokens: Tokens::new(grid, bits, values),
    }
}

/// Where the chunks of an intact file lie, in its order.
pub fn listed(bytes: &[u8]) -> Vec<ChunkInfo> {
    let mut reader = Reader::new(bytes, Limits::default()).unwrap();
    let mut chunks = Vec::new();
    while reader.next_stored().unwrap().is_some() {
        chunks.push(*reader.last_chunk().unwrap());
    }
    chunks
}

/// Tokens that have depths in steps of `step` planes: alike in places that lie close together.
pub fn elastic(grid: TokenGrid, bits: u8, step: u8, seed: u64) -> Tokens {
    let mut state = seed | 1;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 32
    };
    let values = (0..grid.len())
        .map(|_| (next() | next() << 32) >> (64 - bits))
        .collect();
    let most = u64::from(bits.div_ceil(step));
    let mut depth = next() % (most + 1);
    let depths = (0..grid.len()).map(|_| {
        depth = match next() % 8 {
            0 => next() % (most + 1),
            1 => depth.saturating_sub(1),
            2 => (depth + 1).min(most),
            _ => depth,
        };
        (depth * u64::from(step)).min(u64::from(bits)) as u8
    });
    let depths = DepthMap {
        step,
        values: depths.collect(),
    };
    Tokens::new(grid, bits, values).with_depths(depths)
}

/// Chunks of a whole stream with tokens drawn from `seed`.
pub fn chunks(video: &VideoStream, frames: u64, chunks_per_group: u32, seed: u64) -> Vec<Chunk> {
    let mut state = seed | 1;
    ChunkPlan::new(
        PixelFrames(frames),
        video.chunk_latent_frames,
        chunks_per_group,
        video.strides[0],
    )
    .map(|planned| {
        let grid = video.grid(planned.latent_frames);
        let values = (0..grid.len()).map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state >> (64 - video.bits)
        });
        planned.with_tokens(video, values.collect())
    })
    .collect()
}

prop_compose! {
    pub fn any_video()(
        (width, height) in (1u32..200, 1u32..200),
        rate in (any::<u32>(), 1u32..),
        (base, frame_duration) in ((1u32.., 1u32..), any::<u32>()),
        aspect in (any::<u32>(), 1u32..),
        color in any::<[u8; 3]>(),
        range in prop_oneof![Just(ColorRange::Unspecified), Just(ColorRange::Limited), Just(ColorRange::Full)],
        chroma in prop_oneof![
            Just(Chroma::C420), Just(Chroma::C422), Just(Chroma::C444), Just(Chroma::Gray), Just(Chroma::Rgb)
        ],
        (chroma_location, bit_depth) in (0u8..=6, 1u8..=16),
        (name, sha256) in ("[a-zé/.-]{1,40}", any::<[u8; 32]>()),
        (bits, more_bits) in (1u8..=64, 0u8..64),
        patch in proptest::array::uniform3(1u8..4),
        strides in proptest::array::uniform3(1u8..9),
        chunk_latent_frames in 1u16..5,
        frame_count in proptest::option::of(0..u64::MAX),
        depth_step in proptest::option::of(1u8..=64),
    ) -> VideoStream {
        VideoStream {
            width,
            height,
            frame_rate: Rational { num: rate.0, den: rate.1 },
            time_base: Rational { num: base.0, den: base.1 },
            frame_duration,
            pixel_aspect: Rational { num: aspect.0, den: aspect.1 },
            color: Color { primaries: color[0], transfer: color[1], matrix: color[2], range },
            chroma,
            chroma_location,
            bit_depth,
            bundle: BundleId { name, sha256 },
            bits,
            bundle_bits: bits.saturating_add(more_bits).min(64),
            patch,
            strides,
            chunk_latent_frames,
            frame_count: frame_count.map(PixelFrames),
            depth_step,
        }
    }
}

/// Sound beside the video.
pub fn sound() -> PacketStream {
    PacketStream {
        kind: PacketKind::Audio,
        codec: "A_OPUS".to_owned(),
        private: vec![1, 2, 3],
        time_base: Rational { num: 1, den: 48000 },
        sample_rate: 48000,
        channels: 2,
        bits_per_sample: 0,
        codec_delay: 6_500_000,
        seek_preroll: 80_000_000,
        language: "en".to_owned(),
        title: "Original".to_owned(),
        default: true,
        forced: false,
    }
}

/// A stream of `chunks`, as bytes.
pub fn write(video: &VideoStream, chunks: &[Chunk], options: WriterOptions) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &video.clone().into(), options).unwrap();
    for chunk in chunks {
        writer.write_chunk(chunk).unwrap();
    }
    writer.finish().unwrap().0
}

/// Four chunks of 5, 8, 5 and 3 frames: full, continuing, key again, a rest.
pub fn small() -> (VideoStream, Vec<Chunk>, Vec<u8>) {
    let video = video();
    let chunks = chunks(&video, 21, 2, 11);
    (video.clone(), chunks.clone(), write(&video, &chunks, raw()))
}

/// Raw planes and no second header.
pub fn raw() -> WriterOptions {
    WriterOptions {
        compression: Compression::Raw,
        header_interval: 0,
        ..WriterOptions::default()
    }
}

/// Everything that comes out before the end or an error.
pub fn read_strict(bytes: &[u8]) -> (Vec<Chunk>, Status, Option<Error>) {
    let mut reader = match Reader::new(bytes, Limits::default()) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Status::Failed, Some(error)),
    };
    let mut chunks = Vec::new();
    let error = loop {
        match reader.next_chunk() {
            Ok(Some(chunk)) => chunks.push(chunk),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    if error.is_some() {
        assert!(
            matches!(reader.next_chunk(), Ok(None)),
            "nothing comes after an error"
        );
    }
    (chunks, reader.status(), error)
}

pub fn read_all(bytes: &[u8]) -> Result<(VideoStream, Vec<Chunk>)> {
    let mut reader = Reader::new(bytes, Limits::default())?;
    let mut chunks = Vec::new();
    while let Some(chunk) = reader.next_chunk()? {
        chunks.push(chunk);
    }
    assert_eq!(reader.header().streams.len(), 1);
    Ok((reader.header().first_video().unwrap().1.clone(), chunks))
}

/// Where each record of an intact stream starts, and the end.
pub fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let mut at = 8;
    let mut all = vec![at];
    while at < bytes.len() {
        let len: [u8; 4] = bytes[at + 12..at + 16].try_into().unwrap();
        at += 32 + u32::from_le_bytes(len) as usize;
        all.push(at);
    }
    all
}
