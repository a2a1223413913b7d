//! Opens inputs: chooses the reader by name and by the first bytes.

use super::FrameSource;
use super::background::spawn_source;
use super::error::{MediaError, MediaErrorKind};
use super::raw::{RawFormat, RawReader};
use super::start::Start;
use super::still::{StillFormat, StillReader};
use super::y4m::{self, Y4mReader};
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;

/// How to read an input.
#[derive(Debug, Clone, Default)]
pub struct InputOptions {
    /// The input is raw video of this format.
    pub raw: Option<RawFormat>,
    /// Where to begin.
    pub start: Option<Start>,
    /// Stop after this many frames.
    pub frames: Option<u64>,
    /// Read sound, too.
    pub audio: bool,
    /// Read subtitles, too.
    #[cfg_attr(
        not(feature = "libav"),
        expect(dead_code, reason = "only libav reads subtitles")
    )]
    pub subtitles: bool,
    /// Threads of the decoder; 0 = as it likes.
    #[cfg_attr(
        not(feature = "libav"),
        expect(dead_code, reason = "only libav has threads of its own")
    )]
    pub threads: usize,
}

const BUFFER: usize = 1 << 20;

/// Opens a file, or stdin for `-`.
pub fn open_source(path_or_dash: &str, options: &InputOptions) -> Result<Box<dyn FrameSource>, MediaError> {
    if path_or_dash == "-" {
        return open_pipe("stdin", Box::new(std::io::stdin()), options);
    }
    let path = path_or_dash;
    // Numbered pictures are no file of their own; libav's image reader expands the name.
    #[cfg(feature = "libav")]
    if path.contains('%') && !Path::new(path).exists() && options.raw.is_none() {
        return open_libav(path, options);
    }
    let mut file = File::open(path).map_err(|e| MediaError::io(path, "open", e))?;
    let meta = file.metadata().map_err(|e| MediaError::io(path, "open", e))?;
    if meta.is_dir() {
        return Err(MediaError::new(
            MediaErrorKind::Usage,
            path,
            "this is a folder; name a video or picture file",
        ));
    }
    if !meta.is_file() {
        return open_pipe(path, Box::new(file), options);
    }
    if meta.len() == 0 {
        return Err(MediaError::new(
            MediaErrorKind::Invalid,
            path,
            "the file is empty; expected a video or a picture, perhaps the copy or download did not finish",
        ));
    }
    let bytes = Some(meta.len());
    if let Some(format) = options.raw {
        return open_raw(path, Box::new(file), format, bytes, options);
    }
    let extension = extension(path);
    let head = read_head(path, &mut file)?;
    let still = StillFormat::from_extension(&extension);
    let input = Box::new(BufReader::with_capacity(
        BUFFER,
        Cursor::new(head.clone()).chain(file),
    ));
    if extension == "y4m" || head == y4m::MAGIC {
        return open_y4m(path, input, bytes, options);
    }
    // The name decides: video such as Motion JPEG begins like a picture.
    if still.is_some() {
        return open_still(path, input, options);
    }
    #[cfg(feature = "libav")]
    return open_libav(path, options);
    #[cfg(not(feature = "libav"))]
    Err(MediaError::new(
        MediaErrorKind::Unsupported,
        path,
        "this build reads y4m, raw video (--raw), PNG and JPEG only; \
         use a build with libav, or pipe: ffmpeg -i FILE -f yuv4mpegpipe -strict -1 - | latentbit encode -",
    ))
}

/// Opens something that can only be read once from the front.
fn open_pipe(
    place: &str,
    mut input: Box<dyn Read + Send>,
    options: &InputOptions,
) -> Result<Box<dyn FrameSource>, MediaError> {
    if let Some(format) = options.raw {
        return open_raw(place, input, format, None, options);
    }
    let head = read_head(place, &mut input)?;
    let is_y4m = head == y4m::MAGIC;
    let still = StillFormat::from_magic(&head);
    let empty = head.is_empty();
    let input = Box::new(BufReader::with_capacity(BUFFER, Cursor::new(head).chain(input)));
    if is_y4m {
        return open_y4m(place, input, None, options);
    }
    if still.is_some() {
        return open_still(place, input, options);
    }
    let what = if empty {
        "nothing came in"
    } else {
        "the input is neither YUV4MPEG2, PNG nor JPEG"
    };
    Err(MediaError::new(
        MediaErrorKind::Invalid,
        place,
        format!(
            "{what}; send y4m (ffmpeg -i FILE -f yuv4mpegpipe -strict -1 -), \
             or say what the bytes are with --raw WxH@FPS:PIXFMT"
        ),
    ))
}

fn read_head(place: &str, input: &mut impl Read) -> Result<Vec<u8>, MediaError> {
    let mut head = Vec::new();
    input
        .take(y4m::MAGIC.len() as u64)
        .read_to_end(&mut head)
        .map_err(|e| MediaError::io(place, "read", e))?;
    Ok(head)
}

fn open_raw(
    place: &str,
    input: Box<dyn Read + Send>,
    format: RawFormat,
    bytes: Option<u64>,
    options: &InputOptions,
) -> Result<Box<dyn FrameSource>, MediaError> {
    let name = place.to_owned();
    spawn_source(place, options.start, options.frames, move || {
        RawReader::new(&name, input, format, bytes)
    })
}

fn open_y4m(
    place: &str,
    input: Box<dyn BufRead + Send>,
    bytes: Option<u64>,
    options: &InputOptions,
) -> Result<Box<dyn FrameSource>, MediaError> {
    let name = place.to_owned();
    spawn_source(place, options.start, options.frames, move || {
        Y4mReader::new(&name, input, bytes)
    })
}

fn open_still(
    place: &str,
    input: Box<dyn Read + Send>,
    options: &InputOptions,
) -> Result<Box<dyn FrameSource>, MediaError> {
    let name = place.to_owned();
    spawn_source(place, options.start, options.frames, move || {
        StillReader::new(&name, input)
    })
}

#[cfg(feature = "libav")]
fn open_libav(path: &str, options: &InputOptions) -> Result<Box<dyn FrameSource>, MediaError> {
    let name = path.to_owned();
    let owned = options.clone();
    // Timestamps decide what comes before the start, so the reader skips by itself.
    spawn_source(path, None, options.frames, move || {
        super::libav_in::LibavReader::new(&name, &owned)
    })
}

/// The lower-case extension, or nothing.
pub(super) fn extension(path: &str) -> String {
    Path::new(path)
        .extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase())
        .unwrap_or_default()
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
