//! Files as the command writes them: every reader must read them.

use latentbit_container::{Compression, Limits, PixelFrames, Rational, WriterOptions, edit};

use crate::files::{File, chunks, clip, raw, video, with_sound, write};

pub fn files() -> Vec<File> {
    let file = |name, what, bytes| File {
        class: "subset",
        name,
        what,
        bytes,
    };
    let with = |compression| WriterOptions::default().with_compression(compression);
    let two = [clip(raw()), clip(raw())];
    let (joined, _) = edit::concat(2, |n| Ok(&two[n][..]), Vec::new(), &Limits::default(), raw()).unwrap();
    let few = edit::trim(
        &clip(with(Compression::Cm))[..],
        Vec::new(),
        5,
        &Limits::default(),
        raw(),
    );
    vec![
        file(
            "still",
            "a picture: one chunk, no index, the number of frames known",
            still(),
        ),
        file("clip-raw", "four chunks in two groups, coder raw", clip(raw())),
        file(
            "clip-zstd",
            "the same, coder zstd",
            clip(with(Compression::Zstd { level: 3 })),
        ),
        file("clip-cm", "the same, coder cm", clip(with(Compression::Cm))),
        file(
            "large-cm",
            "1024 and more tokens in a chunk, coder cm, 36 bits",
            large(),
        ),
        file("trimmed", "planes dropped from 12 to 5", few.unwrap().0),
        file("joined", "two files joined: two segments", joined),
        file(
            "sound",
            "sound, subtitles, metadata and chapters",
            with_sound(raw()),
        ),
        file(
            "variable-rate",
            "each frame lasts as long as it likes",
            variable_rate(),
        ),
        file(
            "many-chunks",
            "40 key chunks, so that the header is repeated in the middle",
            many_chunks(),
        ),
    ]
}

fn still() -> Vec<u8> {
    let mut video = video().with_constant_rate(Rational { num: 0, den: 1 });
    video.frame_count = Some(PixelFrames(1));
    write(&video, &chunks(&video, 1, 8, 3), raw())
}

fn large() -> Vec<u8> {
    let mut video = video();
    (video.width, video.height, video.bits, video.bundle_bits) = (128, 128, 36, 36);
    video.chunk_latent_frames = 4;
    let options = WriterOptions::default().with_compression(Compression::Cm);
    write(&video, &chunks(&video, 29, 8, 4), options)
}

fn variable_rate() -> Vec<u8> {
    let mut video = video();
    video.time_base = Rational { num: 1, den: 90000 };
    video.frame_duration = 3003;
    let mut chunks = chunks(&video, 21, 2, 5);
    let mut start = 0i64;
    for chunk in &mut chunks {
        let frames = chunk.frame_count.0 as u32;
        let durations: Vec<u32> = (0..frames).map(|i| 1500 + i * 700).collect();
        chunk.times.start = start;
        start += durations.iter().map(|&ticks| i64::from(ticks)).sum::<i64>();
        chunk.times.durations = Some(durations);
    }
    write(&video, &chunks, raw())
}

fn many_chunks() -> Vec<u8> {
    let mut video = video();
    (video.width, video.height, video.bits) = (16, 16, 3);
    video.chunk_latent_frames = 1;
    write(&video, &chunks(&video, 40, 1, 6), raw())
}
