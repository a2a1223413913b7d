//! `latentbit archive`.

mod checks;
mod forms;
mod kills;
mod lists;
mod reports;
mod trouble;

use std::collections::BTreeMap;
use std::path::Path;

use tempfile::TempDir;

use crate::support::{Outcome, Y4m, folder, run, tiny, write};

/// A folder `clips` with so many different clips of 24x16 pixels, of 1 to 5 frames.
pub fn clips(count: usize) -> TempDir {
    let folder = folder();
    std::fs::create_dir(folder.path().join("clips")).unwrap();
    for number in 0..count {
        write(&folder, &format!("clips/{number:03}.y4m"), &clip(number));
    }
    folder
}

/// A clip that differs from those of other numbers.
pub fn clip(number: usize) -> Vec<u8> {
    let mut video = Y4m::SMALL.video(1 + number % 5);
    let end = video.len();
    // Somewhere in the last frame, so that headers stay.
    for (place, byte) in video[end - 300..].iter_mut().enumerate() {
        *byte = (*byte).wrapping_add((number * (place + 3)) as u8);
    }
    video
}

/// Archives with the tiny bundle.
pub fn archive(folder: &TempDir, line: &str) -> Outcome {
    run(folder, &tiny(&format!("archive {line} --quiet")))
}

/// The files of an archive that runs must agree about: all but what tells of runs.
pub fn contents(folder: &TempDir, name: &str) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder.path().join(name)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_file() && !name.starts_with("report.") {
            found.insert(name, std::fs::read(&path).unwrap());
        }
    }
    found
}

/// The names among them.
pub fn names(folder: &TempDir, name: &str) -> Vec<String> {
    contents(folder, name).into_keys().collect()
}

/// The rows of an archive, as its journal has them.
pub fn rows(folder: &TempDir, name: &str) -> Vec<serde_json::Value> {
    let path = folder.path().join(name).join(".archive/1-of-1/journal.jsonl");
    rows_of(&path)
}

pub fn rows_of(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let entries = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    entries
        .map(|mut entry| entry["entry"]["row"].take())
        .filter(|row| !row.is_null())
        .collect()
}

/// What became of each clip: "done", "duplicate", "skipped" or "failed".
pub fn outcomes(rows: &[serde_json::Value]) -> Vec<String> {
    rows.iter()
        .map(|row| row["outcome"].as_object().unwrap().keys().next().unwrap().clone())
        .collect()
}

pub fn check(folder: &TempDir, name: &str) -> Outcome {
    run(folder, &["archive", "--check", name, "--json"])
}
