//! Arrays without a JSON beside them: safetensors, which have it in themselves, and pipes.

use serde_json::Value;

use crate::support::{encoded, folder, names, read, run, run_with, write};

/// The header of a file of safetensors.
fn header(bytes: &[u8]) -> Value {
    let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    serde_json::from_slice(&bytes[8..8 + len]).unwrap()
}

#[test]
fn safetensors_have_a_tensor_for_each_chunk() {
    let folder = folder();
    encoded(&folder, "a.lbit", 30, "--group 2");
    for columns in [&[][..], &["--columns", "u16"]] {
        let export = [
            &["tokens", "export", "a.lbit", "-y", "-o", "a.safetensors"],
            columns,
        ]
        .concat();
        run(&folder, &export).expect(0);
        let bytes = read(&folder, "a.safetensors");
        let header = header(&bytes);
        let mut end = 0;
        for (number, steps) in [2, 2, 1].into_iter().enumerate() {
            let tensor = &header[format!("chunk.{number:08}")];
            assert_eq!(tensor["dtype"], "U16");
            assert_eq!(tensor["shape"][0], steps);
            assert_eq!(tensor["shape"].as_array().unwrap().len(), 3 + columns.len() / 2);
            let from = end;
            end += steps * 6 * 2;
            assert_eq!(tensor["data_offsets"], serde_json::json!([from, end]));
        }
        assert_eq!(header.as_object().unwrap().len(), 4);
        // The file alone is enough.
        std::fs::remove_file(folder.path().join("a.safetensors.json")).unwrap();
        run(
            &folder,
            &["tokens", "import", "a.safetensors", "-y", "-o", "b.lbit"],
        )
        .expect(0);
        assert!(read(&folder, "b.lbit") == read(&folder, "a.lbit"));
        // And so it is by a pipe.
        let import = [
            "tokens",
            "import",
            "-",
            "--format",
            "safetensors",
            "-y",
            "-o",
            "b.lbit",
        ];
        run_with(&folder, &import, bytes).expect(0);
        assert!(read(&folder, "b.lbit") == read(&folder, "a.lbit"));
    }
}

#[test]
fn safetensors_that_do_not_fit_are_refused() {
    let folder = folder();
    encoded(&folder, "a.lbit", 30, "");
    run(&folder, &["tokens", "export", "a.lbit", "-o", "a.safetensors"]).expect(0);
    let good = read(&folder, "a.safetensors");
    let import = |bytes: &[u8], exit: i32, says: &[&str]| {
        write(&folder, "b.safetensors", bytes);
        run(&folder, &["tokens", "import", "b.safetensors", "-o", "b.lbit"])
            .expect(exit)
            .says(says);
        assert!(!names(&folder).contains(&"b.lbit".to_owned()));
    };
    let with = |from: &str, to: &str| {
        let at = good
            .windows(from.len())
            .position(|part| part == from.as_bytes())
            .unwrap();
        let mut bytes = good.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    import(
        &with("chunk.00000001", "chunk.00000009"),
        3,
        &["b.safetensors", "chunk.00000001"],
    );
    import(&with("\"U16\"", "\"I16\""), 3, &["expected U16"]);
    import(
        &with("latentbit.tokens\"", "latentbit.tokenz\""),
        1,
        &["b.safetensors.json"],
    );
    import(
        &with("latentbit.tokens/1", "latentbit.tokens/9"),
        3,
        &["latentbit.tokens/9"],
    );
    import(
        &[&[0xff; 7][..], &[0; 90]].concat(),
        3,
        &["b.safetensors", "at most 100000000"],
    );
    import(&good[..40], 4, &["b.safetensors", "cut off"]);
    import(&good[..good.len() - 1], 4, &["b.safetensors", "chunk 2"]);
}

#[test]
fn arrays_come_by_pipes() {
    let folder = folder();
    encoded(&folder, "a.lbit", 30, "");
    for (name, format) in [
        ("a.npy", "npy"),
        ("a.bin", "raw"),
        ("a.safetensors", "safetensors"),
    ] {
        run(&folder, &["tokens", "export", "a.lbit", "-o", name]).expect(0);
        let about = format!("{name}.json");
        let import = [
            "tokens",
            "import",
            "-",
            "--format",
            format,
            "--sidecar",
            &about,
            "-o",
            "-",
        ];
        let outcome = run_with(&folder, &import, read(&folder, name)).expect(0);
        assert!(outcome.stdout == read(&folder, "a.lbit"), "{name}");
    }
    let import = ["tokens", "import", "-", "-o", "b.lbit", "--format", "npy"];
    run_with(&folder, &import, read(&folder, "a.npy"))
        .expect(2)
        .says(&["--sidecar"]);
    let import = ["tokens", "import", "-", "-o", "b.lbit", "--sidecar", "a.npy.json"];
    run_with(&folder, &import, read(&folder, "a.npy"))
        .expect(2)
        .says(&["--format"]);
    let import = [&import[..], &["--format", "npy"]].concat();
    run_with(&folder, &import, read(&folder, "a.npy")[..150].to_vec())
        .expect(4)
        .says(&["stdin", "cut off"]);
    assert!(!names(&folder).contains(&"b.lbit".to_owned()));
}
