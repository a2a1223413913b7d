//! `degrade`: files that lost chunks on purpose.

use crate::support::{decoded, encoded, folder, names, read, run, run_with, tiny};

/// Numbers of the chunks of a file that are not there.
fn missing(folder: &tempfile::TempDir, file: &str) -> u64 {
    run(folder, &["info", file, "--json"]).json()["lost_chunks"]
        .as_u64()
        .unwrap()
}

#[test]
fn records_are_left_out_or_places_held() {
    let folder = folder();
    encoded(&folder, "a.lbit", 97, "--group 2");
    let report = run(
        &folder,
        &["degrade", "a.lbit", "-o", "b.lbit", "--drop", "1,3-4", "--json"],
    )
    .expect(0)
    .says(&["3 of 7 chunks (1,3-4)", "left out"])
    .json();
    assert_eq!(report["schema"], "latentbit.degrade/1");
    assert_eq!(report["lost"], serde_json::json!([[1, 1], [3, 4]]));
    assert_eq!(report["lost_chunks"], 3);
    assert_eq!(report["lost_frames"], 16 + 16 + 13);
    assert_eq!((&report["frames"], &report["chunks"]), (&97.into(), &7.into()));
    assert_eq!(report["bytes"], read(&folder, "b.lbit").len());
    assert_eq!(missing(&folder, "b.lbit"), 3);
    // A strict reader refuses it; one that recovers makes of it what --hold makes at once.
    run(&folder, &tiny("decode b.lbit -o b.y4m --strict")).expect(3);
    run(&folder, &["recover", "b.lbit", "-o", "r.lbit"]).expect(3);
    run(
        &folder,
        &["degrade", "a.lbit", "-o", "h.lbit", "--drop", "1,3,4", "--hold"],
    )
    .expect(0)
    .says(&["places held"]);
    assert_eq!(missing(&folder, "h.lbit"), 3);
    assert_eq!(
        run(&folder, &["verify", "h.lbit", "--json"]).json()["digests"],
        run(&folder, &["verify", "r.lbit", "--json"]).json()["digests"]
    );
    // Its places are those of the chunks that were there.
    let table = |file: &str| {
        let info = run(&folder, &["info", file, "--chunks", "--json"]).json();
        let chunks = info["chunk_table"].as_array().unwrap().clone();
        chunks
            .iter()
            .map(|chunk| (chunk["first_frame"].clone(), chunk["frames"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(table("h.lbit"), table("a.lbit"));
}

#[test]
fn planes_are_kept() {
    let folder = folder();
    encoded(&folder, "a.lbit", 45, "--group 1");
    run(
        &folder,
        &[
            "degrade", "a.lbit", "-o", "b.lbit", "--drop", "1", "--planes", "4",
        ],
    )
    .expect(0)
    .says(&["first 4 planes"]);
    run(&folder, &["verify", "b.lbit"]).expect(0);
    let (few, all) = (
        decoded(&folder, "a.lbit", "--bits 4"),
        decoded(&folder, "a.lbit", ""),
    );
    let found = decoded(&folder, "b.lbit", "--conceal freeze");
    assert_eq!(found[..13], all[..13]);
    assert_eq!(found[13..26], few[13..26]);
    assert_eq!(found[26..], all[26..]);
}

#[test]
fn chance_is_repeatable() {
    let folder = folder();
    encoded(&folder, "a.lbit", 333, "--coder raw");
    let lose = |name: &str, seed: &str| {
        let args = ["--loss-rate", "0.3", "--burst", "2", "--seed", seed, "--json"];
        let args = [&["degrade", "a.lbit", "-o", name][..], &args].concat();
        run(&folder, &args).expect(0).json()
    };
    let (b, c, d) = (lose("b.lbit", "1"), lose("c.lbit", "1"), lose("d.lbit", "2"));
    assert_eq!(read(&folder, "b.lbit"), read(&folder, "c.lbit"));
    assert_eq!(b["lost"], c["lost"]);
    assert_ne!(b["lost"], d["lost"]);
    assert_eq!(
        b["drawn"],
        serde_json::json!({"loss_rate": 0.3, "burst": 2.0, "seed": 1})
    );
    let lost = b["lost_chunks"].as_u64().unwrap();
    assert!((1..21).contains(&lost), "{lost}");
    assert_eq!(missing(&folder, "b.lbit"), lost);
}

#[test]
fn impossible_wishes_are_refused() {
    let folder = folder();
    encoded(&folder, "a.lbit", 20, "");
    for args in [
        &["--drop", "9-7"][..],
        &["--drop", "x"],
        &[],
        &["--drop", "1", "--loss-rate", "0.1"],
        &["--loss-rate", "1.5"],
        &["--loss-rate", "0.9", "--burst", "1"],
        &["--burst", "2", "--drop", "1"],
        &["--drop", "1", "--hold", "--planes", "2"],
        &["--drop", "1", "--planes", "0"],
    ] {
        let args = [&["degrade", "a.lbit", "-o", "b.lbit"], args].concat();
        run(&folder, &args).expect(2);
    }
    run_with(
        &folder,
        &["degrade", "-", "-o", "b.lbit", "--drop", "1"],
        read(&folder, "a.lbit"),
    )
    .expect(2)
    .says(&["needs a file"]);
    assert_eq!(names(&folder), ["a.lbit"]);
    // More than there are is no error, and is told.
    run(&folder, &["degrade", "a.lbit", "-o", "b.lbit", "--drop", "1-5"])
        .expect(0)
        .says(&["asks for chunk 5, but there are 2", "1 of 2 chunks (1)"]);
    // Damage on damage is refused.
    run(&folder, &["degrade", "b.lbit", "-o", "c.lbit", "--drop", "0"])
        .expect(3)
        .says(&["b.lbit"]);
}
