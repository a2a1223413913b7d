//! All conformance files: what is legal comes back, what is faulty is told.

use std::path::PathBuf;

use tempfile::TempDir;

use super::{chunk_table, sidecar};
use crate::support::{folder, names, read, run, testdata};

fn files(kind: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(testdata("conformance").join(kind)).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "lbit"))
        .collect();
    files.sort();
    assert!(files.len() > 5);
    files
}

fn stem(path: &std::path::Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

/// What a file says of the chunks, whatever stored them.
fn facts(folder: &TempDir, name: &str) -> Vec<impl PartialEq + std::fmt::Debug> {
    let table = chunk_table(folder, name).into_iter();
    table
        .map(|chunk| {
            let frames = (chunk.first_frame, chunk.frame_count, chunk.latent_frames);
            (
                chunk.sequence,
                frames,
                chunk.key,
                chunk.bits,
                chunk.segment,
                chunk.start,
            )
        })
        .collect()
}

#[test]
fn legal_files_come_back_bit_exact() {
    for path in [files("subset"), files("uncommon")].concat() {
        let (folder, name) = (folder(), stem(&path));
        std::fs::copy(&path, folder.path().join("a.lbit")).unwrap();
        if name == "only-sound" {
            run(&folder, &["tokens", "export", "a.lbit", "-o", "a.npy"])
                .expect(3)
                .says(&["no video"]);
            continue;
        }
        // Whose tokens were lost before it was written.
        let exit = if ["lost-chunks", "elastic-lost"].contains(&name) {
            3
        } else {
            0
        };
        let digest = |file: &str| {
            let json = run(&folder, &["verify", file, "--json"]).expect(exit).json();
            json["digests"][0].clone()
        };
        for (format, columns) in [
            ("npy", &[][..]),
            ("bin", &[]),
            ("safetensors", &["--columns", "u32"]),
        ] {
            let (array, back) = (format!("a.{format}"), format!("b.{format}"));
            let export = |from: &str, to: &str| {
                let args = [&["tokens", "export", from, "-y", "-o", to], columns].concat();
                run(&folder, &args).expect(exit);
            };
            export("a.lbit", &array);
            run(&folder, &["tokens", "import", &array, "-y", "-o", "b.lbit"]).expect(0);
            export("b.lbit", &back);
            assert!(read(&folder, &array) == read(&folder, &back), "{name}: {array}");
            let about = |array: &str| sidecar(&folder, &format!("{array}.json"));
            let (mut one, mut other) = (about(&array), about(&back));
            // Only the name of the depths may be another one.
            for about in [&mut one, &mut other] {
                about.as_object_mut().unwrap().remove("depths");
            }
            assert_eq!(one, other, "{name}");
            assert_eq!(facts(&folder, "a.lbit"), facts(&folder, "b.lbit"), "{name}");
            if name != "no-digest" {
                assert_eq!(digest("a.lbit"), digest("b.lbit"), "{name}");
            }
        }
        // As the command writes files, they come back byte for byte.
        let Some(parent) = path.parent().filter(|parent| parent.ends_with("subset")) else {
            continue;
        };
        if parent.join("sound.lbit") != path {
            let same = ["cm", "zstd", "raw"].iter().any(|coder| {
                let args = [
                    "tokens", "import", "a.npy", "-y", "-o", "b.lbit", "--coder", coder,
                ];
                run(&folder, &args).expect(0);
                read(&folder, "a.lbit") == read(&folder, "b.lbit")
            });
            assert!(same, "{name}");
        }
    }
}

#[test]
fn faulty_files_are_told_and_never_panic() {
    for path in files("faulty") {
        let (folder, name) = (folder(), stem(&path));
        let file = path.to_str().unwrap();
        let outcome = run(&folder, &["tokens", "export", file, "-o", "a.npy"]);
        assert!(!outcome.stderr.contains("panicked"), "{name}: {}", outcome.stderr);
        let expected = match name {
            // Sound is not part of arrays.
            "packets-missing" => Some(0),
            // A copy of the header serves, and nothing else is wrong.
            "no-header" => Some(0),
            _ => run(&folder, &["verify", file]).code,
        };
        assert_eq!(outcome.code, expected, "{name}: {}", outcome.stderr);
        if outcome.code != Some(0) {
            assert!(outcome.stderr.contains(file), "{name}: {}", outcome.stderr);
        }
        let written = names(&folder).contains(&"a.npy".to_owned());
        assert_eq!(
            written,
            names(&folder).contains(&"a.npy.json".to_owned()),
            "{name}"
        );
        if !written {
            assert_ne!(outcome.code, Some(0), "{name}");
            continue;
        }
        run(&folder, &["tokens", "import", "a.npy", "-o", "b.lbit"]).expect(0);
        run(&folder, &["recover", file, "-o", "c.lbit"]);
        // What lies in the wrong order is lost to whoever reads only forward.
        if name != "chunks-swapped" {
            assert_eq!(facts(&folder, "b.lbit"), facts(&folder, "c.lbit"), "{name}");
        }
    }
}
