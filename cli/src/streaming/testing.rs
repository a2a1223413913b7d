//! What several tests need.

use latentbit_codec::{Bundle, Device, Dtype, pipeline};
use latentbit_container::{Rational, VideoStream};

/// Where the tiny bundle is.
pub const fn tiny_bundle() -> &'static str {
    concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../testdata/golden/storage-int8.safetensors"
    )
}

/// A stream of the tiny bundle, of frames of 16x16 pixels at 25 frames a second.
pub fn video() -> VideoStream {
    let bundle = Bundle::open(tiny_bundle(), &Device::Cpu, Dtype::F32).unwrap();
    let video = pipeline::video_stream_for(&bundle, 16, 16).unwrap();
    video.with_constant_rate(Rational { num: 25, den: 1 })
}
