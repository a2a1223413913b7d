//! Inputs that are cut off or damaged.

use crate::support::{
    Y4m, decoded, digests, encoded, folder, names, read, rgb_frames, run, run_with, tiny, write,
};

#[test]
fn a_video_that_is_cut_off_is_kept_up_to_there() {
    let folder = folder();
    let video = Y4m::SMALL.video(20);
    let cut = &video[..video.len() - Y4m::SMALL.frame_bytes() - 10];
    write(&folder, "cut.y4m", cut);
    run(&folder, &tiny("encode cut.y4m -o a.lbit"))
        .expect(4)
        .says(&["cut.y4m", "18 frames"]);
    assert_eq!(decoded(&folder, "a.lbit", "").len(), 18);
    run_with(&folder, &tiny("encode - -o b.lbit"), cut.to_vec())
        .expect(4)
        .says(&["stdin"]);
    assert_eq!(
        digests(&folder, read(&folder, "a.lbit")),
        digests(&folder, read(&folder, "b.lbit"))
    );
}

#[test]
fn a_video_without_a_whole_frame_makes_no_file() {
    let folder = folder();
    let video = Y4m::SMALL.video(1);
    run_with(
        &folder,
        &tiny("encode - -o a.lbit"),
        video[..video.len() - 1].to_vec(),
    )
    .expect(4);
    let header = video.len() - Y4m::SMALL.frame_bytes();
    run_with(&folder, &tiny("encode - -o a.lbit"), video[..header].to_vec())
        .expect(3)
        .says(&["no frame"]);
    assert_eq!(names(&folder), Vec::<String>::new());
}

#[test]
fn a_stream_that_is_cut_off_gives_its_chunks() {
    let folder = folder();
    encoded(&folder, "a.lbit", 97, "--coder raw");
    let all = decoded(&folder, "a.lbit", "");
    let bytes = read(&folder, "a.lbit");
    let index = run(&folder, &["info", "a.lbit", "--json"]).expect(0).json();
    assert_eq!(index["chunks"], 7);
    write(&folder, "cut.lbit", &bytes[..bytes.len() / 2]);
    run(&folder, &["info", "cut.lbit"]).expect(4);
    let outcome = run(&folder, &tiny("decode cut.lbit -o - --raw rgb24")).expect(4);
    let outcome = outcome.says(&["cut.lbit", "cut off at byte", "complete chunks"]);
    let frames = rgb_frames(&outcome.stdout);
    let chunks_of = |frames: usize| (frames - 13).is_multiple_of(16);
    assert!(frames.len() < 97 && chunks_of(frames.len()), "{}", frames.len());
    assert_eq!(frames, all[..frames.len()]);
    run(&folder, &tiny("decode cut.lbit -o strict.y4m --strict")).expect(4);
    assert!(!names(&folder).contains(&"strict.y4m".to_owned()));
}

#[test]
fn a_damaged_chunk_costs_that_chunk() {
    let folder = folder();
    // Every chunk is a key chunk, so no other one depends on the lost one.
    encoded(&folder, "a.lbit", 39, "--group 1");
    let all = decoded(&folder, "a.lbit", "");
    let mut bytes = read(&folder, "a.lbit");
    let info = run(&folder, &["info", "a.lbit", "--chunks", "--json"])
        .expect(0)
        .json();
    let place = |what: &str| info["chunk_table"][1][what].as_u64().unwrap() as usize;
    bytes[place("offset") + place("bytes") / 2] ^= 0x40;
    write(&folder, "bad.lbit", &bytes);
    let outcome = run(&folder, &tiny("decode bad.lbit -o - --raw rgb24")).expect(5);
    let outcome = outcome.says(&["bad.lbit", "chunk 1", "frames 13 to 25 are concealed (freeze)"]);
    let frames = rgb_frames(&outcome.stdout);
    assert_eq!(frames.len(), 39);
    assert_eq!(frames[..13], all[..13]);
    assert!(
        frames[13..26].iter().all(|frame| *frame == all[12]),
        "the last good frame is held"
    );
    assert_eq!(frames[26..], all[26..]);
    let info = run(&folder, &["info", "bad.lbit", "--json"]).expect(3).json();
    assert_eq!(
        (&info["state"], &info["lost_chunks"]),
        (&"damaged".into(), &1.into())
    );
    run(&folder, &tiny("decode bad.lbit -o strict.y4m --strict")).expect(3);
    assert!(!names(&folder).contains(&"strict.y4m".to_owned()));
}

#[test]
fn what_is_no_stream_is_refused() {
    let folder = folder();
    write(&folder, "text.lbit", b"this is no stream of tokens at all");
    write(&folder, "empty.lbit", b"");
    run(&folder, &tiny("decode text.lbit -o a.y4m"))
        .expect(3)
        .says(&["text.lbit", "byte 0"]);
    run(&folder, &tiny("decode empty.lbit -o a.y4m"))
        .expect(4)
        .says(&["empty.lbit"]);
    run(&folder, &["info", "text.lbit"]).expect(3);
    run(&folder, &tiny("decode missing.lbit -o a.y4m"))
        .expect(1)
        .says(&["missing.lbit", "no such file"]);
    assert_eq!(names(&folder), ["empty.lbit", "text.lbit"]);
}
