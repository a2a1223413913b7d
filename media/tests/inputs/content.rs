//! What an input is, by its content and not by its name; and inputs that are no files.

use std::io::Write;
use std::process::Command;

use latentbit_media::{InputOptions, MediaErrorKind, MediaKind};

use crate::support::{Files, PATTERN, X264, corners, seen};

#[test]
fn names_do_not_matter() {
    let files = Files::new();
    files.ffmpeg(&format!("{PATTERN} -frames:v 1 -c:v libwebp -lossless 1 a.webp"));
    files.ffmpeg(&format!("{PATTERN} -frames:v 1 -q:v 1 -pix_fmt yuvj444p a.jpg"));
    files.ffmpeg(&format!("{PATTERN} -frames:v 1 a.png"));
    files.ffmpeg(&format!("{PATTERN} -frames:v 1 a.bmp"));
    files.ffmpeg(&format!("{PATTERN} -frames:v 3 -f apng a.apng"));
    files.ffmpeg(&format!("{PATTERN} {X264} -frames:v 5 a.mp4"));
    files.ffmpeg(&format!("{PATTERN} -frames:v 5 a.y4m"));
    let lead = [b"\0\0", files.read("a.jpg").as_slice()].concat();
    files.write("lead.jpg", &lead);
    for (from, to, frames) in [
        ("a.webp", "webp.jpg", 1),
        ("a.webp", "webp.png", 1),
        ("a.jpg", "jpeg.png", 1),
        ("a.png", "png.jpg", 1),
        ("a.png", "png.mp4", 1),
        ("a.bmp", "bmp.png", 1),
        ("a.apng", "apng.png", 3),
        ("a.mp4", "mp4.jpg", 5),
        ("a.mp4", "mp4", 5),
        ("a.y4m", "y4m.mp4", 5),
        ("lead.jpg", "lead2.jpg", 1),
        ("a.bmp", "one%03d.bmp", 1),
        ("a.png", "50%.png", 1),
    ] {
        files.write(to, &files.read(from));
        let seen = files.open(to, &InputOptions::default());
        assert_eq!(seen.frames.len(), frames, "{to}");
        assert_eq!(corners(&seen.frames[0]), ["red", "green", "blue", "gray"], "{to}");
        assert_eq!(seen.info.kind == MediaKind::StillImage, frames == 1, "{to}");
    }
    for (name, bytes) in [
        ("text.jpg", b"hello, hello, hello".as_slice()),
        ("zeros.png", &[0; 4000]),
    ] {
        files.write(name, bytes);
        let error = seen(&files.path(name), &InputOptions::default()).unwrap_err();
        assert_eq!(error.kind(), MediaErrorKind::Invalid, "{error}");
    }
}

#[test]
fn files_of_tokens_are_told_from_media() {
    let files = Files::new();
    files.write(
        "a.mp4",
        &[latentbit_container::MAGIC.as_slice(), &[0; 100]].concat(),
    );
    let error = seen(&files.path("a.mp4"), &InputOptions::default()).unwrap_err();
    assert!(
        error.kind() == MediaErrorKind::Usage && error.to_string().contains("decode"),
        "{error}"
    );
}

/// A pipe by the name of a file.
#[test]
fn media_of_any_kind_through_a_pipe() {
    let files = Files::new();
    let sound = "-f lavfi -i sine=d=1";
    for (name, line) in [
        ("a.mkv", format!("{PATTERN} {sound} {X264} -c:a libopus")),
        (
            "a.webm",
            format!("{PATTERN} {sound} -c:v libvpx -deadline realtime -c:a libopus"),
        ),
        ("a.ts", format!("{PATTERN} {sound} {X264} -c:a mp2")),
        ("a.avi", format!("{PATTERN} {sound} -c:v mpeg4 -c:a mp2")),
        ("a.flv", format!("{PATTERN} {sound} {X264} -c:a aac")),
        (
            "front.mp4",
            format!("{PATTERN} {sound} {X264} -c:a aac -movflags +faststart"),
        ),
        (
            "parts.mp4",
            format!("{PATTERN} {sound} {X264} -c:a aac -movflags frag_keyframe+empty_moov"),
        ),
        ("a.gif", PATTERN.to_owned()),
        ("a.y4m", PATTERN.to_owned()),
        ("a.bmp", format!("{PATTERN} -frames:v 1")),
        ("a.png", format!("{PATTERN} -frames:v 1")),
    ] {
        files.ffmpeg(&format!("{line} {name}"));
        let direct = files.open(name, &InputOptions::default().with_packets(true, true));
        let piped = through_a_pipe(&files, &files.read(name)).unwrap();
        assert!(piped.error.is_none(), "{name}: {:?}", piped.error);
        assert_eq!(piped.frames.len(), direct.frames.len(), "{name}");
        assert_eq!(piped.packets.len(), direct.packets.len(), "{name}");
        assert_eq!(piped.times, direct.times, "{name}");
    }
    files.ffmpeg("-f lavfi -i testsrc2=s=320x240:r=25:d=3 -c:v libx264 -preset ultrafast -crf 5 end.mp4");
    let error = through_a_pipe(&files, &files.read("end.mp4")).unwrap_err();
    assert!(error.to_string().contains("faststart"), "{error}");
    let error = through_a_pipe(&files, b"hello, this is no video").unwrap_err();
    assert!(error.to_string().contains("yuv4mpegpipe"), "{error}");
}

fn through_a_pipe(files: &Files, bytes: &[u8]) -> Result<crate::support::Seen, latentbit_media::MediaError> {
    let path = files.path("pipe");
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let (target, bytes) = (path.clone(), bytes.to_vec());
    let writing = std::thread::spawn(move || {
        let mut pipe = std::fs::OpenOptions::new().write(true).open(target).unwrap();
        // The reader may have seen enough.
        let _ = pipe.write_all(&bytes);
    });
    let seen = seen(&path, &InputOptions::default().with_packets(true, true));
    writing.join().unwrap();
    std::fs::remove_file(path).unwrap();
    seen
}

#[test]
fn the_network_is_asked_for() {
    for address in [
        "http://127.0.0.1:9/a.mp4",
        "https://example.invalid/a.mp4",
        "rtsp://127.0.0.1:9/a",
        "srt://127.0.0.1:9",
    ] {
        let error = seen(address, &InputOptions::default()).unwrap_err();
        assert!(
            error.kind() == MediaErrorKind::Usage && error.to_string().contains("--allow-network"),
            "{error}"
        );
    }
    // Allowed, it is tried.
    let error = seen(
        "http://127.0.0.1:9/a.mp4",
        &InputOptions::default().with_network(true),
    )
    .unwrap_err();
    assert!(!error.to_string().contains("--allow-network"), "{error}");
    // A playlist on the disk does not get out either.
    let files = Files::new();
    files.write(
        "a.m3u8",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    );
    assert!(seen(&files.path("a.m3u8"), &InputOptions::default()).is_err());
}
