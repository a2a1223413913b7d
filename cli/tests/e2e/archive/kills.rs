//! Runs that are killed at any moment, and go on.

use std::process::Stdio;
use std::time::Duration;

use super::{archive, check, clips, contents, rows};
use crate::support::{command, tiny, write};

/// Moments that are different in each run of the tests, and yet can be told from the seed that a failure prints.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        // Knuth's multiplier for a linear congruence of 64 bits.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % below.max(1)
    }
}

/// How many kills each form has to bear.
fn kills() -> u64 {
    let asked = std::env::var("LATENTBIT_KILLS").ok();
    asked.map_or(4, |kills| kills.parse().expect("LATENTBIT_KILLS is a number"))
}

#[test]
fn a_run_that_is_killed_goes_on_with_the_same_result() {
    let kills = kills();
    let seed = std::process::id().into();
    let mut random = Random(seed);
    let folder = clips(60);
    write(&folder, "clips/011.y4m", b"no video");
    write(&folder, "clips/040.y4m", &super::clip(3));
    for form in [
        "lbit --quality-sample 7",
        "webdataset --shard-clips 7 --tokens npy",
    ] {
        let line = format!("clips -o whole --format {form}");
        let started = std::time::Instant::now();
        archive(&folder, &line).expect(3);
        let whole = started.elapsed();
        let (mut killed, mut ended) = (0, 0);
        while killed < kills {
            let args = tiny(&format!(
                "archive clips -o out --format {form} --workers 3 --quiet"
            ));
            let mut child = command()
                .args(&args)
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            // Killed early, so that many runs are needed for the whole list.
            let most = whole.as_micros() as u64 * 4 / (kills + 2);
            std::thread::sleep(Duration::from_micros(random.next(most)));
            child.kill().unwrap();
            match child.wait().unwrap().code() {
                None => killed += 1,
                // It was done before; the next one begins anew.
                Some(code) => {
                    assert_eq!(code, 3, "seed {seed}");
                    compare(&folder, form, seed);
                    std::fs::remove_dir_all(folder.path().join("out")).unwrap();
                    ended += 1;
                    assert!(ended < 10 * kills + 10, "it is too fast to be killed");
                }
            }
        }
        archive(&folder, &format!("clips -o out --format {form}")).expect(3);
        compare(&folder, form, seed);
        check(&folder, "out").expect(0);
        println!("{form}: {killed} kills, {ended} whole runs between them");
        for name in ["out", "whole"] {
            std::fs::remove_dir_all(folder.path().join(name)).unwrap();
        }
    }
}

fn compare(folder: &tempfile::TempDir, form: &str, seed: u64) {
    assert_eq!(rows(folder, "out"), rows(folder, "whole"), "{form}, seed {seed}");
    assert!(
        contents(folder, "out") == contents(folder, "whole"),
        "{form}, seed {seed}"
    );
}

/// Ctrl-C ends a run well, and the next one goes on.
#[cfg(unix)]
#[test]
fn an_interrupted_run_goes_on() {
    let folder = clips(60);
    let child = command()
        .args(tiny("archive clips -o out --workers 2 --quiet"))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // As soon as there is something to lose.
    while !folder.path().join("out/.archive/1-of-1/journal.jsonl").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let status = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    let output = child.wait_with_output().unwrap();
    // It may have been done already, or not listen yet.
    if let Some(130) = output.status.code()
        && !output.stderr.is_empty()
    {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("goes on from there"), "{stderr}");
    }
    archive(&folder, "clips -o out").expect(0);
    archive(&folder, "clips -o whole").expect(0);
    compare(&folder, "lbit", 0);
}

/// Two runs must not write to one archive.
#[test]
fn another_run_is_kept_out() {
    let folder = clips(1);
    archive(&folder, "clips -o out").expect(0);
    let lock = std::fs::File::open(folder.path().join("out/.archive/1-of-1/lock")).unwrap();
    lock.lock().unwrap();
    archive(&folder, "clips -o out").expect(1).says(&["another run"]);
    lock.unlock().unwrap();
    archive(&folder, "clips -o out").expect(0);
}
