//! y4m and raw video from pipe to pipe.

use crate::support::{Y4m, decoded, digests, encoded, folder, run_with, tiny, write};

fn through(y4m: Y4m, frames: usize) {
    let folder = folder();
    let lbit = run_with(&folder, &tiny("encode - -o -"), y4m.video(frames)).expect(0);
    assert_eq!(lbit.stderr, "", "nothing to say, and no bar without a terminal");
    let back = run_with(&folder, &tiny("decode - -o -"), lbit.stdout).expect(0);
    assert_eq!(y4m.count(&back.stdout), frames, "{y4m:?}");
    assert_eq!(back.stderr, "");
}

#[test]
fn every_frame_count_survives() {
    for frames in [1, 2, 4, 5, 16, 17, 18, 97] {
        through(Y4m::SMALL, frames);
    }
}

#[test]
fn odd_sizes_rates_and_samplings_survive() {
    for (width, height, rate, chroma) in [
        (17, 9, (30000, 1001), "420jpeg"),
        (1, 1, (24, 1), "420jpeg"),
        (33, 31, (25, 2), "422"),
        (5, 64, (60, 1), "444"),
        (30, 18, (50, 1), "420p10"),
        (16, 8, (25, 1), "422p10"),
        (20, 12, (24000, 1001), "mono"),
    ] {
        let y4m = Y4m {
            width,
            height,
            rate,
            chroma,
        };
        through(y4m, 6);
    }
}

#[test]
fn raw_video_goes_in_and_out() {
    let folder = folder();
    let (width, height, frames) = (18, 10, 7);
    let size = width * height * 3;
    let raw: Vec<u8> = (0..size * frames).map(|i| (i % 251) as u8).collect();
    let line = "encode - -o a.lbit --raw 18x10@30:rgb24";
    run_with(&folder, &tiny(line), raw).expect(0);
    let back = run_with(&folder, &tiny("decode a.lbit -o - --raw yuv420p"), Vec::new()).expect(0);
    assert_eq!(back.stdout.len(), frames * (18 * 10 + 2 * 9 * 5));
}

#[test]
fn part_of_a_video_is_that_part() {
    let folder = folder();
    write(&folder, "a.y4m", &Y4m::SMALL.video(40));
    let part = run_with(
        &folder,
        &tiny("encode a.y4m -o - --start 10f --frames 20"),
        Vec::new(),
    )
    .expect(0);
    write(&folder, "part.lbit", &part.stdout);
    let all = Y4m::SMALL.video(40);
    let frame = Y4m::SMALL.frame_bytes();
    let header = all.len() - 40 * frame;
    let cut = [&all[..header], &all[header + 10 * frame..header + 30 * frame]].concat();
    let same = run_with(&folder, &tiny("encode - -o -"), cut).expect(0);
    assert_eq!(
        digests(&folder, part.stdout.clone()),
        digests(&folder, same.stdout)
    );

    let time = run_with(
        &folder,
        &tiny("encode a.y4m -o - --start 0.4 --frames 20"),
        Vec::new(),
    )
    .expect(0);
    assert_eq!(time.stdout, part.stdout, "frame 10 is shown at 0.4 s");
}

#[test]
fn a_running_stream_can_be_joined() {
    let folder = folder();
    // 80 chunks in groups of two; the header is repeated after 32 and 64 of them.
    encoded(&folder, "a.lbit", 40 * 29, "--group 2 --coder raw");
    let all = decoded(&folder, "a.lbit", "");
    let bytes = std::fs::read(folder.path().join("a.lbit")).unwrap();
    let late = bytes[bytes.len() / 4..].to_vec();
    run_with(&folder, &tiny("decode - -o - --raw rgb24"), late.clone())
        .expect(3)
        .says(&["no .lbit file"]);
    let joined = run_with(&folder, &tiny("decode - -o - --raw rgb24 --join"), late).expect(0);
    let frames = crate::support::rgb_frames(&joined.stdout);
    assert_eq!(frames.len(), 24 * 29, "from the copy before chunk 32 on");
    assert_eq!(frames, all[16 * 29..]);
    let whole = run_with(&folder, &tiny("decode - -o - --raw rgb24 --join"), bytes).expect(0);
    assert_eq!(crate::support::rgb_frames(&whole.stdout), all);
}

#[test]
fn part_of_a_stream_is_that_part() {
    let folder = folder();
    encoded(&folder, "a.lbit", 70, "--group 2");
    let all = decoded(&folder, "a.lbit", "");
    assert_eq!(all.len(), 70);
    for (start, frames) in [(0, 1), (3, 20), (29, 13), (40, 30), (69, 1), (20, 500)] {
        let part = decoded(&folder, "a.lbit", &format!("--start {start}f --frames {frames}"));
        assert_eq!(part, all[start..(start + frames).min(70)], "{start} {frames}");
    }
    let bytes = std::fs::read(folder.path().join("a.lbit")).unwrap();
    let line = "decode - -o - --raw rgb24 --start 45f --frames 2";
    let piped = run_with(&folder, &tiny(line), bytes).expect(0);
    assert_eq!(crate::support::rgb_frames(&piped.stdout), all[45..47]);
    run_with(&folder, &tiny("decode a.lbit -o x.y4m --start 70f"), Vec::new())
        .expect(2)
        .says(&["after the end"]);
}

#[test]
fn fewer_bits_make_less() {
    let folder = folder();
    encoded(&folder, "all.lbit", 14, "--coder raw");
    encoded(&folder, "few.lbit", 14, "--coder raw --bits 4");
    let size = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().len();
    assert!(size("few.lbit") < size("all.lbit"));
    assert_eq!(
        decoded(&folder, "few.lbit", ""),
        decoded(&folder, "all.lbit", "--bits 4")
    );
    assert_ne!(decoded(&folder, "few.lbit", ""), decoded(&folder, "all.lbit", ""));
    for line in [
        "decode few.lbit -o x.y4m --bits 5",
        "encode - -o x.lbit --bits 11",
    ] {
        run_with(&folder, &tiny(line), Y4m::SMALL.video(1))
            .expect(2)
            .says(&["--bits"]);
    }
}
