//! What released versions wrote (`testdata/releases/`), read by today's command: nothing of it may ever be lost to a user.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::{folder, run, testdata};

/// How far means of 16x16 pixels may be from those that the release had, of 255: machines round differently.
const TOLERANCE: u8 = 1;

/// A folder of `testdata/releases/`, with its manifest.
fn releases() -> Vec<(PathBuf, Value)> {
    let folders = fs::read_dir(testdata("releases")).unwrap();
    let folders = folders
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir());
    let with_manifest = folders.map(|folder| {
        let manifest = fs::read(folder.join("release.json")).unwrap();
        (folder, serde_json::from_slice(&manifest).unwrap())
    });
    with_manifest.collect()
}

fn sha256(path: &Path) -> String {
    let digest = Sha256::digest(fs::read(path).unwrap());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As `scripts/release/corpus.py` has them.
fn means(picture: &[u8], width: usize) -> Vec<u8> {
    let height = picture.len() / (3 * width);
    let mut means = Vec::new();
    for y in 0..height / 16 {
        for x in 0..width / 16 {
            for channel in 0..3 {
                let at = |i: usize| ((y * 16 + i / 16) * width + x * 16 + i % 16) * 3 + channel;
                let sum: usize = (0..256).map(|i| usize::from(picture[at(i)])).sum();
                means.push((sum as f64 / 256.0).round() as u8);
            }
        }
    }
    means
}

#[test]
fn files_of_releases_never_change() {
    let mut count = 0;
    for (folder, manifest) in releases() {
        let digest = |name: &str| Value::from(sha256(&folder.join(name)));
        assert_eq!(manifest["model"], digest("model.safetensors"));
        for (name, file) in manifest["files"].as_object().unwrap() {
            assert_eq!(file["sha256"], digest(&format!("{name}.lbit")), "{name}");
        }
        for (name, expected) in manifest["others"].as_object().unwrap() {
            assert_eq!(*expected, digest(name), "{name}");
            count += 1;
        }
        let entries = fs::read_dir(&folder).unwrap();
        let stray = entries.map(|entry| entry.unwrap().path()).find(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let described = !manifest["files"][stem].is_null() || !manifest["others"][name].is_null();
            !described && !["release.json", "model.safetensors"].contains(&name)
        });
        assert_eq!(stray, None);
    }
    assert!(count > 0);
}

#[test]
fn files_of_releases_verify_and_decode() {
    for (place, manifest) in releases() {
        let model = place.join("model.safetensors").display().to_string();
        for (name, expected) in manifest["files"].as_object().unwrap() {
            let temp = folder();
            let file = place.join(format!("{name}.lbit")).display().to_string();
            let code = |key: &str| expected[key].as_i64().unwrap() as i32;
            let report = run(&temp, &["verify", "--json", &file])
                .expect(code("verify"))
                .json();
            assert_eq!(report["state"], expected["state"], "{name}");
            assert_eq!(report["digests"], expected["digests"], "{name}");

            let info = run(&temp, &["info", "--json", &file]).json();
            let size = |key: &str| info[key].as_u64().unwrap() as usize;
            let (width, height) = (size("width"), size("height"));
            let line = "--raw rgb24 --conceal freeze --allow-conceal --dtype f32 --device cpu -o -";
            let mut args = vec!["decode", &file, "--model", &model];
            args.extend(line.split(' '));
            let decoded = run(&temp, &args).expect(code("decode"));
            let frames: Vec<&[u8]> = decoded.stdout.chunks(width * height * 3).collect();
            assert_eq!(expected["frames"], frames.len(), "{name}");
            for (frame, hex) in expected["means"].as_object().unwrap() {
                let found = means(frames[frame.parse::<usize>().unwrap()], width);
                let hex = hex.as_str().unwrap();
                assert_eq!(hex.len(), 2 * found.len());
                for (i, found) in found.iter().enumerate() {
                    let mean = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
                    assert!(
                        mean.abs_diff(*found) <= TOLERANCE,
                        "{name}, frame {frame}, mean {i}: {found}, and it was {mean}"
                    );
                }
            }
        }
    }
}

#[test]
fn arrays_and_shards_of_releases_are_read() {
    for (place, manifest) in releases() {
        let temp = folder();
        let at = |name: &str| place.join(name).display().to_string();
        run(&temp, &["tokens", "import", &at("tokens.npy"), "-o", "back.lbit"]).expect(0);
        let digests = |file: &str| {
            let report = run(&temp, &["verify", "--json", file]).expect(0).json();
            report["digests"].clone()
        };
        assert_eq!(digests("back.lbit"), manifest["files"]["elastic"]["digests"]);
        // The clips of a shard are whole files.
        let status = std::process::Command::new("tar")
            .args(["-xf", &at("shard-000000.tar")])
            .current_dir(temp.path())
            .status()
            .unwrap();
        assert!(status.success());
        let mut clips = 0;
        for entry in fs::read_dir(temp.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".lbit") && name != "back.lbit" {
                assert_eq!(digests(&name).as_array().unwrap().len(), 1, "{name}");
                clips += 1;
            }
        }
        assert_eq!(clips, 2);
    }
}
