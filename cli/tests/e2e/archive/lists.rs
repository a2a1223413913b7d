//! What can be archived.

use super::{archive, clips, outcomes, rows};
use crate::support::{run_with, tiny, write};

fn sources(rows: &[serde_json::Value]) -> Vec<&str> {
    rows.iter().map(|row| row["source"].as_str().unwrap()).collect()
}

#[test]
fn files_folders_patterns_and_lists() {
    let folder = clips(3);
    write(&folder, "clips/notes.md", b"not a clip");
    write(&folder, "list.txt", b"# two\nclips/002.y4m\n\nclips/000.y4m\n");
    write(
        &folder,
        "list.jsonl",
        b"{\"file_name\": \"clips/001.y4m\", \"text\": \"one\"}\n",
    );
    write(&folder, "list.tsv", b"path\tlabel\nclips/002.y4m\t7\n");
    let all = ["clips/000.y4m", "clips/001.y4m", "clips/002.y4m"];
    for (line, expected) in [
        ("clips/001.y4m", &all[1..2]),
        ("clips", &all[..]),
        ("clips/00[01].y4m", &all[..2]),
        ("**/*2.y4m", &all[2..]),
        ("list.txt", &["clips/002.y4m", "clips/000.y4m"]),
        ("list.jsonl", &all[1..2]),
        ("list.tsv", &all[2..]),
        (
            "clips/002.y4m list.txt clips",
            &["clips/002.y4m", "clips/000.y4m", "clips/001.y4m"],
        ),
    ] {
        archive(&folder, &format!("{line} -o out")).expect(0);
        assert_eq!(sources(&rows(&folder, "out")), expected, "{line}");
        std::fs::remove_dir_all(folder.path().join("out")).unwrap();
    }
    let line = tiny("archive - -o out --quiet");
    run_with(
        &folder,
        &line,
        b"clips/001.y4m\n{\"path\": \"clips/000.y4m\", \"caption\": \"x\"}\n".to_vec(),
    )
    .expect(0);
    let rows = rows(&folder, "out");
    assert_eq!(sources(&rows), ["clips/001.y4m", "clips/000.y4m"]);
    assert_eq!(rows[1]["caption"], "x");
}

#[test]
fn a_manifest_is_a_list() {
    let folder = clips(2);
    archive(&folder, "clips -o out").expect(0);
    archive(&folder, "out/manifest.parquet -o again").expect(3);
    // Paths count from where a list is, so they lead nowhere here; that they were read is what counts.
    let again = rows(&folder, "again");
    assert_eq!(sources(&again), ["out/clips/000.y4m", "out/clips/001.y4m"]);
    assert_eq!(outcomes(&again), ["failed"; 2]);
}

#[test]
fn ranges_and_ids() {
    let folder = clips(0);
    write(&folder, "clips/long.y4m", &crate::support::Y4m::SMALL.video(50));
    write(
        &folder,
        "list.csv",
        b"id,start,end\nlong,,\nlong,0.4,1\nlong,1.6,\n",
    );
    archive(&folder, "list.csv -o out")
        .expect(3)
        .says(&["line 2", "--id-path"]);
    archive(&folder, "list.csv -o out --id-path clips/{id}.y4m").expect(0);
    let rows = rows(&folder, "out");
    let frames: Vec<_> = rows
        .iter()
        .map(|row| row["outcome"]["done"]["frames"].as_u64().unwrap())
        .collect();
    assert_eq!(frames, [50, 15, 10]);
}

#[test]
fn sources_that_make_no_sense() {
    let folder = clips(1);
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    write(&folder, "bad.jsonl", b"{\"path\": 1\n");
    write(&folder, "bad.parquet", b"PAR1");
    write(&folder, "bad.csv", b"path,start\nclips/000.y4m,soon\n");
    for (line, code, part) in [
        ("missing.mp4", 1, "missing.mp4"),
        ("empty", 2, "no clip"),
        ("*.mkv", 2, "no clip"),
        ("bad.jsonl", 3, "line 1"),
        ("bad.parquet", 3, "Parquet"),
        ("bad.csv", 3, "line 2"),
    ] {
        archive(&folder, &format!("{line} -o out"))
            .expect(code)
            .says(&[part]);
    }
    assert!(!folder.path().join("out").exists());
}
