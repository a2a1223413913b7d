//! `make install` without the build.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::folder;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/package/install.sh")
}

/// Runs the script with a DESTDIR in `folder`.
fn run(folder: &TempDir, args: &[&str], prefix: &str) -> (bool, String) {
    let output = Command::new(script())
        .args(args)
        .env("DESTDIR", folder.path())
        .env("PREFIX", prefix)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// All files below a folder, by their paths in it.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path.strip_prefix(folder).unwrap().display().to_string()),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn what_is_installed_can_be_taken_away() {
    let folder = folder();
    let built = env!("CARGO_BIN_EXE_latentbit");
    // Somebody else's.
    let other = folder.path().join("opt/x/share/man/man1");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("latent.1"), "").unwrap();
    std::fs::write(other.join("latentbit-gone.1"), "a page of an older version").unwrap();
    let (done, text) = run(&folder, &["install", built], "/opt/x");
    assert!(done, "{text}");
    let found = files(folder.path());
    for name in [
        "bin/latentbit",
        "share/man/man1/latentbit.1",
        "share/man/man1/latentbit-tokens-export.1",
        "share/bash-completion/completions/latentbit",
        "share/zsh/site-functions/_latentbit",
        "share/fish/vendor_completions.d/latentbit.fish",
    ] {
        assert!(
            found.contains(&format!("opt/x/{name}")),
            "{name} is not in {found:?}"
        );
    }
    assert!(
        found
            .iter()
            .all(|name| name.starts_with("opt/x/") && !name.contains("gone")),
        "{found:?}"
    );
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging");
    for entry in std::fs::read_dir(packaging).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let wanted = format!("opt/x/share/mime/packages/{name}");
        assert!(!name.ends_with(".xml") || found.contains(&wanted), "{wanted}");
    }
    let installed = folder.path().join("opt/x/bin/latentbit");
    let version = Command::new(installed).arg("--version").output().unwrap();
    assert!(version.status.success());

    // Again, over what is there.
    let (done, text) = run(&folder, &["install", built], "/opt/x/");
    assert!(done, "{text}");
    assert_eq!(files(folder.path()), found);
    let (done, text) = run(&folder, &["uninstall"], "/opt/x");
    assert!(done, "{text}");
    assert_eq!(files(folder.path()), ["opt/x/share/man/man1/latent.1"]);
}

#[test]
fn what_cannot_be_installed_is_told() {
    let folder = folder();
    for (args, prefix, says) in [
        (&["install", "/nowhere/latentbit"][..], "/usr", "make build"),
        (&["install", env!("CARGO_BIN_EXE_latentbit")], "here", "PREFIX"),
        (&["install"], "/usr", "usage"),
        (&["remove"], "/usr", "usage"),
    ] {
        let (done, text) = run(&folder, args, prefix);
        assert!(!done && text.contains(says), "{args:?}: {text}");
    }
    assert!(files(folder.path()).is_empty());
}
