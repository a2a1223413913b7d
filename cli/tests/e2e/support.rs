//! Runs the command, and makes what it reads.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Strides 4x4x4, patches 2x2x2, 10 bits; random weights.
pub fn tiny_bundle() -> PathBuf {
    testdata("golden/storage-int8.safetensors")
}

pub fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../testdata")
        .join(name)
}

/// A run of the command.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Outcome {
    /// Fails unless the command ended with `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stderr: {}", self.stderr);
        self
    }

    /// Fails unless stderr contains all of `parts`.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in: {}", self.stderr);
        }
        self
    }

    /// Fails unless stdout contains all of `parts`.
    #[track_caller]
    pub fn prints(self, parts: &[&str]) -> Self {
        let text = String::from_utf8_lossy(&self.stdout);
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in: {text}");
        }
        self
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).expect("stdout is JSON")
    }
}

pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latentbit"));
    command.env_remove("LATENTBIT_LOG").env("RUST_BACKTRACE", "0");
    command
}

/// Runs the command in `folder` with `input` on stdin.
pub fn run_with(folder: &TempDir, args: &[impl AsRef<OsStr>], input: Vec<u8>) -> Outcome {
    let mut child = command()
        .args(args)
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The command may end before it has read everything.
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Outcome {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub fn run(folder: &TempDir, args: &[impl AsRef<OsStr>]) -> Outcome {
    run_with(folder, args, Vec::new())
}

/// What the command shows on a terminal, which the program `script` makes; none if that is not installed. The words of `line`
/// are those of a shell.
pub fn on_terminal(folder: &TempDir, line: &str, variable: (&str, &str)) -> Option<String> {
    let line = format!("{} {line}", env!("CARGO_BIN_EXE_latentbit"));
    let output = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env(variable.0, variable.1)
        .env("TERM", "xterm")
        .env_remove("LATENTBIT_LOG")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(_) => {
            eprintln!("script is not installed");
            None
        }
    }
}

/// Splits a line into arguments and adds the tiny bundle.
pub fn tiny(line: &str) -> Vec<String> {
    let mut args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    args.push("--model".to_owned());
    args.push(tiny_bundle().to_str().unwrap().to_owned());
    args
}

pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub fn write(folder: &TempDir, name: &str, bytes: &[u8]) {
    std::fs::write(folder.path().join(name), bytes).unwrap();
}

pub fn read(folder: &TempDir, name: &str) -> Vec<u8> {
    std::fs::read(folder.path().join(name)).unwrap()
}

/// Names in a folder, hidden ones too.
pub fn names(folder: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Fails if commands left hidden files in a folder.
pub fn expect_nothing_hidden(folder: &TempDir) {
    let hidden: Vec<_> = names(folder)
        .into_iter()
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

/// What a y4m stream is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Y4m {
    pub width: usize,
    pub height: usize,
    pub rate: (usize, usize),
    /// ffmpeg's tag, such as 420jpeg or 422p10.
    pub chroma: &'static str,
}

impl Y4m {
    pub const SMALL: Self = Self {
        width: 24,
        height: 16,
        rate: (25, 1),
        chroma: "420jpeg",
    };

    pub fn samples(&self) -> usize {
        let (w, h) = (self.width, self.height);
        let chroma = match &self.chroma[..3] {
            "420" => w.div_ceil(2) * h.div_ceil(2),
            "422" => w.div_ceil(2) * h,
            "444" => w * h,
            _ => 0,
        };
        w * h + 2 * chroma
    }

    fn wide(&self) -> bool {
        self.chroma.ends_with("p10")
    }

    /// A stream with moving content.
    pub fn video(&self, frames: usize) -> Vec<u8> {
        let (n, d) = self.rate;
        let header = format!(
            "YUV4MPEG2 W{} H{} F{n}:{d} Ip A1:1 C{}\n",
            self.width, self.height, self.chroma
        );
        let mut out = header.into_bytes();
        for t in 0..frames {
            out.extend_from_slice(b"FRAME\n");
            for i in 0..self.samples() {
                let value = 128.0 + 90.0 * ((i as f64 * 0.05 + t as f64 * 0.3).sin());
                if self.wide() {
                    out.extend_from_slice(&((value * 4.0) as u16).to_le_bytes());
                } else {
                    out.push(value as u8);
                }
            }
        }
        out
    }

    /// Bytes of a frame with its line.
    pub fn frame_bytes(&self) -> usize {
        self.samples() * if self.wide() { 2 } else { 1 } + b"FRAME\n".len()
    }

    /// Frames of a stream that claims to be like this one.
    #[track_caller]
    pub fn count(&self, stream: &[u8]) -> usize {
        let end = stream.iter().position(|&b| b == b'\n').expect("a header line");
        let header = std::str::from_utf8(&stream[..end]).unwrap();
        let (n, d) = self.rate;
        for field in [
            format!("W{}", self.width),
            format!("H{}", self.height),
            format!("F{n}:{d}"),
        ] {
            assert!(
                header.split(' ').any(|f| f == field),
                "{field} is not in {header}"
            );
        }
        let body = &stream[end + 1..];
        assert_eq!(
            body.len() % self.frame_bytes(),
            0,
            "{header}: {} bytes",
            body.len()
        );
        let frames = body.chunks_exact(self.frame_bytes());
        assert!(frames.clone().all(|frame| frame.starts_with(b"FRAME\n")));
        frames.len()
    }
}

/// Encodes a small video to `name`, with all bits of all tokens unless `options` say otherwise.
pub fn encoded(folder: &TempDir, name: &str, frames: usize, options: &str) {
    let bits = match options.contains("--bits") {
        true => "",
        false => "--bits 10",
    };
    let line = format!("encode - -o {name} {options} {bits}");
    run_with(folder, &tiny(&line), Y4m::SMALL.video(frames)).expect(0);
}

/// The digests of what a `.lbit` file holds, whatever its metadata say.
#[track_caller]
pub fn digests(folder: &TempDir, bytes: Vec<u8>) -> serde_json::Value {
    run_with(folder, &["verify", "-", "--json"], bytes)
        .expect(0)
        .json()["digests"]
        .clone()
}

/// The frames of a `.lbit` file as bytes of R, G, B.
#[track_caller]
pub fn decoded(folder: &TempDir, name: &str, options: &str) -> Vec<Vec<u8>> {
    let line = format!("decode {name} -o - --raw rgb24 {options}");
    let outcome = run(folder, &tiny(&line)).expect(0);
    rgb_frames(&outcome.stdout)
}

pub fn rgb_frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let size = Y4m::SMALL.width * Y4m::SMALL.height * 3;
    assert_eq!(bytes.len() % size, 0);
    bytes.chunks_exact(size).map(<[u8]>::to_vec).collect()
}
