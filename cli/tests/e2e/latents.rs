//! The VAE alone.

use serde_json::Value;

use crate::support::{Y4m, folder, names, read, run, run_with, testdata, tiny, write};

/// A VAE of every mechanism without a tokenizer: strides 4x4x4, 4 channels.
pub fn vae(line: &str) -> Vec<String> {
    let mut args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let model = testdata("golden/vae-tiny.safetensors");
    args.extend(["--model".to_owned(), model.to_str().unwrap().to_owned()]);
    args
}

/// The header of a file of safetensors.
fn header(bytes: &[u8]) -> Value {
    let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    serde_json::from_slice(&bytes[8..8 + len]).unwrap()
}

fn error(folder: &tempfile::TempDir, a: &str, b: &str) -> f64 {
    let report = run(folder, &["latents", "compare", a, b, "--json"])
        .expect(0)
        .json();
    report["max_relative_error"].as_f64().unwrap()
}

#[test]
fn latents_come_back_as_frames() {
    let folder = folder();
    // Two frames more than whole latent frames, and a width that is no multiple of the stride.
    let video = Y4m {
        width: 22,
        ..Y4m::SMALL
    };
    write(&folder, "a.y4m", &video.video(11));
    let report = run(&folder, &vae("latents encode a.y4m -o a.safetensors --json"))
        .expect(0)
        .json();
    assert_eq!(report["shape"], serde_json::json!([1, 4, 4, 4, 6]));
    assert_eq!(
        (&report["frames"], &report["latents"]["scale"]),
        (&11.into(), &"raw".into())
    );
    let head = header(&read(&folder, "a.safetensors"));
    assert_eq!(head["latents"]["shape"], report["shape"]);
    assert!(
        head["__metadata__"]["latentbit.latents"]
            .as_str()
            .unwrap()
            .contains("\"width\":22")
    );

    run(&folder, &vae("latents decode a.safetensors -o back.y4m")).expect(0);
    assert_eq!(video.count(&read(&folder, "back.y4m")), 11);
    run(&folder, &vae("latents decode a.safetensors -o back.safetensors")).expect(0);
    let head = header(&read(&folder, "back.safetensors"));
    assert_eq!(head["frames"]["shape"], serde_json::json!([1, 3, 11, 16, 22]));
    assert_eq!(
        names(&folder),
        ["a.safetensors", "a.y4m", "back.safetensors", "back.y4m"]
    );
}

#[test]
fn scales_mean_the_same_frames() {
    let folder = folder();
    write(&folder, "a.y4m", &Y4m::SMALL.video(5));
    run(&folder, &vae("latents encode a.y4m -o raw.safetensors")).expect(0);
    run(
        &folder,
        &vae("latents encode a.y4m -o norm.safetensors --scale normalised"),
    )
    .expect(0);
    for name in ["raw", "norm"] {
        run(
            &folder,
            &vae(&format!(
                "latents decode {name}.safetensors -o {name}-f.safetensors"
            )),
        )
        .expect(0);
    }
    assert!(error(&folder, "raw-f.safetensors", "norm-f.safetensors") < 1e-5);
    assert_eq!(error(&folder, "raw.safetensors", "raw.safetensors"), 0.0);
    // What the file says of itself can be overruled.
    run(
        &folder,
        &vae("latents decode raw.safetensors -o wrong.safetensors --scale normalised"),
    )
    .expect(0);
    let same = error(&folder, "raw.safetensors", "norm.safetensors") == 0.0;
    assert_eq!(
        error(&folder, "wrong.safetensors", "raw-f.safetensors") == 0.0,
        same
    );
}

#[test]
fn raw_video_on_stdin_gives_the_same_latents() {
    let folder = folder();
    let video = Y4m::SMALL.video(5);
    write(&folder, "a.y4m", &video);
    run(&folder, &vae("latents encode a.y4m -o a.safetensors")).expect(0);
    run_with(&folder, &vae("latents encode - -o b.safetensors"), video.clone()).expect(0);
    let start = video.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let raw: Vec<u8> = video[start..]
        .chunks_exact(Y4m::SMALL.frame_bytes())
        .flat_map(|frame| frame[b"FRAME\n".len()..].to_vec())
        .collect();
    let line = "latents encode - --raw 24x16@25:yuvj420p -o c.safetensors";
    let outcome = run_with(&folder, &vae(line), raw.clone());
    if outcome.code == Some(0) {
        assert!(error(&folder, "c.safetensors", "a.safetensors") < 0.2);
    }
    assert_eq!(error(&folder, "b.safetensors", "a.safetensors"), 0.0);
}

#[test]
fn encode_says_that_a_tokenizer_is_missing() {
    let folder = folder();
    write(&folder, "a.y4m", &Y4m::SMALL.video(1));
    run(&folder, &vae("encode a.y4m -o a.lbit"))
        .expect(6)
        .says(&["no tokenizer", "latentbit latents"]);
}

#[test]
fn tiles_are_told_before_the_run() {
    let folder = folder();
    write(
        &folder,
        "a.y4m",
        &Y4m {
            width: 256,
            height: 192,
            ..Y4m::SMALL
        }
        .video(5),
    );
    let report = run(
        &folder,
        &vae("latents encode a.y4m -o a.safetensors --max-memory 4GiB --json"),
    )
    .expect(0)
    .says(&["of memory: whole frames"])
    .json();
    assert!(report["estimated_mem_bytes"].as_u64().unwrap() > 1_000_000);
    run(
        &folder,
        &vae("latents encode a.y4m -o b.safetensors --max-memory 1MB"),
    )
    .expect(2)
    .says(&["--max-memory", "the model alone"]);
    run(
        &folder,
        &vae("latents encode a.y4m -o b.safetensors --max-memory lots"),
    )
    .expect(2)
    .says(&["8GiB"]);
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let folder = folder();
    write(&folder, "a.y4m", &Y4m::SMALL.video(5));
    run(&folder, &vae("latents encode a.y4m -o a.safetensors")).expect(0);
    let good = read(&folder, "a.safetensors");
    write(&folder, "cut.safetensors", &good[..good.len() - 1]);
    run(&folder, &vae("latents decode cut.safetensors -o b.y4m"))
        .expect(4)
        .says(&["cut off"]);
    write(
        &folder,
        "junk.safetensors",
        b"\xff\xff\xff\xff\xff\xff\xff\xff....",
    );
    run(&folder, &vae("latents decode junk.safetensors -o b.y4m"))
        .expect(3)
        .says(&["safetensors"]);
    // The frames of another tensor, and latents of another model.
    run(&folder, &vae("latents decode a.safetensors -o f.safetensors")).expect(0);
    run(&folder, &vae("latents decode f.safetensors -o b.y4m"))
        .expect(3)
        .says(&["'frames'"]);
    run(&folder, &["latents", "decode", "a.safetensors", "-o", "b.y4m"])
        .expect(2)
        .says(&["channels"]);
    run(&folder, &["latents", "compare", "a.safetensors", "f.safetensors"]).expect(3);
    run(&folder, &tiny("latents encode a.y4m -o a.safetensors"))
        .expect(1)
        .says(&["exists"]);
}
