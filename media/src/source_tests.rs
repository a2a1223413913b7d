use super::super::{OutputOptions, open_sink};
use super::*;
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
    assert_eq!(source.info().kind, super::super::MediaKind::StillImage);

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
    let mut source = open_pipe("pipe", Box::new(Cursor::new(y4m(100))), &InputOptions::default()).unwrap();
    assert!(source.next_frame().unwrap().is_some());
    drop(source);
}
