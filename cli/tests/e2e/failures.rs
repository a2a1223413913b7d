//! Inputs, models and options that cannot work.

use crate::support::{Y4m, encoded, folder, names, run, run_with, testdata, tiny, write};

#[test]
fn what_is_no_video_is_refused() {
    let folder = folder();
    write(&folder, "notes.mp4", &b"nothing to see here. ".repeat(100));
    write(&folder, "empty.mp4", b"");
    run(&folder, &tiny("encode notes.mp4 -o a.lbit"))
        .expect(3)
        .says(&["notes.mp4"]);
    run(&folder, &tiny("encode empty.mp4 -o a.lbit"))
        .expect(3)
        .says(&["empty.mp4", "empty"]);
    run(&folder, &tiny("encode missing.mp4 -o a.lbit"))
        .expect(1)
        .says(&["missing.mp4", "no such file"]);
    run(&folder, &tiny("encode . -o a.lbit"))
        .expect(2)
        .says(&["folder"]);
    run_with(&folder, &tiny("encode - -o a.lbit"), b"garbage on stdin".to_vec())
        .expect(3)
        .says(&["stdin", "--raw"]);
    run_with(&folder, &tiny("encode - -o a.lbit"), Vec::new())
        .expect(3)
        .says(&["nothing came in"]);
    assert_eq!(names(&folder), ["empty.mp4", "notes.mp4"]);
}

#[test]
fn another_model_is_refused_and_named() {
    let folder = folder();
    encoded(&folder, "a.lbit", 2, "");
    let other = testdata("golden/storage-bf16.safetensors");
    let other = other.to_str().unwrap();
    let outcome = run(&folder, &["decode", "a.lbit", "-o", "a.y4m", "--model", other]).expect(6);
    let info = run(&folder, &["info", "a.lbit", "--json"]).expect(0).json();
    let needed = info["bundle"]["sha256"].as_str().unwrap();
    outcome.says(&["a.lbit", "\"int8\"", needed, "\"bf16\"", "--model"]);
    run(&folder, &["eval", "a.y4m", "a.lbit", "--model", other]).expect(6);
    assert_eq!(names(&folder), ["a.lbit"]);
}

#[test]
fn a_model_that_is_missing_or_none_is_refused() {
    let folder = folder();
    write(&folder, "junk.safetensors", b"not a model");
    write(&folder, "a.y4m", &Y4m::SMALL.video(1));
    for (model, message) in [
        ("missing.safetensors", "missing.safetensors"),
        ("junk.safetensors", "junk.safetensors"),
    ] {
        run(&folder, &["encode", "a.y4m", "-o", "a.lbit", "--model", model])
            .expect(6)
            .says(&[message]);
    }
    // A VAE without a tokenizer makes no tokens.
    let vae = testdata("golden/vae-tiny.safetensors");
    let vae = vae.to_str().unwrap();
    run(&folder, &["encode", "a.y4m", "-o", "a.lbit", "--model", vae])
        .expect(6)
        .says(&["no tokenizer"]);
    run(&folder, &tiny("encode a.y4m -o a.lbit --device cuda"))
        .expect(2)
        .says(&["--device cuda"]);
    assert_eq!(names(&folder), ["a.y4m", "junk.safetensors"]);
}

#[test]
fn encoder_options_are_for_encoded_files() {
    let folder = folder();
    encoded(&folder, "a.lbit", 2, "");
    for (output, option) in [
        ("-", "--crf 20"),
        ("b.y4m", "--codec libx264"),
        ("b-%d.png", "--preset fast"),
    ] {
        let name = option.split(' ').next().unwrap();
        run(&folder, &tiny(&format!("decode a.lbit -o {output} {option}")))
            .expect(2)
            .says(&[name, "libav"]);
    }
    assert_eq!(names(&folder), ["a.lbit"]);
}

#[test]
fn wrong_usage_is_told() {
    let folder = folder();
    for line in [
        "",
        "encode",
        "encode a.y4m",
        "transmogrify",
        "encode a.y4m -o a.lbit -y -n",
        "encode a.y4m -o a.lbit --bits 0",
        "encode a.y4m -o a.lbit --bits 65",
        "encode a.y4m -o a.lbit --frames 0",
        "encode a.y4m -o a.lbit --start soon",
        "encode a.y4m -o a.lbit --raw 10x10",
        "decode a.lbit -o b.y4m --raw yuv999p",
        "eval - -",
        "info a.lbit -q -v",
    ] {
        let args: Vec<_> = line.split_whitespace().collect();
        run(&folder, &args).expect(2);
    }
    let help = run(&folder, &["encode", "--help"]).expect(0);
    let help = String::from_utf8(help.stdout).unwrap();
    for word in [
        "--start",
        "--frames",
        "--bits",
        "--model",
        "--device",
        "--dtype",
        "--threads",
        "Exit codes",
    ] {
        assert!(help.contains(word), "{word}");
    }
    run(&folder, &["--version"]).expect(0);
}
