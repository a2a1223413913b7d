//! `generate`, `inpaint` and `score`, with a predictor of random weights.

use tempfile::TempDir;

use crate::support::{Y4m, folder, read, run, testdata, tiny, write};

/// Splits a line into arguments and adds the tiny bundle and its predictor.
pub fn predict(line: &str) -> Vec<String> {
    let mut args = tiny(line);
    args.push("--predictor".to_owned());
    args.push(
        testdata("golden/predictor-tiny.safetensors")
            .to_str()
            .unwrap()
            .to_owned(),
    );
    args
}

/// A folder with `clip.lbit`: 29 frames of 48x32 are chunks of 13 and 16 frames, 4 by 6 tokens in two steps each.
fn with_clip() -> TempDir {
    let folder = folder();
    let clip = Y4m {
        width: 48,
        height: 32,
        ..Y4m::SMALL
    };
    write(&folder, "clip.y4m", &clip.video(29));
    run(&folder, &tiny("encode clip.y4m -o clip.lbit -q")).expect(0);
    folder
}

/// The tokens of a file, as numbers of 16 bits.
fn tokens(folder: &TempDir, name: &str) -> Vec<u16> {
    run(folder, &["tokens", "export", name, "-y", "-o", "t.bin"]).expect(0);
    let bytes = read(folder, "t.bin");
    bytes
        .chunks_exact(8)
        .map(|b| u16::from_le_bytes([b[0], b[1]]))
        .collect()
}

#[test]
fn generated_files_are_files() {
    let folder = folder();
    let line = "generate --frames 40 --size 48x32 --group 2 --steps 2 --seed 5 -o";
    let made = run(&folder, &predict(&format!("{line} a.lbit --json")))
        .expect(0)
        .says(&["made up"]);
    let json = made.json();
    assert_eq!((&json["frames"], &json["chunks"]), (&40.into(), &3.into()));
    assert_eq!(json["passes"], 6);
    run(&folder, &["verify", "a.lbit"]).expect(0);
    run(&folder, &tiny("decode a.lbit -o a.y4m -q")).expect(0);
    run(&folder, &predict(&format!("{line} b.lbit -q"))).expect(0);
    assert!(
        read(&folder, "a.lbit") == read(&folder, "b.lbit"),
        "the same seed"
    );
    run(
        &folder,
        &predict(&format!("{} c.lbit -q", line.replace("--seed 5", "--seed 6"))),
    )
    .expect(0);
    assert_ne!(tokens(&folder, "a.lbit"), tokens(&folder, "c.lbit"));
}

#[test]
fn a_file_is_continued() {
    let folder = with_clip();
    let line = "generate --frames 20 --continue clip.lbit --steps 1 -o more.lbit --json";
    let json = run(&folder, &predict(line)).expect(0).json();
    assert_eq!((&json["frames"], &json["chunks"]), (&49.into(), &4.into()));
    run(&folder, &["verify", "more.lbit"]).expect(0);
    let (before, after) = (tokens(&folder, "clip.lbit"), tokens(&folder, "more.lbit"));
    assert_eq!(after[..before.len()], before);
    run(&folder, &tiny("decode more.lbit -o more.y4m -q")).expect(0);
}

#[test]
fn only_the_mask_is_made_anew() {
    let folder = with_clip();
    let before = tokens(&folder, "clip.lbit");
    // A token is 8 by 8 pixels and two latent frames: 10 pixels from (15, 9) on are columns 1 to 3 and rows 1 to 2.
    let line = "inpaint clip.lbit --mask 10:10:15:9 --from 13f -o new.lbit --steps 2 --json";
    let json = run(&folder, &predict(line))
        .expect(0)
        .says(&["12 tokens in 1 chunks"])
        .json();
    assert_eq!(
        (&json["changed_chunks"], &json["changed_tokens"]),
        (&1.into(), &12.into())
    );
    let after = tokens(&folder, "new.lbit");
    let mut changed = 0;
    for (at, (a, b)) in before.iter().zip(&after).enumerate() {
        let (step, row, column) = (at / 24, at / 6 % 4, at % 6);
        let inside = step >= 2 && (1..3).contains(&row) && (1..4).contains(&column);
        assert!(inside || a == b, "token {at} changed");
        changed += usize::from(a != b);
    }
    assert!(changed > 0);
    run(&folder, &["verify", "new.lbit"]).expect(0);
}

#[test]
fn masks_that_hit_nothing_are_refused() {
    let folder = with_clip();
    run(&folder, &predict("inpaint clip.lbit -o a.lbit"))
        .expect(2)
        .says(&["--mask"]);
    run(&folder, &predict("inpaint clip.lbit --mask 8:8:48:0 -o a.lbit"))
        .expect(2)
        .says(&["48x32"]);
    run(&folder, &predict("inpaint clip.lbit --from 29f -o a.lbit"))
        .expect(2)
        .says(&["nothing lies"]);
    assert!(!folder.path().join("a.lbit").exists());
}

#[test]
fn scores_are_bits_per_token() {
    let folder = with_clip();
    let json = run(&folder, &predict("score clip.lbit --json")).expect(0).json();
    let chunks = json["chunks"].as_array().unwrap();
    assert_eq!(chunks.len(), 2);
    assert_eq!(
        (&chunks[1]["first_frame"], &chunks[1]["tokens"]),
        (&13.into(), &48.into())
    );
    for chunk in chunks {
        let bits = chunk["bits_per_token"].as_f64().unwrap();
        assert!(bits > 1.0 && bits < 40.0, "{bits}");
    }
    let again = run(&folder, &predict("score clip.lbit --json --threads 1"))
        .expect(0)
        .json();
    assert_eq!(json, again);
    run(&folder, &predict("score clip.lbit"))
        .expect(0)
        .prints(&["bits per token of 10", "all: "]);
}

#[test]
fn a_predictor_is_needed_and_must_fit() {
    let folder = with_clip();
    run(&folder, &tiny("score clip.lbit"))
        .expect(6)
        .says(&["none is built in", "--predictor"]);
    let bundle = testdata("golden/storage-int8.safetensors");
    let line = format!("score clip.lbit --predictor {}", bundle.display());
    run(&folder, &tiny(&line))
        .expect(6)
        .says(&["latentbit.predictor/1"]);
    run(&folder, &tiny("score clip.lbit --predictor nowhere.safetensors"))
        .expect(6)
        .says(&["nowhere.safetensors"]);
}
