//! What `eval` measures, frame by frame and of luma, and how long work is summed up.

use std::process::Command;

use crate::support::{Y4m, encoded, folder, names, on_terminal, read, run, tiny, tiny_bundle, write};

#[test]
fn each_frame_has_a_line() {
    let folder = folder();
    encoded(&folder, "a.lbit", 7, "");
    write(&folder, "a.y4m", &Y4m::SMALL.video(7));
    let line = "eval a.y4m a.lbit --json --no-vae --frames-csv f.csv";
    let report = run(&folder, &tiny(line)).expect(0).json();
    let text = String::from_utf8(read(&folder, "f.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("frame,fidelity,psnr,psnr_y,ssim,ms_ssim"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 7);
    // The mean squared error of all is the mean of those of frames; SSIM is a mean; small frames have no MS-SSIM.
    let mean = |column: usize, of: fn(f64) -> f64| {
        let values = rows.iter().map(|row| of(row[column].parse::<f64>().unwrap()));
        values.sum::<f64>() / rows.len() as f64
    };
    for (column, name) in [(2, "psnr"), (3, "psnr_y")] {
        let psnr = -10.0 * mean(column, |psnr| 10f64.powf(-psnr / 10.0)).log10();
        let told = report["tokens"][name].as_f64().unwrap();
        assert!((psnr - told).abs() < 1e-4, "{name}: {psnr} {told}");
    }
    assert!((mean(4, |ssim| ssim) - report["tokens"]["ssim"].as_f64().unwrap()).abs() < 1e-5);
    for (number, row) in rows.iter().enumerate() {
        assert_eq!(
            (row[0], row[1], row[5]),
            (number.to_string().as_str(), "exact", "")
        );
    }

    // Of another codec's output; and nothing is overwritten unasked.
    run(&folder, &["eval", "a.y4m", "a.y4m", "--frames-csv", "f.csv"])
        .expect(1)
        .says(&["f.csv", "-y"]);
    run(
        &folder,
        &["eval", "a.y4m", "a.y4m", "--frames-csv", "f.csv", "-y"],
    )
    .expect(0)
    .prints(&["PSNR RGB", "PSNR Y", "MS-SSIM needs 176 pixels a side"]);
    let text = String::from_utf8(read(&folder, "f.csv")).unwrap();
    assert_eq!(text.lines().nth(7), Some("6,,100.000000,100.000000,1.000000,"));
    run(&folder, &["eval", "a.y4m", "a.y4m", "--frames-csv", "-"]).expect(2);
    run(&folder, &["eval", "a.y4m", "a.y4m", "-y"]).expect(2);
    // Of a file that lost chunks, each frame says whether it is exact.
    encoded(&folder, "b.lbit", 21, "--group 2");
    write(&folder, "b.y4m", &Y4m::SMALL.video(21));
    run(&folder, &["degrade", "b.lbit", "-o", "c.lbit", "--drop", "1"]).expect(0);
    run(
        &folder,
        &tiny("eval b.y4m c.lbit --conceal freeze --frames-csv g.csv"),
    )
    .expect(0);
    let text = String::from_utf8(read(&folder, "g.csv")).unwrap();
    assert!(text.contains(",concealed,") && text.contains(",exact,"), "{text}");
    assert_eq!(
        names(&folder),
        ["a.lbit", "a.y4m", "b.lbit", "b.y4m", "c.lbit", "f.csv", "g.csv"]
    );
}

#[test]
fn frames_are_drawn() {
    let folder = folder();
    encoded(&folder, "a.lbit", 21, "--group 2");
    write(&folder, "a.y4m", &Y4m::SMALL.video(21));
    run(&folder, &tiny("eval a.y4m a.lbit --no-vae --plot a.png")).expect(0);
    let png = read(&folder, "a.png");
    assert!(png.starts_with(b"\x89PNG"));
    // Nothing is overwritten unasked; the same measurement gives the same picture.
    run(&folder, &tiny("eval a.y4m a.lbit --no-vae --plot a.png"))
        .expect(1)
        .says(&["a.png", "-y"]);
    run(&folder, &tiny("eval a.y4m a.lbit --no-vae --plot a.png -y")).expect(0);
    assert!(read(&folder, "a.png") == png);

    // Of another codec's output nobody knows what a frame takes.
    run(&folder, &["eval", "a.y4m", "a.y4m", "--plot", "b.SVG"]).expect(0);
    let text = String::from_utf8(read(&folder, "b.SVG")).unwrap();
    assert!(text.starts_with("<svg") && text.contains("PSNR in dB"), "{text}");
    assert!(!text.contains("bits of a frame") && !text.contains("concealed"));
    // Where chunks are lost, their frames have a color behind them.
    run(&folder, &["degrade", "a.lbit", "-o", "c.lbit", "--drop", "1"]).expect(0);
    run(&folder, &tiny("eval a.y4m c.lbit --conceal freeze --plot c.svg")).expect(0);
    let text = String::from_utf8(read(&folder, "c.svg")).unwrap();
    assert!(
        text.contains("bits of a frame") && text.contains("concealed"),
        "{text}"
    );

    run(&folder, &["eval", "a.y4m", "a.y4m", "--plot", "d.jpg"])
        .expect(2)
        .says(&["d.jpg", ".png or .svg"]);
    run(&folder, &["eval", "a.y4m", "a.y4m", "--plot", "-"]).expect(2);
    let both = ["--plot", "e.png", "--frames-csv", "e.png"];
    run(&folder, &[&["eval", "a.y4m", "a.y4m"][..], &both].concat()).expect(2);
    let left = ["a.lbit", "a.png", "a.y4m", "b.SVG", "c.lbit", "c.svg"];
    assert_eq!(names(&folder), left);
}

#[test]
fn luma_is_measured_as_ffmpeg_does() {
    let folder = folder();
    let ffmpeg = |line: &str| {
        let output = Command::new("ffmpeg")
            .args(line.split(' '))
            .current_dir(folder.path())
            .output();
        output
            .ok()
            .map(|output| String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // Gray, so that the matrix does not matter.
    let source = "-y -f lavfi -i testsrc2=s=192x176:r=25:d=0.2 -pix_fmt yuv444p -strict -1";
    if ffmpeg(&format!("{source} -vf hue=s=0 a.y4m")).is_none() {
        eprintln!("ffmpeg is not installed");
        return;
    }
    ffmpeg(&format!("{source} -vf hue=s=0,gblur=2 b.y4m"));
    let told = ffmpeg("-i a.y4m -i b.y4m -lavfi psnr -f null -").unwrap();
    let luma = told
        .split("PSNR y:")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let luma: f64 = luma.unwrap_or_else(|| panic!("{told}")).parse().unwrap();
    let report = run(&folder, &["eval", "a.y4m", "b.y4m", "--json"])
        .expect(0)
        .json();
    let ours = report["quality"]["psnr_y"].as_f64().unwrap();
    assert!((ours - luma).abs() < 0.1, "{ours} {luma}");
}

#[test]
fn long_work_is_summed_up() {
    let folder = folder();
    write(&folder, "a.y4m", &Y4m::SMALL.video(9));
    let model = tiny_bundle();
    let model = model.to_str().unwrap();
    let shown = |line: &str| on_terminal(&folder, &format!("{line} --model {model}"), ("NO_COLOR", "1"));
    let Some(text) = shown("encode a.y4m -o a.lbit --bitrate 20k") else {
        return;
    };
    for part in [
        "a.lbit: 9 frames in",
        "frames/s",
        "bits per pixel",
        "asked for 20.0 kbit/s, reached",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let bytes = read(&folder, "a.lbit").len();
    assert!(text.contains(&format!("; {bytes} bytes")), "{bytes}: {text}");
    assert!(shown("encode a.y4m -o b.lbit").unwrap().contains("crf 18"));
    assert!(
        shown("decode a.lbit -o b.y4m")
            .unwrap()
            .contains("b.y4m: 9 frames in")
    );
    // Not for those who want no word, nor into logs.
    assert!(!shown("decode a.lbit -o c.y4m -q").unwrap().contains("frames"));
    let quiet = run(&folder, &tiny("decode a.lbit -o d.y4m")).expect(0);
    assert_eq!(quiet.stderr, "");
}
