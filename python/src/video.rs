//! The description of a stream, as the sidecar of `latentbit tokens` names its fields (docs/tokens.md).

use latentbit_container::{
    BundleId, Chroma, Color, ColorRange, PixelFrames, Rational, TokenLayout, VideoStream,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

const RANGES: [(ColorRange, &str); 3] = [
    (ColorRange::Unspecified, "unspecified"),
    (ColorRange::Limited, "limited"),
    (ColorRange::Full, "full"),
];
const CHROMAS: [(Chroma, &str); 5] = [
    (Chroma::C420, "4:2:0"),
    (Chroma::C422, "4:2:2"),
    (Chroma::C444, "4:4:4"),
    (Chroma::Gray, "gray"),
    (Chroma::Rgb, "rgb"),
];

/// The fields of a stream from a caller.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Fields {
    bundle: String,
    bundle_sha256: String,
    bits: u8,
    bundle_bits: u8,
    width: u32,
    height: u32,
    frames: Option<u64>,
    frame_rate: (u32, u32),
    time_base: (u32, u32),
    frame_duration: u32,
    pixel_aspect: (u32, u32),
    patch: [u8; 3],
    strides: [u8; 3],
    chunk_latent_frames: u16,
    color: [u8; 3],
    range: String,
    chroma: String,
    chroma_location: u8,
    bit_depth: u8,
    depth_step: Option<u8>,
}

impl Fields {
    /// The stream that they describe.
    pub fn stream(self) -> PyResult<VideoStream> {
        let rational = |(num, den): (u32, u32)| Rational { num, den };
        let [primaries, transfer, matrix] = self.color;
        let color = Color {
            primaries,
            transfer,
            matrix,
            range: find(&RANGES, "range", &self.range)?,
        };
        let bundle = BundleId {
            name: self.bundle,
            sha256: sha256(&self.bundle_sha256)?,
        };
        let layout = TokenLayout {
            bits: self.bundle_bits,
            patch: self.patch,
            strides: self.strides,
        };
        let chroma = find(&CHROMAS, "chroma", &self.chroma)?;
        Ok(VideoStream::new([self.width, self.height], bundle, layout)
            .with_times(
                rational(self.frame_rate),
                rational(self.time_base),
                self.frame_duration,
            )
            .with_pixel_aspect(rational(self.pixel_aspect))
            .with_color(color)
            .with_samples(chroma, self.chroma_location, self.bit_depth)
            .with_bits(self.bits)
            .with_chunk_latent_frames(self.chunk_latent_frames)
            .with_depth_step(self.depth_step)
            .with_frame_count(self.frames.map(PixelFrames)))
    }
}

/// The fields of a stream.
pub fn to_dict<'py>(py: Python<'py>, video: &VideoStream) -> PyResult<Bound<'py, PyDict>> {
    let pair = |rational: Rational| (rational.num, rational.den);
    let triple = |[a, b, c]: [u8; 3]| (a, b, c);
    let color = video.color;
    let dict = PyDict::new(py);
    dict.set_item("bundle", &video.bundle.name)?;
    dict.set_item("bundle_sha256", video.bundle.sha256_hex())?;
    dict.set_item("bits", video.bits)?;
    dict.set_item("bundle_bits", video.bundle_bits)?;
    dict.set_item("width", video.width)?;
    dict.set_item("height", video.height)?;
    dict.set_item("frames", video.frame_count.map(u64::from))?;
    dict.set_item("frame_rate", pair(video.frame_rate))?;
    dict.set_item("time_base", pair(video.time_base))?;
    dict.set_item("frame_duration", video.frame_duration)?;
    dict.set_item("pixel_aspect", pair(video.pixel_aspect))?;
    dict.set_item("patch", triple(video.patch))?;
    dict.set_item("strides", triple(video.strides))?;
    dict.set_item("chunk_latent_frames", video.chunk_latent_frames)?;
    dict.set_item("color", (color.primaries, color.transfer, color.matrix))?;
    dict.set_item("range", name(&RANGES, color.range))?;
    dict.set_item("chroma", name(&CHROMAS, video.chroma))?;
    dict.set_item("chroma_location", video.chroma_location)?;
    dict.set_item("bit_depth", video.bit_depth)?;
    dict.set_item("depth_step", video.depth_step)?;
    Ok(dict)
}

fn name<T: Copy + PartialEq>(names: &[(T, &'static str)], value: T) -> &'static str {
    names
        .iter()
        .find(|(known, _)| *known == value)
        .map_or("", |(_, name)| name)
}

fn find<T: Copy>(names: &[(T, &str)], what: &str, given: &str) -> PyResult<T> {
    let found = names.iter().find(|(_, name)| *name == given);
    found.map(|(value, _)| *value).ok_or_else(|| {
        let known: Vec<&str> = names.iter().map(|(_, name)| *name).collect();
        PyValueError::new_err(format!("{what}: expected {}, found {given:?}", known.join(", ")))
    })
}

fn sha256(text: &str) -> PyResult<[u8; 32]> {
    let bad = || {
        PyValueError::new_err(format!(
            "bundle_sha256: expected 64 hexadecimal digits, found {text:?}"
        ))
    };
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(bad());
    }
    let mut out = [0; 32];
    for (at, byte) in out.iter_mut().enumerate() {
        let digits = text.get(2 * at..2 * at + 2).ok_or_else(bad)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| bad())?;
    }
    Ok(out)
}
