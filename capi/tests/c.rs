//! The interface as C has it: programs that `cc` compiles run.
#![cfg(unix)]
// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use latentbit_codec::pipeline::{self, Coded, Conceal, Fidelity, Options};
use latentbit_codec::{Bundle, Device, Frame};
use latentbit_container::{
    Event, File, Header, Limits, Rational, ReadMode, Reader, Writer, WriterOptions, edit,
};
use tempfile::TempDir;

const FRAMES: usize = 37;

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn model() -> PathBuf {
    here("../testdata/golden/storage-int8.safetensors")
}

/// Compiles a program against the library that these tests were built with.
fn compile(folder: &TempDir, source: &str) -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let libraries = exe.parent().unwrap();
    let program = folder.path().join("program");
    let output = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"])
        .arg(&program)
        .arg(here(source))
        .arg("-I")
        .arg(here("include"))
        .arg("-L")
        .arg(libraries)
        .arg(format!("-Wl,-rpath,{}", libraries.display()))
        .arg("-llatentbit_capi")
        .output()
        .expect("cc, the C compiler, runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    program
}

/// A small video with a pattern that moves, 24x16 pixels at 25 frames a second, as a `.lbit` file.
fn encoded(bundle: &Arc<Bundle>) -> Vec<u8> {
    let stream = pipeline::video_stream_for(bundle, 24, 16).unwrap();
    let stream = stream.with_constant_rate(Rational { num: 25, den: 1 });
    let options = Options::default().chunks_per_group(1);
    let (mut input, chunks) = pipeline::encoder(bundle, &stream, &options).unwrap();
    let pushing = std::thread::spawn(move || {
        for t in 0..FRAMES {
            let value = |i: usize| 0.5 + 0.4 * ((i as f32 * 0.05 + t as f32 * 0.3).sin());
            let frame = Frame {
                width: 24,
                height: 16,
                data: (0..24 * 16 * 3).map(value).collect(),
            };
            input.push(&frame).unwrap();
        }
        input.flush().unwrap();
    });
    let mut writer = Writer::new(Vec::new(), &Header::from(stream), WriterOptions::default()).unwrap();
    for chunk in chunks {
        writer.write_chunk(&chunk.unwrap()).unwrap();
    }
    pushing.join().unwrap();
    writer.finish().unwrap().0
}

/// What the program should print of the chunks and frames of a file.
fn expected(bundle: &Arc<Bundle>, bytes: &[u8]) -> String {
    let file = File::open(std::io::Cursor::new(bytes), Limits::default()).unwrap();
    let (stream, video) = file.first_video().unwrap();
    let video = video.clone();
    let infos = file.chunks(stream).to_vec();
    let mut text = format!(
        "24x16, {FRAMES} frames at 25/1, {} chunks, 10 bits, made by {}\n",
        infos.len(),
        bundle.id.name
    );
    let mut reading = file.through(std::io::Cursor::new(bytes));
    for info in &infos {
        let grid = video.grid(info.latent_frames);
        let chunk = (!info.is_lost()).then(|| reading.read(info, u8::MAX).unwrap());
        let tokens = chunk.map(|chunk| chunk.tokens);
        let sum: u64 = tokens.iter().flat_map(|tokens| &tokens.values).sum();
        let kept: u64 = tokens
            .iter()
            .flat_map(|tokens| tokens.depth_values().into_owned())
            .map(u64::from)
            .sum();
        let (key, lost, steps) = match info.is_lost() {
            true => ("", ", lost", 0),
            false => (", key", "", grid.t),
        };
        text += &format!(
            "chunk {}: frames {}+{} at {}, {steps}x{}x{} tokens{key}{lost}, sum {sum}, {kept} bits\n",
            info.sequence, info.first_frame, info.frame_count, info.start, grid.h, grid.w
        );
    }
    let options = Options::default().conceal(Conceal::Freeze);
    let (mut input, frames) = pipeline::decoder(bundle, &video, &options).unwrap();
    let owned = bytes.to_vec();
    let pushing = std::thread::spawn(move || {
        let mut reader = Reader::with_mode(&owned[..], Limits::default(), ReadMode::Resync).unwrap();
        while let Some(event) = reader.next_event().unwrap() {
            match event {
                Event::Chunk(chunk) => input.push(Coded::Chunk(chunk)).unwrap(),
                Event::Missing { chunks, frames, .. } => input.push(Coded::Lost { chunks, frames }).unwrap(),
                _ => {}
            }
        }
        input.flush().unwrap();
    });
    for decoded in frames {
        let decoded = decoded.unwrap();
        let samples = decoded.frame.data.iter();
        let sum: u64 = samples
            .map(|v| (v * 255.0).round().clamp(0.0, 255.0) as u64)
            .sum();
        let fidelity = match decoded.fidelity {
            Fidelity::Exact => 0,
            Fidelity::Affected => 1,
            Fidelity::Concealed(_) => 2,
        };
        let at = decoded.index.0 * u64::from(video.frame_duration);
        text += &format!(
            "frame {} at {at} for {}, fidelity {fidelity}, sum {sum}\n",
            decoded.index, video.frame_duration
        );
    }
    pushing.join().unwrap();
    text
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_program_in_c_reads_and_decodes() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = Arc::new(Bundle::open(model(), &Device::Cpu, Device::Cpu.dtype().unwrap()).unwrap());
    let whole = encoded(&bundle);
    let program = compile(&folder, "examples/dump.c");
    let run = |bytes: &[u8]| {
        let path = folder.path().join("a.lbit");
        std::fs::write(&path, bytes).unwrap();
        let mut command = Command::new(&program);
        command
            .arg(&path)
            .arg(model())
            .arg(folder.path().join("last.ppm"));
        command.output().unwrap()
    };
    let output = run(&whole);
    let (stdout, stderr) = text(&output);
    assert_eq!((stdout, stderr), (expected(&bundle, &whole), String::new()));
    let picture = std::fs::read(folder.path().join("last.ppm")).unwrap();
    assert!(picture.starts_with(b"P6 24 16 255\n") && picture.len() == 13 + 24 * 16 * 3);

    // The same with a chunk lost: its frames are filled in, at their times.
    let mut sequence = 0;
    let (lost, _) = edit::degrade(
        std::io::Cursor::new(&whole),
        Vec::new(),
        edit::Loss::Hold,
        |_| {
            sequence += 1;
            sequence == 2
        },
        &Limits::default(),
        WriterOptions::default(),
    )
    .unwrap();
    let (stdout, stderr) = text(&run(&lost));
    assert_eq!((&stdout, stderr), (&expected(&bundle, &lost), String::new()));
    assert!(
        stdout.contains(", lost, sum 0") && stdout.contains("fidelity 2"),
        "{stdout}"
    );
}

#[test]
fn what_is_wrong_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = Arc::new(Bundle::open(model(), &Device::Cpu, Device::Cpu.dtype().unwrap()).unwrap());
    let path = folder.path().join("a.lbit");
    std::fs::write(&path, encoded(&bundle)).unwrap();
    let program = compile(&folder, "tests/refusals.c");
    let output = Command::new(&program).arg(&path).arg(model()).output().unwrap();
    let (stdout, stderr) = text(&output);
    assert_eq!(
        (stdout.as_str(), stderr.as_str()),
        ("refused\n", ""),
        "{:?}",
        output.status
    );
}
