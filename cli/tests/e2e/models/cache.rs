//! Models from this machine: add, list, verify, path.

use std::fs;

use super::{CONFIG, Run, listed, models, pth, sha256, weights};
use crate::support::{folder, read, tiny_bundle, write};

#[test]
fn a_bundle_is_copied_listed_verified_and_found() {
    let folder = folder();
    let run = Run::new(&folder);
    let bundle = tiny_bundle();
    let bundle = bundle.to_str().unwrap();
    run.args(&["models", "add", bundle, "--name", "tiny"])
        .expect(0)
        .prints(&["tiny: bundle", "--model tiny"]);
    let path = folder.path().join("cache/tiny/storage-int8.safetensors");
    run.run("models path tiny")
        .expect(0)
        .prints(&[path.to_str().unwrap()]);
    assert_eq!(fs::read(&path).unwrap(), fs::read(bundle).unwrap());

    let record: serde_json::Value = serde_json::from_slice(&read(&folder, "cache/tiny/model.json")).unwrap();
    assert_eq!(record["schema"], "latentbit.model/1");
    assert_eq!(record["kind"], "bundle");
    assert_eq!(record["files"][0]["sha256"], sha256(&fs::read(bundle).unwrap()));

    let list = run.run("models list --json").expect(0).json();
    assert_eq!(list["schema"], "latentbit.models/1");
    assert_eq!(list["models"][0]["name"], "tiny");
    assert_eq!(list["models"][0]["path"], path.to_str().unwrap());
    run.run("models list")
        .expect(0)
        .prints(&["NAME", "built-in", "tiny", "bundle"]);
    run.run("models verify")
        .expect(0)
        .prints(&["tiny: whole, 1 file"]);
}

#[test]
fn other_kinds_are_told_apart_by_what_is_in_them() {
    let folder = folder();
    let run = Run::new(&folder);
    write(&folder, "Wan2.1_VAE.pth", &pth(100));
    fs::create_dir_all(folder.path().join("pipeline/vae")).unwrap();
    write(&folder, "pipeline/vae/config.json", CONFIG);
    write(
        &folder,
        "pipeline/vae/diffusion_pytorch_model.safetensors",
        &weights(),
    );
    let added = run.run("models add Wan2.1_VAE.pth --json").expect(0).json();
    assert_eq!(added["name"], "Wan2.1_VAE");
    assert_eq!(added["kind"], "wan-vae");
    assert_eq!(added["source"]["type"], "path");
    run.run("models add pipeline")
        .expect(0)
        .prints(&["pipeline: wan-vae"]);
    run.run("models add pipeline/vae")
        .expect(0)
        .prints(&["pipeline: wan-vae", "was there already"]);
    // The folder for diffusers, the file for the others.
    let cache = folder.path().join("cache");
    for (name, path) in [
        ("pipeline", cache.join("pipeline")),
        ("Wan2.1_VAE", cache.join("Wan2.1_VAE/Wan2.1_VAE.pth")),
    ] {
        let found = run.args(&["models", "path", name]).expect(0);
        assert_eq!(
            String::from_utf8(found.stdout).unwrap().trim_end(),
            path.to_str().unwrap()
        );
    }
    assert_eq!(
        listed(&cache.join("pipeline")),
        ["config.json", "diffusion_pytorch_model.safetensors", "model.json"]
    );
    assert_eq!(models(&folder), ["Wan2.1_VAE", "pipeline"]);
}

#[test]
fn what_is_no_model_is_refused() {
    let folder = folder();
    let run = Run::new(&folder);
    write(&folder, "junk.safetensors", b"not a model at all");
    write(&folder, "weights.safetensors", &weights());
    write(&folder, "empty", b"");
    fs::create_dir(folder.path().join("nothing")).unwrap();
    for path in ["junk.safetensors", "weights.safetensors", "empty", "nothing"] {
        run.args(&["models", "add", path])
            .expect(3)
            .says(&[path, "expected a LatentBit bundle"]);
    }
    run.run("models add missing.pth")
        .expect(1)
        .says(&["missing.pth", "cannot read"]);
    assert_eq!(models(&folder), [""; 0]);
}

#[test]
fn damage_is_found_and_named() {
    let folder = folder();
    let run = Run::new(&folder);
    let content = pth(1000);
    write(&folder, "a.pth", &content);
    write(&folder, "b.pth", &content);
    run.run("models add a.pth").expect(0);
    run.run("models add b.pth").expect(0);
    let mut damaged = content.clone();
    damaged[500] ^= 1;
    write(&folder, "cache/a/a.pth", &damaged);
    run.run("models verify a").expect(3).prints(&[
        "a: damaged",
        "a.pth",
        &format!("expected the SHA-256 {}", sha256(&content)),
        &format!("found {}", sha256(&damaged)),
    ]);
    run.run("models verify")
        .expect(3)
        .prints(&["a: damaged", "b: whole"]);
    let report = run.run("models verify b --json").expect(0).json();
    assert_eq!(report["schema"], "latentbit.models.verify/1");
    assert_eq!(report["state"], "whole");

    write(&folder, "cache/a/a.pth", &content[..10]);
    run.run("models verify a")
        .expect(3)
        .prints(&["expected 1004 bytes, found 10"]);
    fs::remove_file(folder.path().join("cache/a/a.pth")).unwrap();
    run.run("models verify a")
        .expect(3)
        .prints(&["a.pth: cannot read"]);

    // A record that is damaged is no reason to hide the other models.
    write(&folder, "cache/a/model.json", b"{");
    run.run("models verify")
        .expect(3)
        .prints(&["model.json", "b: whole"]);
    run.run("models list")
        .expect(0)
        .prints(&["a         damaged", "b "])
        .says(&["model.json"]);
    run.run("models path a").expect(3).says(&["model.json"]);
    run.run("models add a.pth").expect(3).says(&["-y"]);
    run.run("models add a.pth -y").expect(0);
    run.run("models verify").expect(0);
}

#[test]
fn nothing_is_replaced_unasked() {
    let folder = folder();
    let run = Run::new(&folder);
    write(&folder, "a.pth", &pth(10));
    run.run("models add a.pth").expect(0);
    write(&folder, "a.pth", &pth(20));
    run.run("models add a.pth")
        .expect(1)
        .says(&["a: there is another model", "-y", "--name"]);
    assert_eq!(read(&folder, "cache/a/a.pth"), pth(10));
    run.run("models add a.pth --name b").expect(0);
    run.run("models add a.pth -y").expect(0);
    assert_eq!(read(&folder, "cache/a/a.pth"), pth(20));
    assert_eq!(models(&folder), ["a", "b"]);
    assert_eq!(listed(&folder.path().join("cache/.work")), ["a.lock", "b.lock"]);
}

#[cfg(unix)]
#[test]
fn links_take_no_space_and_are_checked() {
    let folder = folder();
    let run = Run::new(&folder);
    write(&folder, "a.pth", &pth(10));
    run.run("models add a.pth --link").expect(0);
    let link = folder.path().join("cache/a/a.pth");
    assert!(link.symlink_metadata().unwrap().is_symlink());
    run.run("models list").expect(0).prints(&["a.pth (linked)"]);
    run.run("models verify a").expect(0);
    write(&folder, "a.pth", &pth(11));
    run.run("models verify a").expect(3);
    // Replacing the link leaves what it points to.
    run.run("models add a.pth -y").expect(0);
    assert!(!link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(read(&folder, "a.pth"), pth(11));
}

#[test]
fn processes_that_add_at_once_leave_whole_models() {
    let folder = folder();
    let run = Run::new(&folder);
    write(&folder, "a.pth", &pth(300_000));
    let children: Vec<_> = (0..6)
        .map(|_| {
            let args = ["models", "add", "a.pth", "-y"];
            run.command(&args).spawn().unwrap()
        })
        .collect();
    for child in children {
        super::outcome(child.wait_with_output().unwrap()).expect(0);
    }
    run.run("models verify").expect(0).prints(&["a: whole"]);
    assert_eq!(listed(&folder.path().join("cache/.work")), ["a.lock"]);
}
