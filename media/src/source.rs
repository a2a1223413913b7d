//! Opens inputs: chooses the reader by the first bytes.

use crate::background::spawn_source;
use crate::error::{MediaError, MediaErrorKind};
#[cfg(feature = "libav")]
use crate::libav::read::{LibavReader, Origin, is_pattern};
use crate::name::path_of;
use crate::options::{InputOptions, RawFormat, extension};
use crate::raw::RawReader;
use crate::still::{StillFormat, StillReader};
use crate::video::FrameSource;
use crate::y4m::{self, Y4mReader};
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};

const BUFFER: usize = 1 << 20;

/// Bytes at the beginning that tell what an input is.
const HEAD: u64 = 4096;

/// Opens a file, an address if [`InputOptions::network`] allows it, or stdin for `-`. What it is is told by its content.
///
/// # Errors
/// [`MediaErrorKind::Io`] if it cannot be read, [`MediaErrorKind::Invalid`] if it is nothing that is known,
/// [`MediaErrorKind::Unsupported`] if this build cannot read it.
pub fn open_source(path_or_dash: &str, options: &InputOptions) -> Result<Box<dyn FrameSource>, MediaError> {
    if path_or_dash == "-" {
        return match regular_stdin() {
            Some(file) => open_file("stdin", "", file, options),
            None => open_pipe("stdin", Box::new(std::io::stdin()), options),
        };
    }
    let path = path_or_dash;
    if is_address(path) && !path_of(path).exists() {
        return open_address(path, options);
    }
    // A name for numbered pictures is not the name of a file; libav's image reader expands it.
    #[cfg(feature = "libav")]
    if is_pattern(path) && options.raw.is_none() {
        return open_libav(path, Origin::File, options);
    }
    let file = File::open(path_of(path)).map_err(|e| MediaError::io(path, "open", e))?;
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
    open_file(path, path, file, options)
}

/// Whether a file is a video or a picture by its content, as far as this build can read it. Files that cannot be read are not.
#[must_use]
pub fn is_media(path: &str) -> bool {
    let Ok(mut file) = File::open(path_of(path)) else {
        return false;
    };
    let Ok(head) = read_head(path, &mut file) else {
        return false;
    };
    if head.is_empty() || head.starts_with(&latentbit_container::MAGIC) {
        return false;
    }
    if head.starts_with(y4m::MAGIC) || StillFormat::from_magic(&head).is_some() {
        return true;
    }
    #[cfg(feature = "libav")]
    return crate::libav::read::has_video(path);
    #[cfg(not(feature = "libav"))]
    false
}

/// The file that stdin reads, if it is one.
fn regular_stdin() -> Option<File> {
    #[cfg(unix)]
    {
        use std::io::Seek;
        use std::os::fd::AsFd;
        let mut file = File::from(std::io::stdin().as_fd().try_clone_to_owned().ok()?);
        // One that was read in part already goes on where it is, as a pipe does.
        (file.metadata().ok()?.is_file() && file.stream_position().ok()? == 0).then_some(file)
    }
    #[cfg(not(unix))]
    None
}

/// Opens a regular file; `path` is empty if it has no name here.
fn open_file(
    place: &str,
    path: &str,
    mut file: File,
    options: &InputOptions,
) -> Result<Box<dyn FrameSource>, MediaError> {
    let bytes = file
        .metadata()
        .map_err(|e| MediaError::io(place, "open", e))?
        .len();
    if bytes == 0 {
        return Err(MediaError::new(
            MediaErrorKind::Invalid,
            place,
            "the file is empty; expected a video or a picture, perhaps the copy or download did not finish",
        ));
    }
    if let Some(format) = options.raw {
        return open_raw(place, Box::new(file), format, Some(bytes), options);
    }
    let head = read_head(place, &mut file)?;
    let kind = kind_of(&head, &extension(path), options);
    refuse_tokens(place, &head)?;
    let filtered = options.filters.change_pictures();
    let input = |file: File| {
        Box::new(BufReader::with_capacity(
            BUFFER,
            Cursor::new(head.clone()).chain(file),
        ))
    };
    match kind {
        Kind::Y4m if !filtered || cfg!(not(feature = "libav")) => {
            open_y4m(place, input(file), Some(bytes), options)
        }
        Kind::Still if !filtered || cfg!(not(feature = "libav")) => {
            let opened = open_still(place, input(file), options);
            #[cfg(feature = "libav")]
            if path.is_empty() {
                return opened;
            }
            // There are pictures of these formats that only libav reads.
            #[cfg(feature = "libav")]
            if let Err(e) = &opened
                && matches!(e.kind(), MediaErrorKind::Unsupported | MediaErrorKind::Invalid)
                && let Ok(other) = open_libav(path, Origin::File, options)
            {
                return Ok(other);
            }
            opened
        }
        _ => open_other(place, path, file, options),
    }
}

#[cfg(feature = "libav")]
fn open_other(
    place: &str,
    path: &str,
    mut file: File,
    options: &InputOptions,
) -> Result<Box<dyn FrameSource>, MediaError> {
    use std::io::Seek;
    if !path.is_empty() {
        return open_libav(path, Origin::File, options);
    }
    file.rewind().map_err(|e| MediaError::io(place, "read", e))?;
    open_libav(place, Origin::Open(file), options)
}

#[cfg(not(feature = "libav"))]
fn open_other(
    place: &str,
    _path: &str,
    _file: File,
    _options: &InputOptions,
) -> Result<Box<dyn FrameSource>, MediaError> {
    Err(without_libav(place))
}

#[cfg(not(feature = "libav"))]
fn without_libav(place: &str) -> MediaError {
    MediaError::new(
        MediaErrorKind::Unsupported,
        place,
        "this build reads y4m, raw video (--raw), PNG and JPEG only; \
         use a build with libav, or pipe: ffmpeg -i FILE -f yuv4mpegpipe -strict -1 - | latentbit encode -",
    )
}

/// Opens an input that can only be read once, from the start.
fn open_pipe(
    place: &str,
    mut input: Box<dyn Read + Send>,
    options: &InputOptions,
) -> Result<Box<dyn FrameSource>, MediaError> {
    if let Some(format) = options.raw {
        return open_raw(place, input, format, None, options);
    }
    let head = read_head(place, &mut input)?;
    if head.is_empty() {
        return Err(MediaError::new(
            MediaErrorKind::Invalid,
            place,
            "nothing came in; send a video, for example y4m (ffmpeg -i FILE -f yuv4mpegpipe -strict -1 -), \
             or say what the bytes are with --raw WxH@FPS:PIXFMT",
        ));
    }
    refuse_tokens(place, &head)?;
    let kind = kind_of(&head, "", options);
    let input = Box::new(BufReader::with_capacity(BUFFER, Cursor::new(head).chain(input)));
    let filtered = options.filters.change_pictures() && cfg!(feature = "libav");
    match kind {
        Kind::Y4m if !filtered => open_y4m(place, input, None, options),
        Kind::Still if !filtered => open_still(place, input, options),
        #[cfg(feature = "libav")]
        _ => open_libav(place, Origin::Pipe(input), options),
        #[cfg(not(feature = "libav"))]
        _ => Err(MediaError::new(
            MediaErrorKind::Invalid,
            place,
            "the input is neither YUV4MPEG2, PNG nor JPEG; send y4m (ffmpeg -i FILE -f yuv4mpegpipe -strict -1 -), \
             or say what the bytes are with --raw WxH@FPS:PIXFMT",
        )),
    }
}

/// Who reads an input.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Y4m,
    Still,
    Other,
}

/// By the first bytes. Motion JPEG begins like a picture, so its name tells.
#[cfg_attr(not(feature = "libav"), expect(unused_variables))]
fn kind_of(head: &[u8], extension: &str, options: &InputOptions) -> Kind {
    if extension == "y4m" || head.starts_with(y4m::MAGIC) {
        #[cfg(feature = "libav")]
        if options.deinterlace && y4m::is_interlaced(head) {
            return Kind::Other;
        }
        return Kind::Y4m;
    }
    let video = match StillFormat::from_magic(head) {
        None => return Kind::Other,
        Some(StillFormat::Jpeg) => matches!(extension, "mjpg" | "mjpeg"),
        // The first of an animation's own chunks comes before those of its pixels.
        Some(StillFormat::Png) => head.windows(8).any(|chunk| chunk == b"\0\0\0\x08acTL"),
    };
    match video && cfg!(feature = "libav") {
        true => Kind::Other,
        false => Kind::Still,
    }
}

/// Fails for files of tokens, which are not made of tokens again.
fn refuse_tokens(place: &str, head: &[u8]) -> Result<(), MediaError> {
    match head.starts_with(&latentbit_container::MAGIC) {
        true => Err(MediaError::new(
            MediaErrorKind::Usage,
            place,
            "this is a .lbit file, which is encoded already; decode it first, or change it with \
             latentbit trim, cut or concat",
        )),
        false => Ok(()),
    }
}

/// Whether a name is an address, such as `https://host/clip.mp4`.
#[must_use]
pub fn is_address(name: &str) -> bool {
    let scheme = name.split_once("://").map_or("", |(scheme, _)| scheme);
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    scheme.len() > 1 && scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(legal)
}

fn open_address(address: &str, options: &InputOptions) -> Result<Box<dyn FrameSource>, MediaError> {
    if !options.network {
        return Err(MediaError::new(
            MediaErrorKind::Usage,
            address,
            "this is an address, and nothing is read over the network without --allow-network; add that option",
        ));
    }
    #[cfg(feature = "libav")]
    return open_libav(address, Origin::Address, options);
    #[cfg(not(feature = "libav"))]
    Err(without_libav(address))
}

fn read_head(place: &str, input: &mut impl Read) -> Result<Vec<u8>, MediaError> {
    let mut head = Vec::new();
    input
        .take(HEAD)
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
    #[cfg(feature = "libav")]
    if options.filters.change_pictures() {
        let owned = options.clone();
        // It begins before the filters, in frames as they come.
        return spawn_source(place, None, options.frames, move || {
            let reader = RawReader::new(&name, input, format, bytes)?;
            crate::libav::raw::FilteredRaw::new(&name, reader, &owned)
        });
    }
    let source = spawn_source(place, options.start, options.frames, move || {
        RawReader::new(&name, input, format, bytes)
    })?;
    options.filters.apply(place, source)
}

fn open_y4m(
    place: &str,
    input: Box<dyn BufRead + Send>,
    bytes: Option<u64>,
    options: &InputOptions,
) -> Result<Box<dyn FrameSource>, MediaError> {
    let name = place.to_owned();
    let source = spawn_source(place, options.start, options.frames, move || {
        Y4mReader::new(&name, input, bytes)
    })?;
    options.filters.apply(place, source)
}

fn open_still(
    place: &str,
    input: Box<dyn Read + Send>,
    options: &InputOptions,
) -> Result<Box<dyn FrameSource>, MediaError> {
    let (name, background) = (place.to_owned(), options.background);
    let source = spawn_source(place, options.start, options.frames, move || {
        StillReader::new(&name, input, background)
    })?;
    options.filters.apply(place, source)
}

#[cfg(feature = "libav")]
fn open_libav(
    place: &str,
    origin: Origin,
    options: &InputOptions,
) -> Result<Box<dyn FrameSource>, MediaError> {
    let name = place.to_owned();
    let owned = options.clone();
    // Time stamps decide what comes before the start, so the reader itself skips.
    spawn_source(place, None, options.frames, move || {
        LibavReader::new(&name, origin, &owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::OutputOptions;
    use crate::sink::open_sink;
    use std::fs;

    fn y4m(frames: usize) -> Vec<u8> {
        let mut bytes = b"YUV4MPEG2 W4 H2 F10:1 Cmono\n".to_vec();
        for i in 0..frames {
            bytes.extend_from_slice(b"FRAME\n");
            bytes.extend([(i * 10) as u8; 8]);
        }
        bytes
    }

    /// First sample of every frame, as its code.
    fn drain(source: &mut dyn FrameSource) -> Result<Vec<u8>, MediaError> {
        let mut firsts = Vec::new();
        while let Some(frame) = source.next_frame()? {
            firsts.push((frame.data[0] * 255.0).round() as u8);
        }
        Ok(firsts)
    }

    #[test]
    fn start_and_frames_cut_out_a_part() {
        let open = |start: Option<&str>, frames| {
            let options = InputOptions {
                start: start.map(|s| s.parse().unwrap()),
                frames,
                ..Default::default()
            };
            let mut source = open_pipe("pipe", Box::new(Cursor::new(y4m(6))), &options).unwrap();
            drain(&mut *source)
        };
        assert_eq!(open(None, None).unwrap(), [0, 10, 20, 30, 40, 50]);
        assert_eq!(open(Some("0.2"), None).unwrap(), [20, 30, 40, 50]);
        assert_eq!(open(Some("0.15"), Some(2)).unwrap(), [20, 30]);
        assert_eq!(open(Some("5f"), Some(9)).unwrap(), [50]);
        assert!(open(None, Some(0)).unwrap().is_empty());
        let error = open(Some("7"), None).unwrap_err();
        assert!(error.kind() == MediaErrorKind::Usage && error.to_string().contains("6 frames"));
    }

    #[test]
    fn a_truncated_pipe_gives_its_frames_first() {
        let mut bytes = y4m(4);
        bytes.truncate(bytes.len() - 3);
        let mut source = open_pipe("pipe", Box::new(Cursor::new(bytes)), &InputOptions::default()).unwrap();
        for _ in 0..3 {
            assert!(source.next_frame().unwrap().is_some());
        }
        assert_eq!(
            source.next_frame().unwrap_err().kind(),
            MediaErrorKind::Truncated { frames: 3 }
        );
        assert!(source.next_frame().unwrap().is_none());
    }

    #[test]
    fn unknown_pipes_say_what_was_expected() {
        for bytes in [b"".as_slice(), b"hello", b"YUV4MPEG3 W4 H4"] {
            let error = open_pipe("stdin", Box::new(Cursor::new(bytes)), &InputOptions::default())
                .err()
                .unwrap();
            assert!(
                error.to_string().contains("yuv4mpegpipe") && error.to_string().starts_with("stdin: "),
                "{error}"
            );
        }
    }

    #[test]
    fn files_are_known_by_name_and_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        // y4m under a strange name is still y4m.
        fs::write(path("clip.bin"), y4m(2)).unwrap();
        let mut source = open_source(&path("clip.bin"), &InputOptions::default()).unwrap();
        assert_eq!(source.info().frame_count, Some(2));
        assert_eq!(drain(&mut *source).unwrap().len(), 2);

        let sink_options = OutputOptions::new(source.info().clone());
        let mut sink = open_sink(&path("one.png"), &sink_options).unwrap();
        let mut source = open_source(&path("clip.bin"), &InputOptions::default()).unwrap();
        sink.write_frame(source.next_frame().unwrap().unwrap(), 0)
            .unwrap();
        sink.finish().unwrap();
        let source = open_source(&path("one.png"), &InputOptions::default()).unwrap();
        assert_eq!(source.info().kind, crate::video::MediaKind::StillImage);

        fs::write(path("empty.mp4"), b"").unwrap();
        fs::write(path("text.mp4"), b"hello, this is no video").unwrap();
        fs::write(path("bad.y4m"), b"hello").unwrap();
        for name in ["empty.mp4", "text.mp4", "bad.y4m", "missing.mp4", ""] {
            let error = open_source(&path(name), &InputOptions::default()).err().unwrap();
            assert!(error.to_string().starts_with(&path(name)), "{error}");
        }
    }

    #[test]
    fn dropping_a_source_early_does_not_hang() {
        let mut source =
            open_pipe("pipe", Box::new(Cursor::new(y4m(100))), &InputOptions::default()).unwrap();
        assert!(source.next_frame().unwrap().is_some());
        drop(source);
    }
}
