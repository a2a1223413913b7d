//! Tokens as arrays, and back.

use serde_json::Value;

use crate::support::{encoded, folder, names, read, run, write};

fn sidecar(folder: &tempfile::TempDir, name: &str) -> Value {
    serde_json::from_slice(&read(folder, name)).unwrap()
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

#[test]
fn arrays_that_do_not_fit_are_refused() {
    let folder = folder();
    encoded(&folder, "a.lbit", 30, "");
    run(&folder, &["tokens", "export", "a.lbit", "-o", "a.npy"]).expect(0);
    let good = read(&folder, "a.npy");
    let import = |says: &[&str]| {
        run(&folder, &["tokens", "import", "a.npy", "-o", "b.lbit"])
            .expect(3)
            .says(says);
        assert!(!names(&folder).contains(&"b.lbit".to_owned()));
    };
    write(&folder, "a.npy", &good[..good.len() - 1]);
    import(&["a.npy", "ends in chunk 2"]);
    write(&folder, "a.npy", &[&good[..], &[0]].concat());
    import(&["goes on after"]);
    write(&folder, "a.npy", b"no array");
    import(&["a.npy"]);
    let mut large = good.clone();
    large[129] = 0xff;
    write(&folder, "a.npy", &large);
    run(&folder, &["tokens", "import", "a.npy", "-o", "b.lbit"])
        .expect(1)
        .says(&["token", "10 bits"]);
    write(&folder, "a.npy", &good);
    let about = String::from_utf8(read(&folder, "a.npy.json")).unwrap();
    for (from, to, says) in [
        ("\"width\": 24", "\"width\": 96", "sides"),
        ("latentbit.tokens/1", "latentbit.tokens/9", "latentbit.tokens/1"),
        ("\"dtype\": \"u16\"", "\"dtype\": \"f16\"", "u16, u32 or u64"),
        ("\"limited\"", "\"narrow\"", "names of range"),
        ("\"unspecified\"", "\"narrow\"", "names of range"),
    ] {
        if about.contains(from) {
            write(&folder, "a.npy.json", about.replace(from, to).as_bytes());
            import(&["a.npy.json", says]);
        }
    }
    write(&folder, "a.npy.json", b"{}");
    import(&["a.npy.json", "no sidecar"]);
    run(&folder, &["tokens", "import", "missing.npy", "-o", "b.lbit"])
        .expect(1)
        .says(&["missing.npy.json"]);
    run(&folder, &["tokens", "export", "a.lbit", "-o", "a.xyz"])
        .expect(2)
        .says(&["--format"]);
    run(
        &folder,
        &["tokens", "export", "a.lbit", "-o", "-", "--format", "raw"],
    )
    .expect(2);
}

#[test]
fn lost_chunks_are_told() {
    let folder = folder();
    encoded(&folder, "a.lbit", 60, "--group 1");
    let info = run(&folder, &["info", "a.lbit", "--chunks", "--json"])
        .expect(0)
        .json();
    let offset = info["chunk_table"][1]["offset"].as_u64().unwrap() as usize;
    let mut bytes = read(&folder, "a.lbit");
    bytes[offset + 50] ^= 1;
    write(&folder, "bad.lbit", &bytes);
    run(&folder, &["tokens", "export", "bad.lbit", "-o", "bad.npy"])
        .expect(3)
        .says(&["chunks 1 to 1 are lost"]);
    let about = sidecar(&folder, "bad.npy.json");
    let lost = &about["chunks"][1];
    assert_eq!((&lost["lost"], &lost["frames"]), (&true.into(), &13.into()));
    assert_eq!(lost["steps"][0], lost["steps"][1]);
    run(&folder, &["tokens", "import", "bad.npy", "-o", "b.lbit"])
        .expect(3)
        .says(&["chunk 1 is lost"]);
}

#[test]
fn nothing_is_overwritten_unasked() {
    let folder = folder();
    encoded(&folder, "a.lbit", 20, "");
    write(&folder, "a.npy.json", b"mine");
    let export = ["tokens", "export", "a.lbit", "-o", "a.npy"];
    run(&folder, &export).expect(1).says(&["a.npy.json", "-y"]);
    assert_eq!(read(&folder, "a.npy.json"), b"mine");
    assert!(!names(&folder).contains(&"a.npy".to_owned()));
    run(&folder, &[&export[..], &["-n"]].concat()).expect(0);
    assert_eq!(read(&folder, "a.npy.json"), b"mine");
    run(&folder, &[&export[..], &["-y"]].concat()).expect(0);
    assert_ne!(read(&folder, "a.npy.json"), b"mine");
}

/// A file that is cut off gives the whole chunks before, and says so.
#[test]
fn a_file_that_is_cut_off() {
    let folder = folder();
    encoded(&folder, "a.lbit", 60, "--coder raw");
    let whole = read(&folder, "a.lbit");
    let table = run(&folder, &["info", "a.lbit", "--chunks", "--json"])
        .expect(0)
        .json();
    let last = table["chunk_table"].as_array().unwrap().last().unwrap()["offset"]
        .as_u64()
        .unwrap();
    write(&folder, "cut.lbit", &whole[..last as usize + 30]);
    run(&folder, &["tokens", "export", "cut.lbit", "-o", "cut.npy"]).expect(4);
    run(&folder, &["tokens", "export", "a.lbit", "-o", "a.npy"]).expect(0);
    let [cut, all] = ["cut.npy.json", "a.npy.json"]
        .map(|name| sidecar(&folder, name)["chunks"].as_array().unwrap().clone());
    assert_eq!(cut.len() + 1, all.len());
    assert_eq!(cut[..], all[..cut.len()]);
    // The array is as long as its header says.
    run(&folder, &["tokens", "import", "cut.npy", "-o", "back.lbit"]).expect(0);
}
