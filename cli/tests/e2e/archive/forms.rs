//! What is in an archive.

use std::io::Read;

use super::{archive, check, clip, clips, contents, names, outcomes, rows, rows_of};
use crate::support::{Y4m, command, folder, read, run, tiny, tiny_bundle, write};

#[test]
fn a_file_for_each_clip() {
    let folder = clips(3);
    let report = archive(&folder, "clips -o out --json --quality-sample 1")
        .expect(0)
        .json();
    assert_eq!(
        (report["clips"].as_u64(), report["done"].as_u64()),
        (Some(3), Some(3))
    );
    assert_eq!(report["frames"], 1 + 2 + 3);
    let all = rows(&folder, "out");
    for (number, row) in all.iter().enumerate() {
        let stored = &row["outcome"]["done"];
        let key = row["key"].as_str().unwrap();
        assert!(key.starts_with(&format!("{number:03}-")), "{key}");
        // The same file as `encode` makes of the clip.
        let line = format!("encode clips/{number:03}.y4m -o one.lbit -y --bits 10");
        run(&folder, &tiny(&line)).expect(0);
        assert_eq!(
            read(&folder, &format!("out/{key}.lbit")),
            read(&folder, "one.lbit")
        );
        assert_eq!(stored["tokens_shape"], serde_json::json!([1, 2, 3]));
        assert_eq!(stored["frames"], number + 1);
        let line = format!("eval clips/{number:03}.y4m one.lbit --json --no-vae");
        let measured = run(&folder, &tiny(&line)).expect(0).json();
        let [psnr, expected] = [&stored["psnr"], &measured["tokens"]["psnr"]].map(|v| v.as_f64().unwrap());
        assert!((psnr - expected).abs() < 1e-5, "{psnr} {expected}");
    }
    assert!(names(&folder, "out").contains(&"manifest.parquet".to_owned()));
    let report = check(&folder, "out").expect(0).json();
    assert_eq!(
        (report["clips"].as_u64(), report["whole"].as_bool()),
        (Some(3), Some(true))
    );
}

/// Members of a tar file: name, time of change, contents.
fn members(bytes: &[u8]) -> Vec<(String, u64, Vec<u8>)> {
    let mut archive = tar::Archive::new(bytes);
    let members = archive.entries().unwrap().map(|member| {
        let mut member = member.unwrap();
        let name = member.path().unwrap().to_str().unwrap().to_owned();
        let mut contents = Vec::new();
        member.read_to_end(&mut contents).unwrap();
        (name, member.header().mtime().unwrap(), contents)
    });
    members.collect()
}

#[test]
fn shards_hold_clips_their_json_and_their_arrays() {
    let folder = clips(5);
    write(
        &folder,
        "list.csv",
        b"path,label,caption\nclips/000.y4m,cat,\"a, b\"\nclips/001.y4m,,\nclips/004.y4m,,\n",
    );
    archive(
        &folder,
        "list.csv -o out --format webdataset --tokens npy --shard-clips 2",
    )
    .expect(0);
    let shards = ["manifest.parquet", "shard-000000.tar", "shard-000001.tar"];
    assert_eq!(names(&folder, "out"), shards);
    let bytes = read(&folder, "out/shard-000000.tar");
    let found = members(&bytes);
    let all = rows(&folder, "out");
    let keys: Vec<&str> = all.iter().map(|row| row["key"].as_str().unwrap()).collect();
    let expected: Vec<String> = keys[..2]
        .iter()
        .flat_map(|key| ["json", "lbit", "tokens.npy"].map(|extension| format!("{key}.{extension}")))
        .collect();
    assert_eq!(
        found.iter().map(|(name, ..)| name.clone()).collect::<Vec<_>>(),
        expected
    );
    assert!(found.iter().all(|(_, time, _)| *time == 0));
    let about: serde_json::Value = serde_json::from_slice(&found[0].2).unwrap();
    assert_eq!(
        (&about["label"], &about["caption"]),
        (&"cat".into(), &"a, b".into())
    );
    assert_eq!((&about["frames"], &about["width"]), (&1.into(), &24.into()));
    assert_eq!(about["tokens"]["schema"], "latentbit.tokens/1");
    assert!(about.get("shard").is_none());
    // The manifest tells where the tokens are, and they are those of `encode` and `tokens export`.
    let stored = &all[1]["outcome"]["done"];
    let [offset, len] = ["offset", "bytes"].map(|name| stored[name].as_u64().unwrap() as usize);
    write(&folder, "one.lbit", &bytes[offset..offset + len]);
    assert_eq!(bytes[offset..offset + len], found[4].2);
    run(&folder, &tiny("encode clips/001.y4m -o other.lbit --bits 10")).expect(0);
    assert_eq!(read(&folder, "one.lbit"), read(&folder, "other.lbit"));
    run(&folder, &["tokens", "export", "one.lbit", "-o", "one.npy"]).expect(0);
    assert_eq!(read(&folder, "one.npy"), found[5].2);
    check(&folder, "out").expect(0);
}

#[test]
fn the_number_of_workers_changes_nothing() {
    let folder = clips(12);
    write(&folder, "clips/005.y4m", &clip(2));
    write(&folder, "clips/007.y4m", b"no video");
    for form in ["lbit", "webdataset --shard-clips 5"] {
        for workers in [1, 5] {
            let line = format!("clips -o {workers} --format {form} --workers {workers} --quality-sample 3");
            archive(&folder, &line).expect(3);
        }
        assert!(contents(&folder, "1") == contents(&folder, "5"), "{form}");
        assert_eq!(rows(&folder, "1"), rows(&folder, "5"));
        for workers in ["1", "5"] {
            check(&folder, workers).expect(0);
            std::fs::remove_dir_all(folder.path().join(workers)).unwrap();
        }
    }
}

#[test]
fn pictures_are_changed_on_their_way_in() {
    let folder = clips(0);
    write(&folder, "clips/a.y4m", &Y4m::SMALL.video(30));
    let info = |line: &str| {
        archive(&folder, &format!("clips -o out {line}")).expect(0);
        let rows = rows(&folder, "out");
        std::fs::remove_dir_all(folder.path().join("out")).unwrap();
        let stored = rows[0]["outcome"]["done"].clone();
        ["width", "height", "fps", "frames", "bits"].map(|name| stored[name].as_f64().unwrap())
    };
    assert_eq!(info(""), [24.0, 16.0, 25.0, 30.0, 10.0]);
    assert_eq!(
        info("--scale 12 --crop 12:8:3:4 --bits 6"),
        [12.0, 8.0, 25.0, 30.0, 6.0]
    );
    assert_eq!(info("--scale 48:-1 --fps 12.5"), [48.0, 32.0, 12.5, 15.0, 10.0]);
}

#[test]
fn parts_make_what_one_run_makes() {
    let folder = clips(7);
    archive(&folder, "clips -o whole").expect(0);
    archive(&folder, "clips -o parts --shard 2/3").expect(0);
    let merge = || run(&folder, &["archive", "--merge", "parts", "--quiet"]);
    merge().expect(1).says(&["--shard 1/3"]);
    archive(&folder, "clips -o parts --shard 1/3").expect(0);
    archive(&folder, "clips -o parts --shard 2/4")
        .expect(2)
        .says(&["3 parts"]);
    archive(&folder, "clips -o parts --shard 3/3").expect(0);
    merge().expect(0);
    assert!(contents(&folder, "parts") == contents(&folder, "whole"));
    check(&folder, "parts").expect(0);
    // As shards, clips are in other files; what they are is the same.
    for number in 1..=2 {
        let line = format!("clips -o shards --shard {number}/2 --format webdataset");
        archive(&folder, &line).expect(0);
    }
    run(&folder, &["archive", "--merge", "shards", "--quiet"]).expect(0);
    check(&folder, "shards").expect(0);
    let path = |part: &str| {
        folder
            .path()
            .join("shards/.archive")
            .join(part)
            .join("journal.jsonl")
    };
    let mut parts = rows_of(&path("1-of-2"));
    parts.extend(rows_of(&path("2-of-2")));
    parts.sort_by_key(|row| row["index"].as_u64());
    let digests = |rows: &[serde_json::Value]| -> Vec<serde_json::Value> {
        rows.iter()
            .map(|row| row["outcome"]["done"]["sha256"].clone())
            .collect()
    };
    assert_eq!(digests(&parts), digests(&rows(&folder, "whole")));
    assert_eq!(outcomes(&parts), ["done"; 7]);
}

#[test]
fn the_command_tells_what_it_does() {
    let folder = folder();
    let help = run(&folder, &["archive", "--help"]).expect(0);
    for word in [
        "--check",
        "--merge",
        "--shard-size",
        "--max-errors",
        "webdataset",
        "Parquet",
    ] {
        assert!(String::from_utf8_lossy(&help.stdout).contains(word), "{word}");
    }
    run(&folder, &["archive"]).expect(2);
    run(&folder, &["archive", "clips"]).expect(2);
    archive(&folder, "clips -o out --tokens npy")
        .expect(2)
        .says(&["--format webdataset"]);
    let bundle = tiny_bundle();
    let output = command()
        .args(["archive", "none", "-o", "out", "--model"])
        .arg(bundle)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!folder.path().join("out").exists());
}
