//! Existing outputs, full disks, closed pipes.

use std::io::Read;
use std::process::Stdio;

use crate::support::{Y4m, command, decoded, encoded, folder, names, read, run, run_with, tiny, write};

#[test]
fn existing_outputs_are_safe() {
    let folder = folder();
    write(&folder, "a.y4m", &Y4m::SMALL.video(3));
    for (line, name) in [
        ("encode a.y4m -o out.lbit", "out.lbit"),
        ("decode in.lbit -o out.y4m", "out.y4m"),
    ] {
        encoded(&folder, "in.lbit", 2, "-y");
        write(&folder, name, b"precious");
        run(&folder, &tiny(line)).expect(1).says(&[name, "-y", "-n"]);
        assert_eq!(read(&folder, name), b"precious");
        run(&folder, &tiny(&format!("{line} -n")))
            .expect(0)
            .says(&[name, "left as it is"]);
        assert_eq!(read(&folder, name), b"precious");
        run(&folder, &tiny(&format!("{line} -y"))).expect(0);
        assert_ne!(read(&folder, name), b"precious");
    }
}

#[test]
fn a_run_that_fails_leaves_the_old_output() {
    let folder = folder();
    write(&folder, "out.lbit", b"precious");
    run_with(&folder, &tiny("encode - -o out.lbit -y"), b"garbage".to_vec()).expect(3);
    assert_eq!(read(&folder, "out.lbit"), b"precious");
    assert_eq!(names(&folder), ["out.lbit"]);
    run_with(
        &folder,
        &tiny("encode - -o no/such/folder.lbit"),
        Y4m::SMALL.video(1),
    )
    .expect(1)
    .says(&["no/such/folder.lbit"]);
}

/// Every write to this device fails as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let folder = folder();
    encoded(&folder, "a.lbit", 30, "");
    run_with(&folder, &tiny("encode - -o /dev/full"), Y4m::SMALL.video(30))
        .expect(1)
        .says(&["/dev/full", "disk is full"]);
    run(&folder, &tiny("decode a.lbit -o /dev/full --raw rgb24"))
        .expect(1)
        .says(&["/dev/full", "disk is full"]);
}

/// Runs a command whose stdout is closed after a few bytes.
fn with_closed_stdout(folder: &tempfile::TempDir, args: &[String]) -> (Option<i32>, String) {
    let mut child = command()
        .args(args)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 8]).unwrap();
    drop(stdout);
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    (child.wait().unwrap().code(), stderr)
}

#[test]
fn a_closed_pipe_ends_decoding_quietly() {
    let folder = folder();
    // More than a pipe holds.
    encoded(&folder, "a.lbit", 200, "");
    let (code, stderr) = with_closed_stdout(&folder, &tiny("decode a.lbit -o -"));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_closed_pipe_is_an_error_when_encoding() {
    let folder = folder();
    write(&folder, "a.y4m", &Y4m::SMALL.video(2000));
    let (code, stderr) = with_closed_stdout(&folder, &tiny("encode a.y4m -o - --group 1 --coder raw"));
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("closed it"), "{stderr}");
}

#[test]
fn quiet_says_errors_only() {
    let folder = folder();
    encoded(&folder, "a.lbit", 2, "");
    write(&folder, "b.y4m", b"old");
    assert_eq!(
        run(&folder, &tiny("decode a.lbit -o b.y4m -n -q"))
            .expect(0)
            .stderr,
        ""
    );
    run(&folder, &tiny("decode a.lbit -o b.y4m -q"))
        .expect(1)
        .says(&["b.y4m"]);
    run(&folder, &tiny("decode a.lbit -o b.y4m -y -v"))
        .expect(0)
        .says(&["bundle"]);
}

#[test]
fn input_and_output_may_be_one_file() {
    let folder = folder();
    write(&folder, "a", &Y4m::SMALL.video(5));
    run(&folder, &tiny("encode a -o a -y")).expect(0);
    assert_eq!(decoded(&folder, "a", "").len(), 5);
}
