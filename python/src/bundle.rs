//! Models.

use std::path::PathBuf;
use std::sync::Arc;

use latentbit_codec::pipeline::{self, Geometry, MemoryPlan, Work};
use latentbit_codec::{self as codec, Device, Dtype};
use latentbit_container::{PixelFrames, Rational, VideoStream};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error;
use crate::video;

/// A model, built in or from a path. It never changes, so threads may share it.
#[pyclass(frozen, subclass, module = "latentbit._latentbit")]
pub struct Bundle {
    pub bundle: Arc<codec::Bundle>,
    /// A name for messages.
    pub place: String,
}

impl Bundle {
    /// The description of the stream that it makes from frames of this size.
    pub fn stream(
        &self,
        width: u32,
        height: u32,
        rate: (u32, u32),
        bits: Option<u8>,
    ) -> PyResult<VideoStream> {
        let video = pipeline::video_stream_for(&self.bundle, width, height)
            .map_err(|error| error::codec(error, &self.place))?;
        let (num, den) = rate;
        let mut video = video.with_constant_rate(Rational { num, den });
        match bits {
            None => {}
            Some(bits) if (1..=video.bundle_bits).contains(&bits) => video.bits = bits,
            Some(bits) => {
                return Err(PyValueError::new_err(format!(
                    "bits: expected 1 to the {} of the model {}, found {bits}",
                    video.bundle_bits, self.place
                )));
            }
        }
        Ok(video)
    }

    /// How to do this work on a number of frames, if it is known, within `limit` bytes on top of what the process uses
    /// already. Without a limit, frames are computed whole.
    pub fn plan(
        &self,
        geometry: &Geometry,
        work: Work,
        frames: Option<u64>,
        limit: Option<u64>,
    ) -> PyResult<MemoryPlan> {
        MemoryPlan::new(&self.bundle, geometry, work, frames.map(PixelFrames), limit)
            .map_err(|error| error::codec(error, &self.place))
    }
}

/// The device of this name: `cpu`, `cuda`, `cuda:N`, or `auto` for the fastest one of this machine.
fn device_named(name: &str) -> PyResult<Device> {
    name.parse()
        .map_err(|error| PyValueError::new_err(format!("device: {error}")))
}

/// The number type of this name, or `auto` for the faster one on the device, as the command's `--dtype` has it.
fn dtype_named(name: &str, device: &Device, place: &str) -> PyResult<Dtype> {
    match name {
        "auto" => device.dtype().map_err(|error| error::codec(error, place)),
        name => name.parse().map_err(|_| {
            PyValueError::new_err(format!("dtype: expected auto, bf16, f16 or f32, found {name:?}"))
        }),
    }
}

#[pymethods]
impl Bundle {
    #[new]
    #[pyo3(signature = (model = None, *, dtype = "auto", device = "auto"))]
    fn new(py: Python<'_>, model: Option<PathBuf>, dtype: &str, device: &str) -> PyResult<Self> {
        let device = device_named(device)?;
        let place = match &model {
            Some(path) => path.display().to_string(),
            None => "the built-in model".to_owned(),
        };
        let bundle = py.detach(|| {
            let dtype = dtype_named(dtype, &device, &place)?;
            let opened = match &model {
                Some(path) => codec::Bundle::open(path, &device, dtype),
                None => codec::Bundle::embedded(&device, dtype),
            };
            opened.map_err(|error| error::codec(error, &place))
        })?;
        Ok(Self {
            bundle: Arc::new(bundle),
            place,
        })
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        &self.bundle.id.name
    }

    /// Its SHA-256, which files refer to.
    #[getter]
    fn sha256(&self) -> String {
        self.bundle.id.sha256_hex()
    }

    /// Bits per token.
    #[getter]
    fn bits(&self) -> PyResult<u8> {
        let tokenizer = self.bundle.tokenizer();
        tokenizer
            .map(latentbit_codec::tokenizer::Tokenizer::bits)
            .map_err(|error| error::codec(error, &self.place))
    }

    /// Whether it makes tokens, or latents only.
    #[getter]
    fn has_tokenizer(&self) -> bool {
        self.bundle.tokenizer.is_some()
    }

    /// Frames and pixels per latent position along time, height and width.
    #[getter]
    fn strides(&self) -> (usize, usize, usize) {
        let [time, height, width] = self.bundle.vae.strides();
        (time, height, width)
    }

    /// Latent positions per token along time, height and width.
    #[getter]
    fn patch(&self) -> PyResult<(usize, usize, usize)> {
        let tokenizer = self.bundle.tokenizer();
        let [time, height, width] = tokenizer
            .map_err(|error| error::codec(error, &self.place))?
            .config()
            .patch;
        Ok((time, height, width))
    }

    /// Latent frames of a full chunk.
    #[getter]
    fn chunk_latent_frames(&self) -> u16 {
        Geometry::new(&self.bundle, 1, 1).chunk_latent_frames
    }

    /// Channels of the latent.
    #[getter]
    fn latent_channels(&self) -> usize {
        self.bundle.vae.latent_channels()
    }

    /// The mean of each channel of a raw latent; none are given if its latents are of zero mean as they are.
    #[getter]
    fn latents_mean(&self) -> Vec<f32> {
        self.bundle.vae.config().latent_mean.clone()
    }

    /// The standard deviation of each channel of a raw latent, as for `latents_mean`.
    #[getter]
    fn latents_std(&self) -> Vec<f32> {
        self.bundle.vae.config().latent_std.clone()
    }

    /// Where it computes: cpu or cuda.
    #[getter]
    fn device(&self) -> &'static str {
        self.bundle.device().kind()
    }

    /// The number type of its computation.
    #[getter]
    fn dtype(&self) -> String {
        self.bundle.dtype().to_string()
    }

    /// The instructions of its kernels.
    #[getter]
    fn kernels(&self) -> String {
        self.bundle.kernels()
    }

    /// The description of the stream that it makes from frames of this size, as the fields of a Video.
    #[pyo3(signature = (width, height, frame_rate = (0, 1), bits = None))]
    fn video<'py>(
        &self,
        py: Python<'py>,
        width: u32,
        height: u32,
        frame_rate: (u32, u32),
        bits: Option<u8>,
    ) -> PyResult<Bound<'py, PyDict>> {
        video::to_dict(py, &self.stream(width, height, frame_rate, bits)?)
    }

    /// Estimate of the bytes that encoding or decoding a video of this size and length takes, on top of what the process
    /// uses already; at most `limit`. With `latents`, to and from latents and not tokens.
    #[pyo3(signature = (width, height, *, frames = None, decode = false, latents = false, limit = None))]
    fn memory(
        &self,
        width: u32,
        height: u32,
        frames: Option<u64>,
        decode: bool,
        latents: bool,
        limit: Option<u64>,
    ) -> PyResult<u64> {
        let geometry = Geometry::new(&self.bundle, width, height);
        let work = match (decode, latents) {
            (true, false) => Work::Decode,
            (false, false) => Work::Encode,
            (true, true) => Work::DecodeLatents,
            (false, true) => Work::EncodeLatents,
        };
        Ok(self.plan(&geometry, work, frames, limit)?.estimate)
    }

    fn __repr__(&self) -> String {
        format!(
            "<Bundle {:?}, SHA-256 {}, {} with {}>",
            self.bundle.id.name,
            self.bundle.id.sha256_hex(),
            self.bundle.dtype(),
            self.bundle.kernels()
        )
    }
}
