//! The sidecar: the JSON beside an array of tokens that describes it.

use std::path::Path;

use latentbit_container::{
    BundleId, Chapter, Chroma, Chunk, ChunkHead, ChunkInfo, Color, ColorRange, DepthMap, LatentFrames,
    Metadata, PixelFrames, Rational, StoredChunk, StreamId, Times, TokenLayout, Tokens, VideoStream,
};
use serde::{Deserialize, Serialize};

use super::layout::{Array, Layout};
use latentbit_media::{MediaError, MediaErrorKind};

pub const SCHEMA: &str = "latentbit.tokens/1";
/// With depths, which programs that know only the first version would take for bits that are zero.
pub const ELASTIC_SCHEMA: &str = "latentbit.tokens/2";
const SCAN_ORDER: &str = "time, height, width; width fastest";
const BIT_ORDER: &str = "bit j of a token is plane j; plane 0, the least significant bit, is the most important; \
     a bit is 1 where the tokenizer's output is above 0";

#[derive(Debug, Serialize, Deserialize)]
pub struct Sidecar {
    pub schema: String,
    pub dtype: String,
    /// Steps, height, width, and columns if a token is split.
    pub shape: Vec<u64>,
    /// Numbers per token, if it is split: column c holds the bits from c times the width of a number on.
    pub columns: Option<usize>,
    pub scan_order: String,
    pub bit_order: String,
    /// Name of the file beside this one with the depth of each token, u8 (steps, height, width), if tokens have depths and
    /// are not safetensors, which hold the depths themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depths: Option<String>,
    pub video: Video,
    pub chunks: Vec<ChunkEntry>,
    /// Metadata of the file and of the stream, in order.
    pub metadata: Vec<MetadataEntry>,
    pub chapters: Vec<ChapterEntry>,
}

/// The description of the stream (LBIT §4.3).
#[derive(Debug, Serialize, Deserialize)]
pub struct Video {
    pub bundle: String,
    pub bundle_sha256: String,
    pub bits: u8,
    pub bundle_bits: u8,
    pub width: u32,
    pub height: u32,
    pub frames: Option<u64>,
    pub frame_rate: [u32; 2],
    pub time_base: [u32; 2],
    pub frame_duration: u32,
    pub pixel_aspect: [u32; 2],
    pub patch: [u8; 3],
    pub strides: [u8; 3],
    pub chunk_latent_frames: u16,
    /// Primaries, transfer and matrix, by the code points of ISO/IEC 23091-2.
    pub color: [u8; 3],
    pub range: String,
    pub chroma: String,
    pub chroma_location: u8,
    pub bit_depth: u8,
    /// Planes from one depth to the next, if tokens have depths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth_step: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChunkEntry {
    pub number: u64,
    pub first_frame: u64,
    pub frames: u64,
    pub latent_frames: u64,
    /// The VAE's state is reset before it.
    pub key: bool,
    /// Tokens of different segments are of different videos: never join them.
    pub segment: u32,
    /// When its first frame is shown, in ticks of the time base.
    pub start: i64,
    /// How long each frame is shown, if not for the stream's `frame_duration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durations: Option<Vec<u32>>,
    /// Its range of the first axis, end excluded. Empty if the chunk is lost.
    pub steps: [u64; 2],
    /// Its tokens are gone. Of several lost chunks in a row, nobody knows where one ended and the next began.
    #[serde(default)]
    pub lost: bool,
    /// Bits per token in this chunk, if fewer than the stream has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<u8>,
    /// Its tokens have no depths, though the stream is elastic: all have all bits of the chunk.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub even: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MetadataEntry {
    /// 0 if it is about the video, none if it is about the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<u16>,
    pub entries: Vec<(String, String)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChapterEntry {
    pub start_ns: u64,
    pub end_ns: u64,
    pub title: String,
}

const RANGES: [(ColorRange, &str); 3] = [
    (ColorRange::Unspecified, "unspecified"),
    (ColorRange::Limited, "limited"),
    (ColorRange::Full, "full"),
];
const CHROMAS: [(Chroma, &str); 5] = [
    (Chroma::C420, "4:2:0"),
    (Chroma::C422, "4:2:2"),
    (Chroma::C444, "4:4:4"),
    (Chroma::Gray, "gray"),
    (Chroma::Rgb, "rgb"),
];

/// Name of the sidecar of an array file.
pub fn sidecar_name(array: &str) -> String {
    format!("{array}.json")
}

/// Name of the file of depths that belongs to an array file: `clip.depths.npy` for `clip.npy`.
pub fn depths_name(array: &str) -> String {
    let path = Path::new(array);
    match (path.file_stem(), path.extension()) {
        (Some(stem), Some(extension)) => {
            let mut name = stem.to_os_string();
            name.push(".depths.");
            name.push(extension);
            path.with_file_name(name).to_string_lossy().into_owned()
        }
        _ => format!("{array}.depths"),
    }
}

/// Chapters, as the JSON has them.
pub fn chapter_entries(chapters: &[Chapter]) -> Vec<ChapterEntry> {
    let all = chapters.iter().map(|chapter| ChapterEntry {
        start_ns: chapter.start,
        end_ns: chapter.end,
        title: chapter.title.clone(),
    });
    all.collect()
}

impl Sidecar {
    /// Longest sidecar in bytes; it takes weeks of video to fill it.
    pub const MAX_LEN: u64 = 1 << 29;

    /// Parses a sidecar, which messages call `place`.
    pub fn parse(text: &[u8], place: &str) -> Result<Self, MediaError> {
        let invalid = |message| MediaError::new(MediaErrorKind::Invalid, place, message);
        if text.len() as u64 > Self::MAX_LEN {
            let most = Self::MAX_LEN;
            return Err(invalid(format!(
                "expected a sidecar of at most {most} bytes, found more"
            )));
        }
        serde_json::from_slice(text)
            .map_err(|error| invalid(format!("this is no sidecar of tokens: {error}")))
    }

    /// A sidecar without chunks for an array of `steps` steps.
    pub fn of_steps(video: &VideoStream, layout: Layout, steps: u64) -> Self {
        Self {
            shape: Self::sides(video, layout, steps),
            ..Self::new(video, layout.dtype(), layout.columns)
        }
    }

    /// Shape of an array of `steps` steps.
    pub(super) fn sides(video: &VideoStream, layout: Layout, steps: u64) -> Vec<u64> {
        let grid = video.grid(LatentFrames(1));
        let mut sides = vec![steps, u64::from(grid.h), u64::from(grid.w)];
        sides.extend(layout.columns.map(|columns| columns as u64));
        sides
    }

    /// The text of a sidecar file.
    pub fn to_json(&self) -> anyhow::Result<String> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        if text.len() as u64 > Self::MAX_LEN {
            anyhow::bail!(
                "the sidecar would take {} bytes, and `tokens import` takes {}; cut the file into parts",
                text.len(),
                Self::MAX_LEN
            );
        }
        Ok(text)
    }

    /// A sidecar without chunks.
    pub fn new(video: &VideoStream, dtype: &str, columns: Option<usize>) -> Self {
        Self {
            schema: match video.depth_step {
                None => SCHEMA.to_owned(),
                Some(_) => ELASTIC_SCHEMA.to_owned(),
            },
            dtype: dtype.to_owned(),
            shape: Vec::new(),
            columns,
            scan_order: SCAN_ORDER.to_owned(),
            bit_order: BIT_ORDER.to_owned(),
            depths: None,
            video: Video::new(video),
            chunks: Vec::new(),
            metadata: Vec::new(),
            chapters: Vec::new(),
        }
    }

    /// Type and shape of the array.
    pub fn array(&self) -> Array {
        Array {
            dtype: self.dtype.clone(),
            shape: self.shape.clone(),
        }
    }

    /// Type and shape of the array of depths.
    pub fn depths_array(&self) -> Array {
        let sides = self.shape.iter().take(3).copied();
        Array {
            dtype: "u8".to_owned(),
            shape: sides.collect(),
        }
    }

    /// The metadata of the file and of its stream.
    pub fn metadata(&self) -> Vec<Metadata> {
        let all = self.metadata.iter().map(|metadata| Metadata {
            stream: metadata.stream.map_or(StreamId::NONE, StreamId),
            entries: metadata.entries.clone(),
        });
        all.collect()
    }

    pub fn chapters(&self) -> Vec<Chapter> {
        let all = self.chapters.iter().map(|chapter| Chapter {
            start: chapter.start_ns,
            end: chapter.end_ns,
            title: chapter.title.clone(),
        });
        all.collect()
    }
}

impl Video {
    fn new(video: &VideoStream) -> Self {
        let pair = |rational: Rational| [rational.num, rational.den];
        let name = |range: ColorRange| {
            RANGES
                .iter()
                .find(|(known, _)| *known == range)
                .map_or("", |(_, name)| name)
        };
        let chroma = |chroma: Chroma| {
            CHROMAS
                .iter()
                .find(|(known, _)| *known == chroma)
                .map_or("", |(_, name)| name)
        };
        Self {
            bundle: video.bundle.name.clone(),
            bundle_sha256: video.bundle.sha256_hex(),
            bits: video.bits,
            bundle_bits: video.bundle_bits,
            width: video.width,
            height: video.height,
            frames: video.frame_count.map(u64::from),
            frame_rate: pair(video.frame_rate),
            time_base: pair(video.time_base),
            frame_duration: video.frame_duration,
            pixel_aspect: pair(video.pixel_aspect),
            patch: video.patch,
            strides: video.strides,
            chunk_latent_frames: video.chunk_latent_frames,
            color: [video.color.primaries, video.color.transfer, video.color.matrix],
            range: name(video.color.range).to_owned(),
            chroma: chroma(video.chroma).to_owned(),
            chroma_location: video.chroma_location,
            bit_depth: video.bit_depth,
            depth_step: video.depth_step,
        }
    }

    /// The stream's description for a file; none if a name in it is not known.
    pub fn stream(&self) -> Option<VideoStream> {
        let rational = |[num, den]: [u32; 2]| Rational { num, den };
        let [primaries, transfer, matrix] = self.color;
        let mut sha256 = [0; 32];
        let digits = |digit: u8| digit.is_ascii_hexdigit();
        if self.bundle_sha256.len() != 64 || !self.bundle_sha256.bytes().all(digits) {
            return None;
        }
        for (at, byte) in sha256.iter_mut().enumerate() {
            *byte = u8::from_str_radix(self.bundle_sha256.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        let color = Color {
            primaries,
            transfer,
            matrix,
            range: RANGES.iter().find(|(_, name)| *name == self.range)?.0,
        };
        let bundle = BundleId {
            name: self.bundle.clone(),
            sha256,
        };
        let layout = TokenLayout {
            bits: self.bundle_bits,
            patch: self.patch,
            strides: self.strides,
        };
        let chroma = CHROMAS.iter().find(|(_, name)| *name == self.chroma)?.0;
        Some(
            VideoStream::new([self.width, self.height], bundle, layout)
                .with_times(
                    rational(self.frame_rate),
                    rational(self.time_base),
                    self.frame_duration,
                )
                .with_pixel_aspect(rational(self.pixel_aspect))
                .with_color(color)
                .with_samples(chroma, self.chroma_location, self.bit_depth)
                .with_bits(self.bits)
                .with_chunk_latent_frames(self.chunk_latent_frames)
                .with_depth_step(self.depth_step)
                .with_frame_count(self.frames.map(PixelFrames)),
        )
    }
}

impl ChunkEntry {
    /// A chunk whose tokens are the `steps` of the array, with at most `bits` bits each.
    pub fn new(info: &ChunkInfo, times: Times, steps: [u64; 2], bits: u8) -> Self {
        Self {
            number: info.sequence,
            first_frame: info.first_frame.0,
            frames: info.frame_count.0,
            latent_frames: info.latent_frames.0,
            key: info.key,
            segment: info.segment,
            start: times.start,
            durations: times.durations,
            steps,
            lost: false,
            bits: (info.bits < bits).then_some(info.bits),
            even: false,
        }
    }

    /// A chunk without tokens before the step `step`.
    pub fn lost(place: &StoredChunk, step: u64) -> Self {
        Self {
            number: place.sequence,
            first_frame: place.first_frame.0,
            frames: place.frame_count.0,
            latent_frames: place.latent_frames.0,
            key: place.key,
            segment: place.segment,
            start: place.times.start,
            durations: place.times.durations.clone(),
            steps: [step, step],
            lost: true,
            bits: None,
            even: false,
        }
    }

    fn head(&self) -> ChunkHead {
        ChunkHead {
            stream: StreamId(0),
            sequence: self.number,
            first_frame: PixelFrames(self.first_frame),
            frame_count: PixelFrames(self.frames),
            latent_frames: LatentFrames(self.latent_frames),
            key: self.key,
            segment: self.segment,
        }
    }

    /// The placeholder of a lost chunk.
    pub fn place(&self, video: &VideoStream) -> StoredChunk {
        let head = self.head();
        StoredChunk::lost(head, self.times(), video.grid(head.latent_frames))
    }

    /// The chunk with its tokens, and their depths if the stream is elastic.
    pub fn chunk(&self, video: &VideoStream, values: Vec<u64>, depths: Option<DepthMap>) -> Chunk {
        let head = self.head();
        let mut tokens = Tokens::new(
            video.grid(head.latent_frames),
            self.bits.unwrap_or(video.bits),
            values,
        );
        // Bits beyond a depth stay, so that validating the tokens finds them.
        tokens.depths = depths;
        Chunk {
            head,
            times: self.times(),
            tokens,
        }
    }

    pub fn times(&self) -> Times {
        Times {
            start: self.start,
            durations: self.durations.clone(),
        }
    }
}
