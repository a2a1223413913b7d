//! Files: what they hold, chunk by chunk.

use std::ffi::{CString, c_char, c_int};
use std::sync::Arc;

use latentbit_container::{
    ChunkInfo, File as LbitFile, Limits, PixelFrames, Rational, StreamId, Version, VideoStream,
};

use crate::failure::{Failure, LBIT_END, LBIT_ERROR_FORMAT, LBIT_ERROR_IO, LBIT_ERROR_LOST, LBIT_OK, run};
use crate::pointers::{self, Sized, borrowed, expect, fill, give, not_null, take_back};
use crate::source::{Cursor, Source};

/// Lift the limits on what a file may ask for: only for files from people you trust.
pub const LBIT_TRUSTED: u32 = 1;

/// A file that is open for reading. Threads may use it at the same time.
pub struct File(pub Arc<Opened>);

/// What all that is read of a file has in common.
pub struct Opened {
    source: Arc<Source>,
    pub place: String,
    pub stream: StreamId,
    pub video: VideoStream,
    model_name: CString,
    file: LbitFile<Cursor>,
}

/// A fraction.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Ratio {
    /// Numerator; 0 where the ratio is not known.
    pub num: u32,
    /// Denominator.
    pub den: u32,
}

impl From<Rational> for Ratio {
    fn from(Rational { num, den }: Rational) -> Self {
        Self { num, den }
    }
}

/// What the header of a file says of its first video, and what is known of the file.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Info {
    /// sizeof(lbit_info), set by the caller.
    pub size: usize,
    /// Bytes of the file.
    pub bytes: u64,
    /// Frames of the video, as far as its chunks tell.
    pub frames: u64,
    /// Chunks of the video, lost ones too.
    pub chunks: u64,
    /// Width of a frame in pixels.
    pub width: u32,
    /// Height of a frame in pixels.
    pub height: u32,
    /// Frames per second; the average if the rate varies.
    pub frame_rate: Ratio,
    /// Seconds per tick of all times.
    pub time_base: Ratio,
    /// Width over height of a pixel.
    pub pixel_aspect: Ratio,
    /// Ticks from one frame to the next in chunks that do not say otherwise.
    pub frame_duration: u32,
    /// Latent frames in a full chunk.
    pub chunk_latent_frames: u32,
    /// Streams of the file, of every kind.
    pub streams: u32,
    /// Version of the format that the file is written in.
    pub version_major: u16,
    /// The same.
    pub version_minor: u16,
    /// Frames and pixels per latent position: time, height, width.
    pub strides: [u8; 3],
    /// Latent positions per token: time, height, width.
    pub patch: [u8; 3],
    /// The most bits that a token of this file has.
    pub bits: u8,
    /// Bits per token of the model.
    pub model_bits: u8,
    /// Bits from one depth to the next, if tokens may have depths of their own; else 0.
    pub depth_step: u8,
    /// Colour primaries, as in ISO/IEC 23091-2.
    pub color_primaries: u8,
    /// Transfer characteristics, the same way.
    pub color_transfer: u8,
    /// Matrix coefficients, the same way.
    pub color_matrix: u8,
    /// 1 if the chunks are known from the file's index, 0 if the file was read to find them.
    pub indexed: u8,
    /// 1 if the file stops before its end.
    pub truncated: u8,
    /// 1 if reading the file to find its chunks came across damage.
    pub damaged: u8,
    /// Bits per sample of the source.
    pub bit_depth: u8,
    /// SHA-256 of the model that the file needs.
    pub model_sha256: [u8; 32],
}

// SAFETY: plain numbers in C's order, the size first.
unsafe impl Sized for Info {
    const LEAST: usize = size_of::<Self>();
}

/// What is known of a chunk before its tokens are read.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ChunkFacts {
    /// sizeof(lbit_chunk), set by the caller.
    pub size: usize,
    /// Index of its first frame in the video.
    pub first_frame: u64,
    /// Frames in it.
    pub frames: u64,
    /// When its first frame is shown, in ticks.
    pub time: i64,
    /// Latent frames in it.
    pub latent_frames: u64,
    /// Tokens in it: steps, rows and columns. No steps if they are lost.
    pub steps: u32,
    /// The same.
    pub rows: u32,
    /// The same.
    pub columns: u32,
    /// Tokens of different segments are of different videos.
    pub segment: u32,
    /// Bits per token; 0 if its tokens are lost.
    pub bits: u8,
    /// 1 for a chunk where decoding can begin.
    pub key: u8,
    /// 1 if its tokens are lost.
    pub lost: u8,
}

// SAFETY: plain numbers in C's order, the size first.
unsafe impl Sized for ChunkFacts {
    const LEAST: usize = size_of::<Self>();
}

impl Opened {
    fn new(source: Source, place: String, flags: u32) -> Result<Self, Failure> {
        let limits = match flags {
            0 => Limits::default(),
            LBIT_TRUSTED => Limits::none(),
            other => {
                return Err(Failure::argument(format!(
                    "flags: expected 0 or LBIT_TRUSTED, found {other:#x}"
                )));
            }
        };
        let source = Arc::new(source);
        let file = LbitFile::open(Cursor::new(source.clone()), limits)
            .map_err(|error| Failure::container(&error, &place))?;
        let Some((stream, video)) = file.first_video().map(|(id, video)| (id, video.clone())) else {
            let why = format!("{place}: there is no video in this file");
            return Err(Failure::new(LBIT_ERROR_FORMAT, why));
        };
        let model_name = CString::new(video.bundle.name.replace('\0', "\\0")).unwrap_or_default();
        Ok(Self {
            source,
            place,
            stream,
            video,
            model_name,
            file,
        })
    }

    /// The chunks of the video.
    pub fn chunks(&self) -> &[ChunkInfo] {
        self.file.chunks(self.stream)
    }

    /// The file, with a position of its own.
    pub fn reading(&self) -> LbitFile<Cursor> {
        self.file.through(Cursor::new(self.source.clone()))
    }

    fn frames(&self) -> u64 {
        self.chunks().last().map_or(0, |last| last.end_frame().0)
    }

    fn chunk(&self, number: u64) -> Result<&ChunkInfo, Failure> {
        let chunks = self.chunks();
        let found = usize::try_from(number).ok().and_then(|number| chunks.get(number));
        found.ok_or_else(|| {
            let many = chunks.len();
            Failure::argument(format!("{}: chunk {number}: there are {many}", self.place))
        })
    }

    fn facts(&self, chunk: &ChunkInfo) -> ChunkFacts {
        let grid = self.video.grid(chunk.latent_frames);
        ChunkFacts {
            size: size_of::<ChunkFacts>(),
            first_frame: chunk.first_frame.0,
            frames: chunk.frame_count.0,
            time: chunk.start,
            latent_frames: chunk.latent_frames.0,
            steps: if chunk.is_lost() { 0 } else { grid.t },
            rows: grid.h,
            columns: grid.w,
            segment: chunk.segment,
            bits: chunk.bits,
            key: (chunk.key && !chunk.is_lost()).into(),
            lost: chunk.is_lost().into(),
        }
    }

    fn info(&self) -> Info {
        let video = &self.video;
        let Version { major, minor, .. } = self.file.version();
        Info {
            size: size_of::<Info>(),
            bytes: self.file.byte_len(),
            frames: self.frames(),
            chunks: self.chunks().len() as u64,
            width: video.width,
            height: video.height,
            frame_rate: video.frame_rate.into(),
            time_base: video.time_base.into(),
            pixel_aspect: video.pixel_aspect.into(),
            frame_duration: video.frame_duration,
            chunk_latent_frames: video.chunk_latent_frames.into(),
            streams: u32::try_from(self.file.header().streams.len()).unwrap_or(u32::MAX),
            version_major: major,
            version_minor: minor,
            strides: video.strides,
            patch: video.patch,
            bits: video.bits,
            model_bits: video.bundle_bits,
            depth_step: video.depth_step.unwrap_or(0),
            color_primaries: video.color.primaries,
            color_transfer: video.color.transfer,
            color_matrix: video.color.matrix,
            indexed: self.file.is_indexed().into(),
            truncated: self.file.is_truncated().into(),
            damaged: (!self.file.damage().is_empty()).into(),
            bit_depth: video.bit_depth,
            model_sha256: video.bundle.sha256,
        }
    }

    /// Fails unless the frames are there; as a range.
    pub fn wanted(&self, first: u64, count: u64) -> Result<std::ops::Range<PixelFrames>, Failure> {
        let there = self.frames();
        let end = match count {
            0 => there,
            count => first.saturating_add(count).min(there),
        };
        match first < end {
            true => Ok(PixelFrames(first)..PixelFrames(end)),
            false => Err(Failure::argument(format!(
                "{}: frame {first}: there are {there} frames",
                self.place
            ))),
        }
    }
}

/// Opens a file by its name, and lists the chunks of its first video; without an index it is read once for that. `flags`
/// is 0 or LBIT_TRUSTED. It is freed with lbit_file_free. Damage to chunks is no failure; lbit_info tells of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lbit_file_open(path: *const c_char, flags: u32, file: *mut *mut File) -> c_int {
    run(|| {
        // SAFETY: as the header asks of the caller.
        unsafe { expect(file, "file")? };
        // SAFETY: as the header asks of the caller.
        let path = unsafe { pointers::path(path, "path")? };
        let place = path.display().to_string();
        let source = Source::open(&path)
            .map_err(|error| Failure::new(LBIT_ERROR_IO, format!("{place}: cannot open: {error}")))?;
        let opened = Opened::new(source, place, flags)?;
        // SAFETY: as the header asks of the caller.
        unsafe { give(file, File(Arc::new(opened)), "file")? };
        Ok(LBIT_OK)
    })
}

/// As lbit_file_open, for a file in memory. The bytes are copied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lbit_file_open_memory(
    data: *const u8,
    length: usize,
    flags: u32,
    file: *mut *mut File,
) -> c_int {
    run(|| {
        // SAFETY: as the header asks of the caller.
        unsafe { expect(file, "file")? };
        let bytes = match length {
            0 => Vec::new(),
            length => {
                not_null(data, "data")?;
                if isize::try_from(length).is_err() {
                    return Err(Failure::argument(format!("length: {length} is too large")));
                }
                // SAFETY: as the header asks of the caller.
                unsafe { std::slice::from_raw_parts(data, length) }.to_vec()
            }
        };
        let opened = Opened::new(Source::Bytes(bytes), "memory".to_owned(), flags)?;
        // SAFETY: as the header asks of the caller.
        unsafe { give(file, File(Arc::new(opened)), "file")? };
        Ok(LBIT_OK)
    })
}

/// Frees a file; decoders that read it go on. Null is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lbit_file_free(file: *mut File) {
    run(|| {
        // SAFETY: as the header asks of the caller.
        unsafe { take_back(file) };
        Ok(LBIT_OK)
    });
}

/// Tells what a file holds. `info->size` must be set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lbit_file_info(file: *const File, info: *mut Info) -> c_int {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let file = unsafe { borrowed(file, "file")? };
        // SAFETY: as the header asks of the caller.
        unsafe { fill(info, &file.0.info(), "info")? };
        Ok(LBIT_OK)
    })
}

/// The name of the model that a file needs; null for null. It is valid until the file is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lbit_file_model_name(file: *const File) -> *const c_char {
    // SAFETY: as the header asks of the caller.
    match unsafe { borrowed(file, "file") } {
        Ok(file) => file.0.model_name.as_ptr(),
        Err(_) => std::ptr::null(),
    }
}

/// Tells of a chunk by its number, from 0. `chunk->size` must be set. LBIT_END if there is no such chunk.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lbit_file_chunk(file: *const File, number: u64, chunk: *mut ChunkFacts) -> c_int {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let file = unsafe { borrowed(file, "file")? };
        let Ok(found) = file.0.chunk(number) else {
            return Ok(LBIT_END);
        };
        // SAFETY: as the header asks of the caller.
        unsafe { fill(chunk, &file.0.facts(found), "chunk")? };
        Ok(LBIT_OK)
    })
}

/// Reads the tokens of a chunk into `values`, columns fastest, then rows, then steps. Bit j of a value is bit j of the
/// token; bit 0 is the most important one. Only the first `bits` bits are read, all if it is 0; others are 0.
///
/// `depths`, unless it is null, gets how many bits each token has. `capacity` is for how many tokens there is room; there
/// must be room for steps * rows * columns of lbit_chunk.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lbit_file_tokens(
    file: *const File,
    number: u64,
    bits: u8,
    values: *mut u64,
    depths: *mut u8,
    capacity: usize,
) -> c_int {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let opened = &unsafe { borrowed(file, "file")? }.0;
        let info = opened.chunk(number)?;
        if info.is_lost() {
            let why = format!("{}: chunk {number}: its tokens are lost", opened.place);
            return Err(Failure::new(LBIT_ERROR_LOST, why));
        }
        not_null(values, "values")?;
        if bits > info.bits {
            return Err(Failure::argument(format!(
                "bits: {bits}: tokens of chunk {number} have {}",
                info.bits
            )));
        }
        let most = if bits == 0 { u8::MAX } else { bits };
        let chunk = opened
            .reading()
            .read(info, most)
            .map_err(|error| Failure::container(&error, &opened.place))?;
        let tokens = chunk.tokens;
        let count = tokens.values.len();
        if count > capacity {
            return Err(Failure::argument(format!(
                "capacity: {capacity}: chunk {number} has {count} tokens"
            )));
        }
        // SAFETY: there is room for `capacity` tokens, as the caller promises, and no more are written.
        unsafe {
            std::ptr::copy_nonoverlapping(tokens.values.as_ptr(), values, count);
            if !depths.is_null() {
                std::ptr::copy_nonoverlapping(tokens.depth_values().as_ptr(), depths, count);
            }
        }
        Ok(LBIT_OK)
    })
}
