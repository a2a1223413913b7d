//! What the command tells of files and of its work.

use crate::support::{Y4m, encoded, folder, read, run, run_with, tiny, write};

#[test]
fn info_tells_what_was_encoded() {
    let folder = folder();
    encoded(&folder, "a.lbit", 50, "--group 2 --bits 7");
    let size = read(&folder, "a.lbit").len();
    let info = run(&folder, &["info", "a.lbit", "--json"]).expect(0).json();
    for (field, value) in [
        ("schema", serde_json::json!("latentbit.info/2")),
        ("state", "complete".into()),
        ("width", Y4m::SMALL.width.into()),
        ("height", Y4m::SMALL.height.into()),
        ("frame_rate", vec![25, 1].into()),
        ("chroma", "4:2:0".into()),
        ("bit_depth", 8.into()),
        ("bits", 7.into()),
        ("bundle_bits", 10.into()),
        ("patch", vec![2, 2, 2].into()),
        ("strides", vec![4, 4, 4].into()),
        ("frames", 50.into()),
        ("seconds", 2.0.into()),
        ("chunks", 4.into()),
        ("key_chunks", 2.into()),
        ("lost_chunks", 0.into()),
        ("index", true.into()),
        ("bytes", size.into()),
    ] {
        assert_eq!(info[field], value, "{field}");
    }
    let text = String::from_utf8(run(&folder, &["info", "a.lbit"]).expect(0).stdout).unwrap();
    for part in [
        "24x16",
        "50 frames",
        "25 frames/s",
        "7 of 10 bits",
        "2 key",
        "int8",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let piped = run_with(&folder, &["info", "-", "--json"], read(&folder, "a.lbit"))
        .expect(0)
        .json();
    assert_eq!(piped["chunks"], 4);
}

#[test]
fn summaries_are_json() {
    let folder = folder();
    write(&folder, "a.y4m", &Y4m::SMALL.video(20));
    let report = run(&folder, &tiny("encode a.y4m -o a.lbit --json"))
        .expect(0)
        .json();
    let bytes = read(&folder, "a.lbit").len();
    assert_eq!(report["schema"], "latentbit.encode/1");
    assert_eq!(
        (&report["frames"], &report["bytes"], &report["chunks"]),
        (&20.into(), &bytes.into(), &2.into())
    );
    let bpp = bytes as f64 * 8.0 / (20 * Y4m::SMALL.width * Y4m::SMALL.height) as f64;
    assert!((report["bpp"].as_f64().unwrap() - bpp).abs() < 1e-9);
    assert!(report["fps"].as_f64().unwrap() > 0.0);
    #[cfg(target_os = "linux")]
    assert!(report["peak_mem_bytes"].as_u64().unwrap() > 1_000_000);

    let report = run(&folder, &tiny("decode a.lbit -o b.y4m --json"))
        .expect(0)
        .json();
    assert_eq!(
        (&report["schema"], &report["frames"]),
        (&"latentbit.decode/1".into(), &20.into())
    );

    // Data and summary never share stdout.
    let outcome = run(&folder, &tiny("decode a.lbit -o - --json")).expect(0);
    assert_eq!(Y4m::SMALL.count(&outcome.stdout), 20);
    let report: serde_json::Value = serde_json::from_str(outcome.stderr.trim()).unwrap();
    assert_eq!(report["frames"], 20);
}

#[test]
fn estimates_know_how_long_a_file_is() {
    let folder = folder();
    let y4m = Y4m {
        width: 256,
        height: 192,
        ..Y4m::SMALL
    };
    // One chunk has no index, several have one.
    for frames in [1, 20] {
        write(&folder, "a.y4m", &y4m.video(frames));
        run(&folder, &tiny("encode a.y4m -o a.lbit -y")).expect(0);
        let estimate = |input: &str, bytes: Vec<u8>| {
            let line = format!("decode {input} -o b.y4m -y --json");
            let report = run_with(&folder, &tiny(&line), bytes).expect(0).json();
            assert_eq!(report["frames"], frames);
            report["estimated_mem_bytes"].as_u64().unwrap()
        };
        let file = estimate("a.lbit", Vec::new());
        let pipe = estimate("-", read(&folder, "a.lbit"));
        match frames {
            1 => assert!(file + 1_000_000 < pipe, "{file} of {pipe}"),
            // What the process holds before differs by some.
            _ => assert!(file.abs_diff(pipe) < file / 8, "{file} of {pipe}"),
        }
    }
}

#[test]
fn eval_compares_with_the_source() {
    let folder = folder();
    let y4m = Y4m {
        width: 32,
        height: 24,
        ..Y4m::SMALL
    };
    write(&folder, "a.y4m", &y4m.video(20));
    run(&folder, &tiny("encode a.y4m -o a.lbit")).expect(0);
    let report = run(&folder, &tiny("eval a.y4m a.lbit --json")).expect(0).json();
    assert_eq!(
        (&report["schema"], &report["frames"]),
        (&"latentbit.eval/1".into(), &20.into())
    );
    for of in ["tokens", "vae"] {
        let psnr = report[of]["psnr"].as_f64().unwrap();
        assert!((1.0..60.0).contains(&psnr), "{report}");
        assert!(
            report[of]["ssim"].is_number() && report[of]["ms_ssim"].is_null(),
            "{report}"
        );
    }
    assert!(report["bpp"].as_f64().unwrap() > 0.0);
    let tokens_alone = run(&folder, &tiny("eval a.y4m a.lbit --json --no-vae"))
        .expect(0)
        .json();
    assert_eq!(tokens_alone["tokens"], report["tokens"]);
    assert!(tokens_alone["vae"].is_null());
    let text = run(&folder, &tiny("eval a.y4m a.lbit")).expect(0).stdout;
    assert!(String::from_utf8(text).unwrap().contains("PSNR"));

    // What is decoded, compared with itself, is as good as a decoder can be.
    run(&folder, &tiny("decode a.lbit -o back.y4m --raw rgb24")).expect(0);
    let line = "eval back.y4m a.lbit --json --raw 32x24@25:rgb24";
    let same = run(&folder, &tiny(line)).expect(0).json();
    assert!(same["tokens"]["psnr"].as_f64().unwrap() > 99.0, "{same}");

    // Part of a video, against the same part.
    run(&folder, &tiny("encode a.y4m -o part.lbit --start 3f --frames 5")).expect(0);
    run(&folder, &tiny("decode part.lbit -o part.raw --raw rgb24")).expect(0);
    let part = run(
        &folder,
        &tiny("eval a.y4m part.lbit --json --start 3f --frames 5"),
    )
    .expect(0)
    .json();
    assert_eq!(part["frames"], 5);
    run(&folder, &tiny("eval a.y4m part.lbit"))
        .expect(0)
        .says(&["goes on"]);
    run(&folder, &tiny("eval a.y4m a.lbit --frames 19"))
        .expect(2)
        .says(&["19 frames"]);
    write(&folder, "small.y4m", &Y4m::SMALL.video(20));
    run(&folder, &tiny("eval small.y4m a.lbit"))
        .expect(2)
        .says(&["24x16", "32x24"]);
}

#[test]
fn eval_measures_what_others_made() {
    let folder = folder();
    let y4m = Y4m {
        width: 32,
        height: 24,
        ..Y4m::SMALL
    };
    write(&folder, "a.y4m", &y4m.video(20));
    run(&folder, &tiny("encode a.y4m -o a.lbit")).expect(0);
    run(&folder, &tiny("decode a.lbit -o back.y4m")).expect(0);
    let report = run(&folder, &["eval", "a.y4m", "back.y4m", "--json"])
        .expect(0)
        .json();
    let bytes = read(&folder, "back.y4m").len();
    assert_eq!(
        (&report["schema"], &report["frames"], &report["bytes"]),
        (&"latentbit.eval/1".into(), &20.into(), &bytes.into())
    );
    assert!(report["quality"]["ssim"].is_number() && report["quality"]["ms_ssim"].is_null());
    let own = run(&folder, &tiny("eval a.y4m a.lbit --json")).expect(0).json();
    let same = run(&folder, &["eval", "a.y4m", "a.y4m", "--frames", "7"]).expect(0);
    same.prints(&["7 frames", "PSNR"]);

    // Grey frames whose luma is brighter by 4, so R, G and B by 4 · 255 / 219.
    let mut grey = y4m.video(20);
    let head = grey.iter().position(|&b| b == b'\n').unwrap() + 1;
    let luma = b"FRAME\n".len()..b"FRAME\n".len() + y4m.width * y4m.height;
    for frame in grey[head..].chunks_exact_mut(y4m.frame_bytes()) {
        frame[luma.end..].fill(128);
    }
    write(&folder, "grey.y4m", &grey);
    for frame in grey[head..].chunks_exact_mut(y4m.frame_bytes()) {
        frame[luma.clone()].iter_mut().for_each(|v| *v += 4);
    }
    write(&folder, "brighter.y4m", &grey);
    let report = run(&folder, &["eval", "grey.y4m", "brighter.y4m", "--json"])
        .expect(0)
        .json();
    let psnr = report["quality"]["psnr"].as_f64().unwrap();
    assert!((psnr - 20.0 * (219.0_f64 / 4.0).log10()).abs() < 0.3, "{psnr}");

    write(&folder, "short.y4m", &y4m.video(19));
    run(&folder, &["eval", "a.y4m", "short.y4m"])
        .expect(0)
        .says(&["a.y4m goes on"]);
    run(&folder, &["eval", "short.y4m", "a.y4m"])
        .expect(2)
        .says(&["19 frames"]);
    write(&folder, "small.y4m", &Y4m::SMALL.video(20));
    run(&folder, &["eval", "small.y4m", "a.y4m"])
        .expect(2)
        .says(&["24x16", "32x24"]);
    run(&folder, &["eval", "a.y4m", "back.y4m", "--bits", "6"])
        .expect(2)
        .says(&["--bits"]);
    run(&folder, &["eval", "a.y4m", "none.y4m"]).expect(1);
    // What begins like one is read as .lbit, whatever its name.
    write(&folder, "tokens.bin", &read(&folder, "a.lbit"));
    let renamed = run(&folder, &tiny("eval a.y4m tokens.bin --json"))
        .expect(0)
        .json();
    assert_eq!(renamed["tokens"], own["tokens"]);
}
