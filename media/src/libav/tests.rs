use super::init;
use crate::color::location;
use crate::error::MediaErrorKind;
use crate::options::{InputOptions, OutputOptions};
use crate::sink::open_sink;
use crate::source::open_source;
use crate::start::Start;
use crate::testing::plain_info;
use crate::video::{FrameSource, VideoInfo};
use ffmpeg_next as av;
use latentbit_codec::Frame;
use latentbit_container::{Chroma, Color, ColorRange, Rational};
use std::fs;

fn info(width: u32, height: u32, chroma: Chroma, bit_depth: u8) -> VideoInfo {
    VideoInfo {
        frame_rate: Rational {
            num: 30000,
            den: 1001,
        },
        pixel_aspect: Rational { num: 1, den: 1 },
        color: Color {
            primaries: 1,
            transfer: 1,
            matrix: 1,
            range: ColorRange::Limited,
        },
        chroma,
        chroma_location: location::LEFT,
        bit_depth,
        ..plain_info(width, height)
    }
}

fn picture(w: u32, h: u32, t: usize) -> Frame {
    let (w, h) = (w as usize, h as usize);
    let data = (0..w * h).flat_map(|i| {
        let (x, y) = ((i % w) as f32, (i / w) as f32);
        let v = 0.5 + 0.3 * ((x + y + 3.0 * t as f32) / 15.0).sin();
        [v, 0.9 * v, 0.2 + 0.5 * v]
    });
    Frame {
        width: w,
        height: h,
        data: data.collect(),
    }
}

fn write(path: &str, options: &OutputOptions, frames: usize) {
    let mut sink = open_sink(path, options).unwrap();
    for t in 0..frames {
        sink.write_frame(picture(options.info.width, options.info.height, t), t as i64)
            .unwrap();
    }
    sink.finish().unwrap();
}

fn read(path: &str, options: &InputOptions) -> (VideoInfo, Vec<Frame>) {
    let mut source: Box<dyn FrameSource> = open_source(path, options).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = source.next_frame().unwrap() {
        frames.push(frame);
    }
    (source.info().clone(), frames)
}

fn psnr(a: &Frame, b: &Frame) -> f32 {
    let sum: f32 = a.data.iter().zip(&b.data).map(|(a, b)| (a - b) * (a - b)).sum();
    -10.0 * (sum / a.data.len() as f32).max(1e-12).log10()
}

/// An encoder that is not in this build of libav cannot be tested.
fn missing(name: &str) -> bool {
    init();
    av::encoder::find_by_name(name).is_none()
}

#[test]
fn videos_round_trip() {
    let dir = tempfile::tempdir().unwrap();
    // Name, encoder, size, chroma and depth asked for, chroma that must come back.
    let cases = [
        ("a.mp4", "libx264", (64, 48), Chroma::C420, 8, Chroma::C420),
        ("b.mkv", "libx264", (64, 48), Chroma::C422, 10, Chroma::C422),
        ("c.mp4", "libx264", (37, 21), Chroma::C420, 8, Chroma::C444),
        ("d.mov", "libx264", (64, 48), Chroma::Rgb, 8, Chroma::C420),
        ("e.webm", "libvpx-vp9", (37, 21), Chroma::C420, 8, Chroma::C420),
        ("f.mkv", "ffv1", (37, 21), Chroma::C444, 12, Chroma::C444),
        ("g.mkv", "ffv1", (37, 21), Chroma::Gray, 8, Chroma::Gray),
        ("h.mkv", "ffv1", (37, 21), Chroma::Rgb, 16, Chroma::Rgb),
        ("i.avi", "mjpeg", (64, 48), Chroma::C420, 8, Chroma::C420),
    ];
    for (name, codec, (w, h), chroma, depth, back) in cases {
        if missing(codec) {
            continue;
        }
        let path = dir.path().join(name);
        let path = path.to_str().unwrap();
        let mut options = OutputOptions::new(info(w, h, chroma, depth));
        options.codec = Some(codec.to_owned());
        options.preset = (codec == "libx264").then(|| "ultrafast".to_owned());
        write(path, &options, 7);
        let (info, frames) = read(path, &InputOptions::default());
        assert_eq!((info.width, info.height, info.chroma), (w, h, back), "{name}");
        assert_eq!(
            info.frame_rate,
            Rational {
                num: 30000,
                den: 1001
            },
            "{name}"
        );
        assert_eq!(info.bit_depth, depth, "{name}");
        assert_eq!(frames.len(), 7, "{name}");
        if codec.starts_with("lib") {
            let matrix = if chroma == Chroma::Rgb {
                1
            } else {
                options.info.color.matrix
            };
            assert_eq!(
                (info.color.matrix, info.color.range),
                (matrix, ColorRange::Limited),
                "{name}"
            );
        }
        if chroma != Chroma::Gray {
            for (t, frame) in frames.iter().enumerate() {
                let db = psnr(frame, &picture(w, h, t));
                assert!(db > 35.0, "{name} frame {t}: {db} dB");
            }
        }
    }
    assert_eq!(
        fs::read_dir(dir.path())
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains("part"))
            .count(),
        0
    );
}

#[test]
fn start_goes_by_time_stamps() {
    if missing("ffv1") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mkv");
    let path = path.to_str().unwrap();
    let mut options = OutputOptions::new(VideoInfo {
        frame_rate: Rational { num: 10, den: 1 },
        ..info(32, 16, Chroma::C444, 8)
    });
    options.codec = Some("ffv1".to_owned());
    write(path, &options, 10);
    let input = InputOptions {
        start: Some("0.3".parse().unwrap()),
        frames: Some(2),
        ..Default::default()
    };
    let (info, frames) = read(path, &input);
    assert_eq!((frames.len(), info.frame_count), (2, Some(2)));
    assert!(psnr(&frames[0], &picture(32, 16, 3)) > 40.0);
    for (start, left) in [("0.3", 7), ("4f", 6), ("0.35", 6)] {
        let options = InputOptions::default().with_start(start.parse::<Start>().unwrap());
        let (info, frames) = read(path, &options);
        assert_eq!(
            (frames.len(), info.frame_count),
            (left, Some(left as u64)),
            "{start}"
        );
    }
    let late = InputOptions {
        start: Some("5".parse().unwrap()),
        ..Default::default()
    };
    assert_eq!(
        open_source(path, &late).unwrap().next_frame().unwrap_err().kind(),
        MediaErrorKind::Usage
    );
}

#[test]
fn a_cut_off_file_gives_its_frames_and_an_error() {
    if missing("mpeg4") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("a.mp4");
    let mut options = OutputOptions::new(info(64, 48, Chroma::C420, 8));
    options.codec = Some("mpeg4".to_owned());
    write(whole.to_str().unwrap(), &options, 20);
    // The index of an mp4 comes last, so a cut file has none.
    let bytes = fs::read(&whole).unwrap();
    let cut = dir.path().join("cut.mp4");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let error = open_source(cut.to_str().unwrap(), &InputOptions::default())
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("cut.mp4") && error.to_string().contains("mdat"),
        "{error}"
    );
}

#[test]
fn nothing_stays_after_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp4");
    let mut options = OutputOptions::new(info(64, 48, Chroma::C420, 8));
    options.codec = Some("no-such-encoder".to_owned());
    let error = open_sink(path.to_str().unwrap(), &options).err().unwrap();
    assert!(error.to_string().contains("no-such-encoder"));
    options.codec = Some("mpeg4".to_owned());
    if !missing("mpeg4") {
        let mut sink = open_sink(path.to_str().unwrap(), &options).unwrap();
        sink.write_frame(picture(64, 48, 0), 0).unwrap();
        drop(sink);
        // No frame at all is an error and leaves nothing either.
        assert!(
            open_sink(path.to_str().unwrap(), &options)
                .unwrap()
                .finish()
                .is_err()
        );
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
