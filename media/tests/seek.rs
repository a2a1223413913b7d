//! A start in the middle of a file gives what reading the file from its beginning gives.
#![cfg(feature = "libav")]
// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use latentbit_container::Rational;
use latentbit_media::{FrameSource, InputOptions, Start, open_source};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Files, how ffmpeg makes them of moving pictures and a tone, and whether seeks get beyond the first frame in them.
const FILES: &[(&str, &str, bool)] = &[
    ("b.mp4", "-c:v libx264 -bf 3 -g 30 -an", true),
    (
        "open.mp4",
        "-c:v libx264 -x264-params bframes=3:keyint=30:open-gop=1 -c:a aac",
        true,
    ),
    (
        "open.mkv",
        "-c:v libx264 -x264-params bframes=3:keyint=30:open-gop=1 -c:a aac",
        true,
    ),
    (
        "open.ts",
        "-c:v libx264 -x264-params bframes=3:keyint=30:open-gop=1 -c:a mp2",
        true,
    ),
    ("silent.ts", "-c:v libx264 -bf 2 -g 30 -an", true),
    ("two.mpg", "-c:v mpeg2video -bf 2 -g 15 -c:a mp2", false),
    (
        "a.webm",
        "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 40 -c:a libopus",
        true,
    ),
    (
        "late.mkv",
        "-c:v libx264 -bf 2 -g 30 -c:a libopus -output_ts_offset 7.3",
        true,
    ),
    (
        "vary.mp4",
        "-vf select=not(mod(n\\,3))+not(mod(n\\,7)) -vsync vfr -c:v libx264 -bf 2 -g 20 -c:a aac",
        true,
    ),
    (
        "vary.mkv",
        "-vf select=not(mod(n\\,3))+not(mod(n\\,7)) -vsync vfr -c:v libx264 -bf 2 -g 20 -an",
        true,
    ),
    (
        "hevc.mp4",
        "-c:v libx265 -preset ultrafast -x265-params log-level=0:keyint=30:open-gop=1 -an",
        true,
    ),
    (
        "refresh.mkv",
        "-c:v libx264 -x264-params intra-refresh=1:keyint=25 -an",
        true,
    ),
    (
        "one.mkv",
        "-c:v libx264 -g 1000 -keyint_min 1000 -sc_threshold 0 -an",
        false,
    ),
    ("a.gif", "-an", false),
];

/// Starts in seconds: near the beginning, on and beside key frames, and near the end.
const STARTS: [f64; 7] = [1.0, 1.16, 2.5, 3.6, 5.04, 6.0, 8.6];

/// The reader's messages about seeks to a key frame behind the first.
static SEEKS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Log;

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        if message.0.contains("sought") && !message.0.contains("frame at 0.000 s") {
            SEEKS.lock().unwrap().push(message.0);
        }
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A packet: its stream, times, end, and contents.
#[derive(Debug, Clone, PartialEq)]
struct Carried {
    stream: usize,
    pts: i64,
    dts: Option<i64>,
    end: i64,
    data: Vec<u8>,
}

/// Digests and times of frames, and packets by their streams.
#[derive(Debug)]
struct Given {
    frames: Vec<(u64, i64)>,
    streams: Vec<Vec<Carried>>,
}

fn options(start: Option<f64>) -> InputOptions {
    let mut options = InputOptions::default();
    options.start = start.map(Start::Seconds);
    options.audio = true;
    options.subtitles = true;
    options
}

fn open(path: &Path, start: Option<f64>) -> Box<dyn FrameSource> {
    open_source(path.to_str().unwrap(), &options(start)).unwrap()
}

fn read(path: &Path, start: Option<f64>) -> Given {
    let mut source = open(path, start);
    let mut given = Given {
        frames: Vec::new(),
        streams: vec![Vec::new(); source.info().packet_streams.len()],
    };
    loop {
        let frame = source.next_frame().unwrap();
        let extras = source.take_extras();
        for (stream, packet) in extras.packets {
            given.streams[stream].push(Carried {
                stream,
                pts: packet.pts,
                dts: packet.dts,
                end: packet.pts + packet.duration as i64,
                data: packet.data,
            });
        }
        let Some(frame) = frame else {
            return given;
        };
        let mut digest = DefaultHasher::new();
        frame
            .data
            .iter()
            .for_each(|value| value.to_bits().hash(&mut digest));
        given.frames.push((digest.finish(), extras.time.unwrap()));
    }
}

/// Compares what a start gives with the same part of the whole; says whether packets at the beginning were not read.
fn check(path: &Path, whole: &Given, start: f64) -> bool {
    let name = format!("{} from {start}", path.display());
    SEEKS.lock().unwrap().clear();
    let part = read(path, Some(start));
    let sought = !SEEKS.lock().unwrap().is_empty();
    let source = open(path, None);
    let seconds = |time: i64, base: Rational| time as f64 * f64::from(base.num) / f64::from(base.den);
    let base = source.info().time_base.unwrap();
    let at = whole
        .frames
        .iter()
        .position(|(_, time)| seconds(*time, base) >= start - 1e-6)
        .unwrap();
    let first = whole.frames[at].1;
    let frames: Vec<_> = whole.frames[at..]
        .iter()
        .map(|(digest, time)| (*digest, time - first))
        .collect();
    assert_eq!(part.frames, frames, "{name}");
    for (stream, (part, whole)) in part.streams.iter().zip(&whole.streams).enumerate() {
        let to = source.info().packet_streams[stream].time_base;
        // Times of streams are rounded on their own, so the distance between both firsts is known but for a tick.
        let about = (seconds(first, base) * f64::from(to.den) / f64::from(to.num)).round() as i64;
        let fits = (about - 1..=about + 1).any(|shift| {
            let wanted = whole
                .iter()
                .filter(|packet| packet.end > shift)
                .map(|packet| Carried {
                    pts: packet.pts - shift,
                    dts: packet.dts.map(|dts| dts - shift),
                    end: packet.end - shift,
                    ..packet.clone()
                });
            wanted.eq(part.iter().cloned())
        });
        assert!(
            fits,
            "{name}: stream {stream} has {} packets, {} in all",
            part.len(),
            whole.len()
        );
    }
    sought
}

fn ffmpeg(folder: &Path, arguments: &str) -> bool {
    let mut command = Command::new("ffmpeg");
    command.current_dir(folder).args(["-v", "error", "-y"]);
    command.args(arguments.split(' ')).status().unwrap().success()
}

#[test]
fn a_start_gives_what_reading_from_the_beginning_gives() {
    tracing::subscriber::set_global_default(Log).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let inputs = "-f lavfi -i testsrc2=size=64x48:rate=25:duration=9 -f lavfi -i sine=duration=9";
    let mut unexpected = Vec::new();
    for &(name, arguments, seeks) in FILES {
        if !ffmpeg(
            folder.path(),
            &format!("{inputs} -pix_fmt yuv420p {arguments} {name}"),
        ) {
            eprintln!("{name}: left out, as ffmpeg cannot make it");
            continue;
        }
        let path = folder.path().join(name);
        let whole = read(&path, None);
        let sought = STARTS.map(|start| check(&path, &whole, start));
        // What is far enough from the beginning is not reached by reading.
        if sought[3..] != [seeks; 4] {
            unexpected.push((name, sought));
        }
    }
    a_subtitle_from_before_the_start_stays(folder.path());
    a_start_behind_the_end_is_refused(folder.path());
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

fn a_subtitle_from_before_the_start_stays(folder: &Path) {
    let subtitles = "1\n00:00:01,000 --> 00:00:08,000\nlong\n\n2\n00:00:06,500 --> 00:00:07,000\nshort\n";
    std::fs::write(folder.join("a.srt"), subtitles).unwrap();
    // In an MP4 file the long one ends where the short one begins.
    for (name, codec, texts) in [("text.mkv", "srt", 2), ("text.mp4", "mov_text", 1)] {
        let arguments = format!(
            "-f lavfi -i testsrc2=size=64x48:rate=25:duration=9 -f lavfi -i sine=duration=9 -i a.srt -pix_fmt yuv420p \
             -c:v libx264 -bf 3 -g 30 -c:a aac -c:s {codec} {name}"
        );
        assert!(ffmpeg(folder, &arguments));
        let path = folder.join(name);
        let whole = read(&path, None);
        for start in STARTS {
            assert!(!check(&path, &whole, start), "{name} from {start}");
        }
        assert_eq!(read(&path, Some(6.6)).streams[1].len(), texts, "{name}");
    }
}

fn a_start_behind_the_end_is_refused(folder: &Path) {
    let mut source = open(&folder.join("b.mp4"), Some(9.5));
    let error = source.next_frame().unwrap_err().to_string();
    assert!(error.contains("the video has 225 frames"), "{error}");
}
