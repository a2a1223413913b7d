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
    let outcome = serde_json::json!({
        "what": file.what,
        "strict": summary::strict_error(&file.bytes),
        "recover": summary::summary(&file.bytes),
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
