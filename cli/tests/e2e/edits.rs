//! Commands that make files of files, and the one that checks them.

use std::path::Path;

use crate::support::{decoded, encoded, folder, names, read, rgb_frames, run, run_with, tiny, write};

/// Where a chunk of a file lies.
fn place(folder: &tempfile::TempDir, file: &str, chunk: usize) -> std::ops::Range<usize> {
    let info = run(folder, &["info", file, "--chunks", "--json"]).json();
    let number = |what: &str| info["chunk_table"][chunk][what].as_u64().unwrap() as usize;
    number("offset")..number("offset") + number("bytes")
}

/// Flips a bit in the middle of a chunk.
fn damage(folder: &tempfile::TempDir, from: &str, to: &str, chunk: usize) {
    let place = place(folder, from, chunk);
    let mut bytes = read(folder, from);
    bytes[(place.start + place.end) / 2] ^= 0x40;
    write(folder, to, &bytes);
}

#[test]
fn trimmed_files_equal_files_of_fewer_bits() {
    let folder = folder();
    encoded(&folder, "all.lbit", 45, "--group 2 --coder raw");
    encoded(&folder, "few.lbit", 45, "--group 2 --coder raw --bits 4");
    let json = run(
        &folder,
        &["trim", "all.lbit", "-o", "trimmed.lbit", "--bits", "4", "--json"],
    )
    .expect(0)
    .json();
    assert_eq!(json["schema"], "latentbit.trim/1");
    assert_eq!(json["frames"], 45);
    assert_eq!(
        decoded(&folder, "trimmed.lbit", ""),
        decoded(&folder, "few.lbit", "")
    );
    let digest = |file: &str| run(&folder, &["verify", file, "--json"]).expect(0).json()["digests"].clone();
    assert_eq!(digest("trimmed.lbit"), digest("few.lbit"));
    // From pipe to pipe, too.
    let piped = run_with(
        &folder,
        &["trim", "-", "-o", "-", "--bits", "4"],
        read(&folder, "all.lbit"),
    );
    assert_eq!(piped.expect(0).stdout, read(&folder, "trimmed.lbit"));
    run(
        &folder,
        &["trim", "all.lbit", "-o", "trimmed.lbit", "--bits", "4"],
    )
    .expect(1)
    .says(&["exists already", "-y"]);
    run(&folder, &["trim", "all.lbit", "-o", "x.lbit", "--bits", "0"]).expect(2);
}

#[test]
fn a_cut_decodes_to_the_same_frames() {
    let folder = folder();
    encoded(&folder, "a.lbit", 97, "--group 2");
    let all = decoded(&folder, "a.lbit", "");
    // Groups of 29 frames at 25 frames a second: key chunks at 0, 29, 58 and 87.
    let json = run(
        &folder,
        &[
            "cut", "a.lbit", "-o", "c.lbit", "--from", "1.6", "--to", "70f", "--json",
        ],
    )
    .expect(0)
    .says(&["frames 29 to 70", "chunk borders"])
    .json();
    assert_eq!((&json["asked"][0], &json["asked"][1]), (&40.into(), &70.into()));
    assert_eq!((&json["kept"][0], &json["kept"][1]), (&29.into(), &71.into()));
    assert_eq!(decoded(&folder, "c.lbit", ""), all[29..71]);
    run(&folder, &["verify", "c.lbit"]).expect(0);
    run(&folder, &["cut", "a.lbit", "-o", "d.lbit", "--from", "97f"]).expect(2);
    run_with(&folder, &["cut", "-", "-o", "d.lbit"], read(&folder, "a.lbit"))
        .expect(2)
        .says(&["needs a file"]);
    assert_eq!(names(&folder), ["a.lbit", "c.lbit"]);
}

#[test]
fn joined_files_decode_one_after_the_other() {
    let folder = folder();
    encoded(&folder, "a.lbit", 20, "");
    encoded(&folder, "b.lbit", 31, "--bits 5");
    run(&folder, &["concat", "a.lbit", "b.lbit", "a.lbit", "-o", "j.lbit"]).expect(0);
    let (a, b) = (decoded(&folder, "a.lbit", ""), decoded(&folder, "b.lbit", ""));
    assert_eq!(decoded(&folder, "j.lbit", ""), [a.clone(), b, a].concat());
    let info = run(&folder, &["info", "j.lbit", "--json"]).expect(0).json();
    assert_eq!((&info["segments"], &info["frames"]), (&3.into(), &71.into()));
    damage(&folder, "b.lbit", "bad.lbit", 1);
    run(&folder, &["concat", "a.lbit", "bad.lbit", "-o", "k.lbit"])
        .expect(3)
        .says(&["bad.lbit", "chunk 1"]);
    run(&folder, &["concat", "a.lbit", "missing.lbit", "-o", "k.lbit"])
        .expect(1)
        .says(&["missing.lbit"]);
    assert!(!names(&folder).contains(&"k.lbit".to_owned()));
}

#[test]
fn recovered_files_decode_as_damaged_ones_do() {
    let folder = folder();
    encoded(&folder, "a.lbit", 97, "--group 2 --coder raw");
    damage(&folder, "a.lbit", "bad.lbit", 3);
    let json = run(&folder, &["recover", "bad.lbit", "-o", "r.lbit", "--json"])
        .expect(3)
        .says(&["chunk 3", "places are held"])
        .json();
    assert_eq!(
        (&json["recovered_chunks"], &json["lost_chunks"]),
        (&6.into(), &1.into())
    );
    let frames = |file: &str| {
        let args = tiny(&format!("decode {file} -o - --raw rgb24"));
        rgb_frames(&run(&folder, &args).expect(5).stdout)
    };
    assert_eq!(frames("r.lbit"), frames("bad.lbit"));
    run(&folder, &["verify", "r.lbit"]).expect(3).prints(&["lossy"]);
    run(&folder, &["info", "r.lbit"])
        .expect(3)
        .prints(&["recovered: 1 chunks", "1 lost"]);
    run(&folder, &tiny("decode r.lbit -o s.y4m --strict"))
        .expect(3)
        .says(&["lost"]);

    // Cut off: what is whole is kept, and the result is a whole file.
    let bytes = read(&folder, "a.lbit");
    write(&folder, "cut.lbit", &bytes[..bytes.len() / 2]);
    run(&folder, &["recover", "cut.lbit", "-o", "w.lbit"]).expect(4);
    run(&folder, &["verify", "w.lbit"]).expect(0);
    // Without its header: there is a copy at the end.
    let mut bytes = read(&folder, "a.lbit");
    bytes[50] ^= 1;
    write(&folder, "head.lbit", &bytes);
    run(&folder, &tiny("decode head.lbit -o x.y4m"))
        .expect(3)
        .says(&["recover"]);
    run(&folder, &["recover", "head.lbit", "-o", "h.lbit"])
        .expect(3)
        .says(&["copy"]);
    assert_eq!(decoded(&folder, "h.lbit", ""), decoded(&folder, "a.lbit", ""));
}

#[test]
fn a_lost_index_is_made_again() {
    let folder = folder();
    encoded(&folder, "a.lbit", 60, "");
    let bytes = read(&folder, "a.lbit");
    write(&folder, "b.lbit", &bytes[..bytes.len() - 50]);
    run(&folder, &["index", "b.lbit", "-o", "c.lbit"]).expect(0);
    assert_eq!(read(&folder, "c.lbit"), bytes);
    run(&folder, &["index", "b.lbit"]).expect(0);
    assert_eq!(read(&folder, "b.lbit"), bytes);
    run(&folder, &["index", "b.lbit", "-o", "c.lbit"])
        .expect(1)
        .says(&["exists already"]);
    damage(&folder, "a.lbit", "bad.lbit", 1);
    run(&folder, &["index", "bad.lbit"])
        .expect(3)
        .says(&["bad.lbit", "chunk 1"]);
    assert_eq!(names(&folder), ["a.lbit", "b.lbit", "bad.lbit", "c.lbit"]);
}

#[test]
fn verify_tells_files_apart() {
    let folder = folder();
    encoded(&folder, "a.lbit", 60, "");
    damage(&folder, "a.lbit", "bad.lbit", 2);
    let bytes = read(&folder, "a.lbit");
    write(&folder, "cut.lbit", &bytes[..bytes.len() / 2]);
    write(&folder, "text.lbit", b"no stream");
    run(&folder, &["verify", "a.lbit"])
        .expect(0)
        .prints(&["a.lbit: whole, 4 chunks"]);
    run(&folder, &["verify", "cut.lbit"])
        .expect(4)
        .prints(&["truncated"]);
    run(&folder, &["verify", "text.lbit"])
        .expect(3)
        .prints(&["damaged", "magic"]);
    run(&folder, &["verify", "missing.lbit"])
        .expect(1)
        .prints(&["unreadable"]);
    let outcome = run(&folder, &["verify", "a.lbit", "bad.lbit", "cut.lbit", "--json"]).expect(4);
    let text = String::from_utf8(outcome.stdout).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let states: Vec<&str> = lines.iter().map(|line| line["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["whole", "damaged", "truncated"]);
    assert_eq!(lines[1]["problems"][0]["chunk"], 2);
    let piped = run_with(&folder, &["verify", "-"], bytes);
    piped.expect(0).prints(&["whole"]);
}

/// Whatever happens to a process that writes, what it wrote whole can be read.
#[test]
fn a_killed_writer_leaves_whole_chunks() {
    use crate::support::{Y4m, command};
    use std::io::Write;
    use std::process::Stdio;

    let folder = folder();
    let video = Y4m::SMALL.video(400);
    let mut child = command()
        .args(tiny("encode - -o a.lbit --coder raw"))
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // More than the queues hold, less than all.
    stdin.write_all(&video[..video.len() - 1000]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    drop(stdin);
    let left = names(&folder);
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(
        Path::new(&left[0])
            .extension()
            .is_some_and(|extension| extension == "lbit")
    );
    let verified = run(&folder, &["verify", &left[0], "--json"]).expect(4).json();
    assert!(verified["chunks"].as_u64().unwrap() > 3, "{verified}");
    run(&folder, &["recover", &left[0], "-o", "r.lbit"]).expect(4);
    run(&folder, &["verify", "r.lbit"]).expect(0);
}
