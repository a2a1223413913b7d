//! Names of models: where `--model` takes them, and which ones are refused.

use super::{Run, models, pth};
use crate::support::{Y4m, folder, read, tiny_bundle, write};

#[test]
fn model_takes_names_and_paths() {
    let folder = folder();
    let run = Run::new(&folder);
    write(&folder, "a.y4m", &Y4m::SMALL.video(2));
    let bundle = tiny_bundle();
    let bundle = bundle.to_str().unwrap();
    run.args(&["models", "add", bundle, "--name", "tiny"]).expect(0);
    run.run("encode a.y4m -o a.lbit --model tiny").expect(0);
    run.args(&["encode", "a.y4m", "-o", "b.lbit", "--model", bundle])
        .expect(0);
    assert_eq!(read(&folder, "a.lbit"), read(&folder, "b.lbit"));
    run.run("decode a.lbit -o b.y4m --model tiny").expect(0);

    // A path goes before a name.
    write(&folder, "tiny", b"junk");
    run.run("encode a.y4m -o c.lbit --model tiny")
        .expect(6)
        .says(&["tiny: not a usable bundle"]);
}

#[test]
fn files_find_the_stored_model_that_made_them() {
    let folder = folder();
    let run = Run::new(&folder);
    write(&folder, "a.y4m", &Y4m::SMALL.video(2));
    let bundle = tiny_bundle();
    let bundle = bundle.to_str().unwrap();
    run.args(&["encode", "a.y4m", "-o", "a.lbit", "--model", bundle])
        .expect(0);
    run.run("decode a.lbit -o b.y4m")
        .expect(6)
        .says(&["a.lbit", "latentbit models add"]);
    run.args(&["models", "add", bundle, "--name", "tiny"]).expect(0);
    // A model that cannot be read keeps nobody from the right one.
    std::fs::create_dir(folder.path().join("cache/broken")).unwrap();
    write(&folder, "cache/broken/model.json", b"junk");
    run.run("decode a.lbit -o b.y4m").expect(0);
    run.run("decode a.lbit -o c.y4m --model tiny").expect(0);
    assert_eq!(read(&folder, "b.y4m"), read(&folder, "c.y4m"));
    run.run("eval a.y4m a.lbit").expect(0);
    // What --model says is taken at its word.
    run.run("decode a.lbit -o d.y4m --model built-in")
        .expect(6)
        .says(&["another model is needed"]);
}

#[test]
fn a_wrong_name_lists_those_that_there_are() {
    let folder = folder();
    let run = Run::new(&folder);
    write(&folder, "a.y4m", &Y4m::SMALL.video(1));
    write(&folder, "mine.pth", &pth(10));
    run.run("models add mine.pth").expect(0);
    run.run("encode a.y4m -o a.lbit --model yours").expect(6).says(&[
        "yours",
        "no such file",
        "built-in, mine",
    ]);
    run.run("encode a.y4m -o a.lbit --model wan2.1-vae")
        .expect(6)
        .says(&["latentbit models pull wan2.1-vae"]);
    for command in ["path", "verify"] {
        run.run(&format!("models {command} yours"))
            .expect(6)
            .says(&["'yours'", "built-in, mine"]);
        run.run(&format!("models {command} built-in")).expect(2);
    }
}

#[test]
fn names_cannot_leave_the_cache() {
    let folder = folder();
    let run = Run::new(&folder);
    write(&folder, "a.pth", &pth(10));
    for name in [
        "../a", "/tmp/a", "a/b", "..", ".work", "", "a b", "built-in", "nul",
    ] {
        run.args(&["models", "add", "a.pth", "--name", name])
            .expect(2)
            .says(&["name"]);
        run.args(&["models", "pull", "wan2.1-vae", "--name", name, "--offline"])
            .expect(2);
    }
    for name in ["../a", "..", ".work", "a/b"] {
        run.args(&["models", "path", name]).expect(6);
        run.args(&["models", "verify", name]).expect(6);
    }
    for target in ["wan", "../a", "a/../b", "a/b/../../c", "a/b/c?d", "a b/c", "a/b/"] {
        run.args(&["models", "pull", target]).expect(2);
    }
    run.run("models pull o/r --revision ../x")
        .expect(2)
        .says(&["--revision"]);
    assert_eq!(models(&folder), [""; 0]);

    // A record can name such files, too.
    run.run("models add a.pth").expect(0);
    let record = String::from_utf8(read(&folder, "cache/a/model.json")).unwrap();
    write(
        &folder,
        "cache/a/model.json",
        record.replace("\"a.pth\"", "\"../../a.pth\"").as_bytes(),
    );
    run.run("models path a").expect(3).says(&["../../a.pth"]);
}

#[test]
fn without_models_there_is_the_built_in_one() {
    let folder = folder();
    let run = Run::new(&folder);
    run.run("models list").expect(0).prints(&["built-in"]);
    let list = run.run("models list --json").expect(0).json();
    assert_eq!(list["models"], serde_json::json!([]));
    assert!(list["built_in"]["sha256"].is_string());
    run.run("models verify").expect(0).says(&["no models"]);
    // Looking makes no folder.
    assert!(!folder.path().join("cache").exists());
}
