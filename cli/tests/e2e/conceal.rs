//! What `decode` makes of lost chunks, and what it says of them.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    decoded, encoded, folder, names, read, rgb_frames, run, run_with, testdata, tiny, write,
};

/// 97 frames in groups of two chunks, without those of `lost`.
fn damaged(lost: &str, how: &str) -> TempDir {
    let folder = folder();
    encoded(&folder, "a.lbit", 97, "--group 2");
    let line = format!("degrade a.lbit -o b.lbit --drop {lost} {how}");
    let args: Vec<&str> = line.split_whitespace().collect();
    run(&folder, &args).expect(0);
    folder
}

/// Splits a line into arguments and adds the tiny bundle, and for maskgit a predictor of random weights.
fn arguments(line: &str) -> Vec<String> {
    let mut args = tiny(line);
    if line.contains("maskgit") {
        args.push("--predictor".to_owned());
        args.push(predictor());
    }
    args
}

fn predictor() -> String {
    testdata("golden/predictor-tiny.safetensors")
        .to_str()
        .unwrap()
        .to_owned()
}

/// Decodes `b.lbit` with a report; gives both.
fn conceal(folder: &TempDir, options: &str, code: i32) -> (Vec<Vec<u8>>, Value) {
    let line = format!("decode b.lbit -o - --raw rgb24 -y --loss-report loss.json {options}");
    let outcome = run(folder, &arguments(&line)).expect(code);
    let report = serde_json::from_slice(&read(folder, "loss.json")).unwrap();
    (rgb_frames(&outcome.stdout), report)
}

/// Checks that the runs of a report are the frames from 0 on, one after the other, and add up to its totals.
#[track_caller]
fn check_sums(report: &Value, frames: u64) {
    let mut next = 0;
    let mut sums = json!({"exact": 0, "affected": 0, "concealed": 0, "left_out": 0});
    for run in report["runs"].as_array().unwrap() {
        assert_eq!(run["first"], next, "{report}");
        let count = run["frames"].as_u64().unwrap();
        assert!(count > 0);
        next += count;
        let state = run["state"].as_str().unwrap().replace('-', "_");
        sums[&state] = (sums[&state].as_u64().unwrap() + count).into();
    }
    assert_eq!(next, frames);
    assert_eq!(report["totals"], sums);
}

const METHODS: [&str; 4] = ["freeze", "blend", "latent", "maskgit"];

#[test]
fn every_method_gives_every_frame_twice_the_same() {
    for how in ["", "--hold"] {
        for lost in ["3", "0", "1,3-4,6", "0-6"] {
            let folder = damaged(lost, how);
            let whole = decoded(&folder, "a.lbit", "");
            for method in METHODS {
                // With nothing at all to go on there is no file, unless places are held.
                if (lost, how) == ("0-6", "") {
                    continue;
                }
                let (frames, report) = conceal(&folder, &format!("--conceal {method}"), 5);
                assert_eq!(frames.len(), 97, "{lost} {method}");
                check_sums(&report, 97);
                assert_eq!(report["schema"], "latentbit.loss/1");
                assert_eq!(report["method"], method);
                for run in report["runs"].as_array().unwrap() {
                    let first = run["first"].as_u64().unwrap() as usize;
                    let end = first + run["frames"].as_u64().unwrap() as usize;
                    if run["state"] == "exact" {
                        assert_eq!(frames[first..end], whole[first..end]);
                    }
                    assert_eq!(run["state"] == "concealed", run["method"].is_string());
                }
                if lost == "3" {
                    assert_eq!(conceal(&folder, &format!("--conceal {method}"), 5).0, frames);
                }
            }
        }
    }
}

/// However a chunk was lost, the same is made of it.
#[test]
fn held_places_and_left_out_records_are_concealed_alike() {
    for lost in ["0", "1,2", "3-5"] {
        let (left_out, held) = (damaged(lost, ""), damaged(lost, "--hold"));
        for method in METHODS {
            let options = format!("--conceal {method}");
            let (frames, report) = conceal(&left_out, &options, 5);
            let (others, other) = conceal(&held, &options, 5);
            assert_eq!(report["runs"], other["runs"]);
            assert!(frames == others, "{lost} {method}");
        }
    }
}

#[test]
fn exit_codes_say_what_happened() {
    let folder = damaged("3", "");
    let decode = |options: &str| run(&folder, &tiny(&format!("decode b.lbit -y -o b.y4m {options}")));
    decode("").expect(5).says(&[
        "b.lbit: chunks 3 to 3 are lost",
        "b.y4m: frames 42 to 57 are concealed (freeze)",
        "97 frames, of them 16 concealed and 0 affected",
    ]);
    decode("--allow-conceal")
        .expect(0)
        .says(&["frames 42 to 57 are concealed"]);
    decode("--conceal off")
        .expect(3)
        .says(&["frames 42 to 57 are left out"]);
    decode("--conceal off --allow-conceal").expect(3);
    decode("--strict").expect(3);
    decode("--conceal nonsense").expect(2);
    decode("--strict --conceal blend").expect(2);
    // Nothing is lost in the frames that are asked for.
    decode("--start 58f").expect(0);
    decode("--start 40f --frames 2").expect(0);
    // An end that is cut off weighs more; so does damage beside chunks.
    let bytes = read(&folder, "b.lbit");
    let info = run(&folder, &["info", "b.lbit", "--chunks", "--json"]).json();
    let last = info["chunk_table"].as_array().unwrap().last().unwrap()["offset"]
        .as_u64()
        .unwrap() as usize;
    write(&folder, "b.lbit", &bytes[..last + 20]);
    decode("").expect(4).says(&["concealed (freeze)"]);
    decode("--allow-conceal").expect(4);
    let mut damaged = bytes.clone();
    let end = bytes.windows(4).rposition(|tag| tag == b"ENDS").unwrap();
    damaged[end + 30] ^= 1;
    write(&folder, "b.lbit", &damaged);
    assert_ne!(decode("--allow-conceal").code, Some(0));
    // A chunk with a bad checksum is lost, and that is all of the damage.
    let info = run(&folder, &["info", "a.lbit", "--chunks", "--json"]).json();
    let place = |what: &str| info["chunk_table"][3][what].as_u64().unwrap() as usize;
    let mut flipped = read(&folder, "a.lbit");
    flipped[place("offset") + place("bytes") / 2] ^= 1;
    write(&folder, "b.lbit", &flipped);
    decode("--allow-conceal")
        .expect(0)
        .says(&["chunk 3", "frames 42 to 57 are concealed"]);
    decode("").expect(5);
}

#[test]
fn followers_are_affected_until_the_next_key_chunk() {
    let folder = damaged("2", "");
    let (_, report) = conceal(&folder, "--conceal latent --json", 5);
    assert_eq!(
        report["runs"],
        json!([
            {"first": 0, "frames": 29, "state": "exact"},
            {"first": 29, "frames": 13, "state": "concealed", "method": "latent"},
            {"first": 42, "frames": 16, "state": "affected"},
            {"first": 58, "frames": 39, "state": "exact"},
        ])
    );
    assert!(report["seconds"].as_f64().unwrap() > 0.0);
    let line = tiny("decode b.lbit -o b.y4m --json --conceal latent");
    let summary = run(&folder, &line).expect(5).json();
    for (field, frames) in [
        ("lost_frames", 13),
        ("concealed_frames", 13),
        ("affected_frames", 16),
    ] {
        assert_eq!(summary[field], frames, "{field}");
    }
    // Only what is written is told: a part of the lost frames, or those after them.
    let (frames, report) = conceal(&folder, "--start 35f --frames 5", 5);
    assert_eq!((frames.len(), &report["totals"]["concealed"]), (5, &5.into()));
    assert_eq!(report["runs"][0]["first"], 35);
    let (_, report) = conceal(&folder, "--start 45f --frames 5 --conceal blend", 5);
    assert_eq!(report["totals"]["affected"], 5);
}

/// What is concealed does not depend on how much of the stream is asked for.
#[test]
fn parts_are_as_in_the_whole() {
    let folder = damaged("3", "");
    for method in METHODS {
        let (all, _) = conceal(&folder, &format!("--conceal {method}"), 5);
        let (part, _) = conceal(&folder, &format!("--conceal {method} --start 30f --frames 20"), 5);
        assert!(part == all[30..50], "{method}");
    }
}

#[test]
fn off_leaves_frames_out_and_the_others_keep_their_times() {
    let folder = damaged("0,3,6", "");
    let whole = decoded(&folder, "a.lbit", "");
    let (frames, report) = conceal(&folder, "--conceal off", 3);
    check_sums(&report, 97);
    assert_eq!(report["method"], "off");
    assert_eq!(report["totals"]["left_out"], 13 + 16 + 10);
    assert_eq!(frames.len(), 97 - 39);
    assert_eq!(frames[16..29], whole[29..42]);
    assert_eq!(frames[29..], whole[58..87]);
}

#[test]
fn low_delay_takes_the_past_alone() {
    let folder = damaged("3", "--hold");
    let whole = decoded(&folder, "a.lbit", "");
    for method in METHODS {
        let (frames, report) = conceal(&folder, &format!("--conceal {method} --low-delay"), 5);
        check_sums(&report, 97);
        assert_eq!((&report["low_delay"], frames.len()), (&true.into(), 97));
        let held = frames[42..58].iter().all(|frame| *frame == whole[41]);
        assert_eq!(held, ["freeze", "blend"].contains(&method), "{method}");
    }
}

#[test]
fn long_losses_freeze_and_say_so() {
    let folder = damaged("1-5", "");
    let line = tiny("decode b.lbit -o b.y4m --conceal latent");
    run(&folder, &line)
        .expect(5)
        .says(&["more than 4 chunks in a row", "concealed (freeze)"]);
    let (_, report) = conceal(&folder, "--conceal latent", 5);
    assert_eq!(report["runs"][1]["method"], "freeze");
    assert_eq!(report["max_chunks"], 4);
}

#[test]
fn streams_are_concealed_as_files_are() {
    let folder = damaged("3", "");
    for method in METHODS {
        let line = format!("decode - -o - --raw rgb24 --conceal {method}");
        let piped = run_with(&folder, &arguments(&line), read(&folder, "b.lbit")).expect(5);
        let (frames, _) = conceal(&folder, &format!("--conceal {method}"), 5);
        assert!(rgb_frames(&piped.stdout) == frames);
    }
}

#[test]
fn the_predictor_is_the_default_where_there_is_one() {
    let folder = damaged("3", "");
    // The tiny bundle has none.
    assert_eq!(conceal(&folder, "", 5).1["method"], "freeze");
    run(&folder, &tiny("decode b.lbit -o b.y4m --conceal maskgit"))
        .expect(6)
        .says(&["--predictor"]);
    let (frames, report) = conceal(&folder, &format!("--predictor {}", predictor()), 5);
    assert_eq!(report["method"], "maskgit");
    assert_eq!(report["runs"][1]["method"], "maskgit");
    assert_eq!(report["settings"]["steps"], 4);
    assert_eq!(report["predictor"]["sha256"].as_str().unwrap().len(), 64);
    let (others, report) = conceal(&folder, "--conceal maskgit --conceal-steps 1", 5);
    assert_eq!(report["settings"]["steps"], 1);
    assert_eq!((frames.len(), others.len()), (97, 97));
    // A file that is none, and one for another bundle.
    run(&folder, &tiny("decode b.lbit -o b.y4m --predictor a.lbit"))
        .expect(6)
        .says(&["a.lbit"]);
}

#[test]
fn planes_that_are_missing_are_made_up_and_told() {
    let folder = damaged("3", "--planes 4");
    let (coarse, report) = conceal(&folder, "--conceal freeze", 0);
    assert_eq!(report["totals"]["exact"], 97);
    let (frames, report) = conceal(&folder, "--conceal maskgit", 5);
    check_sums(&report, 97);
    assert_eq!(
        report["runs"][1],
        json!({"first": 42, "frames": 16, "state": "concealed", "method": "maskgit"})
    );
    assert_eq!(frames[..42], coarse[..42]);
    assert_ne!(frames[42..58], coarse[42..58]);
}

/// `eval` measures exact, affected and concealed frames apart.
#[test]
fn eval_tells_frames_apart() {
    let folder = damaged("2", "");
    run(&folder, &tiny("decode a.lbit -o a.y4m")).expect(0);
    // Without the loss of halved chroma, exact frames are those of the intact file.
    run(&folder, &tiny("decode a.lbit -o a.rgb --raw rgb24")).expect(0);
    for method in METHODS {
        let line = format!("eval a.rgb b.lbit --raw 24x16@25:rgb24 --json --conceal {method}");
        let report = run(&folder, &arguments(&line)).expect(0).json();
        assert_eq!(report["schema"], "latentbit.eval-conceal/1");
        assert_eq!(report["method"], method);
        let frames =
            ["exact", "affected", "concealed"].map(|state| report[state]["frames"].as_u64().unwrap());
        assert_eq!(frames, [68, 16, 13]);
        let psnr = |state: &str| report[state]["quality"]["psnr"].as_f64().unwrap();
        assert!(psnr("exact") > 45.0 && psnr("concealed") < 40.0, "{report}");
    }
    let line = "eval a.y4m b.lbit --json --conceal off";
    let report = run(&folder, &tiny(line)).expect(0).json();
    assert_eq!(
        (&report["left_out"], &report["concealed"]["quality"]),
        (&13.into(), &Value::Null)
    );
    run(&folder, &tiny("eval a.y4m b.lbit --conceal blend"))
        .expect(0)
        .prints(&["13 frames concealed"]);
    run(&folder, &tiny("eval a.y4m b.lbit")).expect(3);
    run(&folder, &tiny("eval a.y4m b.lbit --low-delay")).expect(2);
}

#[test]
fn reports_are_not_written_over_files() {
    let folder = damaged("3", "");
    write(&folder, "loss.json", b"mine");
    run(&folder, &tiny("decode b.lbit -o b.y4m --loss-report loss.json"))
        .expect(1)
        .says(&["loss.json", "exists already"]);
    assert_eq!(read(&folder, "loss.json"), b"mine");
    assert!(!names(&folder).contains(&"b.y4m".to_owned()));
    run(&folder, &tiny("decode b.lbit -o - --raw rgb24 --loss-report -")).expect(2);
    // Of an intact file it says that all is exact.
    let line = tiny("decode a.lbit -o a.y4m --loss-report -");
    let report = run(&folder, &line).expect(0).json();
    check_sums(&report, 97);
    assert_eq!(report["totals"]["exact"], 97);
}
