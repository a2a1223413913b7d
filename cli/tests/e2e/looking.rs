//! What people look at: `thumbnail` and `play`.

use latentbit_media::{Frame, InputOptions, open_source};
use tempfile::TempDir;

use crate::support::{Y4m, encoded, folder, names, read, run, run_with, tiny, write};

/// The only picture of a file.
fn picture(folder: &TempDir, name: &str) -> Frame {
    let path = folder.path().join(name);
    let mut source = open_source(path.to_str().unwrap(), &InputOptions::default()).unwrap();
    source.next_frame().unwrap().unwrap()
}

/// The largest difference between samples of two pictures, in 255ths.
fn difference(a: &Frame, b: &Frame) -> f32 {
    assert_eq!((a.width, a.height), (b.width, b.height));
    let pairs = a.data.iter().zip(&b.data);
    pairs.map(|(a, b)| (a - b).abs() * 255.0).fold(0.0, f32::max)
}

#[test]
fn a_thumbnail_is_a_frame_of_the_video() {
    let folder = folder();
    // Groups of 13 frames, and one group.
    for (options, of_itself) in [("--group 1", 20), ("--group 0", 12)] {
        encoded(&folder, "a.lbit", 200, &format!("{options} --no-scene-cuts -y"));
        for (at, frame) in [
            ("", of_itself),
            ("--at 150f", 150),
            ("--at 2.0", 50),
            ("--at 0", 0),
        ] {
            run(
                &folder,
                &tiny(&format!("thumbnail a.lbit -o t.png --size 0 -y {at}")),
            )
            .expect(0);
            let line = format!("decode a.lbit -o f.png -y --start {frame}f --frames 1");
            run(&folder, &tiny(&line)).expect(0);
            let (thumbnail, decoded) = (picture(&folder, "t.png"), picture(&folder, "f.png"));
            assert!(difference(&thumbnail, &decoded) <= 1.0, "{options} {at}");
        }
    }
}

#[test]
fn a_thumbnail_reads_what_it_needs() {
    let folder = folder();
    encoded(&folder, "a.lbit", 200, "--group 1 --no-scene-cuts");
    let mut bytes = read(&folder, "a.lbit");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    write(&folder, "a.lbit", &bytes);
    run(&folder, &["verify", "a.lbit"]).expect(3);
    let outcome = run(&folder, &tiny("thumbnail a.lbit -o t.png")).expect(0);
    assert_eq!(outcome.stderr, "");
}

#[test]
fn thumbnails_have_the_size_and_the_name_that_was_asked_for() {
    let folder = folder();
    encoded(&folder, "a.lbit", 5, "");
    // Thumbnailers make the file first, under a name of any kind.
    write(&folder, ".temporary.X3f9aA", b"");
    run(
        &folder,
        &tiny("thumbnail a.lbit -o .temporary.X3f9aA --size 12 -y"),
    )
    .expect(0);
    let bytes = read(&folder, ".temporary.X3f9aA");
    write(&folder, "t.png", &bytes);
    let small = picture(&folder, "t.png");
    assert_eq!((small.width, small.height), (12, 8));
    // Nothing is made larger.
    let piped = run(&folder, &tiny("thumbnail a.lbit -o -")).expect(0);
    write(&folder, "p.png", &piped.stdout);
    let same = picture(&folder, "p.png");
    assert_eq!((same.width, same.height), (24, 16));

    run(&folder, &tiny("thumbnail a.lbit -o t.png"))
        .expect(1)
        .says(&["exists", "-y"]);
    run(&folder, &tiny("thumbnail a.lbit -o t.png -n")).expect(0);
    run(&folder, &tiny("thumbnail a.lbit -o t.jpg"))
        .expect(2)
        .says(&["t.jpg", ".png"]);
    run(&folder, &tiny("thumbnail a.lbit -o u.png --at 99"))
        .expect(2)
        .says(&["after the end"]);
    write(&folder, "b.lbit", b"no such file");
    run(&folder, &tiny("thumbnail b.lbit -o u.png"))
        .expect(3)
        .says(&["b.lbit"]);
    assert!(!names(&folder).contains(&"u.png".to_owned()));
}

#[test]
fn what_is_left_of_a_file_has_a_thumbnail() {
    let folder = folder();
    encoded(&folder, "a.lbit", 60, "--group 1 --no-scene-cuts");
    let whole = read(&folder, "a.lbit");
    let half = whole[..whole.len() / 2].to_vec();
    write(&folder, "half.lbit", &half);
    run(&folder, &tiny("thumbnail half.lbit -o half.png")).expect(0);
    run_with(&folder, &tiny("thumbnail - -o piped.png"), half).expect(0);
    // A lost chunk is filled in, and that is told.
    run(&folder, &["degrade", "a.lbit", "-o", "lost.lbit", "--drop", "1"]).expect(0);
    run(&folder, &tiny("thumbnail lost.lbit -o lost.png --at 15f")).expect(5);
    run(&folder, &tiny("thumbnail lost.lbit -o early.png --at 5f")).expect(0);
    let found = ["half.png", "piped.png", "lost.png", "early.png"];
    assert!(found.iter().all(|name| picture(&folder, name).width == 24));
}

/// The arguments that a file of `packaging/` gives to the command, with the values that a desktop puts in.
fn entry(name: &str, values: &[(&str, &str)]) -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../packaging")
        .join(name);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.lines().any(|line| line == "MimeType=video/vnd.latentbit;"));
    let line = text.lines().find_map(|line| line.strip_prefix("Exec=")).unwrap();
    let mut words = line.split(' ').map(|word| {
        let value = values.iter().find(|(key, _)| *key == word);
        value.map_or(word, |(_, value)| value).to_owned()
    });
    assert_eq!(words.next().as_deref(), Some("latentbit"));
    words.collect()
}

#[test]
fn file_managers_get_thumbnails() {
    let folder = folder();
    let text = tiny("encode - -o x.lbit");
    // Of the built-in model, as they name none.
    run_with(&folder, &text[..text.len() - 2], Y4m::SMALL.video(1)).expect(0);
    std::fs::rename(folder.path().join("x.lbit"), folder.path().join("-a b.lbit")).unwrap();
    write(&folder, "thumb", b"");
    let values = [("%s", "16"), ("%o", "thumb"), ("%i", "-a b.lbit")];
    let outcome = run(&folder, &entry("latentbit.thumbnailer", &values)).expect(0);
    assert_eq!(outcome.stderr, "");
    assert!(read(&folder, "thumb").starts_with(b"\x89PNG"));
}

#[cfg(unix)]
mod play {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::process::{Command, Output, Stdio};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::support::command;

    /// A program in the folder `bin`.
    fn program(folder: &TempDir, name: &str, script: &str) {
        let bin = folder.path().join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let path = bin.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The command, which finds nothing but the programs in `bin`.
    fn playing(folder: &TempDir, line: &str) -> Command {
        let mut command = command();
        command
            .args(tiny(line))
            .current_dir(folder.path())
            .env("PATH", folder.path().join("bin"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    #[track_caller]
    fn play(folder: &TempDir, line: &str, code: i32) -> String {
        let Output { status, stderr, .. } = playing(folder, line).output().unwrap();
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        assert_eq!(status.code(), Some(code), "{stderr}");
        stderr
    }

    /// A player that keeps what it gets.
    const KEEPER: &str = r#"echo "$0 $*" > told; exec /bin/cat > seen"#;

    #[test]
    fn a_player_gets_every_frame() {
        let folder = folder();
        encoded(&folder, "a.lbit", 40, "");
        for player in ["mpv", "ffplay"] {
            program(&folder, player, KEEPER);
            play(&folder, "play a.lbit", 0);
            let told = String::from_utf8(read(&folder, "told")).unwrap();
            // ffplay comes first where both are there.
            assert!(
                told.contains(&format!("/{player} ")) && told.ends_with(" -\n"),
                "{told}"
            );
            assert!(told.contains("a.lbit"), "{told}");
            let name = match read(&folder, "seen").starts_with(b"YUV4MPEG2") {
                true => "seen.y4m",
                false => "seen.mkv",
            };
            std::fs::rename(folder.path().join("seen"), folder.path().join(name)).unwrap();
            let path = folder.path().join(name);
            let mut source = open_source(path.to_str().unwrap(), &InputOptions::default()).unwrap();
            let mut frames = 0;
            while source.next_frame().unwrap().is_some() {
                frames += 1;
            }
            assert_eq!(frames, 40, "{name}");
        }
        // Part of it, in a player of one's own.
        program(&folder, "other", KEEPER);
        play(&folder, "play a.lbit --player other --start 30f", 0);
        assert!(
            String::from_utf8(read(&folder, "told"))
                .unwrap()
                .ends_with("/other -\n")
        );
        play(&folder, "play a.lbit --player missing", 1);
        play(&folder, "play a.lbit --start 99f", 2);
    }

    #[test]
    fn desktops_start_a_player() {
        let folder = folder();
        encoded(&folder, "a.lbit", 5, "");
        program(&folder, "ffplay", KEEPER);
        let line = entry("latentbit-play.desktop", &[("%f", "a.lbit")]).join(" ");
        play(&folder, &line, 0);
        assert!(!read(&folder, "seen").is_empty());
    }

    #[test]
    fn without_a_player_that_is_told() {
        let folder = folder();
        encoded(&folder, "a.lbit", 5, "");
        let told = play(&folder, "play a.lbit", 1);
        assert!(
            told.contains("ffplay") && told.contains("mpv") && told.contains("decode"),
            "{told}"
        );
    }

    #[test]
    fn a_player_may_be_closed_early_but_not_fail() {
        let folder = folder();
        // More than a pipe holds.
        let large = Y4m {
            width: 160,
            height: 120,
            ..Y4m::SMALL
        };
        run_with(&folder, &tiny("encode - -o a.lbit"), large.video(60)).expect(0);
        program(&folder, "ffplay", "exec /usr/bin/head -c 1000 > seen");
        assert_eq!(play(&folder, "play a.lbit", 0), "");
        program(&folder, "ffplay", "echo no display >&2; exit 3");
        let told = play(&folder, "play a.lbit", 1);
        assert!(
            told.contains("no display") && told.contains("ffplay: ended with"),
            "{told}"
        );
    }

    #[test]
    fn a_signal_ends_both() {
        let folder = folder();
        encoded(&folder, "a.lbit", 20, "");
        program(
            &folder,
            "ffplay",
            "echo $$ > pid.part; /bin/mv pid.part pid; exec /bin/sleep 600",
        );
        let child = playing(&folder, "play a.lbit").spawn().unwrap();
        let started = Instant::now();
        while !folder.path().join("pid").exists() && started.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let player = String::from_utf8(read(&folder, "pid")).unwrap();
        let sent = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(143));
        // Ended and waited for: neither running nor a zombie.
        assert!(!Path::new("/proc").join(player.trim()).exists(), "{player}");
    }
}
