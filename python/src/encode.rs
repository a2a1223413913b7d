//! Frames to chunks.

use std::sync::{Arc, Mutex, PoisonError};

use latentbit_codec as codec;
use latentbit_codec::pipeline::{self, KeyFrames, Options, Work};
use latentbit_codec::rate::{
    Bitrate, Effort, ElasticChunk, KeptFile, KeptItem, MAX_CRF, Measure, RateControl, Target, chunk_seconds,
    depth_step,
};
use latentbit_container::{self as container, Header, Metadata, Rational, StreamId, WriterOptions};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::bundle::Bundle;
use crate::chunk::Chunk;
use crate::error;
use crate::session::Session;
use crate::video;
use crate::writer::compression;

/// An encoder that takes frames and gives chunks.
#[pyclass(frozen, module = "latentbit._latentbit")]
pub struct EncodeSession {
    video: container::VideoStream,
    session: Session<container::Chunk>,
    below: Arc<Mutex<Below>>,
}

/// How many chunks have a lower PSNR than was asked for, and the lowest, in dB.
#[derive(Clone, Copy, Default)]
struct Below {
    chunks: u64,
    lowest: f64,
}

/// What a caller asks of the size and quality of a video. At most one of `crf`, `bitrate`, `psnr` and `size` is given.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Rate {
    crf: Option<f64>,
    /// Bits per second.
    bitrate: Option<f64>,
    /// Of each chunk, in dB.
    psnr: Option<f64>,
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
            (None, None) => match self.psnr {
                None => return Ok(None),
                Some(psnr) if psnr > 0.0 && psnr.is_finite() => Target::Psnr(psnr),
                Some(psnr) => {
                    return Err(PyValueError::new_err(format!(
                        "psnr: expected a number of dB above 0, found {psnr}"
                    )));
                }
            },
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
    /// With the PSNR that is asked for, and what missed it.
    Live(RateControl, Option<f64>, Arc<Mutex<Below>>),
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
            Self::Live(control, asked, below) => {
                let seconds = chunk_seconds(&elastic.chunk, video);
                let shaped = match control.shape(&elastic, seconds) {
                    Ok(shaped) => shaped,
                    Err(error) => return Some(Err(error)),
                };
                if let (Some(asked), Some(found)) = (*asked, shaped.psnr)
                    && found < asked
                {
                    let mut below = below.lock().unwrap_or_else(PoisonError::into_inner);
                    below.lowest = if below.chunks == 0 {
                        found
                    } else {
                        below.lowest.min(found)
                    };
                    below.chunks += 1;
                }
                Some(Ok(shaped.chunk))
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
            Self::Live(..) => Ok(Vec::new()),
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

#[pymethods]
impl EncodeSession {
    #[new]
    #[pyo3(signature = (model, width, height, *, frames, frame_rate, pixel_aspect, bits, group, scene_cuts, threads, max_memory, rate))]
    #[allow(clippy::too_many_arguments)] // Python gives them by name.
    fn new(
        py: Python<'_>,
        model: &Bundle,
        width: u32,
        height: u32,
        frames: Option<u64>,
        frame_rate: (u32, u32),
        pixel_aspect: (u32, u32),
        bits: Option<u8>,
        group: u32,
        scene_cuts: bool,
        threads: usize,
        max_memory: Option<u64>,
        rate: Option<Rate>,
    ) -> PyResult<Self> {
        let (num, den) = pixel_aspect;
        let mut video = model
            .stream(width, height, frame_rate, bits)?
            .with_pixel_aspect(Rational { num, den });
        if rate.is_some() {
            video = video.with_depth_step(Some(depth_step(&model.bundle)));
        }
        let measure = match &rate {
            None => None,
            Some(rate) if rate.psnr.is_some() => Some(Measure::tokens(rate.effort()?).with_source()),
            Some(rate) => Some(Measure::tokens(rate.effort()?)),
        };
        let work = match (measure, &rate) {
            (Some(measure), Some(rate)) => Work::EncodeElastic {
                measure,
                step: depth_step(&model.bundle),
                keeps_all: rate.size.is_some(),
            },
            _ => Work::Encode,
        };
        let options = Options::default()
            .threads(threads)
            .chunks_per_group(group)
            .key_frames(match scene_cuts {
                true => KeyFrames::AtCuts,
                false => KeyFrames::None,
            })
            .encoder_plan(Some(model.plan(&(&video).into(), work, frames, max_memory)?));
        let timed = video.clone();
        let place = |error| error::codec(error, &model.place);
        let below = Arc::new(Mutex::new(Below::default()));
        let session = match rate.zip(measure) {
            None => {
                let (input, output) = py
                    .detach(|| pipeline::encoder(&model.bundle, &video, &options))
                    .map_err(place)?;
                Session::start(&model.place, input, move |sender| {
                    for chunk in output {
                        let chunk = chunk.map(|mut chunk| {
                            chunk.times = timed.constant_times(chunk.first_frame);
                            chunk
                        });
                        if sender.send(chunk).is_err() {
                            break;
                        }
                    }
                })?
            }
            Some((rate, measure)) => {
                let mut shaping = shaping(&rate, &video, &below)?;
                let (input, output) = py
                    .detach(|| pipeline::elastic_encoder(&model.bundle, &video, &options, measure))
                    .map_err(place)?;
                Session::start(&model.place, input, move |sender| {
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
                })?
            }
        };
        Ok(Self {
            video,
            session,
            below,
        })
    }

    #[getter]
    fn video<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        video::to_dict(py, &self.video)
    }

    /// Encodes an array of (frames, height, width, RGB), u8 or f32 from 0 to 1. Waits while too many are in progress.
    fn push(&self, py: Python<'_>, frames: &Bound<'_, PyAny>) -> PyResult<()> {
        self.session.push(py, frames)
    }

    /// The chunks that are ready.
    fn ready(&self) -> PyResult<Vec<Chunk>> {
        Ok(self.session.ready()?.into_iter().map(Chunk::in_memory).collect())
    }

    /// Ends the video.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        self.session.finish(py)
    }

    /// The next chunk; waits for it. None after the last one.
    fn wait(&self, py: Python<'_>) -> PyResult<Option<Chunk>> {
        Ok(self.session.wait(py)?.map(Chunk::in_memory))
    }

    /// How many chunks have a lower PSNR than was asked for, and the lowest one in dB.
    #[getter]
    fn below(&self) -> (u64, f64) {
        let below = *self.below.lock().unwrap_or_else(PoisonError::into_inner);
        (below.chunks, below.lowest)
    }
}

/// How the chunks of a video are shaped.
fn shaping(rate: &Rate, video: &container::VideoStream, below: &Arc<Mutex<Below>>) -> PyResult<Shaping> {
    match (rate.control()?, rate.size) {
        (Some(control), _) => Ok(Shaping::Live(control, rate.psnr, below.clone())),
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
        (None, None) => Err(PyValueError::new_err("rate: expected crf, bitrate, psnr or size")),
    }
}
