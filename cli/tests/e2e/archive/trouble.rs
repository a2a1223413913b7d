//! Clips that cannot be made, and runs that cannot go on.

use std::process::Stdio;

use super::{archive, check, clip, clips, contents, outcomes, rows};
use crate::support::{Y4m, command, read, run, tiny, write};

#[test]
fn bad_clips_are_listed_and_do_not_stop_a_run() {
    let folder = clips(4);
    write(&folder, "clips/001.y4m", b"no video");
    write(&folder, "clips/002.y4m", b"");
    let cut = Y4m::SMALL.video(5);
    write(&folder, "clips/003.y4m", &cut[..cut.len() - 10]);
    write(
        &folder,
        "list.txt",
        b"clips/000.y4m\nclips/001.y4m\nclips/002.y4m\nclips/003.y4m\nclips/none.y4m\nclips\n",
    );
    archive(&folder, "list.txt -o out")
        .expect(3)
        .says(&["clips/001.y4m"]);
    let rows = rows(&folder, "out");
    assert_eq!(
        outcomes(&rows),
        ["done", "failed", "failed", "failed", "failed", "failed"]
    );
    for (row, part) in rows[1..].iter().zip([
        "y4m header",
        "empty",
        "4 complete frames",
        "no such file",
        "no file",
    ]) {
        let reason = row["outcome"]["failed"].as_str().unwrap();
        assert!(reason.contains(part), "{reason}");
    }
    check(&folder, "out").expect(0);
    let html = String::from_utf8(read(&folder, "out/report.html")).unwrap();
    assert!(html.contains("clips/none.y4m"));
}

#[test]
fn too_many_errors_stop_a_run_and_more_let_it_go_on() {
    let folder = clips(10);
    for number in [2, 4, 6] {
        write(&folder, &format!("clips/{number:03}.y4m"), b"no video");
    }
    archive(&folder, "clips -o out --max-errors 1")
        .expect(1)
        .says(&["--max-errors"]);
    let stopped = rows(&folder, "out").len();
    assert!((5..10).contains(&stopped), "{stopped}");
    archive(&folder, "clips -o out --max-errors 3").expect(3);
    archive(&folder, "clips -o whole").expect(3);
    assert!(contents(&folder, "out") == contents(&folder, "whole"));
}

#[test]
fn the_same_contents_are_archived_once() {
    let folder = clips(4);
    write(&folder, "clips/002.y4m", &clip(0));
    write(&folder, "clips/003.y4m", &clip(0));
    archive(&folder, "clips -o out --format webdataset").expect(0);
    let rows = rows(&folder, "out");
    assert_eq!(outcomes(&rows), ["done", "done", "duplicate", "duplicate"]);
    assert_eq!(rows[3]["outcome"]["duplicate"], rows[0]["key"]);
    assert_eq!(check(&folder, "out").expect(0).json()["clips"], 2);
}

#[test]
fn filters_leave_clips_out() {
    let folder = clips(5);
    let small = Y4m {
        width: 8,
        ..Y4m::SMALL
    };
    write(&folder, "clips/004.y4m", &small.video(9));
    archive(&folder, "clips -o out --min-frames 3 --min-size 10").expect(0);
    let rows = rows(&folder, "out");
    assert_eq!(outcomes(&rows), ["skipped", "skipped", "done", "done", "skipped"]);
    assert!(rows[4]["outcome"]["skipped"].as_str().unwrap().contains("8x16"));
    check(&folder, "out").expect(0);
}

#[test]
fn other_options_and_other_lists_are_refused() {
    let folder = clips(3);
    archive(&folder, "clips -o out").expect(0);
    let before = contents(&folder, "out");
    archive(&folder, "clips -o out --bits 4")
        .expect(2)
        .says(&["another --bits"]);
    archive(&folder, "clips -o out --scale 8")
        .expect(2)
        .says(&["another --scale"]);
    archive(&folder, "clips/000.y4m -o out")
        .expect(2)
        .says(&["another list", "3 clips"]);
    archive(&folder, "clips -o clips").expect(2).says(&["no archive"]);
    archive(&folder, "clips -o out --workers 3 --threads 2").expect(0);
    assert!(contents(&folder, "out") == before);
}

#[test]
fn rates_that_contradict_themselves_are_refused_before_anything_is_made() {
    let folder = clips(1);
    for (options, word) in [
        ("--effort 2", "--effort"),
        ("--bufsize 100k", "--bufsize"),
        ("--crf 20 --bits 4", "--bits"),
        ("--crf 20 --psnr 30", "--psnr"),
        ("--size 5M", "--size"),
    ] {
        archive(&folder, &format!("clips -o out {options}"))
            .expect(2)
            .says(&[word]);
        assert!(!folder.path().join("out").exists(), "{options}");
    }
}

#[test]
fn clips_that_miss_a_psnr_are_named() {
    let folder = clips(2);
    run(&folder, &tiny("archive clips -o out --psnr 60"))
        .expect(0)
        .says(&["clips/000.y4m", "clips/001.y4m", "do not reach 60 dB"]);
}

#[test]
fn what_is_lost_between_runs_is_made_again() {
    let folder = clips(6);
    for form in ["lbit", "webdataset --shard-clips 2"] {
        archive(&folder, &format!("clips -o out --format {form}")).expect(0);
        let before = contents(&folder, "out");
        let lost = before.keys().nth(if form == "lbit" { 3 } else { 2 }).unwrap();
        std::fs::remove_file(folder.path().join("out").join(lost)).unwrap();
        run(&folder, &tiny(&format!("archive clips -o out --format {form}")))
            .expect(0)
            .says(&["made again"]);
        assert!(contents(&folder, "out") == before, "{form}");
        // A journal whose end is damaged counts up to there.
        let journal = "out/.archive/1-of-1/journal.jsonl";
        let mut bytes = read(&folder, journal);
        let end = bytes.len();
        bytes[end - 500] ^= 1;
        write(&folder, journal, &bytes);
        archive(&folder, &format!("clips -o out --format {form}")).expect(0);
        assert!(contents(&folder, "out") == before, "{form}");
        check(&folder, "out").expect(0);
        std::fs::remove_dir_all(folder.path().join("out")).unwrap();
    }
}

/// The system refuses to write more into a file than a limit, as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_takes_no_more_stops_a_run_cleanly() {
    let folder = clips(12);
    let line = "clips -o out --format webdataset --tokens npy";
    let args = tiny(&format!("archive {line} --quiet"));
    let script = "trap '' XFSZ; ulimit -f 12; exec \"$0\" \"$@\"";
    let output = std::process::Command::new("bash")
        .args(["-c", script])
        .arg(command().get_program())
        .args(&args)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot write"), "{stderr}");
    let made = outcomes(&rows(&folder, "out"));
    assert!(
        !made.is_empty() && made.len() < 12 && made.iter().all(|made| made == "done"),
        "{made:?}"
    );
    archive(&folder, line).expect(0);
    archive(&folder, "clips -o whole --format webdataset --tokens npy").expect(0);
    assert!(contents(&folder, "out") == contents(&folder, "whole"));
    check(&folder, "out").expect(0);
}
