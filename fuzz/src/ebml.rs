//! A list of tracks as Matroska has it: what is read of it is written and read again as it is.

// They are private, and no part of a build without libav.
#[allow(dead_code, unused_imports)]
#[path = "../../media/src/libav/matroska/ebml.rs"]
mod ebml;
#[allow(dead_code)]
#[path = "../../media/src/libav/matroska/track.rs"]
mod track;

use track::Track;

pub fn run(data: &[u8]) {
    crate::budget::within(data, 0, || check(data));
}

fn check(data: &[u8]) {
    let Some(read) = Track::read(data) else {
        return;
    };
    let again = Track::read(&read.write()).expect("a track");
    assert_eq!(again.codec, read.codec);
    assert_eq!(again.private, read.private);
}
