//! Tokens as arrays, and back.

mod alone;
mod conformance;
mod depths;
mod lost;
mod outputs;
mod refused;

use std::io::Cursor;

use latentbit_container::{ChunkInfo, File, Limits};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{encoded, folder, read, run};

fn sidecar(folder: &TempDir, name: &str) -> Value {
    serde_json::from_slice(&read(folder, name)).unwrap()
}

/// The chunks of a file's first stream of tokens, as a reading of the whole file lists them.
#[track_caller]
fn chunk_table(folder: &TempDir, name: &str) -> Vec<ChunkInfo> {
    let mut found = File::open(Cursor::new(read(folder, name)), Limits::default()).unwrap();
    found.rescan().unwrap();
    assert!(found.damage().is_empty(), "{name}: {:?}", found.damage());
    found.chunks(found.first_video().unwrap().0).to_vec()
}

#[test]
fn every_format_makes_the_same_file_again() {
    let folder = folder();
    encoded(&folder, "a.lbit", 60, "--group 2");
    for name in ["a.npy", "a.safetensors", "a.bin"] {
        for columns in [&[][..], &["--columns", "u16"], &["--columns", "u32"]] {
            let export = [&["tokens", "export", "a.lbit", "-y", "-o", name], columns].concat();
            run(&folder, &export).expect(0);
            run(&folder, &["tokens", "import", name, "-y", "-o", "b.lbit"]).expect(0);
            assert!(
                read(&folder, "b.lbit") == read(&folder, "a.lbit"),
                "{name} {columns:?}"
            );
            let again = [
                &["tokens", "export", "b.lbit", "-y", "-o", "b", "--format"],
                &[&name[2..]][..],
                columns,
            ]
            .concat();
            let again: Vec<&str> = again
                .into_iter()
                .map(|word| if word == "bin" { "raw" } else { word })
                .collect();
            run(&folder, &again).expect(0);
            assert_eq!(read(&folder, "b"), read(&folder, name));
        }
    }
    // As another coder stores them, they are the same tokens.
    run(
        &folder,
        &["tokens", "import", "a.npy", "-o", "raw.lbit", "--coder", "raw"],
    )
    .expect(0);
    let digests = |file: &str| run(&folder, &["verify", file, "--json"]).expect(0).json()["digests"].clone();
    assert_eq!(digests("raw.lbit"), digests("a.lbit"));
}

#[test]
fn arrays_are_what_their_sidecars_say() {
    let folder = folder();
    // Tokens of 2x2x2 positions of a latent of 4x4x6: two steps of 2x3 tokens in a full chunk.
    encoded(&folder, "a.lbit", 30, "--group 2");
    let json = run(&folder, &["tokens", "export", "a.lbit", "-o", "a.npy", "--json"])
        .expect(0)
        .json();
    assert_eq!(
        (&json["dtype"], &json["shape"]),
        (&"u16".into(), &vec![5, 2, 3].into())
    );
    let about = sidecar(&folder, "a.npy.json");
    assert_eq!(about["schema"], "latentbit.tokens/1");
    assert_eq!(about["video"]["strides"], serde_json::json!([4, 4, 4]));
    let chunk = &about["chunks"][1];
    for (field, value) in [
        ("first_frame", 13),
        ("frames", 16),
        ("segment", 0),
        ("latent_frames", 4),
    ] {
        assert_eq!(chunk[field], value, "{field}");
    }
    assert_eq!(
        (&chunk["steps"], &chunk["key"]),
        (&vec![2, 4].into(), &false.into())
    );
    let array = read(&folder, "a.npy");
    assert!(array.starts_with(b"\x93NUMPY\x01\x00"));
    assert_eq!(array.len(), 128 + 5 * 6 * 2);

    run(
        &folder,
        &[
            "tokens",
            "export",
            "a.lbit",
            "-o",
            "few.safetensors",
            "--bits",
            "3",
        ],
    )
    .expect(0);
    run(
        &folder,
        &["tokens", "import", "few.safetensors", "-o", "few.lbit"],
    )
    .expect(0);
    run(&folder, &["trim", "a.lbit", "--bits", "3", "-o", "trimmed.lbit"]).expect(0);
    assert_eq!(read(&folder, "few.lbit"), read(&folder, "trimmed.lbit"));
    // Raw tokens are always of 64 bits.
    run(&folder, &["tokens", "export", "a.lbit", "-o", "a.bin"]).expect(0);
    assert_eq!(read(&folder, "a.bin").len(), 5 * 6 * 8);
}

#[test]
fn segments_are_kept() {
    let folder = folder();
    encoded(&folder, "a.lbit", 20, "");
    run(&folder, &["concat", "a.lbit", "a.lbit", "-o", "j.lbit"]).expect(0);
    run(&folder, &["tokens", "export", "j.lbit", "-o", "j.npy"]).expect(0);
    let chunks = &sidecar(&folder, "j.npy.json")["chunks"];
    let segments: Vec<u64> = chunks
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["segment"].as_u64().unwrap())
        .collect();
    assert_eq!(segments, [0, 0, 1, 1]);
    run(&folder, &["tokens", "import", "j.npy", "-o", "k.lbit"]).expect(0);
    let info = run(&folder, &["info", "k.lbit", "--json"]).expect(0).json();
    assert_eq!(info["segments"], 2);
}
