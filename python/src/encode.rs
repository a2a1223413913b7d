//! Frames to chunks.

use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use latentbit_codec::pipeline::{self, FrameInput, KeyFrames, Options, Work};
use latentbit_codec::rate::{
    Bitrate, Effort, ElasticChunk, KeptFile, KeptItem, MAX_CRF, Measure, RateControl, Target, chunk_seconds,
    depth_step,
};
use latentbit_codec::{self as codec, Frame};
use latentbit_container::{self as container, Header, Metadata, StreamId, WriterOptions};
use numpy::{PyReadonlyArray4, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::bundle::Bundle;
use crate::chunk::Chunk;
use crate::error::{self, LatentBitError};
use crate::video;
use crate::writer::compression;

/// An encoder that takes frames and gives chunks.
#[pyclass(frozen, module = "latentbit._latentbit")]
pub struct EncodeSession {
    place: String,
    video: container::VideoStream,
    input: Mutex<Option<FrameInput>>,
    /// Unbounded, because tokens are small: pushing never waits for a reader.
    chunks: Mutex<Receiver<Result<container::Chunk, codec::Error>>>,
}

/// What a caller asks of the size and quality of a video. At most one of `crf`, `bitrate` and `size` is given.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Rate {
    crf: Option<f64>,
    /// Bits per second.
    bitrate: Option<f64>,
    maxrate: Option<f64>,
    bufsize: Option<f64>,
    /// Bytes of the whole file, which has these metadata and is written by this coder.
    size: Option<u64>,
    metadata: Vec<(String, String)>,
    effort: u8,
    coder: String,
    level: i32,
}

impl Rate {
    fn control(&self) -> PyResult<Option<RateControl>> {
        let target = match (self.crf, self.bitrate) {
            (Some(crf), _) if (0.0..=MAX_CRF).contains(&crf) => Target::Crf(crf),
            (Some(crf), _) => {
                return Err(PyValueError::new_err(format!(
                    "crf: expected a number from 0 to {MAX_CRF}, found {crf}"
                )));
            }
            (None, Some(mean)) => {
                let rate = Bitrate::new(mean).with_channel(self.maxrate, self.bufsize);
                if !(rate.mean > 0.0 && rate.mean.is_finite() && rate.max >= mean && rate.buffer > 0.0) {
                    return Err(PyValueError::new_err(
                        "bitrate: expected a number of bits above 0, and a maxrate that is not below it",
                    ));
                }
                Target::Bitrate(rate)
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(RateControl::new(
            target,
            compression(&self.coder, self.level)?,
        )))
    }

    fn effort(&self) -> PyResult<Effort> {
        Effort::of_level(self.effort).ok_or_else(|| {
            PyValueError::new_err(format!("effort: expected 1, 2 or 3, found {}", self.effort))
        })
    }
}

/// Shapes chunks as they come, or all at the end.
enum Shaping {
    Live(RateControl),
    Size(u64, WriterOptions, KeptFile),
}

impl Shaping {
    /// Takes a chunk; gives it back if it can be shaped at once.
    fn take(
        &mut self,
        mut elastic: ElasticChunk,
        video: &container::VideoStream,
    ) -> Option<Result<container::Chunk, codec::Error>> {
        elastic.chunk.times = video.constant_times(elastic.chunk.first_frame);
        match self {
            Self::Live(control) => {
                let seconds = chunk_seconds(&elastic.chunk, video);
                Some(control.shape(&elastic, seconds).map(|shaped| shaped.chunk))
            }
            Self::Size(_, _, kept) => {
                kept.push(KeptItem::Elastic(Box::new(elastic)));
                None
            }
        }
    }

    /// The chunks that waited for the end.
    fn finish(self) -> Result<Vec<container::Chunk>, codec::Error> {
        match self {
            Self::Live(_) => Ok(Vec::new()),
            Self::Size(size, options, kept) => {
                let (shaped, bytes) = kept.fit(size, options)?;
                if bytes > size {
                    let reason =
                        format!("the smallest file takes {bytes} bytes, more than the {size} asked for");
                    return Err(codec::Error::Parameter { name: "size", reason });
                }
                Ok(shaped.into_iter().map(|shaped| shaped.chunk).collect())
            }
        }
    }
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
    #[pyo3(signature = (model, width, height, *, frames, frame_rate, bits, group, scene_cuts, threads, max_memory, rate))]
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
        rate: Option<Rate>,
    ) -> PyResult<Self> {
        let mut video = model.stream(width, height, frame_rate, bits)?;
        if rate.is_some() {
            video = video.with_depth_step(Some(depth_step(&model.bundle)));
        }
        let options = Options::default()
            .threads(threads)
            .chunks_per_group(group)
            .key_frames(match scene_cuts {
                true => KeyFrames::AtCuts,
                false => KeyFrames::None,
            })
            .encoder_plan(Some(model.plan(&video, Work::Encode, frames, max_memory)?));
        let (sender, chunks) = channel();
        let timed = video.clone();
        let place = |error| error::codec(error, &model.place);
        let started = |error| error::failed(error, &model.place, "cannot start a thread");
        let input = match rate {
            None => {
                let (input, output) = py
                    .detach(|| pipeline::encoder(&model.bundle, &video, &options))
                    .map_err(place)?;
                let feeding = std::thread::Builder::new().spawn(move || {
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
                feeding.map_err(started)?;
                input
            }
            Some(rate) => {
                let effort = rate.effort()?;
                let mut shaping = shaping(&rate, &video)?;
                let (input, output) = py
                    .detach(|| {
                        pipeline::elastic_encoder(&model.bundle, &video, &options, Measure::tokens(effort))
                    })
                    .map_err(place)?;
                let feeding = std::thread::Builder::new().spawn(move || {
                    for elastic in output {
                        let chunk = match elastic {
                            Ok(elastic) => shaping.take(elastic, &timed),
                            Err(error) => Some(Err(error)),
                        };
                        if let Some(chunk) = chunk
                            && sender.send(chunk).is_err()
                        {
                            return;
                        }
                    }
                    // Nobody waits for them if sending fails.
                    match shaping.finish() {
                        Ok(chunks) => {
                            let _ = chunks.into_iter().all(|chunk| sender.send(Ok(chunk)).is_ok());
                        }
                        Err(error) => drop(sender.send(Err(error))),
                    }
                });
                feeding.map_err(started)?;
                input
            }
        };
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

/// How the chunks of a video are shaped.
fn shaping(rate: &Rate, video: &container::VideoStream) -> PyResult<Shaping> {
    match (rate.control()?, rate.size) {
        (Some(control), _) => Ok(Shaping::Live(control)),
        (None, Some(size)) => {
            let options = WriterOptions::default().with_compression(compression(&rate.coder, rate.level)?);
            let mut kept = KeptFile::new(Header::from(video.clone()));
            if !rate.metadata.is_empty() {
                kept.push(KeptItem::Metadata(Metadata {
                    stream: StreamId::NONE,
                    entries: rate.metadata.clone(),
                }));
            }
            Ok(Shaping::Size(size, options, kept))
        }
        (None, None) => Err(PyValueError::new_err("rate: expected crf, bitrate or size")),
    }
}

fn ended() -> PyErr {
    LatentBitError::new_err("this encoder was finished already; begin a new one")
}
