//! Frames to chunks.

use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use latentbit_codec::pipeline::{self, FrameInput, KeyFrames, Options, Work};
use latentbit_codec::{self as codec, Frame};
use latentbit_container as container;
use numpy::{PyReadonlyArray4, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::bundle::Bundle;
use crate::chunk::Chunk;
use crate::error::{self, LatentBitError};
use crate::video;

/// An encoder that takes frames and gives chunks.
#[pyclass(frozen, module = "latentbit._latentbit")]
pub struct EncodeSession {
    place: String,
    video: container::VideoStream,
    input: Mutex<Option<FrameInput>>,
    /// Unbounded, because tokens are small: pushing never waits for a reader.
    chunks: Mutex<Receiver<Result<container::Chunk, codec::Error>>>,
}

/// Frames from Python.
#[derive(FromPyObject)]
enum Frames<'py> {
    Bytes(PyReadonlyArray4<'py, u8>),
    Floats(PyReadonlyArray4<'py, f32>),
}

impl Frames<'_> {
    /// Height, width and channels.
    fn size(&self) -> (usize, [usize; 3]) {
        let shape = match self {
            Self::Bytes(array) => array.shape(),
            Self::Floats(array) => array.shape(),
        };
        match shape {
            [count, height, width, channels] => (*count, [*height, *width, *channels]),
            _ => (0, [0; 3]),
        }
    }

    fn frame(&self, index: usize) -> Frame {
        let (_, [height, width, _]) = self.size();
        let data = match self {
            Self::Bytes(array) => {
                let view = array.as_array();
                let frame = view.index_axis(numpy::ndarray::Axis(0), index);
                frame.iter().map(|&value| f32::from(value) / 255.0).collect()
            }
            Self::Floats(array) => {
                let view = array.as_array();
                let frame = view.index_axis(numpy::ndarray::Axis(0), index);
                frame.iter().copied().collect()
            }
        };
        Frame { width, height, data }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EncodeSession {
    /// Why the pipeline stopped taking frames.
    fn reason(&self) -> PyErr {
        for chunk in locked(&self.chunks).iter() {
            if let Err(error) = chunk {
                return error::codec(error, &self.place);
            }
        }
        error::codec(codec::Error::Closed, &self.place)
    }
}

#[pymethods]
impl EncodeSession {
    #[new]
    #[pyo3(signature = (model, width, height, *, frames, frame_rate, bits, group, scene_cuts, threads, max_memory))]
    #[allow(clippy::too_many_arguments)] // Python gives them by name.
    fn new(
        py: Python<'_>,
        model: &Bundle,
        width: u32,
        height: u32,
        frames: Option<u64>,
        frame_rate: (u32, u32),
        bits: Option<u8>,
        group: u32,
        scene_cuts: bool,
        threads: usize,
        max_memory: Option<u64>,
    ) -> PyResult<Self> {
        let video = model.stream(width, height, frame_rate, bits)?;
        let options = Options::default()
            .threads(threads)
            .chunks_per_group(group)
            .key_frames(match scene_cuts {
                true => KeyFrames::AtCuts,
                false => KeyFrames::None,
            })
            .encoder_plan(Some(model.plan(&video, Work::Encode, frames, max_memory)?));
        let (input, output) = py
            .detach(|| pipeline::encoder(&model.bundle, &video, &options))
            .map_err(|error| error::codec(error, &model.place))?;
        let (sender, chunks) = channel();
        let timed = video.clone();
        std::thread::spawn(move || {
            for chunk in output {
                let chunk = chunk.map(|mut chunk| {
                    chunk.times = timed.constant_times(chunk.first_frame);
                    chunk
                });
                if sender.send(chunk).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            place: model.place.clone(),
            video,
            input: Mutex::new(Some(input)),
            chunks: Mutex::new(chunks),
        })
    }

    #[getter]
    fn video<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        video::to_dict(py, &self.video)
    }

    /// Encodes an array of (frames, height, width, RGB), u8 or f32 from 0 to 1. Waits while too many are in progress.
    fn push(&self, py: Python<'_>, frames: &Bound<'_, PyAny>) -> PyResult<()> {
        let frames: Frames<'_> = frames.extract().map_err(|_| {
            PyTypeError::new_err(
                "frames: expected an array (frames, height, width, 3) of uint8, or of float32 from 0 to 1",
            )
        })?;
        let (count, _) = frames.size();
        for index in 0..count {
            let frame = frames.frame(index);
            py.detach(|| {
                let mut input = locked(&self.input);
                let input = input.as_mut().ok_or_else(ended)?;
                input.push(&frame).map_err(|error| match error {
                    codec::Error::Closed => self.reason(),
                    error => error::codec(error, "frames"),
                })
            })?;
            py.check_signals()?;
        }
        Ok(())
    }

    /// The chunks that are ready.
    fn ready(&self) -> PyResult<Vec<Chunk>> {
        let chunks = locked(&self.chunks);
        let mut all = Vec::new();
        loop {
            match chunks.try_recv() {
                Ok(Ok(chunk)) => all.push(Chunk::in_memory(chunk)),
                Ok(Err(error)) => return Err(error::codec(error, &self.place)),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(all),
            }
        }
    }

    /// Ends the video and waits for the remaining chunks.
    fn finish(&self, py: Python<'_>) -> PyResult<Vec<Chunk>> {
        py.detach(|| {
            let input = locked(&self.input).take().ok_or_else(ended)?;
            input.flush().map_err(|error| match error {
                codec::Error::Closed => self.reason(),
                error => error::codec(error, &self.place),
            })?;
            let chunks = locked(&self.chunks);
            let all: Result<Vec<Chunk>, _> = chunks.iter().map(|chunk| chunk.map(Chunk::in_memory)).collect();
            all.map_err(|error| error::codec(error, &self.place))
        })
    }
}

fn ended() -> PyErr {
    LatentBitError::new_err("this encoder was finished already; begin a new one")
}
