//! Inputs that end early.

use latentbit_media::{InputOptions, MediaErrorKind};

use crate::support::{Files, seen};

#[test]
fn every_container_that_is_cut_off_is_told() {
    let files = Files::new();
    let video = "-f lavfi -i testsrc2=s=64x48:r=25:d=4";
    let sound = "-f lavfi -i sine=d=4";
    for (name, encoders) in [
        ("a.mkv", "-c:v libx264 -c:a aac"),
        ("a.webm", "-c:v libvpx -deadline realtime -c:a libopus"),
        ("a.avi", "-c:v mpeg4 -c:a mp2"),
        ("a.flv", "-c:v libx264 -c:a aac"),
        ("a.mp4", "-c:v libx264 -c:a aac -movflags +faststart"),
        ("a.mov", "-c:v libx264 -c:a aac -movflags +faststart"),
        ("a.ts", "-c:v libx264 -c:a mp2"),
        ("a.ogv", "-c:v libtheora -c:a libvorbis"),
        ("a.wmv", "-c:v wmv2 -c:a wmav2"),
        (
            "parts.mp4",
            "-c:v libx264 -c:a aac -g 25 -movflags frag_keyframe+empty_moov",
        ),
    ] {
        for line in [
            format!("{video} {sound} {encoders}"),
            format!("{video} {encoders} -an"),
        ] {
            files.ffmpeg(&format!("{line} {name}"));
            let whole = files.open(name, &InputOptions::default().with_packets(true, true));
            assert!(whole.error.is_none(), "{line} {name}: {:?}", whole.error);
            let frames = whole.frames.len();
            // Some encoders leave out pictures that are like the last one.
            assert!((70..=101).contains(&frames), "{name}: {frames}");
            let bytes = files.read(name);
            files.write(name, &bytes[..bytes.len() * 6 / 10 + 1]);
            let cut = files.open(name, &InputOptions::default().with_packets(true, true));
            let error = cut
                .error
                .unwrap_or_else(|| panic!("{line} {name}: nothing was said"));
            let found = cut.frames.len();
            assert_eq!(
                error.kind(),
                MediaErrorKind::Truncated { frames: found as u64 },
                "{name}: {error}"
            );
            assert!(found > 0 && found < frames, "{name}: {found}");
            // Whoever wants less than there is has all of it.
            let part = files.open(name, &InputOptions::default().with_frames(5));
            assert!(
                part.error.is_none() && part.frames.len() == 5,
                "{line} {name}: {part:?}"
            );
        }
    }
}

/// Some containers count places for frames, and a field each has one where the video could be interlaced.
#[test]
fn a_whole_file_with_empty_places_is_whole() {
    let files = Files::new();
    files.ffmpeg("-f lavfi -i testsrc2=s=64x48:r=25:d=4 -c:v libx264 a.mp4");
    files.ffmpeg("-i a.mp4 -c copy a.avi");
    files
        .ffmpeg("-f lavfi -i testsrc2=s=64x48:r=25:d=4 -vf select=mod(n\\,3) -fps_mode vfr -c:v mpeg4 b.avi");
    for name in ["a.avi", "b.avi"] {
        let seen = files.open(name, &InputOptions::default());
        assert!(seen.error.is_none() && seen.frames.len() > 60, "{name}: {seen:?}");
        let bytes = files.read(name);
        files.write(name, &bytes[..bytes.len() * 6 / 10]);
        assert!(
            files.open(name, &InputOptions::default()).error.is_some(),
            "{name}"
        );
    }
}

#[test]
fn pictures_that_are_cut_off_are_told() {
    let files = Files::new();
    let noise = "-f lavfi -i testsrc2=s=96x64,noise=alls=40 -frames:v 1";
    for (name, encoder) in [
        ("a.jpg", "-q:v 2"),
        ("a.png", ""),
        ("a.gif", ""),
        ("a.webp", "-c:v libwebp"),
    ] {
        files.ffmpeg(&format!("{noise} {encoder} {name}"));
        assert!(
            files.open(name, &InputOptions::default()).error.is_none(),
            "{name}"
        );
        let bytes = files.read(name);
        for part in [5, 9] {
            files.write(name, &bytes[..bytes.len() * part / 10]);
            let error = match seen(&files.path(name), &InputOptions::default()) {
                Err(error) => error,
                Ok(seen) => seen
                    .error
                    .unwrap_or_else(|| panic!("{name} {part}: nothing was said")),
            };
            assert!(
                matches!(error.kind(), MediaErrorKind::Truncated { .. }),
                "{name} {part}: {error}"
            );
        }
    }
}
