//! Several inputs of one command.

use crate::support::{Y4m, encoded, folder, names, read, run, run_with, tiny, write};

#[test]
fn several_inputs_go_to_a_folder() {
    let folder = folder();
    write(&folder, "a.y4m", &Y4m::SMALL.video(3));
    write(&folder, "b.y4m", &Y4m::SMALL.video(5));
    let reports = run(&folder, &tiny("encode a.y4m b.y4m -o tokens --json")).expect(0);
    let reports = String::from_utf8(reports.stdout).unwrap();
    let frames: Vec<_> = reports
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["frames"].clone())
        .collect();
    assert_eq!(frames, [3, 5]);
    // As each alone.
    run(&folder, &tiny("encode b.y4m -o b.lbit")).expect(0);
    let [alone, together] =
        ["b.lbit", "tokens/b.lbit"].map(|name| std::fs::read(folder.path().join(name)).unwrap());
    assert_eq!(alone, together);

    run(&folder, &["info", "tokens/a.lbit", "tokens/b.lbit"])
        .expect(0)
        .prints(&["3 frames", "5 frames"]);
    let outcome = run(&folder, &["info", "tokens/a.lbit", "tokens/b.lbit", "--json"]).expect(0);
    assert_eq!(String::from_utf8(outcome.stdout).unwrap().lines().count(), 2);

    run(
        &folder,
        &tiny("decode tokens/a.lbit tokens/b.lbit -o back --raw rgb24"),
    )
    .expect(0);
    for (name, count) in [("a", 3), ("b", 5)] {
        let bytes = std::fs::read(folder.path().join(format!("back/{name}.rgb"))).unwrap();
        assert_eq!(bytes.len(), count * 24 * 16 * 3, "{name}");
    }
    // A folder that is there takes a single one, too.
    run(&folder, &tiny("encode a.y4m -o back")).expect(0);
    assert!(folder.path().join("back/a.lbit").is_file());
}

#[test]
fn one_that_fails_does_not_stop_the_others() {
    let folder = folder();
    write(&folder, "a.y4m", &Y4m::SMALL.video(3));
    write(&folder, "no.mp4", &b"nothing to see here. ".repeat(100));
    run(&folder, &tiny("encode no.mp4 a.y4m -o out"))
        .expect(3)
        .says(&["no.mp4", "1 of 2"]);
    assert!(folder.path().join("out/a.lbit").is_file());
    // Again: what is there is an error, or left alone, or overwritten.
    run(&folder, &tiny("encode a.y4m a.y4m -o out -n"))
        .expect(2)
        .says(&["a.lbit"]);
    run(&folder, &tiny("encode a.y4m no.mp4 -o out"))
        .expect(3)
        .says(&["a.lbit", "-y"]);
    run(&folder, &tiny("encode a.y4m -o out -n")).expect(0);
    run(&folder, &tiny("encode a.y4m -o out -y")).expect(0);
    let outcome = run(&folder, &["info", "out/a.lbit", "no.mp4", "missing.lbit"]);
    assert_ne!(outcome.code, Some(0));
    outcome.prints(&["3 frames"]).says(&["no.mp4", "missing.lbit"]);
}

/// The model is loaded once, and yet each file is held against it.
#[test]
fn each_file_is_checked_against_the_model() {
    let folder = folder();
    encoded(&folder, "a.lbit", 2, "");
    run(&folder, &["tokens", "export", "a.lbit", "-o", "t.npy"]).expect(0);
    let mut sidecar: serde_json::Value = serde_json::from_slice(&read(&folder, "t.npy.json")).unwrap();
    *sidecar.pointer_mut("/video/chunk_latent_frames").unwrap() = 1000.into();
    write(&folder, "t.npy.json", sidecar.to_string().as_bytes());
    run(&folder, &["tokens", "import", "t.npy", "-o", "long.lbit"]).expect(0);
    let alone = run(&folder, &tiny("decode long.lbit -o x.y4m")).says(&["latent frames in a chunk"]);
    let code = alone.code.unwrap();
    assert_ne!(code, 0);
    run(&folder, &tiny("decode a.lbit long.lbit -o out"))
        .expect(code)
        .says(&["long.lbit", "latent frames in a chunk"]);
}

#[test]
fn what_belongs_to_one_input_is_refused_for_several() {
    let folder = folder();
    encoded(&folder, "a.lbit", 2, "");
    encoded(&folder, "b.lbit", 2, "");
    let before = names(&folder);
    for line in [
        "decode a.lbit b.lbit -o x --loss-report r.json",
        "decode a.lbit b.lbit -o -",
        "decode a.lbit - -o x",
        "encode a.y4m b.y4m -o a.lbit",
    ] {
        run_with(&folder, &tiny(line), Vec::new()).expect(2);
    }
    assert_eq!(names(&folder), before);
}
