//! Tokens with depths as arrays, and back.

use serde_json::json;
use tempfile::TempDir;

use super::sidecar;
use crate::support::{Y4m, folder, names, read, run, tiny, write};

/// An elastic file whose tokens have many depths.
fn elastic() -> TempDir {
    let folder = folder();
    write(&folder, "a.y4m", &Y4m::SMALL.video(60));
    run(&folder, &tiny("encode a.y4m -o a.lbit --crf 12 --group 2")).expect(0);
    folder
}

#[test]
fn every_format_makes_the_same_file_again() {
    let folder = elastic();
    for name in ["a.npy", "a.safetensors", "a.bin"] {
        run(&folder, &["tokens", "export", "a.lbit", "-y", "-o", name]).expect(0);
        run(&folder, &["tokens", "import", name, "-y", "-o", "b.lbit"]).expect(0);
        assert!(read(&folder, "b.lbit") == read(&folder, "a.lbit"), "{name}");
        let about = sidecar(&folder, &format!("{name}.json"));
        assert_eq!(about["schema"], "latentbit.tokens/2");
        assert_eq!(about["video"]["depth_step"], 3);
    }
    // Fewer bits make shallower tokens; trim takes away whole steps.
    let few = "tokens export a.lbit -o few.safetensors --bits 6";
    run(&folder, &few.split(' ').collect::<Vec<_>>()).expect(0);
    run(
        &folder,
        &["tokens", "import", "few.safetensors", "-o", "few.lbit"],
    )
    .expect(0);
    run(&folder, &["trim", "a.lbit", "--bits", "6", "-o", "trimmed.lbit"]).expect(0);
    let digest = |file: &str| run(&folder, &["verify", file, "--json"]).expect(0).json()["digests"].clone();
    assert_eq!(digest("few.lbit"), digest("trimmed.lbit"));
}

#[test]
fn depths_are_an_array_of_the_same_steps() {
    let folder = elastic();
    run(&folder, &["tokens", "export", "a.lbit", "-o", "a.npy"]).expect(0);
    let (about, depths) = (sidecar(&folder, "a.npy.json"), read(&folder, "a.depths.npy"));
    assert_eq!(about["depths"], "a.depths.npy");
    let sides: Vec<usize> = serde_json::from_value(about["shape"].clone()).unwrap();
    let values = &depths[128..];
    assert_eq!(values.len(), sides.iter().product::<usize>());
    // Steps of three, or all ten; a token has no bits beyond its depth.
    assert!(
        values
            .iter()
            .all(|&depth| depth % 3 == 0 && depth < 10 || depth == 10)
    );
    assert!(values.iter().any(|depth| depth != &values[0]));
    let tokens = read(&folder, "a.npy");
    let tokens = tokens[128..].as_chunks::<2>().0;
    for (&token, &depth) in tokens.iter().zip(values) {
        assert_eq!(u32::from(u16::from_le_bytes(token)) >> depth, 0);
    }
    // A pipe brings the tokens, two files the rest.
    run(
        &folder,
        &[
            "tokens",
            "import",
            "a.npy",
            "-o",
            "b.lbit",
            "--depths",
            "a.depths.npy",
        ],
    )
    .expect(0);
    assert!(read(&folder, "b.lbit") == read(&folder, "a.lbit"));
}

#[test]
fn depths_that_do_not_fit_are_refused() {
    let folder = elastic();
    run(&folder, &["tokens", "export", "a.lbit", "-o", "a.npy"]).expect(0);
    let good = read(&folder, "a.depths.npy");
    let import = |exit: i32, says: &[&str]| {
        run(&folder, &["tokens", "import", "a.npy", "-o", "b.lbit"])
            .expect(exit)
            .says(says);
        assert!(!names(&folder).contains(&"b.lbit".to_owned()));
    };
    let mut bad = good.clone();
    for (bytes, exit, says) in [
        (&good[..good.len() - 1], 4, "the depths end in chunk 4"),
        (&[&good[..], &[0]].concat(), 3, "goes on after"),
        (b"no array", 3, "another kind of file"),
        (
            {
                bad[128] = 1;
                &bad[..]
            },
            3,
            "chunk 0",
        ),
        (&read(&folder, "a.npy"), 3, "u8"),
    ] {
        write(&folder, "a.depths.npy", bytes);
        import(
            exit,
            &[
                "a.depths.npy"
                    .strip_suffix(".npy")
                    .filter(|_| says != "chunk 0")
                    .unwrap_or("a"),
                says,
            ],
        );
    }
    std::fs::remove_file(folder.path().join("a.depths.npy")).unwrap();
    import(1, &["a.depths.npy", "cannot read the depths"]);
    let mut about = sidecar(&folder, "a.npy.json");
    for (name, says) in [
        (json!("../a.depths.npy"), "name of a file"),
        (json!(null), "--depths"),
    ] {
        about["depths"] = name;
        write(&folder, "a.npy.json", about.to_string().as_bytes());
        import(3, &["a.npy.json", says]);
    }
    about["schema"] = json!("latentbit.tokens/1");
    write(&folder, "a.npy.json", about.to_string().as_bytes());
    import(3, &["a.npy.json", "latentbit.tokens/2"]);
}

/// Nothing is written if only the array of depths is there already.
#[test]
fn depths_are_not_overwritten() {
    let folder = elastic();
    write(&folder, "a.depths.npy", b"mine");
    run(&folder, &["tokens", "export", "a.lbit", "-o", "a.npy"])
        .expect(1)
        .says(&["a.depths.npy"]);
    run(&folder, &["tokens", "export", "a.lbit", "-o", "a.npy", "-n"]).expect(0);
    assert_eq!(read(&folder, "a.depths.npy"), b"mine");
    assert!(!names(&folder).contains(&"a.npy".to_owned()));
}
