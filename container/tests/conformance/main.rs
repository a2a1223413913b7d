//! The conformance files of `testdata/conformance/`: today's writer still makes them, and today's reader says of them what
//! their JSON files say. `make conformance` writes them anew.

#![allow(clippy::unwrap_used, clippy::panic)]

mod elastic;
mod faulty;
mod files;
mod matrix;
mod record;
mod subset;
mod summary;
mod uncommon;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use files::File;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/conformance")
}

/// All files of the suite.
fn all() -> Vec<File> {
    [
        subset::files(),
        uncommon::files(),
        faulty::files(),
        elastic::files(),
    ]
    .concat()
}

/// What is expected of a file, as its JSON file has it.
fn expected(file: &File) -> String {
    expected_of(file.what, &file.bytes)
}

fn expected_of(what: &str, bytes: &[u8]) -> String {
    let outcome = serde_json::json!({
        "what": what,
        "strict": summary::strict_error(bytes),
        "recover": summary::summary(bytes),
    });
    serde_json::to_string_pretty(&outcome).unwrap() + "\n"
}

fn write_all() {
    for class in ["subset", "uncommon", "faulty"] {
        let _ = fs::remove_dir_all(folder().join(class));
        fs::create_dir_all(folder().join(class)).unwrap();
    }
    for file in all() {
        let path = folder().join(file.class).join(file.name);
        fs::write(path.with_extension("lbit"), &file.bytes).unwrap();
        fs::write(path.with_extension("json"), expected(&file)).unwrap();
    }
}

#[test]
fn files_are_what_the_writer_makes() {
    if std::env::var_os("LATENTBIT_WRITE_CONFORMANCE").is_some() {
        write_all();
    }
    let mut names = BTreeSet::new();
    for file in all() {
        let path = folder().join(file.class).join(file.name);
        assert!(
            names.insert(path.with_extension("lbit")),
            "{} is there twice",
            file.name
        );
        names.insert(path.with_extension("json"));
        let stored = fs::read(path.with_extension("lbit"));
        let stored = stored.unwrap_or_else(|error| panic!("{}: {error}; see `make conformance`", file.name));
        assert!(
            stored == file.bytes,
            "{}/{} is not what the writer makes",
            file.class,
            file.name
        );
    }
    for class in ["subset", "uncommon", "faulty"] {
        for entry in fs::read_dir(folder().join(class)).unwrap() {
            let path = entry.unwrap().path();
            assert!(names.contains(&path), "{} is made by nobody", path.display());
        }
    }
}

#[test]
fn the_reader_says_what_is_expected() {
    for file in all() {
        let path = folder().join(file.class).join(file.name).with_extension("json");
        let stored = fs::read_to_string(path).unwrap();
        assert_eq!(expected(&file), stored, "{}/{}", file.class, file.name);
    }
}

#[test]
fn classes_are_what_they_say() {
    for file in all() {
        let error = summary::strict_error(&file.bytes);
        assert_eq!(
            error.is_null(),
            file.class != "faulty",
            "{}/{}: {error}",
            file.class,
            file.name
        );
    }
}

/// What released versions wrote, made by `scripts/release/corpus.py`.
#[test]
fn releases_are_read() {
    let releases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/releases");
    let files = |folder: &Path| {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.collect::<BTreeSet<_>>()
    };
    let mut read = 0;
    for folder in files(&releases).iter().filter(|path| path.is_dir()) {
        let manifest = fs::read(folder.join("release.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        for path in files(folder) {
            if path.extension() != Some("lbit".as_ref()) {
                continue;
            }
            let name = path.file_stem().unwrap().to_str().unwrap();
            let what = manifest["files"][name]["made_by"].as_str().unwrap();
            let found = expected_of(what, &fs::read(&path).unwrap());
            let json = path.with_extension("json");
            if std::env::var_os("LATENTBIT_WRITE_RELEASES").is_some() && !json.exists() {
                fs::write(&json, &found).unwrap();
            }
            assert_eq!(found, fs::read_to_string(&json).unwrap(), "{}", path.display());
            read += 1;
        }
    }
    assert!(read > 0);
}
