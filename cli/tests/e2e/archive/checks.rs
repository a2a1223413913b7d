//! `archive --check` finds what is wrong.

use tempfile::TempDir;

use super::{archive, check, clips, contents, names};
use crate::support::{read, write};

/// Fails unless the check ends with code 3 and tells of all `parts`.
#[track_caller]
fn finds(folder: &TempDir, parts: &[&str]) {
    let report = check(folder, "out").expect(3).json();
    let problems = report["problems"].to_string();
    for part in parts {
        assert!(problems.contains(part), "{part:?} is not in {problems}");
    }
}

fn flip(folder: &TempDir, name: &str, place: usize) {
    let mut bytes = read(folder, name);
    bytes[place] ^= 1;
    write(folder, name, &bytes);
}

#[test]
fn any_byte_of_a_shard() {
    let folder = clips(2);
    archive(&folder, "clips -o out --format webdataset --tokens npy").expect(0);
    let shard = "out/shard-000000.tar";
    let good = read(&folder, shard);
    // Padding and the zeros at the end mean nothing.
    let mut members = Vec::new();
    for member in tar::Archive::new(&good[..]).entries().unwrap() {
        let member = member.unwrap();
        members.push((member.raw_file_position() as usize, member.size() as usize));
    }
    for &(start, len) in &members {
        for place in [start - 512, start, start + len / 2, start + len - 1] {
            flip(&folder, shard, place);
            finds(&folder, &["shard-000000.tar"]);
            write(&folder, shard, &good);
        }
    }
    write(&folder, shard, &good[..good.len() - 512]);
    finds(&folder, &["its members end at"]);
    write(&folder, shard, &good);
    check(&folder, "out").expect(0);
    std::fs::remove_file(folder.path().join(shard)).unwrap();
    finds(&folder, &["no such file"]);
}

#[test]
fn files_that_are_damaged_missing_or_strange() {
    let folder = clips(3);
    archive(&folder, "clips -o out").expect(0);
    let all = names(&folder, "out");
    let first = format!("out/{}", all[0]);
    let good = read(&folder, &first);
    for place in 0..good.len() {
        if place % 7 == 0 {
            flip(&folder, &first, place);
            finds(&folder, &[&all[0], "SHA-256"]);
            write(&folder, &first, &good);
        }
    }
    std::fs::remove_file(folder.path().join(&first)).unwrap();
    finds(&folder, &[&all[0], "no such file"]);
    write(&folder, &first, &good);
    write(&folder, "out/stranger.lbit", &good);
    finds(&folder, &["stranger.lbit", "no row"]);
    std::fs::remove_file(folder.path().join("out/stranger.lbit")).unwrap();
    // Two clips in each other's place.
    let second = format!("out/{}", all[1]);
    let other = read(&folder, &second);
    write(&folder, &first, &other);
    write(&folder, &second, &good);
    finds(&folder, &[&all[0], &all[1]]);
}

#[test]
fn a_manifest_of_another_archive() {
    let folder = clips(3);
    write(
        &folder,
        "list.csv",
        b"path,label\nclips/000.y4m,cat\nclips/001.y4m,dog\nclips/002.y4m,cat\n",
    );
    write(
        &folder,
        "other.csv",
        b"path,label\nclips/000.y4m,cat\nclips/001.y4m,cat\nclips/002.y4m,cat\n",
    );
    for form in ["lbit", "webdataset"] {
        archive(&folder, &format!("list.csv -o out --format {form}")).expect(0);
        archive(&folder, &format!("other.csv -o other --format {form}")).expect(0);
        let good = read(&folder, "out/manifest.parquet");
        write(
            &folder,
            "out/manifest.parquet",
            &read(&folder, "other/manifest.parquet"),
        );
        finds(&folder, &["row 1", "label", "dog"]);
        // Shards tell of it without the journal; files of their own have no labels in them.
        let state = folder.path().join("out/.archive");
        std::fs::remove_dir_all(&state).unwrap();
        if form == "webdataset" {
            finds(&folder, &["JSON has label", "dog"]);
        }
        write(&folder, "out/manifest.parquet", &good);
        check(&folder, "out").expect(0);
        write(&folder, "out/manifest.parquet", &good[..good.len() - 9]);
        let broken = check(&folder, "out");
        broken.expect(3).says(&["manifest.parquet"]);
        for name in ["out", "other"] {
            std::fs::remove_dir_all(folder.path().join(name)).unwrap();
        }
    }
    assert!(contents(&folder, "clips").len() == 3);
}
