//! Files of a quality, a rate or a size that was asked for.

use tempfile::TempDir;

use crate::predict::predict;
use crate::support::{Y4m, decoded, folder, read, run, tiny, write};

/// A folder with a video of `frames` frames.
fn video(frames: usize) -> TempDir {
    let folder = folder();
    write(&folder, "a.y4m", &Y4m::SMALL.video(frames));
    folder
}

/// Encodes with `options`; gives the summary.
fn encode(folder: &TempDir, to: &str, options: &str) -> serde_json::Value {
    run(
        folder,
        &tiny(&format!("encode a.y4m -o {to} -y --json {options}")),
    )
    .expect(0)
    .json()
}

fn number(json: &serde_json::Value, key: &str) -> f64 {
    json[key].as_f64().unwrap()
}

#[test]
fn a_higher_rate_factor_makes_smaller_files() {
    let folder = video(29);
    let full = encode(&folder, "full.lbit", "--bits 10");
    // Nothing asked for is a quality.
    encode(&folder, "default.lbit", "");
    encode(&folder, "eighteen.lbit", "--crf 18");
    assert!(read(&folder, "default.lbit") == read(&folder, "eighteen.lbit"));
    let mut before = (f64::INFINITY, f64::INFINITY);
    for crf in ["0", "12.5", "25", "40", "63"] {
        let found = encode(&folder, "b.lbit", &format!("--crf {crf}"));
        let now = (number(&found, "bytes"), number(&found, "mean_depth"));
        assert!(
            now.0 <= before.0 && now.1 <= before.1,
            "{crf}: {now:?} after {before:?}"
        );
        before = now;
        run(&folder, &["verify", "b.lbit"]).expect(0);
        assert_eq!(decoded(&folder, "b.lbit", "").len(), 29);
    }
    assert!(before.1 < number(&full, "mean_depth") / 2.0, "{before:?}");
}

#[test]
fn each_effort_makes_files_and_the_same_one_each_time() {
    let folder = video(17);
    for effort in 1..=3 {
        let options = format!("--crf 20 --effort {effort}");
        encode(&folder, "b.lbit", &options);
        encode(&folder, "c.lbit", &options);
        assert!(read(&folder, "b.lbit") == read(&folder, "c.lbit"));
        run(&folder, &["verify", "b.lbit"]).expect(0);
    }
}

#[test]
fn a_file_is_never_larger_than_its_size() {
    let folder = video(61);
    let full = number(&encode(&folder, "full.lbit", "--crf 0"), "bytes");
    let least = number(&encode(&folder, "least.lbit", "--crf 63"), "bytes");
    for share in [0.9, 0.5, 0.2] {
        let size = (least + (full - least) * share) as u64;
        let found = number(&encode(&folder, "b.lbit", &format!("--size {size}")), "bytes") as u64;
        assert!(found <= size && found * 100 >= size * 97, "{found} of {size}");
        assert_eq!(read(&folder, "b.lbit").len() as u64, found);
        run(&folder, &["verify", "b.lbit"]).expect(0);
    }
    run(&folder, &tiny("encode a.y4m -o b.lbit -y --size 100"))
        .expect(1)
        .says(&["--size", "100"]);
}

#[test]
fn a_rate_is_kept() {
    let folder = video(125);
    // 5 seconds.
    let full = number(&encode(&folder, "full.lbit", "--crf 0"), "bytes") * 8.0 / 5.0;
    let least = number(&encode(&folder, "least.lbit", "--crf 63"), "bytes") * 8.0 / 5.0;
    let rate = (full + least) / 2.0;
    let found = number(&encode(&folder, "b.lbit", &format!("--bitrate {rate}")), "bytes") * 8.0 / 5.0;
    // Beside the header, the index and the end of the file, which are no part of the rate.
    let more = 8.0 * 1500.0 / 5.0;
    assert!((found - rate).abs() < rate * 0.06 + more, "{found} for {rate}");
}

#[test]
fn elastic_files_go_through_the_tools() {
    let folder = video(61);
    encode(&folder, "a.lbit", "--crf 15 --group 1");
    run(&folder, &["trim", "a.lbit", "-o", "few.lbit", "--bits", "3"]).expect(0);
    run(&folder, &["cut", "a.lbit", "-o", "cut.lbit", "--from", "1"]).expect(0);
    run(&folder, &["concat", "cut.lbit", "a.lbit", "-o", "both.lbit"]).expect(0);
    for file in ["few.lbit", "cut.lbit", "both.lbit"] {
        run(&folder, &["verify", file]).expect(0);
        assert!(!decoded(&folder, file, "").is_empty());
    }
    assert!(read(&folder, "few.lbit").len() < read(&folder, "a.lbit").len());
    // A predictor is only asked for the bits that are there.
    let bits = |file: &str| {
        let score = run(&folder, &predict(&format!("score {file} --json")))
            .expect(0)
            .json();
        number(&score, "bits_per_token")
    };
    assert!(bits("few.lbit") < bits("a.lbit"));
    // What is made anew has all bits of its chunk; all else stays.
    run(&folder, &predict("inpaint a.lbit -o made.lbit --mask 8:8:0:0")).expect(0);
    run(&folder, &["tokens", "export", "a.lbit", "-o", "a.npy"]).expect(0);
    run(&folder, &["tokens", "export", "made.lbit", "-o", "made.npy"]).expect(0);
    let depths = |name: &str| read(&folder, name)[128..].to_vec();
    let (old, new) = (depths("a.depths.npy"), depths("made.depths.npy"));
    for (at, (old, new)) in old.iter().zip(&new).enumerate() {
        match at % 6 {
            0 => assert!(new >= old, "token {at}"),
            _ => assert_eq!(new, old, "token {at}"),
        }
    }
    assert_ne!(old, new);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let folder = video(5);
    for (options, word) in [
        ("--crf 20 --bitrate 100k", "--bitrate"),
        ("--crf 20 --size 5M", "--size"),
        ("--crf 20 --bits 4", "--bits"),
        ("--crf 64", "0 to 63"),
        ("--crf -1", "0 to 63"),
        ("--bitrate 0", "number of bits"),
        ("--maxrate 100k", "--maxrate"),
        ("--crf 10 --bufsize 100k", "--bufsize"),
        ("--bitrate 100k --maxrate 50k", "--maxrate"),
        ("--bits 4 --effort 2", "--effort"),
        ("--bpp nan", "above 0"),
        ("--psnr 30 --crf 20", "--psnr"),
        ("--psnr 30 --bits 4", "--psnr"),
    ] {
        run(&folder, &tiny(&format!("encode a.y4m -o b.lbit {options}")))
            .expect(2)
            .says(&[word]);
    }
}

#[test]
fn files_are_shaped_without_their_source() {
    let folder = video(61);
    encode(&folder, "full.lbit", "--bits 10");
    let trim = |from: &str, to: &str, options: &str| {
        run(
            &folder,
            &tiny(&format!("trim {from} -o {to} -y --json {options}")),
        )
        .expect(0)
        .json()
    };
    let mut before = f64::INFINITY;
    for crf in ["0", "20", "40", "63"] {
        let found = trim("full.lbit", "a.lbit", &format!("--crf {crf}"));
        assert!(number(&found, "bytes") <= before, "{crf}");
        before = number(&found, "bytes");
        run(&folder, &["verify", "a.lbit"]).expect(0);
        assert_eq!(decoded(&folder, "a.lbit", "").len(), 61);
    }
    let whole = read(&folder, "full.lbit").len() as f64;
    // The highest effort finds more bits worth their while in so small a file.
    for (effort, size) in [("", (whole + before) / 2.0), ("--effort 3", whole - 6.0)] {
        let size = size as u64;
        let found = number(
            &trim("full.lbit", "a.lbit", &format!("--size {size} {effort}")),
            "bytes",
        ) as u64;
        assert!(found <= size && found * 100 >= size * 95, "{found} of {size}");
    }
    // One with depths can become shallower still, and never deeper.
    trim("full.lbit", "deep.lbit", "--crf 10");
    let shallow = trim("deep.lbit", "shallow.lbit", "--crf 40");
    assert!(number(&shallow, "bytes") < read(&folder, "deep.lbit").len() as f64);
    let same = trim("shallow.lbit", "same.lbit", "--crf 0");
    assert!(number(&same, "mean_depth") <= number(&shallow, "mean_depth"));
    run(&folder, &tiny("trim full.lbit -o a.lbit -y"))
        .expect(2)
        .says(&["--bits", "--crf"]);
    run(&folder, &tiny("trim full.lbit -o a.lbit -y --bits 4 --crf 20"))
        .expect(2)
        .says(&["--bits"]);
    run(&folder, &tiny("trim full.lbit -o a.lbit -y --size 100"))
        .expect(1)
        .says(&["--size", "100"]);
}

#[test]
fn depths_are_told_and_shown() {
    let folder = video(29);
    encode(&folder, "a.lbit", "--crf 15");
    let info = run(&folder, &["info", "a.lbit", "--json", "--chunks"])
        .expect(0)
        .json();
    let depths = info["depths"].as_object().unwrap();
    let all: f64 = depths.values().map(|tokens| tokens.as_f64().unwrap()).sum();
    let sum: f64 = depths
        .iter()
        .map(|(depth, tokens)| depth.parse::<f64>().unwrap() * tokens.as_f64().unwrap())
        .sum();
    assert!((number(&info, "mean_depth") - sum / all).abs() < 1e-9);
    assert!(info["chunk_table"][0]["mean_depth"].is_number());
    run(&folder, &["info", "a.lbit"])
        .expect(0)
        .prints(&["depths", "bits on average"]);
    let (plain, shown) = (
        decoded(&folder, "a.lbit", ""),
        decoded(&folder, "a.lbit", "--show-depth"),
    );
    assert_eq!(plain.len(), shown.len());
    assert_ne!(plain, shown);
    // A plain file is as deep everywhere; it has nothing to tell.
    encode(&folder, "b.lbit", "--bits 4");
    assert!(run(&folder, &["info", "b.lbit", "--json"]).expect(0).json()["depths"].is_null());
}

#[test]
fn a_psnr_takes_as_few_bits_as_reach_it() {
    let folder = video(29);
    let all = encode(&folder, "all.lbit", "--crf 0");
    // Random weights reach next to nothing, and it is said how little.
    let line = tiny("encode a.y4m -o far.lbit -y --json --psnr 60");
    let outcome = run(&folder, &line).expect(0).says(&["2 of 2 chunks", "60 dB"]);
    assert!(!outcome.json()["warnings"].as_array().unwrap().is_empty());
    let near = encode(&folder, "near.lbit", "--psnr 2");
    assert!(number(&near, "bytes") < number(&all, "bytes"));
    assert!(near["warnings"].as_array().unwrap().is_empty());
    run(&folder, &["verify", "near.lbit"]).expect(0);
    run(&folder, &tiny("trim all.lbit -o a.lbit --psnr 30"))
        .expect(2)
        .says(&["--psnr"]);
}
