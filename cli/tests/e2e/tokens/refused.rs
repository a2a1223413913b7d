//! Arrays and sidecars that cannot be true.

use serde_json::{Value, json};

use super::sidecar;
use crate::support::{encoded, folder, names, read, run, write};

#[test]
fn arrays_that_do_not_fit_are_refused() {
    let folder = folder();
    encoded(&folder, "a.lbit", 30, "");
    run(&folder, &["tokens", "export", "a.lbit", "-o", "a.npy"]).expect(0);
    let good = read(&folder, "a.npy");
    let import = |bytes: &[u8], exit: i32, says: &[&str]| {
        write(&folder, "a.npy", bytes);
        run(&folder, &["tokens", "import", "a.npy", "-o", "b.lbit"])
            .expect(exit)
            .says(&[&["a.npy"], says].concat());
        assert!(!names(&folder).contains(&"b.lbit".to_owned()));
    };
    import(&good[..good.len() - 1], 4, &["cut off", "ends in chunk 2"]);
    import(&good[..100], 4, &["cut off"]);
    import(b"", 4, &["cut off"]);
    import(&[&good[..], &[0]].concat(), 3, &["goes on after"]);
    import(b"no array", 3, &["another kind of file"]);
    import(b"\x93NUMPY\x02\x00\xff\xff\xff\xff", 3, &["65536"]);
    let mut large = good.clone();
    let at = large.len() - 1;
    large[at] = 0xff;
    import(&large, 3, &["chunk 2", "10 bits"]);
    // A folder can be opened, but not be read.
    std::fs::create_dir(folder.path().join("folder.npy")).unwrap();
    run(&folder, &["tokens", "import", "folder.npy", "-o", "b.lbit"])
        .expect(1)
        .says(&["folder.npy: cannot read"]);
    run(&folder, &["tokens", "import", "missing.npy", "-o", "b.lbit"])
        .expect(1)
        .says(&["missing.npy: cannot open"]);
    write(&folder, "a.npy", &good);
    std::fs::remove_file(folder.path().join("a.npy.json")).unwrap();
    run(&folder, &["tokens", "import", "a.npy", "-o", "b.lbit"])
        .expect(1)
        .says(&["a.npy.json: cannot read the sidecar"]);
}

#[test]
fn sidecars_that_do_not_fit_are_refused() {
    let folder = folder();
    encoded(&folder, "a.lbit", 30, "--group 2");
    run(&folder, &["tokens", "export", "a.lbit", "-o", "a.npy"]).expect(0);
    let good = sidecar(&folder, "a.npy.json");
    let import = |change: &dyn Fn(&mut Value), exit: i32, says: &[&str]| {
        let mut about = good.clone();
        change(&mut about);
        write(&folder, "a.npy.json", about.to_string().as_bytes());
        run(&folder, &["tokens", "import", "a.npy", "-o", "b.lbit"])
            .expect(exit)
            .says(&[&["a.npy.json"], says].concat());
        assert!(!names(&folder).contains(&"b.lbit".to_owned()));
    };
    let set = |at: &str, value: Value, exit: i32, says: &[&str]| {
        import(
            &|about| *about.pointer_mut(at).expect(at) = value.clone(),
            exit,
            says,
        );
    };
    set("/schema", json!("latentbit.tokens/9"), 3, &["latentbit.tokens/1"]);
    set("/dtype", json!("f16"), 3, &["u16, u32 or u64", "f16"]);
    set("/columns", json!(2), 3, &["1 columns", "found 2"]);
    set("/columns", json!(0), 3, &["found 0"]);
    set("/video/bits", json!(11), 3, &["bits per token"]);
    set("/video/width", json!(96), 3, &["sides"]);
    set("/video/width", json!(0), 3, &["width"]);
    set("/video/width", json!(20000), 1, &["16384", "20000"]);
    set("/video/strides/0", json!(0), 3, &["strides"]);
    set("/video/chunk_latent_frames", json!(65535), 1, &["4096"]);
    set("/video/range", json!("narrow"), 3, &["names of range"]);
    set(
        "/video/bundle_sha256",
        json!("+f".repeat(32)),
        3,
        &["hexadecimal"],
    );
    set("/video/frames", json!(31), 3, &["31 frames", "found 30"]);
    set("/chunks/1/number", json!(7), 3, &["chunk 7", "chunk 1"]);
    set(
        "/chunks/1/first_frame",
        json!(14),
        3,
        &["chunk 1", "first frame 13"],
    );
    set(
        "/chunks/1/frames",
        json!(0),
        3,
        &["chunk 1", "at least one frame"],
    );
    set("/chunks/1/frames", json!(u64::MAX), 3, &["chunk 1", "2^64"]);
    set("/chunks/1/latent_frames", json!(9), 3, &["chunk 1", "1 to 4"]);
    set(
        "/chunks/1/steps",
        json!([2, 5]),
        3,
        &["chunk 1", "[2, 4]", "[2, 5]"],
    );
    set("/chunks/1/lost", json!(true), 3, &["chunk 1", "[2, 2]"]);
    set("/chunks/1/segment", json!(1), 3, &["chunk 1", "key chunk"]);
    set("/shape/0", json!(6), 3, &["[5, 2, 3]", "[6, 2, 3]"]);
    set(
        "/metadata",
        json!([{ "stream": 1, "entries": [] }]),
        3,
        &["stream 0"],
    );
    set("/metadata", json!([{ "entries": [["", "x"]] }]), 3, &["key"]);
    let long = "x".repeat(2 << 20);
    set(
        "/metadata",
        json!([{ "entries": [["title", long]] }]),
        1,
        &["limit"],
    );
    set(
        "/chapters",
        json!([{ "start_ns": 5, "end_ns": 3, "title": "" }]),
        3,
        &["chapter"],
    );
    import(
        &|about| {
            about["chunks"][1]["bits"] = json!(11);
        },
        3,
        &["chunk 1", "1 to 10 bits"],
    );
    import(&|about| *about = json!({}), 3, &["no sidecar"]);
    // Frames of lost chunks are made up by whoever decodes them, so readers take only so many.
    import(
        &|about| {
            let chunks = about["chunks"].as_array_mut().unwrap();
            let mut lost = chunks[1].clone();
            chunks.truncate(1);
            lost["lost"] = json!(true);
            lost["steps"] = json!([2, 2]);
            for number in 1u64..20000 {
                lost["number"] = json!(number);
                lost["first_frame"] = json!(13 + 16 * (number - 1));
                chunks.push(lost.clone());
            }
        },
        1,
        &["262144 frames"],
    );
}

#[test]
fn inputs_that_cannot_be_read_are_no_damage() {
    let folder = folder();
    run(&folder, &["tokens", "export", "missing.lbit", "-o", "a.npy"])
        .expect(1)
        .says(&["missing.lbit"]);
    // It is a file, and reading its start fails.
    if cfg!(target_os = "linux") {
        run(&folder, &["tokens", "export", "/proc/self/mem", "-o", "a.npy"])
            .expect(1)
            .says(&["/proc/self/mem", "cannot read"]);
    }
    write(&folder, "a.lbit", b"no tokens in here");
    run(&folder, &["tokens", "export", "a.lbit", "-o", "a.npy"])
        .expect(3)
        .says(&["a.lbit"]);
    assert_eq!(names(&folder), ["a.lbit"]);
}
