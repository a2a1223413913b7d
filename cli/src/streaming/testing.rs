//! What several tests need.

use latentbit_codec::{Bundle, Device, Dtype, pipeline};
use latentbit_container::{Rational, VideoStream};

/// A stream of the tiny bundle, of frames of 16x16 pixels at 25 frames a second.
pub fn video() -> VideoStream {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../testdata/golden/storage-int8.safetensors"
    );
    let bundle = Bundle::open(path, &Device::Cpu, Dtype::F32).unwrap();
    let video = pipeline::video_stream_for(&bundle, 16, 16).unwrap();
    video.with_constant_rate(Rational { num: 25, den: 1 })
}
