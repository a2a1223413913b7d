//! A stdout that cannot be written: every command that prints or streams there says so and fails.
#![cfg(target_os = "linux")]

use std::fs::{File, OpenOptions};
use std::process::{Command, Stdio};

use crate::latents::vae;
use crate::predict::predict;
use crate::support::{Y4m, command, encoded, expect_nothing_hidden, folder, run, tiny, write};

/// What may be wrong with a stdout, and what of it is told.
const WAYS: [(&str, &str); 4] = [
    ("full", "the disk is full"),
    ("gone", "closed it before all was written"),
    ("closed", "it is closed"),
    ("read only", "reading only"),
];

/// A run of `args` whose stdout is as `way` says: its exit code and stderr.
fn with_stdout(way: &str, folder: &tempfile::TempDir, args: &[String]) -> (Option<i32>, String) {
    let mut run = match way {
        "closed" => {
            let mut shell = Command::new("sh");
            shell.args(["-c", "exec \"$0\" \"$@\" >&-", env!("CARGO_BIN_EXE_latentbit")]);
            shell
        }
        _ => command(),
    };
    let stdout = match way {
        "full" => Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap()),
        // The other end is dropped at once.
        "gone" => Stdio::from(std::io::pipe().unwrap().1),
        "read only" => Stdio::from(File::open("/dev/null").unwrap()),
        _ => Stdio::null(),
    };
    let output = run
        .args(args)
        .env_remove("LATENTBIT_LOG")
        .env("RUST_BACKTRACE", "0")
        .env("LATENTBIT_MODELS", folder.path().join("models"))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr)
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// A folder with something of every kind that commands read.
fn prepared() -> tempfile::TempDir {
    let folder = folder();
    write(&folder, "a.y4m", &Y4m::SMALL.video(20));
    encoded(&folder, "a.lbit", 20, "--group 1");
    run(&folder, &["tokens", "export", "a.lbit", "-o", "t.npy"]).expect(0);
    run(&folder, &vae("latents encode a.y4m -o l.safetensors")).expect(0);
    run(&folder, &tiny("archive a.y4m -o archive -q")).expect(0);
    folder
}

fn runs() -> Vec<Vec<String>> {
    let plain = [
        "--help",
        "--version",
        "encode --help",
        "info a.lbit",
        "info a.lbit --json",
        "info a.lbit --json --chunks",
        "info --device cpu",
        "info --device cpu --json",
        "verify a.lbit",
        "verify a.lbit --json",
        "recover a.lbit -o -",
        "recover a.lbit -o x.lbit -y --json",
        "index a.lbit -o -",
        "trim a.lbit --bits 5 -o -",
        "trim a.lbit --bits 5 -o x.lbit -y --json",
        "cut a.lbit --from 13f -o -",
        "cut a.lbit --from 13f -o x.lbit -y --json",
        "concat a.lbit a.lbit -o -",
        "concat a.lbit a.lbit -o x.lbit -y --json",
        "degrade a.lbit --drop 0 -o -",
        "degrade a.lbit --drop 0 -o x.lbit -y --json",
        "tokens export a.lbit -o x.npy -y --json",
        "tokens import t.npy -o -",
        "tokens import t.npy -o x.lbit -y --json",
        "latents compare l.safetensors l.safetensors",
        "latents compare l.safetensors l.safetensors --json",
        "archive --check archive",
        "archive --check archive --json",
        "models list",
        "models list --json",
    ];
    let with_model = [
        "encode a.y4m -o -",
        "encode a.y4m -o x.lbit -y --json",
        "decode a.lbit -o -",
        "decode a.lbit -o - --raw rgb24",
        "decode a.lbit -o x.y4m -y --json",
        "decode a.lbit -o x.y4m -y --loss-report -",
        "trim a.lbit --bpp 0.1 -o -",
        "trim a.lbit --size 1kB -o -",
        "eval a.y4m a.lbit",
        "eval a.y4m a.lbit --json",
        "archive a.y4m -o archive --json",
    ];
    let with_vae = [
        "latents encode a.y4m -o -",
        "latents encode a.y4m -o x.safetensors -y --json",
        "latents decode l.safetensors -o -",
        "latents decode l.safetensors -o x.y4m -y --json",
    ];
    let predicted = [
        "generate --frames 13 --size 24x16 --steps 2 -o -",
        "generate --frames 13 --size 24x16 --steps 2 -o x.lbit -y --json",
        "inpaint a.lbit --from 0f --to 1f --steps 2 -o -",
        "score a.lbit",
        "score a.lbit --json",
    ];
    let plain = plain.iter().map(|line| words(line));
    let with_model = with_model.iter().map(|line| tiny(line));
    let with_vae = with_vae.iter().map(|line| vae(line));
    let predicted = predicted.iter().map(|line| predict(line));
    plain.chain(with_model).chain(with_vae).chain(predicted).collect()
}

#[test]
fn a_stdout_that_cannot_be_written_is_an_error() {
    let folder = prepared();
    for args in runs() {
        for (way, told) in WAYS {
            let (code, stderr) = with_stdout(way, &folder, &args);
            let line = args.join(" ");
            assert_eq!(code, Some(1), "{line}, {way}: {stderr}");
            assert!(
                stderr.contains("stdout: ") && stderr.contains(told),
                "{line}, {way}: {stderr}"
            );
            assert!(!stderr.contains("panicked"), "{line}, {way}: {stderr}");
        }
    }
    expect_nothing_hidden(&folder);
}

/// Data that is there without an end was written, but nobody may hold it for complete.
#[test]
fn a_reader_that_goes_midway_is_an_error() {
    let folder = folder();
    // More than a pipe holds.
    encoded(&folder, "a.lbit", 200, "");
    write(&folder, "a.y4m", &Y4m::SMALL.video(2000));
    for line in [
        "decode a.lbit -o -",
        "decode a.lbit -o - --raw rgb24",
        "encode a.y4m -o - --group 1 --coder raw",
    ] {
        let mut child = command()
            .args(tiny(line))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        std::io::Read::read_exact(&mut stdout, &mut [0; 8]).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {stderr}");
        assert!(
            stderr.contains("stdout") && stderr.contains("closed it"),
            "{line}: {stderr}"
        );
    }
}

/// Messages that cannot be told change nothing, and are no panic.
#[test]
fn a_full_stderr_changes_no_exit_code() {
    let folder = folder();
    encoded(&folder, "a.lbit", 20, "--group 1");
    for (line, code) in [
        ("cut a.lbit --from 13f -o c.lbit", 0),
        ("cut missing.lbit -o d.lbit", 1),
        ("cut a.lbit", 2),
        ("archive --check nothing", 1),
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let status = command()
            .args(words(line))
            .current_dir(folder.path())
            .stderr(Stdio::from(full))
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{line}");
    }
}
