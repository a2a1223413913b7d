//! Opens inputs: chooses the reader by name and by the first bytes.

use crate::background::spawn_source;
use crate::error::{MediaError, MediaErrorKind};
use crate::options::{InputOptions, RawFormat, extension};
use crate::raw::RawReader;
use crate::still::{StillFormat, StillReader};
use crate::video::FrameSource;
use crate::y4m::{self, Y4mReader};
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};

const BUFFER: usize = 1 << 20;

/// Opens a file, or stdin for `-`.
///
/// # Errors
/// [`MediaErrorKind::Io`] if it cannot be read, [`MediaErrorKind::Invalid`] if it is not what its name or its first bytes
/// say, [`MediaErrorKind::Unsupported`] if this build cannot read it.
pub fn open_source(path_or_dash: &str, options: &InputOptions) -> Result<Box<dyn FrameSource>, MediaError> {
    if path_or_dash == "-" {
        return open_pipe("stdin", Box::new(std::io::stdin()), options);
    }
    let path = path_or_dash;
    // A name for numbered pictures is not the name of a file; libav's image reader expands it.
    #[cfg(feature = "libav")]
    if path.contains('%') && !std::path::Path::new(path).exists() && options.raw.is_none() {
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
    // By name, not by content: Motion JPEG begins like a picture.
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
    // Time stamps decide what comes before the start, so the reader itself skips.
    spawn_source(path, None, options.frames, move || {
        crate::libav::read::LibavReader::new(&name, &owned)
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
