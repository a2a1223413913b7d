//! What unit tests share.

use latentbit_container::{
    BundleId, PixelFrames, Rational, StreamId, TokenLayout, VideoStream,
    edit::{Border, Gap},
};

use super::sidecar::{ChunkEntry, Sidecar};

/// Frames of 24x16 pixels: 2x3 tokens of 10 bits in a step, two steps in a full chunk.
pub fn video() -> VideoStream {
    let one = Rational { num: 1, den: 1 };
    let bundle = BundleId {
        name: "test".to_owned(),
        sha256: [0xa5; 32],
    };
    let layout = TokenLayout {
        bits: 10,
        patch: [2, 2, 2],
        strides: [4, 4, 4],
    };
    VideoStream::new([24, 16], bundle, layout)
        .with_times(one, one, 1)
        .with_pixel_aspect(one)
        .with_frame_count(Some(PixelFrames(42)))
}

/// Three chunks, of which the second is lost.
pub fn sidecar() -> Sidecar {
    let video = video();
    let mut sidecar = Sidecar::new(&video, "u16", None);
    let chunk = |number, first_frame, frames, steps: [u64; 2]| ChunkEntry {
        number,
        first_frame,
        frames,
        latent_frames: 4,
        key: true,
        segment: 0,
        start: first_frame as i64,
        durations: None,
        steps,
        lost: false,
        bits: None,
        even: false,
    };
    let gap = Gap {
        stream: StreamId(0),
        chunks: 1..2,
        frames: 13..29,
        before: Some(Border { segment: 0, time: 13 }),
        after: Some(Border { segment: 0, time: 29 }),
    };
    sidecar.chunks.push(chunk(0, 0, 13, [0, 2]));
    sidecar
        .chunks
        .extend(gap.places(&video).map(|place| ChunkEntry::lost(&place, 2)));
    sidecar.chunks.push(chunk(2, 29, 13, [2, 4]));
    sidecar.shape = vec![4, 2, 3];
    sidecar
}
