//! Files that libav reads and writes, and pictures.

use crate::support::{digests, folder, names, read, run, run_with, testdata, tiny};
use latentbit_codec::Frame;
use latentbit_media::{InputOptions, open_source, png};

/// Makes a clip with the program `ffmpeg`.
#[cfg(feature = "libav")]
fn ffmpeg(folder: &tempfile::TempDir, line: &str) {
    let status = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-y"])
        .args(line.split_whitespace())
        .current_dir(folder.path())
        .status()
        .expect("ffmpeg is installed");
    assert!(status.success(), "ffmpeg {line}");
}

/// Size, rate and number of frames.
#[cfg(feature = "libav")]
fn probe(folder: &tempfile::TempDir, name: &str) -> String {
    let entries = "stream=width,height,r_frame_rate,nb_read_frames,pix_fmt";
    let args = [
        "-v",
        "error",
        "-select_streams",
        "v",
        "-count_frames",
        "-show_entries",
        entries,
        "-of",
        "csv=p=0",
    ];
    let output = std::process::Command::new("ffprobe")
        .args(args)
        .arg(folder.path().join(name))
        .output()
        .expect("ffprobe is installed");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[cfg(feature = "libav")]
#[test]
fn files_of_many_kinds() {
    for (name, size, rate, format, frames) in [
        ("a.mp4", "48x32", "25", "yuv420p", 30),
        ("b.mkv", "50x34", "30000/1001", "yuv422p", 14),
        ("c.mkv", "32x32", "24", "yuv444p", 5),
        ("d.mkv", "64x48", "50", "yuv420p10le", 18),
    ] {
        let folder = folder();
        let source = format!("-f lavfi -i testsrc2=size={size}:rate={rate} -frames:v {frames}");
        ffmpeg(
            &folder,
            &format!("{source} -c:v libx264 -pix_fmt {format} {name}"),
        );
        run(&folder, &tiny(&format!("encode {name} -o x.lbit"))).expect(0);
        run(&folder, &tiny("decode x.lbit -o back.mkv")).expect(0);
        assert_eq!(probe(&folder, "back.mkv"), probe(&folder, name), "{name}");
    }
}

#[test]
fn pictures_go_in_and_out() {
    let folder = folder();
    let pixels = (0..23).flat_map(|y| (0..37).map(move |x| [x as f32 / 37.0, y as f32 / 23.0, 0.35]));
    let picture = Frame {
        width: 37,
        height: 23,
        data: pixels.flatten().collect(),
    };
    std::fs::write(folder.path().join("a.png"), png(&picture).unwrap()).unwrap();
    for name in ["a.png", "b.jpeg"] {
        run(&folder, &tiny(&format!("encode {name} -o a.lbit -y"))).expect(0);
        for back in ["b.png", "b.jpeg"] {
            let outcome = run(&folder, &tiny(&format!("decode a.lbit -o {back} -y"))).expect(0);
            assert_eq!(outcome.stderr, "");
            let back = folder.path().join(back);
            let back = open_source(back.to_str().unwrap(), &InputOptions::default()).unwrap();
            assert_eq!((back.info().width, back.info().height), (37, 23));
        }
        let info = run(&folder, &["info", "a.lbit", "--json"]).expect(0).json();
        assert_eq!(
            (info["frames"].as_u64(), info["chunks"].as_u64()),
            (Some(1), Some(1))
        );
    }
    // A pipe is recognised by its first bytes.
    run_with(&folder, &tiny("encode - -o p.lbit"), read(&folder, "a.png")).expect(0);
    run(&folder, &tiny("encode a.png -o a.lbit -y")).expect(0);
    assert_eq!(
        digests(&folder, read(&folder, "p.lbit")),
        digests(&folder, read(&folder, "a.lbit"))
    );
}

#[test]
fn a_video_becomes_numbered_pictures() {
    let folder = folder();
    crate::support::encoded(&folder, "a.lbit", 3, "");
    run(&folder, &tiny("decode a.lbit -o f-%02d.png")).expect(0);
    assert_eq!(names(&folder), ["a.lbit", "f-01.png", "f-02.png", "f-03.png"]);
    run(&folder, &tiny("decode a.lbit -o one.png"))
        .expect(2)
        .says(&["one.png", "--frames 1"]);
    run(&folder, &tiny("decode a.lbit -o one.png --frames 1")).expect(0);
    assert!(names(&folder).contains(&"one.png".to_owned()));
}

/// The built-in bundle, without naming any: what comes back looks like what went in.
#[test]
fn the_built_in_model_works() {
    let folder = folder();
    let photo = testdata("golden/photo.png");
    let photo = photo.to_str().unwrap();
    run(&folder, &["encode", photo, "-o", "default.lbit"]).expect(0);
    run(&folder, &["encode", photo, "-o", "a.lbit", "--bits", "48"]).expect(0);
    run(&folder, &["decode", "a.lbit", "-o", "a.png"]).expect(0);
    let report = run(&folder, &["eval", photo, "a.lbit", "--json"])
        .expect(0)
        .json();
    let psnr = |of: &str| report[of]["psnr"].as_f64().unwrap();
    assert!(psnr("tokens") > 22.0 && psnr("vae") > psnr("tokens"), "{report}");
    // 16x16 tokens of 48 bits, and header, checksums, lengths and index.
    let (bytes, tokens) = (report["bytes"].as_u64().unwrap(), 16 * 16 * 48 / 8);
    assert!((tokens..tokens + 500).contains(&bytes), "{report}");
    // Where nothing is asked for, tokens keep what they are worth.
    assert!(read(&folder, "default.lbit").len() < tokens as usize);
    // Half of the planes cost quality, but not the picture.
    let half = run(&folder, &["eval", photo, "a.lbit", "--json", "--bits", "24"])
        .expect(0)
        .json();
    let half = half["tokens"]["psnr"].as_f64().unwrap();
    assert!(half < psnr("tokens") && half > 18.0, "{half}");
}
