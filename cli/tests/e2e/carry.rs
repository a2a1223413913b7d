//! Sound, subtitles and times of frames, there and back.
#![cfg(feature = "libav")]

use std::process::Command;

use tempfile::TempDir;

use crate::support::{folder, run, tiny, write};

/// Runs ffmpeg or ffprobe in `folder` and gives what it prints.
pub fn tool(folder: &TempDir, program: &str, line: &str) -> String {
    let output = Command::new(program)
        .args(["-v", "error"])
        .args(line.split_whitespace())
        .current_dir(folder.path())
        .output()
        .expect("ffmpeg is installed");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {line}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Two seconds of pictures with sound in two languages and subtitles.
pub fn clip(folder: &TempDir, name: &str, audio: &str, subtitles: &str) {
    let text = "1\n00:00:00,500 --> 00:00:00,900\nGrüße\n\n2\n00:00:01,100 --> 00:00:01,700\nzwei\nZeilen\n";
    write(folder, "text.srt", text.as_bytes());
    let sources =
        "-f lavfi -i testsrc2=s=32x16:r=30000/1001:d=2 -f lavfi -i sine=f=440:d=2 -f lavfi -i sine=f=880:d=2";
    let languages = "-metadata:s:a:0 language=eng -metadata:s:a:1 language=ger -metadata:s:s:0 language=fre";
    tool(
        folder,
        "ffmpeg",
        &format!(
            "-y {sources} -i text.srt -map 0 -map 1 -map 2 -map 3 -c:v libx264 -c:a {audio} -c:s {subtitles} {languages} {name}"
        ),
    );
}

/// The hash of a stream's packets.
pub fn hash(folder: &TempDir, file: &str, stream: &str) -> String {
    tool(
        folder,
        "ffmpeg",
        &format!("-i {file} -map {stream} -c copy -f streamhash -"),
    )
}

/// Times at which a stream's packets are shown, in order.
pub fn times(folder: &TempDir, file: &str, stream: &str) -> Vec<f64> {
    let line = format!("-select_streams {stream} -show_entries packet=pts_time -of csv=p=0 {file}");
    let text = tool(folder, "ffprobe", &line);
    let numbers = text
        .lines()
        .filter_map(|line| line.trim_end_matches(',').parse().ok());
    let mut times: Vec<f64> = numbers.collect();
    times.sort_by(f64::total_cmp);
    times
}

fn languages(folder: &TempDir, file: &str) -> String {
    let line = format!("-select_streams a -show_entries stream_tags=language -of csv=p=0 {file}");
    tool(folder, "ffprobe", &line)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn near(a: &[f64], b: &[f64], slack: f64) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= slack)
}

#[test]
fn sound_and_subtitles_come_back_unchanged() {
    let folder = folder();
    clip(&folder, "a.mp4", "aac", "mov_text");
    run(&folder, &tiny("encode a.mp4 -o a.lbit")).expect(0);
    let info = run(&folder, &["info", "a.lbit", "--json"]).expect(0).json();
    let codecs: Vec<&str> = info["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["codec"].as_str().unwrap())
        .collect();
    assert_eq!(codecs, ["A_AAC", "A_AAC", "S_TEXT/UTF8"]);
    for name in ["b.mp4", "b.mkv"] {
        run(&folder, &tiny(&format!("decode a.lbit -o {name}"))).expect(0);
        for stream in ["0:a:0", "0:a:1"] {
            assert_eq!(
                hash(&folder, name, stream),
                hash(&folder, "a.mp4", stream),
                "{name} {stream}"
            );
        }
        assert_eq!(languages(&folder, name), "eng ger");
        let text = tool(&folder, "ffmpeg", &format!("-i {name} -map 0:s:0 -f srt -"));
        assert!(
            ["Grüße", "zwei", "Zeilen"].iter().all(|line| text.contains(line)),
            "{text}"
        );
        let offset = |file: &str| times(&folder, file, "a:0")[0] - times(&folder, file, "v:0")[0];
        assert!(
            (offset(name) - offset("a.mp4")).abs() < 0.002,
            "sound is in step with the picture"
        );
    }
    assert_eq!(hash(&folder, "b.mp4", "0:s:0"), hash(&folder, "a.mp4", "0:s:0"));
    run(&folder, &["verify", "a.lbit"]).expect(0);
}

#[test]
fn other_codecs_come_back_too() {
    let folder = folder();
    for (name, back, audio, subtitles) in [
        ("opus.mkv", "opus.mka.mkv", "libopus", "srt"),
        ("mp3.mkv", "mp3.back.mp4", "libmp3lame", "srt"),
        ("flac.mkv", "flac.back.mkv", "flac", "ass"),
        ("pcm.mkv", "pcm.back.mkv", "pcm_s16le", "srt"),
        ("vorbis.mkv", "vorbis.back.mkv", "libvorbis", "srt"),
    ] {
        clip(&folder, name, audio, subtitles);
        run(&folder, &tiny(&format!("encode {name} -o a.lbit -y"))).expect(0);
        run(&folder, &tiny(&format!("decode a.lbit -o {back}"))).expect(0);
        assert_eq!(
            hash(&folder, back, "0:a:1"),
            hash(&folder, name, "0:a:1"),
            "{name}"
        );
        if back.ends_with("mkv") {
            assert_eq!(
                hash(&folder, back, "0:s:0"),
                hash(&folder, name, "0:s:0"),
                "{name}"
            );
        }
    }
    // What a kind of file cannot hold is left out, and said.
    run(&folder, &tiny("decode a.lbit -o a.webm"))
        .expect(0)
        .says(&["S_TEXT/UTF8", "left out"]);
    assert_eq!(
        hash(&folder, "a.webm", "0:a:0"),
        hash(&folder, "vorbis.mkv", "0:a:0")
    );
}

#[test]
fn sound_of_transport_streams_comes_back_as_matroska_has_it() {
    let folder = folder();
    clip(&folder, "a.mp4", "aac", "mov_text");
    tool(&folder, "ffmpeg", "-i a.mp4 -map 0:v -map 0:a:0 -c copy a.ts");
    run(&folder, &tiny("encode a.ts -o a.lbit")).expect(0);
    run(&folder, &tiny("decode a.lbit -o b.mkv")).expect(0);
    // Without the headers that its packets have in a transport stream, it is what it was.
    assert_eq!(hash(&folder, "b.mkv", "0:a:0"), hash(&folder, "a.mp4", "0:a:0"));
    run(&folder, &tiny("decode a.lbit -o b.avi")).expect(0);
    let line = "-count_packets -select_streams v -show_entries stream=nb_read_packets -of csv=p=0 b.avi";
    assert_eq!(tool(&folder, "ffprobe", line).trim().trim_end_matches(','), "60");
}

#[test]
fn sound_and_subtitles_can_be_left_out() {
    let folder = folder();
    clip(&folder, "a.mp4", "aac", "mov_text");
    let streams = |file: &str| {
        let info = run(&folder, &["info", file, "--json"]).expect(0).json();
        info["streams"].as_array().unwrap().len()
    };
    run(&folder, &tiny("encode a.mp4 -o none.lbit -an -sn")).expect(0);
    assert_eq!(streams("none.lbit"), 0);
    run(&folder, &tiny("encode a.mp4 -o some.lbit --no-audio")).expect(0);
    assert_eq!(streams("some.lbit"), 1);
    run(&folder, &tiny("encode a.mp4 -o all.lbit")).expect(0);
    run(&folder, &tiny("decode all.lbit -o b.mkv -an")).expect(0);
    let kinds = tool(
        &folder,
        "ffprobe",
        "-show_entries stream=codec_type -of csv=p=0 b.mkv",
    );
    assert_eq!(
        kinds.split_whitespace().collect::<Vec<_>>(),
        ["video", "subtitle"]
    );
}

#[test]
fn frames_keep_their_own_times() {
    let folder = folder();
    tool(
        &folder,
        "ffmpeg",
        "-f lavfi -i testsrc2=s=32x16:r=30:d=3 -vf select='not(eq(mod(n\\,7)\\,3))',setpts='PTS+if(gt(N\\,30)\\,0.4/TB\\,0)' -vsync vfr -c:v libx264 a.mp4",
    );
    run(&folder, &tiny("encode a.mp4 -o a.lbit --group 2")).expect(0);
    let info = run(&folder, &["info", "a.lbit", "--json"]).expect(0).json();
    assert_eq!(info["variable_frame_rate"], true);
    let original = times(&folder, "a.mp4", "v:0");
    run(&folder, &tiny("decode a.lbit -o b.mp4")).expect(0);
    assert!(near(&times(&folder, "b.mp4", "v:0"), &original, 1e-6));
    run(&folder, &tiny("decode a.lbit -o b.mkv")).expect(0);
    assert!(near(&times(&folder, "b.mkv", "v:0"), &original, 6e-4));

    // Milliseconds of a constant rate are a constant rate.
    tool(
        &folder,
        "ffmpeg",
        "-f lavfi -i testsrc2=s=32x16:r=30000/1001:d=2 -c:v libx264 c.mkv",
    );
    run(&folder, &tiny("encode c.mkv -o c.lbit")).expect(0);
    let info = run(&folder, &["info", "c.lbit", "--json"]).expect(0).json();
    assert_eq!(info["variable_frame_rate"], false);
    run(&folder, &tiny("decode c.lbit -o d.mp4")).expect(0);
    let exact: Vec<f64> = (0..60).map(|n| f64::from(n) * 1001.0 / 30000.0).collect();
    assert!(near(&times(&folder, "d.mp4", "v:0"), &exact, 1e-5));
}

#[test]
fn a_part_of_a_clip_keeps_its_part_of_the_sound() {
    let folder = folder();
    clip(&folder, "a.mp4", "aac", "mov_text");
    run(
        &folder,
        &tiny("encode a.mp4 -o part.lbit --start 0.5 --frames 20"),
    )
    .expect(0);
    run(&folder, &tiny("decode part.lbit -o part.mkv")).expect(0);
    run(&folder, &tiny("encode a.mp4 -o all.lbit")).expect(0);
    run(
        &folder,
        &tiny("decode all.lbit -o also.mkv --start 0.5 --frames 20"),
    )
    .expect(0);
    for name in ["part.mkv", "also.mkv"] {
        let sound = times(&folder, name, "a:0");
        let end = 20.0 * 1001.0 / 30000.0;
        assert!(sound[0].abs() < 0.03, "{name}: {}", sound[0]);
        let last = sound.last().unwrap();
        assert!((last - end).abs() < 0.05, "{name}: {last} against {end}");
        assert_eq!(times(&folder, name, "v:0").len(), 20);
    }
}
