//! Whole pipelines, compared with the command. `LATENTBIT` names it; `make test-gst` builds it first.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex, Once};

use gst::prelude::*;

/// Width that is no multiple of four, so that rows are padded.
const WIDTH: usize = 66;
const HEIGHT: usize = 48;
const FRAMES: usize = 60;
const STRIDE: usize = 200;

/// A limit for hangs, not a measure of speed.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(300);

fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstlatentbit::plugin_register_static().unwrap();
    });
}

fn command(args: &[&str]) -> Vec<u8> {
    let latentbit = std::env::var("LATENTBIT").expect("LATENTBIT names the command");
    output(Command::new(latentbit).args(args))
}

fn output(command: &mut Command) -> Vec<u8> {
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {said}");
    done.stdout
}

/// A clip with sound, encoded and decoded by the command.
struct Clip {
    folder: tempfile::TempDir,
    frames: Vec<u8>,
}

impl Clip {
    fn path(&self) -> String {
        text(&self.folder.path().join("clip.lbit"))
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }

    fn frame(&self, index: usize) -> &[u8] {
        let len = WIDTH * HEIGHT * 3;
        &self.frames[index * len..][..len]
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn clip() -> &'static Clip {
    static CLIP: LazyLock<Clip> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| text(&folder.path().join(name));
        let picture = format!("testsrc2=size={WIDTH}x{HEIGHT}:rate=25:duration=2.4");
        let args = [
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            &picture,
            "-f",
            "lavfi",
            "-i",
            "sine=440:duration=2.4",
        ];
        let sound = ["-c:v", "libx264", "-c:a", "libopus"];
        output(Command::new("ffmpeg").args(args).args(sound).arg(at("clip.mkv")));
        // Two places where decoding can begin.
        command(&[
            "encode",
            &at("clip.mkv"),
            "-o",
            &at("clip.lbit"),
            "--group",
            "2",
            "-q",
        ]);
        let frames = command(&["decode", &at("clip.lbit"), "--raw", "rgb24", "-o", "-", "-q"]);
        assert_eq!(frames.len(), WIDTH * HEIGHT * 3 * FRAMES);
        Clip { folder, frames }
    });
    &CLIP
}

/// What a pipeline had to say.
#[derive(Debug, Default)]
struct Outcome {
    error: Option<gst::glib::Error>,
    detail: String,
    warnings: Vec<String>,
}

/// Runs a pipeline to its end or to an error.
fn run(pipeline: &gst::Element) -> Outcome {
    pipeline.set_state(gst::State::Playing).ok();
    let outcome = wait(pipeline);
    pipeline.set_state(gst::State::Null).unwrap();
    outcome
}

fn wait(pipeline: &gst::Element) -> Outcome {
    let bus = pipeline.bus().unwrap();
    let mut outcome = Outcome::default();
    let kinds = [
        gst::MessageType::Eos,
        gst::MessageType::Error,
        gst::MessageType::Warning,
    ];
    loop {
        let message = bus.timed_pop_filtered(PATIENCE, &kinds);
        match message.expect("the pipeline hangs").view() {
            gst::MessageView::Eos(_) => return outcome,
            gst::MessageView::Error(error) => {
                outcome.error = Some(error.error());
                outcome.detail = error.debug().unwrap_or_default().to_string();
                return outcome;
            }
            gst::MessageView::Warning(warning) => {
                outcome
                    .warnings
                    .push(warning.debug().unwrap_or_default().to_string());
            }
            _ => {}
        }
    }
}

fn launch(description: &str) -> gst::Element {
    init();
    gst::parse::launch(description).unwrap()
}

fn run_well(description: &str) -> Outcome {
    let outcome = run(&launch(description));
    assert!(outcome.error.is_none(), "{description}: {outcome:?}");
    outcome
}

/// Time and bytes of a buffer.
type Stamped = (Option<gst::ClockTime>, Vec<u8>);

type Seen = Arc<Mutex<Vec<Stamped>>>;

/// Collects what reaches the element `sink` of a pipeline.
fn collect(pipeline: &gst::Element) -> Seen {
    let seen = Seen::default();
    let bin = pipeline.downcast_ref::<gst::Bin>().unwrap();
    let pad = bin.by_name("sink").unwrap().static_pad("sink").unwrap();
    let into = seen.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer() {
            let bytes = buffer.map_readable().unwrap().to_vec();
            into.lock().unwrap().push((buffer.pts(), bytes));
        }
        gst::PadProbeReturn::Ok
    });
    seen
}

/// A picture without the padding of its rows.
fn unpadded(picture: &[u8]) -> Vec<u8> {
    let rows = picture.chunks(STRIDE);
    rows.flat_map(|row| &row[..WIDTH * 3]).copied().collect()
}

/// Runs a pipeline and gives what reached its `sink`.
fn frames_of(description: &str) -> (Vec<Stamped>, Outcome) {
    let pipeline = launch(description);
    let seen = collect(&pipeline);
    let outcome = run(&pipeline);
    assert!(outcome.error.is_none(), "{description}: {outcome:?}");
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (seen, outcome)
}

fn damaged(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path: PathBuf = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    text(&path)
}

fn file_time(frame: u64) -> gst::ClockTime {
    gst::ClockTime::from_mseconds(40 * frame)
}

#[test]
fn frames_are_those_of_the_command_pulled_and_pushed() {
    let clip = clip();
    for between in ["", "! queue"] {
        let from = format!("filesrc location={} {between}", clip.path());
        let (seen, outcome) = frames_of(&format!("{from} ! lbitdemux ! lbitdec ! fakesink name=sink"));
        assert_eq!(seen.len(), FRAMES, "{between}");
        assert!(outcome.warnings.is_empty(), "{outcome:?}");
        for (index, (time, picture)) in seen.iter().enumerate() {
            assert_eq!(*time, Some(file_time(index as u64)), "{between}: {index}");
            assert!(
                unpadded(picture) == clip.frame(index),
                "{between}: frame {index} differs"
            );
        }
    }
    // Fewer bits give other pictures, as with the command.
    let fewer = command(&[
        "decode",
        &clip.path(),
        "--bits",
        "6",
        "--raw",
        "rgb24",
        "-o",
        "-",
        "-q",
    ]);
    let from = format!("filesrc location={}", clip.path());
    let (seen, _) = frames_of(&format!(
        "{from} ! lbitdemux ! lbitdec bits=6 ! fakesink name=sink"
    ));
    let pictures: Vec<u8> = seen.iter().flat_map(|(_, picture)| unpadded(picture)).collect();
    assert!(pictures == fewer && fewer != clip.frames);
}

#[test]
fn sound_comes_along() {
    let from = format!("filesrc location={} ! lbitdemux name=d", clip().path());
    let (packets, _) = frames_of(&format!(
        "{from} d.video_0 ! queue ! fakesink d.audio_0 ! queue ! fakesink name=sink"
    ));
    // Packets of 20 ms.
    assert!((119..=122).contains(&packets.len()), "{}", packets.len());
    let last = packets.last().unwrap().0.unwrap();
    assert!(last > gst::ClockTime::from_mseconds(2340), "{last}");
    let (samples, _) = frames_of(&format!(
        "{from} d.video_0 ! queue ! fakesink d.audio_0 ! queue ! opusdec ! audio/x-raw,format=S16LE,rate=48000 ! fakesink name=sink"
    ));
    let bytes: usize = samples.iter().map(|(_, bytes)| bytes.len()).sum();
    let seconds = bytes as f64 / 2.0 / 48_000.0;
    assert!((2.3..2.5).contains(&seconds), "{seconds}");
}

#[test]
fn seeking_leads_to_the_frame_of_that_time() {
    let clip = clip();
    let from = format!("filesrc location={}", clip.path());
    let pipeline = launch(&format!("{from} ! lbitdemux ! lbitdec ! fakesink name=sink"));
    let seen = collect(&pipeline);
    pipeline.set_state(gst::State::Paused).unwrap();
    pipeline.state(PATIENCE).0.unwrap();
    assert_eq!(
        pipeline.query_duration::<gst::ClockTime>(),
        Some(file_time(FRAMES as u64))
    );
    // In the middle of a group, at its first frame, backwards, and past the last frame.
    for frame in [40, 29, 7, 59] {
        seen.lock().unwrap().clear();
        pipeline
            .seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, file_time(frame))
            .unwrap();
        pipeline.state(PATIENCE).0.unwrap();
        let (time, picture) = seen.lock().unwrap()[0].clone();
        assert_eq!(time, Some(file_time(frame)));
        assert!(unpadded(&picture) == clip.frame(frame as usize), "frame {frame}");
    }
    // From there to the end, and not further.
    seen.lock().unwrap().clear();
    let (start, stop) = (file_time(20), file_time(23));
    pipeline
        .seek(
            1.0,
            gst::SeekFlags::FLUSH,
            gst::SeekType::Set,
            start,
            gst::SeekType::Set,
            stop,
        )
        .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let outcome = wait(&pipeline);
    assert!(outcome.error.is_none(), "{outcome:?}");
    pipeline.set_state(gst::State::Null).unwrap();
    let times: Vec<_> = seen.lock().unwrap().iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [20, 21, 22].map(|frame| Some(file_time(frame))));
}

#[test]
fn damage_is_told_and_played_over() {
    let clip = clip();
    let folder = clip.folder.path();
    let intact = clip.bytes();
    // In the tokens of the second chunk: of five there is one at each fifth, roughly.
    let mut broken = intact.clone();
    let places = intact
        .windows(4)
        .enumerate()
        .filter(|(_, found)| *found == b"CHNK");
    let places: Vec<usize> = places.map(|(at, _)| at).collect();
    assert_eq!(places.len(), 5, "chunks in the file");
    broken[places[1] + 120] ^= 0x55;
    for between in ["", "! queue"] {
        let path = damaged(folder, "broken.lbit", &broken);
        let from = format!("filesrc location={path} {between}");
        let (seen, outcome) = frames_of(&format!("{from} ! lbitdemux ! lbitdec ! fakesink name=sink"));
        assert_eq!(seen.len(), FRAMES, "{between}");
        assert!(
            outcome.warnings.iter().any(|text| text.contains("checksum")),
            "{outcome:?}"
        );
        assert!(
            outcome
                .warnings
                .iter()
                .any(|text| text.contains("frames 13 to 28")),
            "{outcome:?}"
        );
        assert!(unpadded(&seen[12].1) == clip.frame(12));
        assert!(unpadded(&seen[13].1) != clip.frame(13));
        // The next group is whole.
        assert!(unpadded(&seen[29].1) == clip.frame(29));

        let path = damaged(folder, "short.lbit", &intact[..places[3] + 40]);
        let from = format!("filesrc location={path} {between}");
        let (seen, outcome) = frames_of(&format!("{from} ! lbitdemux ! lbitdec ! fakesink name=sink"));
        assert_eq!(seen.len(), 42, "{between}");
        assert!(!outcome.warnings.is_empty(), "{between}");
    }
}

#[test]
fn what_cannot_be_played_is_an_error() {
    let folder = clip().folder.path();
    let intact = clip().bytes();
    let text = damaged(
        folder,
        "text.lbit",
        b"This is no video at all, and never was one.",
    );
    let cut = damaged(folder, "cut.lbit", &intact[..50]);
    let empty = damaged(folder, "empty.lbit", b"");
    for path in [&text, &cut, &empty] {
        for between in ["", "! queue"] {
            let from = format!("filesrc location={path} {between}");
            let outcome = run(&launch(&format!("{from} ! lbitdemux ! lbitdec ! fakesink")));
            assert!(outcome.error.is_some(), "{path} {between}: {outcome:?}");
        }
    }
    // Of another model, which the error names.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/conformance/subset");
    let files = std::fs::read_dir(&folder).unwrap();
    let foreign: Vec<PathBuf> = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == "lbit"))
        .collect();
    assert!(!foreign.is_empty(), "no files in {}", folder.display());
    for path in foreign {
        let from = format!("filesrc location={}", path.display());
        let outcome = run(&launch(&format!("{from} ! lbitdemux ! lbitdec ! fakesink")));
        let told = outcome.detail.contains("use the bundle that it was made with");
        assert!(told, "{}: {outcome:?}", path.display());
    }
}

#[test]
fn encoded_files_are_whole_and_come_back() {
    init();
    let folder = tempfile::tempdir().unwrap();
    let path = text(&folder.path().join("made.lbit"));
    let size = format!("video/x-raw,width={WIDTH},height={HEIGHT},framerate=30000/1001");
    let source = format!("videotestsrc num-buffers=35 pattern=ball ! {size} ! videoconvert");
    run_well(&format!(
        "{source} ! lbitenc chunks-per-group=1 ! filesink location={path}"
    ));
    command(&["verify", &path, "-q"]);
    let facts = String::from_utf8(command(&["info", "--json", &path])).unwrap();
    for fact in ["\"frames\": 35", "\"width\": 66", "30000"] {
        let (facts, fact) = (facts.replace(' ', ""), fact.replace(' ', ""));
        assert!(facts.contains(&fact), "{fact}: {facts}");
    }

    let (before, _) = frames_of(&format!("{source} ! video/x-raw,format=RGB ! fakesink name=sink"));
    let (after, _) = frames_of(&format!(
        "filesrc location={path} ! lbitdemux ! lbitdec ! fakesink name=sink"
    ));
    let times =
        |seen: &[Stamped]| -> Vec<u64> { seen.iter().map(|(time, _)| time.unwrap().mseconds()).collect() };
    assert_eq!(times(&before), times(&after));
    let errors = before.iter().zip(&after).flat_map(|((_, before), (_, after))| {
        let pairs = unpadded(before).into_iter().zip(unpadded(after));
        pairs
            .map(|(before, after)| (f64::from(before) - f64::from(after)).powi(2))
            .collect::<Vec<_>>()
    });
    let errors: Vec<f64> = errors.collect();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    let psnr = 10.0 * (255.0 * 255.0 / mean).log10();
    assert!(psnr > 20.0, "{psnr} dB");

    // A rate that is asked for is kept, and a lower one gives a smaller file.
    let len = |kilobits: u32| {
        let path = text(&folder.path().join(format!("{kilobits}.lbit")));
        run_well(&format!(
            "{source} ! lbitenc bitrate={kilobits} ! filesink location={path}"
        ));
        std::fs::metadata(path).unwrap().len()
    };
    assert!(len(5) < len(60));
}

#[test]
fn pipelines_stop_at_any_moment() {
    let from = format!("filesrc location={}", clip().path());
    for description in [
        format!("{from} ! lbitdemux ! lbitdec ! fakesink sync=true"),
        format!("{from} ! queue ! lbitdemux ! lbitdec ! fakesink sync=true"),
        "videotestsrc ! video/x-raw,width=64,height=64 ! videoconvert ! lbitenc ! fakesink".to_owned(),
    ] {
        for milliseconds in [0, 30, 200, 700] {
            let pipeline = launch(&description);
            pipeline.set_state(gst::State::Playing).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(milliseconds));
            pipeline.set_state(gst::State::Null).unwrap();
        }
    }
}

#[test]
fn players_find_the_way() {
    let pipeline = launch(&format!("playbin uri=file://{}", clip().path()));
    let sinks = ["video-sink", "audio-sink"].map(|name| {
        let sink = gst::ElementFactory::make("fakesink")
            .property("signal-handoffs", true)
            .build()
            .unwrap();
        let count = Arc::new(Mutex::new(0usize));
        let into = count.clone();
        sink.connect("handoff", false, move |_| {
            *into.lock().unwrap() += 1;
            None
        });
        pipeline.set_property(name, &sink);
        count
    });
    let outcome = run(&pipeline);
    assert!(outcome.error.is_none(), "{outcome:?}");
    let [pictures, sounds] = sinks.map(|count| *count.lock().unwrap());
    assert_eq!(pictures, FRAMES);
    assert!(sounds > 50, "{sounds}");
}
