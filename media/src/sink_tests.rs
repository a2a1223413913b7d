use super::super::MediaErrorKind as Kind;
use super::super::testing::plain_info;
use super::*;
use std::fs;

fn info() -> VideoInfo {
    plain_info(6, 4)
}

fn frame() -> Frame {
    Frame {
        width: 6,
        height: 4,
        data: vec![0.5; 72],
    }
}

#[test]
fn files_appear_only_when_finished() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.y4m");
    let name = path.to_str().unwrap();
    fs::write(&path, b"before").unwrap();

    let mut sink = open_sink(name, &OutputOptions::new(info())).unwrap();
    sink.write_frame(frame(), 0).unwrap();
    drop(sink);
    assert_eq!(fs::read(&path).unwrap(), b"before");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    let mut sink = open_sink(name, &OutputOptions::new(info())).unwrap();
    sink.write_frame(frame(), 0).unwrap();
    sink.finish().unwrap();
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.starts_with(b"YUV4MPEG2 W6 H4 F25:1 Ip A1:1 C420mpeg2"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn devices_are_legal_and_a_full_disk_is_told() {
    let mut sink = open_sink("/dev/null", &OutputOptions::new(info())).unwrap();
    sink.write_frame(frame(), 0).unwrap();
    sink.finish().unwrap();
    let result = open_sink("/dev/full", &OutputOptions::new(info())).and_then(|mut sink| {
        sink.write_frame(frame(), 0)?;
        sink.finish()
    });
    let error = result.unwrap_err();
    assert!(
        error.kind() == Kind::Io
            && error
                .to_string()
                .contains("/dev/full: cannot write: the disk is full")
    );
}

#[test]
fn impossible_outputs_are_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for name in ["noextension", "missing/a.y4m", "missing/a.png", "a.xyz", ""] {
        let error = open_sink(&at(name), &OutputOptions::new(info())).err().unwrap();
        assert!(
            error.to_string().starts_with(dir.path().to_str().unwrap()),
            "{error}"
        );
    }
    let mut zero = OutputOptions::new(info());
    zero.info.width = 0;
    assert!(open_sink(&at("a.y4m"), &zero).is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_frame_of_another_size_is_refused() {
    let mut sink = open_sink("/dev/null", &OutputOptions::new(info())).unwrap();
    let other = Frame {
        width: 4,
        height: 4,
        data: vec![0.0; 48],
    };
    assert_eq!(sink.write_frame(other, 0).unwrap_err().kind(), Kind::Usage);
}
