//! When frames are shown.

use latentbit_media::{Filters, InputOptions, Rational};

use crate::support::{Files, PATTERN, Seen, X264};

fn open(files: &Files, name: &str) -> Seen {
    files.open(name, &InputOptions::default().with_packets(true, true))
}

/// The longest and the shortest step from one frame to the next, in seconds.
fn steps(times: &[f64]) -> (f64, f64) {
    let steps = times.windows(2).map(|pair| pair[1] - pair[0]);
    steps.fold((0.0, f64::INFINITY), |(most, least), step| {
        (f64::max(most, step), f64::min(least, step))
    })
}

#[test]
fn recordings_that_were_joined_run_on() {
    let files = Files::new();
    let part = |start: &str, name: &str, color: &str| {
        files.ffmpeg(&format!(
            "-f lavfi -i {color}=s=64x48:r=25:d=1 -f lavfi -i sine=d=1 {X264} -g 12 -c:a mp2 -output_ts_offset {start} {name}"
        ));
        files.read(name)
    };
    let (near, far) = (part("0", "a.ts", "testsrc2"), part("1000", "b.ts", "testsrc"));
    // The clock of transport streams starts again after 26.5 hours.
    let wraps = part("95442.5", "c.ts", "testsrc2");
    for (name, bytes) in [
        ("back.ts", [&near[..], &near].concat()),
        ("forth.ts", [&near[..], &far].concat()),
        ("far.ts", [&far[..], &near].concat()),
        ("thrice.ts", [&near[..], &far, &near].concat()),
        ("wraps.ts", [&wraps[..], &near].concat()),
    ] {
        files.write(name, &bytes);
        let parts = if name == "thrice.ts" { 3 } else { 2 };
        let seen = open(&files, name);
        let frames = seen.frames.len();
        assert!(
            frames + 3 * parts >= 25 * parts && frames <= 25 * parts,
            "{name}: {frames}"
        );
        let (most, least) = steps(&seen.times);
        assert!(most < 0.4 && least > 0.0, "{name}: steps of {least} to {most}");
        let length = seen.times.last().unwrap();
        // The program ffmpeg leaves gaps of the same size, where pictures are reordered and sound begins late.
        assert!((length - parts as f64).abs() < 0.3, "{name}: {length}");
        // Sound stays with the pictures.
        let sound = seen
            .packets
            .iter()
            .map(|packet| packet.1)
            .fold(f64::NEG_INFINITY, f64::max);
        assert!((sound - length).abs() < 0.3, "{name}: {sound} and {length}");
        let ten =
            InputOptions::default().with_filters(Filters::default().with_rate(Rational { num: 10, den: 1 }));
        let frames = files.open(name, &ten).frames.len();
        assert!(
            frames.abs_diff(10 * parts) <= 2,
            "{name}: {frames} frames at 10 per second"
        );
    }
}

#[test]
fn the_last_frame_lasts() {
    let files = Files::new();
    for (name, line) in [
        (
            "slides.mp4",
            format!("-f lavfi -i testsrc2=s=64x48:r=1/5:d=15 {X264}"),
        ),
        (
            "slides.mkv",
            format!("-f lavfi -i testsrc2=s=64x48:r=1/5:d=15 {X264}"),
        ),
        (
            "slides.gif",
            "-f lavfi -i testsrc2=s=64x48:r=1/5:d=15 -final_delay 500".to_owned(),
        ),
        (
            "slides.apng",
            "-f lavfi -i testsrc2=s=64x48:r=1/5:d=15 -final_delay 5/1".to_owned(),
        ),
    ] {
        files.ffmpeg(&format!("{line} {name}"));
        let seen = open(&files, name);
        assert_eq!(seen.times, [0.0, 5.0, 10.0], "{name}");
        let last = seen.last.unwrap_or_else(|| panic!("{name}: no duration"));
        assert!((last - 5.0).abs() < 0.01, "{name}: {last}");
    }
}

#[test]
fn clocks_are_those_of_the_container() {
    let files = Files::new();
    for ticks in [1u32, 25, 600, 12800, 90000, 1_000_000, 10_000_019] {
        files.ffmpeg(&format!(
            "-f lavfi -i testsrc2=s=64x48:r=1:d=4 {X264} -video_track_timescale {ticks} a.mp4"
        ));
        let seen = open(&files, "a.mp4");
        // libav makes coarse clocks finer.
        let base = seen.info.time_base.unwrap();
        let finer = if ticks < 10_000 {
            base.den.is_multiple_of(ticks)
        } else {
            base.den == ticks
        };
        assert!(base.num == 1 && finer, "{ticks}: {base:?}");
        assert_eq!(seen.times, [0.0, 1.0, 2.0, 3.0], "{ticks}");
    }
}

#[test]
fn absurd_rates_are_judged_by_the_times() {
    let files = Files::new();
    // Milliseconds, irregular as those of a browser's recorder, and no rate in the header.
    let clock = "settb=1/1000,setpts='N*33+mod(N*7,5)'";
    files.ffmpeg_with(&[
        "-f",
        "lavfi",
        "-i",
        &format!("testsrc2=s=64x48:r=30:d=3,{clock}"),
        "-fps_mode",
        "passthrough",
        "-enc_time_base",
        "1:1000",
        "-c:v",
        "libvpx",
        "-deadline",
        "realtime",
        "-f",
        "webm",
        "-live",
        "1",
        "a.webm",
    ]);
    let seen = open(&files, "a.webm");
    assert_eq!(seen.info.frame_rate, Rational { num: 30, den: 1 });
    assert_eq!(seen.frames.len(), 90);
    let exact: Vec<f64> = (0..90).map(|n| f64::from(n * 33 + n * 7 % 5) / 1000.0).collect();
    assert!(
        seen.times.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 1e-9),
        "{:?}",
        seen.times
    );
    // A camera that is really that fast.
    files.ffmpeg("-f lavfi -i testsrc2=s=64x48:r=1000:d=0.1 -c:v libvpx -deadline realtime b.webm");
    assert_eq!(
        open(&files, "b.webm").info.frame_rate,
        Rational { num: 1000, den: 1 }
    );
}

#[test]
fn gaps_and_late_beginnings() {
    let files = Files::new();
    files.ffmpeg_with(&[
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=64x48:r=30:d=2,select='not(between(n,10,40))'",
        "-fps_mode",
        "vfr",
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "gap.mp4",
    ]);
    let seen = open(&files, "gap.mp4");
    assert_eq!(seen.frames.len(), 29);
    // The frames of the camera, and not the few that are left, make the rate.
    assert_eq!(seen.info.nominal_rate, Some(Rational { num: 30, den: 1 }));
    assert!((seen.times[10] - 41.0 / 30.0).abs() < 1e-4 && (seen.times[9] - 0.3).abs() < 1e-4);
    // Sound that begins first, and pictures that begin late.
    files.ffmpeg(&format!(
        "-itsoffset 1.5 {PATTERN} -f lavfi -i sine=d=3 -map 0:v -map 1:a {X264} -c:a aac late.mkv"
    ));
    let seen = open(&files, "late.mkv");
    assert_eq!(seen.times[0], 0.0);
    let first = seen
        .packets
        .iter()
        .map(|packet| packet.1)
        .fold(f64::INFINITY, f64::min);
    assert!((first + 1.5).abs() < 0.06, "{first}");
}
