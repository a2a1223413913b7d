//! Frames to latents.

use latentbit_codec::pipeline::{self, Geometry, LatentChunk, Options, Work};
use pyo3::prelude::*;

use crate::arrays::array;
use crate::bundle::Bundle;
use crate::error;
use crate::session::Session;

/// An encoder that takes the frames of one video and gives the latents of its chunks, all in one group.
#[pyclass(frozen, module = "latentbit._latentbit")]
pub struct LatentSession(Session<LatentChunk>);

fn latents(py: Python<'_>, chunk: LatentChunk) -> PyResult<Bound<'_, PyAny>> {
    let &[t, h, w, c] = chunk.latent.shape() else {
        return Err(error::failed(
            std::io::Error::other("a latent has four sides"),
            "latents",
            "cannot return them",
        ));
    };
    array(py, chunk.latent.into_data(), [t, h, w, c])
}

#[pymethods]
impl LatentSession {
    #[new]
    #[pyo3(signature = (model, width, height, *, frames, threads, max_memory))]
    fn new(
        py: Python<'_>,
        model: &Bundle,
        width: u32,
        height: u32,
        frames: Option<u64>,
        threads: usize,
        max_memory: Option<u64>,
    ) -> PyResult<Self> {
        let geometry = Geometry::new(&model.bundle, width, height);
        let plan = model.plan(&geometry, Work::EncodeLatents, frames, max_memory)?;
        let options = Options::default()
            .threads(threads)
            // Latents have no places where a reader could begin.
            .chunks_per_group(0)
            .encoder_plan(Some(plan));
        let started = py.detach(|| pipeline::latent_encoder(&model.bundle, &geometry, &options));
        let (input, output) = started.map_err(|error| error::codec(error, &model.place))?;
        let session = Session::start(&model.place, input, move |sender| {
            for chunk in output {
                if sender.send(chunk).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self(session))
    }

    /// Takes an array of (frames, height, width, RGB), u8 or f32 from 0 to 1. Waits while too many are in progress.
    fn push(&self, py: Python<'_>, frames: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.push(py, frames)
    }

    /// The latents that are ready: (latent frames, height, width, channels) of about zero mean and unit variance.
    fn ready<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.0
            .ready()?
            .into_iter()
            .map(|chunk| latents(py, chunk))
            .collect()
    }

    /// Ends the video.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        self.0.finish(py)
    }

    /// The next latents; waits for them. None after the last ones.
    fn wait<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.wait(py)?.map(|chunk| latents(py, chunk)).transpose()
    }
}
