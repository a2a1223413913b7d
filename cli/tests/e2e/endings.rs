//! How the command ends: on signals, and beside another one that writes the same name.
#![cfg(unix)]

use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{Y4m, command, expect_nothing_hidden, folder, names, read, run, tiny, write};

/// Signals, and the exit codes that they lead to. A shell has its background jobs ignore SIGINT, and so would a command that
/// is started from these tests.
fn signals() -> Vec<(&'static str, i32)> {
    const SIGINT: u32 = 2;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    match ignored >> (SIGINT - 1) & 1 {
        0 => vec![("-INT", 130), ("-TERM", 143)],
        _ => vec![("-TERM", 143)],
    }
}

/// A command that reads frames from stdin.
fn start(folder: &TempDir, line: &str) -> Child {
    command()
        .args(tiny(line))
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Feeds `bytes`, then `more` again and again, and sends `signal` in between; gives the exit code, stdout and stderr.
fn interrupt(mut child: Child, signal: &str, bytes: &[u8], more: &[u8]) -> (Option<i32>, String, String) {
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(bytes);
    // By now it waits for signals: it has read some of what is more than a pipe holds.
    let pid = child.id().to_string();
    let sent = std::process::Command::new("kill")
        .args([signal, &pid])
        .status()
        .unwrap();
    assert!(sent.success());
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() && started.elapsed() < Duration::from_secs(60) {
        if stdin.write_all(more).is_err() {
            break;
        }
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A clip that is longer than what pipes and queues hold, and one frame of it.
fn frames() -> (Vec<u8>, Vec<u8>) {
    let format = Y4m {
        width: 96,
        height: 96,
        ..Y4m::SMALL
    };
    let (one, two) = (format.video(1), format.video(2));
    (format.video(60), two[one.len()..].to_vec())
}

#[test]
fn an_interrupted_encode_is_finished_well() {
    let (bytes, frame) = frames();
    for (signal, code) in signals() {
        // To a new name.
        let folder = folder();
        let (found, stdout, stderr) = interrupt(
            start(&folder, "encode - -o a.lbit --json"),
            signal,
            &bytes,
            &frame,
        );
        assert_eq!(found, Some(code), "{stderr}");
        let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(
            (&report["interrupted"], &report["output"]),
            (&true.into(), &"a.lbit".into())
        );
        assert!(
            report["frames"].as_u64().unwrap() > 0 && stderr.contains("interrupted"),
            "{stderr}"
        );
        run(&folder, &["verify", "a.lbit"]).expect(0);
        assert_eq!(names(&folder), ["a.lbit"]);

        // An older file stays, and the new one goes beside it.
        write(&folder, "b.lbit", b"old");
        let (found, stdout, _) = interrupt(
            start(&folder, "encode - -o b.lbit -y --json"),
            signal,
            &bytes,
            &frame,
        );
        assert_eq!(found, Some(code));
        assert!(stdout.contains("b.partial.lbit"), "{stdout}");
        assert_eq!(read(&folder, "b.lbit"), b"old");
        run(&folder, &["verify", "b.partial.lbit"]).expect(0);
        assert_eq!(names(&folder), ["a.lbit", "b.lbit", "b.partial.lbit"]);
    }
}

#[test]
fn interrupted_latents_are_finished_well() {
    let (bytes, frame) = frames();
    let folder = folder();
    write(&folder, "a.safetensors", b"old");
    let child = start(&folder, "latents encode - -o a.safetensors -y --json");
    let (signal, code) = signals()[0];
    let (found, stdout, stderr) = interrupt(child, signal, &bytes, &frame);
    assert_eq!(found, Some(code), "{stderr}");
    assert!(stdout.contains("\"interrupted\":true"), "{stdout}");
    assert_eq!(names(&folder), ["a.partial.safetensors", "a.safetensors"]);
    let back = run(&folder, &tiny("latents decode a.partial.safetensors -o b.y4m"));
    back.expect(0);
}

/// On a busy machine a program takes a while until it has begun.
fn wait_until_it_catches_signals(pid: u32) {
    const SIGTERM: u32 = 15;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) {
        let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else {
            return;
        };
        let mut masks = status.lines().filter_map(|line| line.strip_prefix("SigCgt:"));
        let caught = masks
            .next()
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        if caught.is_none_or(|mask| mask >> (SIGTERM - 1) & 1 == 1) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a program writes into `folder`, which may be to a file without a name, or has ended.
fn wait_until_it_writes(child: &mut Child, folder: &TempDir) {
    let begun = names(folder);
    let open = format!("/proc/{}/fd", child.id());
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) {
        let files = std::fs::read_dir(&open).into_iter().flatten().flatten();
        let mut targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        let writes = targets.any(|target| target.starts_with(folder.path())) || names(folder) != begun;
        if writes || child.try_wait().unwrap().is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Commands that do not finish what they have leave nothing behind.
#[test]
fn other_commands_leave_nothing() {
    let (bytes, _) = frames();
    let folder = folder();
    write(&folder, "a.y4m", &bytes);
    run(&folder, &tiny("encode a.y4m -o a.lbit")).expect(0);
    let lbit = read(&folder, "a.lbit");
    let half = &lbit[..lbit.len() / 2];
    for output in ["out.y4m", "out.png", "out-%03d.png"] {
        for (signal, code) in signals() {
            let mut child = start(&folder, &format!("decode - -o {output} -y --frames 100"));
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(half).unwrap();
            stdin.flush().unwrap();
            wait_until_it_catches_signals(child.id());
            wait_until_it_writes(&mut child, &folder);
            let pid = child.id().to_string();
            std::process::Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap();
            let output = child.wait_with_output().unwrap();
            drop(stdin);
            // A picture may have failed by itself, for its second frame.
            assert!(
                matches!(output.status.code(), Some(found) if found == code || found == 2),
                "{output:?}"
            );
        }
        expect_nothing_hidden(&folder);
    }
}

#[test]
fn one_of_several_wins_a_name() {
    let (bytes, _) = frames();
    let folder = folder();
    let mut children: Vec<Child> = (0..3).map(|_| start(&folder, "encode - -o a.lbit")).collect();
    // All of them have begun before one ends.
    for child in &mut children {
        child.stdin.as_mut().unwrap().write_all(&bytes).unwrap();
    }
    let mut codes: Vec<_> = children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() || stderr.contains("-y"), "{stderr}");
            output.status.code().unwrap()
        })
        .collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 1, 1]);
    run(&folder, &["verify", "a.lbit"]).expect(0);
    assert_eq!(names(&folder), ["a.lbit"]);
}

#[test]
fn the_longest_names_and_modes_are_kept() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    write(&folder, "a.y4m", &Y4m::SMALL.video(5));
    let long = "n".repeat(250) + ".lbit";
    run(&folder, &tiny(&format!("encode a.y4m -o {long}"))).expect(0);
    let path = folder.path().join(&long);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o604)).unwrap();
    run(&folder, &tiny(&format!("encode a.y4m -o {long} -y --no-fsync"))).expect(0);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o604);
    let decoded = "n".repeat(251) + ".y4m";
    run(&folder, &tiny(&format!("decode {long} -o {decoded}"))).expect(0);
    assert_eq!(names(&folder).len(), 3);
}
