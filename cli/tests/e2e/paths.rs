//! Names of files that are no UTF-8, as every command takes, writes and tells them.
#![cfg(all(unix, not(target_os = "macos")))]

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::latents::vae;
use crate::support::{Outcome, Y4m, folder, run, tiny, tiny_bundle, write};

/// The name that a test writes with `@` for the byte e9, which is no UTF-8 where ASCII follows.
fn name(text: &str) -> OsString {
    let bytes = text.bytes().map(|byte| if byte == b'@' { 0xe9 } else { byte });
    OsString::from_vec(bytes.collect())
}

/// Runs words whose `@` are that byte.
fn run_named(folder: &TempDir, words: &[String]) -> Outcome {
    let words: Vec<OsString> = words.iter().map(|word| name(word)).collect();
    run(folder, &words)
}

fn plain(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn at(folder: &TempDir, text: &str) -> PathBuf {
    folder.path().join(name(text))
}

/// A folder with a folder and a video in it whose names are no UTF-8.
fn prepared() -> TempDir {
    let folder = folder();
    std::fs::create_dir(at(&folder, "d@")).unwrap();
    std::fs::write(at(&folder, "d@/v@.y4m"), Y4m::SMALL.video(20)).unwrap();
    folder
}

#[test]
fn every_command_takes_any_name() {
    let folder = prepared();
    let steps = [
        // What is run, and what it must have written.
        (
            tiny("encode d@/v@.y4m -o d@/a@.lbit --group 1 --bits 10"),
            "d@/a@.lbit",
        ),
        (
            tiny("decode d@/a@.lbit -o d@/b@.y4m --loss-report d@/loss@.json"),
            "d@/loss@.json",
        ),
        (tiny("decode d@/a@.lbit -o d@/b@.png --frames 1"), "d@/b@.png"),
        (
            tiny("decode d@/a@.lbit -o d@/n@-%02d.png --frames 2"),
            "d@/n@-02.png",
        ),
        (
            tiny("decode d@/a@.lbit -o d@/t@.safetensors"),
            "d@/t@.safetensors",
        ),
        (tiny("encode d@/b@.png -o d@/still@.lbit"), "d@/still@.lbit"),
        (plain("recover d@/a@.lbit -o d@/r@.lbit"), "d@/r@.lbit"),
        (plain("index d@/r@.lbit"), "d@/r@.lbit"),
        (
            plain("trim d@/a@.lbit --bits 5 -o d@/trim@.lbit"),
            "d@/trim@.lbit",
        ),
        (plain("cut d@/a@.lbit --from 13f -o d@/cut@.lbit"), "d@/cut@.lbit"),
        (
            plain("concat d@/a@.lbit d@/cut@.lbit -o d@/c@.lbit"),
            "d@/c@.lbit",
        ),
        (plain("degrade d@/a@.lbit --drop 0 -o d@/g@.lbit"), "d@/g@.lbit"),
        (tiny("encode d@/v@.y4m -o d@/e@.lbit --bpp 0.5"), "d@/e@.lbit"),
        (plain("tokens export d@/e@.lbit -o d@/t@.npy"), "d@/t@.depths.npy"),
        (plain("tokens import d@/t@.npy -o d@/i@.lbit"), "d@/i@.lbit"),
        (
            vae("latents encode d@/v@.y4m -o d@/l@.safetensors"),
            "d@/l@.safetensors",
        ),
        (vae("latents decode d@/l@.safetensors -o d@/l@.y4m"), "d@/l@.y4m"),
        (
            plain("latents compare d@/l@.safetensors d@/l@.safetensors"),
            "d@/l@.safetensors",
        ),
        (
            tiny("eval d@/v@.y4m d@/a@.lbit --frames-csv d@/f@.csv"),
            "d@/f@.csv",
        ),
        (
            tiny("eval d@/v@.y4m d@/a@.lbit --no-vae --plot d@/f@.png"),
            "d@/f@.png",
        ),
        (plain("manual man d@/man@"), "d@/man@/latentbit.1"),
    ];
    for (words, written) in steps {
        let line = words.join(" ");
        let outcome = run_named(&folder, &words);
        assert_eq!(outcome.code, Some(0), "{line}: {}", outcome.stderr);
        assert!(at(&folder, written).is_file(), "{line}");
        assert!(!outcome.stderr.contains('\u{fffd}'), "{line}: {}", outcome.stderr);
    }
    let model = at(&folder, "d@/m@.safetensors");
    std::fs::copy(tiny_bundle(), &model).unwrap();
    run_named(
        &folder,
        &plain("decode d@/a@.lbit -o d@/m@.y4m --model d@/m@.safetensors"),
    )
    .expect(0);
    let player = at(&folder, "d@/p@");
    std::fs::write(&player, "#!/bin/sh\ncat > /dev/null\n").unwrap();
    std::fs::set_permissions(&player, std::fs::Permissions::from_mode(0o755)).unwrap();
    run_named(&folder, &tiny("play d@/a@.lbit --player d@/p@")).expect(0);
    // Without -y what is there stays, by whatever name.
    run_named(&folder, &tiny("eval d@/v@.y4m d@/a@.lbit --frames-csv d@/f@.csv"))
        .expect(1)
        .says(&["d\\xe9/f\\xe9.csv", "-y"]);
    run_named(&folder, &plain("cut d@/a@.lbit -o d@/c@.lbit"))
        .expect(1)
        .says(&["d\\xe9/c\\xe9.lbit", "-y"]);
    let left: Vec<_> = std::fs::read_dir(at(&folder, "d@")).unwrap().collect();
    let hidden = left
        .into_iter()
        .map(|entry| entry.unwrap().file_name())
        .find(|name| name.as_bytes().starts_with(b"."));
    assert_eq!(hidden, None);
}

#[cfg(feature = "libav")]
#[test]
fn libav_takes_any_name() {
    let folder = prepared();
    for extension in ["mp4", "mkv", "webp"] {
        let frames = if extension == "webp" { "--frames 1" } else { "" };
        run_named(&folder, &tiny("encode d@/v@.y4m -o d@/a@.lbit -y")).expect(0);
        run_named(
            &folder,
            &tiny(&format!("decode d@/a@.lbit -o d@/b@.{extension} {frames}")),
        )
        .expect(0);
        run_named(
            &folder,
            &tiny(&format!("encode d@/b@.{extension} -o d@/b@.lbit -y")),
        )
        .expect(0);
    }
}

#[test]
fn names_are_told() {
    let folder = prepared();
    run_named(&folder, &tiny("encode d@/v@.y4m -o a@.lbit")).expect(0);
    // Messages show the byte; JSON has a character for it, which names the file again.
    run_named(&folder, &plain("verify a@.lbit"))
        .expect(0)
        .prints(&["a\\xe9.lbit: whole"]);
    run_named(&folder, &plain("info b@.lbit"))
        .expect(1)
        .says(&["b\\xe9.lbit: cannot open"]);
    for line in ["verify a@.lbit --json", "info a@.lbit --json"] {
        let outcome = run_named(&folder, &plain(line)).expect(0);
        assert!(
            String::from_utf8_lossy(&outcome.stdout).contains("a\\uefe9.lbit"),
            "{line}"
        );
        let told = outcome.json()["file"].as_str().unwrap().to_owned();
        assert_eq!(told, "a\u{efe9}.lbit");
    }
    // A character of that range in a name is one of three bytes, and no other file is meant by it.
    let own = "own\u{efe9}.lbit";
    std::fs::copy(at(&folder, "a@.lbit"), folder.path().join(own)).unwrap();
    run(&folder, &["verify", own])
        .expect(0)
        .prints(&["own\\xee\\xbf\\xa9.lbit"]);
    // The name that a video had is part of its file, and text.
    let info = run_named(&folder, &plain("info a@.lbit --json")).json();
    assert!(info.to_string().contains("v\u{fffd}.y4m"));
    let models = at(&folder, "models@");
    let with_cache = |words: &[&str]| {
        let output = crate::support::command()
            .args(words)
            .env("LATENTBIT_MODELS", &models)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };
    with_cache(&["models", "add", tiny_bundle().to_str().unwrap(), "--name", "tiny"]);
    let path = with_cache(&["models", "path", "tiny"]);
    let path = PathBuf::from(OsString::from_vec(path.trim_ascii_end().to_vec()));
    assert!(path.is_file() && path.starts_with(&models), "{path:?}");
}

#[test]
fn archives_hold_any_name() {
    let folder = prepared();
    write(&folder, "plain.y4m", &Y4m::SMALL.video(3));
    let mut list = name("d@/v@.y4m\nplain.y4m\n").into_vec();
    // As a manifest or a report has it, the name means the same file.
    list.extend_from_slice("{\"path\": \"d\u{efe9}/v\u{efe9}.y4m\", \"id\": \"again\"}\n".as_bytes());
    std::fs::write(at(&folder, "list@.txt"), list).unwrap();
    for (sources, clips) in [
        ("d@", 1),
        ("list@.txt", 3),
        ("d@/v@.y4m", 1),
        ("d@/*.y4m", 1),
        ("d*/v?.y4m", 1),
    ] {
        for form in ["lbit", "webdataset"] {
            let out = format!("out@-{form}-{clips}-{}", sources.replace(['/', '*', '?'], "_"));
            let line = format!("archive {sources} -o {out} --format {form} -q");
            for run in ["the first time", "again"] {
                let outcome = run_named(&folder, &tiny(&line));
                assert_eq!(outcome.code, Some(0), "{line}, {run}: {}", outcome.stderr);
            }
            let check = run_named(&folder, &plain(&format!("archive --check {out} --json")));
            assert_eq!(check.code, Some(0), "{line}: {}", check.stderr);
            assert!(at(&folder, &out).join("manifest.parquet").is_file());
        }
    }
    run_named(&folder, &tiny("archive d@/*.mp4 -o refused"))
        .expect(2)
        .says(&["no clip in it"]);
}

#[test]
fn the_longest_names_of_any_bytes() {
    let folder = folder();
    write(&folder, "a.y4m", &Y4m::SMALL.video(2));
    let long = "@".repeat(250);
    run_named(&folder, &tiny(&format!("encode a.y4m -o {long}.lbit"))).expect(0);
    run_named(&folder, &tiny(&format!("decode {long}.lbit -o {long}1.y4m"))).expect(0);
    let too_long = "@".repeat(256);
    run_named(&folder, &tiny(&format!("encode a.y4m -o {too_long}"))).expect(1);
    let count = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(count, 3);
}
