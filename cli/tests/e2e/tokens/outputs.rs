//! Where arrays go.

use latentbit_container::{
    Header, Limits, Metadata, PacketKind, PacketStream, Rational, Reader, Stream, StreamId, Writer,
};

use super::sidecar;
use crate::support::{encoded, folder, names, read, run, write};

#[test]
fn nothing_is_overwritten_unasked() {
    let folder = folder();
    encoded(&folder, "a.lbit", 20, "");
    write(&folder, "a.npy.json", b"mine");
    let export = ["tokens", "export", "a.lbit", "-o", "a.npy"];
    run(&folder, &export).expect(1).says(&["a.npy.json", "-y"]);
    assert_eq!(read(&folder, "a.npy.json"), b"mine");
    assert!(!names(&folder).contains(&"a.npy".to_owned()));
    run(&folder, &[&export[..], &["-n"]].concat()).expect(0);
    assert_eq!(read(&folder, "a.npy.json"), b"mine");
    run(&folder, &[&export[..], &["-y"]].concat()).expect(0);
    assert_ne!(read(&folder, "a.npy.json"), b"mine");
    std::fs::remove_file(folder.path().join("a.npy.json")).unwrap();
    run(&folder, &export).expect(1).says(&["a.npy: exists"]);
    assert!(!names(&folder).contains(&"a.npy.json".to_owned()));
}

#[test]
fn two_files_do_not_go_to_a_pipe_or_a_device() {
    let folder = folder();
    encoded(&folder, "a.lbit", 20, "");
    for output in ["-", "/dev/null"] {
        run(
            &folder,
            &[
                "tokens", "export", "a.lbit", "-y", "-o", output, "--format", "raw",
            ],
        )
        .expect(2)
        .says(&[&format!("{output}: "), "two files"]);
    }
    assert_eq!(names(&folder), ["a.lbit"]);
    run(&folder, &["tokens", "export", "a.lbit", "-o", "a.xyz"])
        .expect(2)
        .says(&["--format"]);
    run(&folder, &["tokens", "export", "-", "-o", "a.npy"]).expect(2);
}

/// A file with sound before the video, and metadata about everything.
fn with_sound(bytes: &[u8]) -> Vec<u8> {
    let sound =
        PacketStream::new(PacketKind::Audio, "A_OPUS", Rational { num: 1, den: 48000 }).with_sound(48000, 2);
    let mut reader = Reader::new(bytes, Limits::default()).unwrap();
    let video = reader.header().streams[0].clone();
    let header = Header {
        streams: vec![Stream::Packets(sound), video],
    };
    let mut writer = Writer::new(Vec::new(), &header, Default::default()).unwrap();
    for (stream, value) in [
        (StreamId::NONE, "file"),
        (StreamId(0), "sound"),
        (StreamId(1), "video"),
    ] {
        let entries = vec![("title".to_owned(), value.to_owned())];
        writer.write_metadata(&Metadata { stream, entries }).unwrap();
    }
    while let Some(mut chunk) = reader.next_stored().unwrap() {
        chunk.stream = StreamId(1);
        writer.write_stored(&chunk).unwrap();
    }
    writer.finish().unwrap().0
}

#[test]
fn metadata_about_other_streams_is_left_out() {
    let folder = folder();
    encoded(&folder, "a.lbit", 20, "");
    write(&folder, "b.lbit", &with_sound(&read(&folder, "a.lbit")));
    run(&folder, &["tokens", "export", "b.lbit", "-o", "b.npy"])
        .expect(0)
        .says(&["b.lbit", "metadata about other streams is left out", "stream 0"]);
    let kept = &sidecar(&folder, "b.npy.json")["metadata"];
    let expected = serde_json::json!([
        { "entries": [["title", "file"]] },
        { "stream": 0, "entries": [["title", "video"]] },
    ]);
    assert_eq!(kept, &expected);
    run(&folder, &["tokens", "import", "b.npy", "-o", "c.lbit"]).expect(0);
    run(&folder, &["verify", "c.lbit"]).expect(0);
    run(&folder, &["tokens", "export", "c.lbit", "-o", "c.npy"]).expect(0);
    assert_eq!(read(&folder, "c.npy.json"), read(&folder, "b.npy.json"));
}
