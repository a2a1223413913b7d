//! Chunks to frames.

use std::ops::Range;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};

use latentbit_codec::pipeline::{self, ChunkInput, Coded, DecodedFrame, Options, Output, Work};
use latentbit_codec::{self as codec, Frame};
use latentbit_container::units::frames_held;
use latentbit_container::{
    self as container, ChunkHead, DepthMap, LatentFrames, PixelFrames, StreamId, Times, TokenGrid, Tokens,
    VideoStream,
};
use numpy::{PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrays::array;
use crate::bundle::Bundle;
use crate::error;
use crate::file::Opened;
use crate::reader::Reader;

/// The frames of a decoder, one by one.
#[pyclass(frozen, module = "latentbit._latentbit")]
pub struct FrameStream {
    place: String,
    /// Whether frames come as f32 instead of u8.
    floats: bool,
    state: Mutex<State>,
}

struct State {
    output: Output<DecodedFrame>,
    /// Why feeding the decoder ended early.
    fault: Receiver<PyErr>,
    /// Frames to skip before the first wanted one.
    skip: u64,
    /// Wanted frames that are still to come.
    left: u64,
}

impl FrameStream {
    fn start(
        model: &Bundle,
        video: &VideoStream,
        options: &Options,
        place: &str,
        floats: bool,
        (skip, left): (u64, u64),
        feed: impl FnOnce(&mut ChunkInput) -> PyResult<()> + Send + 'static,
    ) -> PyResult<Self> {
        let (mut input, output) =
            pipeline::decoder(&model.bundle, video, options).map_err(|error| error::codec(error, place))?;
        let (sender, fault) = channel();
        let feeding = std::thread::Builder::new().spawn(move || match feed(&mut input) {
            // Nothing more to tell if the decoder has stopped already.
            Ok(()) => drop(input.flush()),
            Err(error) => drop(sender.send(error)),
        });
        feeding.map_err(|error| error::failed(error, place, "cannot start a thread"))?;
        Ok(Self {
            place: place.to_owned(),
            floats,
            state: Mutex::new(State {
                output,
                fault,
                skip,
                left,
            }),
        })
    }

    fn pull(&self) -> PyResult<Option<Frame>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.left > 0 {
            let frame = match state.output.pull() {
                Ok(Some(decoded)) => decoded.frame,
                Ok(None) => return Ok(None),
                Err(error) => {
                    state.left = 0;
                    // If reading failed, the decoder only knows that nothing more came.
                    let fault = state.fault.recv();
                    return Err(fault.unwrap_or_else(|_| error::codec(error, &self.place)));
                }
            };
            if state.skip == 0 {
                state.left -= 1;
                return Ok(Some(frame));
            }
            state.skip -= 1;
        }
        Ok(None)
    }
}

/// How to decode `frames` frames of a stream within `max_memory` bytes.
fn options(
    model: &Bundle,
    video: &VideoStream,
    frames: u64,
    threads: usize,
    max_memory: Option<u64>,
) -> PyResult<Options> {
    Ok(Options::default().threads(threads).decoder_plan(Some(model.plan(
        video,
        Work::Decode,
        Some(frames),
        max_memory,
    )?)))
}

/// Pushes a part; false if the decoder wants nothing more.
fn push(input: &mut ChunkInput, part: Coded, place: &str) -> PyResult<bool> {
    match input.push(part) {
        Ok(()) => Ok(true),
        Err(codec::Error::Closed) => Ok(false),
        Err(error) => Err(error::codec(error, place)),
    }
}

fn feed(input: &mut ChunkInput, file: &Opened, chunks: Range<usize>, planes: u8) -> PyResult<()> {
    for chunk in file.chunks.get(chunks).unwrap_or_default() {
        let part = match chunk.is_lost() {
            false => Coded::Chunk(file.load(chunk, planes)?),
            true => Coded::Lost {
                chunks: chunk.sequence..chunk.sequence.saturating_add(1),
                frames: chunk.first_frame.0..chunk.end_frame().0,
            },
        };
        if !push(input, part, &file.place)? {
            break;
        }
    }
    Ok(())
}

#[pymethods]
impl FrameStream {
    /// Decodes frames `first` up to but without `end` of a file.
    #[staticmethod]
    #[pyo3(signature = (model, file, *, first, end, bits, threads, max_memory, floats))]
    #[allow(clippy::too_many_arguments)] // Python gives them by name.
    fn of_file(
        py: Python<'_>,
        model: &Bundle,
        file: &Reader,
        first: u64,
        end: u64,
        bits: Option<u8>,
        threads: usize,
        max_memory: Option<u64>,
        floats: bool,
    ) -> PyResult<Self> {
        let file: Arc<Opened> = file.0.clone();
        let planes = crate::arrays::check_planes(bits, file.video.bits)?;
        let needed = file.chunks_for(first..end);
        let (chunks, skip, frames) = needed.map_or((0..0, 0, 0), |needed| {
            let last = file.chunks.get(..needed.end).and_then(<[_]>::last);
            let end = last.map_or(PixelFrames(0), |last| last.end_frame());
            let frames = end.saturating_sub(needed.decoded_from);
            (needed.from_key..needed.end, needed.left_out().0, frames.0)
        });
        let left = end.saturating_sub(first);
        file.check_lost(chunks.clone())?;
        let options = options(model, &file.video, frames, threads, max_memory)?;
        let fed = file.clone();
        py.detach(|| {
            Self::start(
                model,
                &file.video,
                &options,
                &file.place,
                floats,
                (skip, left),
                move |input| feed(input, &fed, chunks, planes),
            )
        })
    }

    /// Decodes the tokens of one group, from its start on.
    #[staticmethod]
    #[pyo3(signature = (model, values, depths, *, width, height, bits, threads, max_memory, floats))]
    #[allow(clippy::too_many_arguments)] // Python gives them by name.
    fn of_tokens(
        py: Python<'_>,
        model: &Bundle,
        values: PyReadonlyArray3<'_, u64>,
        depths: Option<PyReadonlyArray3<'_, u8>>,
        width: Option<u32>,
        height: Option<u32>,
        bits: Option<u8>,
        threads: usize,
        max_memory: Option<u64>,
        floats: bool,
    ) -> PyResult<Self> {
        let view = values.as_array();
        let (t, h, w) = view.dim();
        let values_shape = [t, h, w];
        // The size of a token does not depend on that of the frame, so a small frame will do.
        let small = model.stream(1, 1, (0, 1), None)?;
        let ([_, k_h, k_w], [_, s_h, s_w]) = (small.patch, small.strides);
        let planes = crate::arrays::check_planes(bits, small.bits)?;
        let pixels = |tokens: usize, patch: u8, stride: u8| {
            let side = (tokens as u64).saturating_mul(u64::from(patch) * u64::from(stride));
            u32::try_from(side).unwrap_or(u32::MAX)
        };
        let width = width.unwrap_or(pixels(w, k_w, s_w));
        let height = height.unwrap_or(pixels(h, k_h, s_h));
        let video = model.stream(width, height, (0, 1), None)?;
        let full = video.grid(LatentFrames(u64::from(video.chunk_latent_frames)));
        if t == 0 || (full.h as usize, full.w as usize) != (h, w) {
            return Err(PyValueError::new_err(format!(
                "tokens: expected (steps, {}, {}) for frames of {width}x{height}, found ({t}, {h}, {w})",
                full.h, full.w
            )));
        }
        let values: Vec<u64> = view.iter().copied().collect();
        let depths: Option<Vec<u8>> = match &depths {
            Some(depths) if depths.shape() == values_shape => {
                Some(depths.as_array().iter().copied().collect())
            }
            Some(depths) => {
                return Err(PyValueError::new_err(format!(
                    "depths: expected the shape of the tokens, {values_shape:?}, found {:?}",
                    depths.shape()
                )));
            }
            None => None,
        };
        let per_chunk = (full.t as usize).max(1) * h * w;
        let patch = u64::from(video.patch[0]);
        let mut chunks = Vec::new();
        let mut frames = PixelFrames(0);
        for (number, part) in values.chunks(per_chunk).enumerate() {
            let steps = part.len() / (h * w);
            // A patch that does not fill the last chunk is padding, as in an encoder's chunks.
            let latent = (steps as u64 * patch).min(u64::from(video.chunk_latent_frames));
            let key = number == 0;
            let frame_count = frames_held(LatentFrames(latent), video.strides[0], key);
            let mut tokens = Tokens::new(
                TokenGrid {
                    t: steps as u32,
                    ..full
                },
                video.bits,
                part.to_vec(),
            );
            if let Some(depths) = depths
                .as_ref()
                .and_then(|depths| depths.chunks(per_chunk).nth(number))
            {
                // Any depth will do for a decoder.
                tokens = tokens.with_depths(DepthMap {
                    step: 1,
                    values: depths.to_vec(),
                });
            }
            tokens
                .validate()
                .map_err(|error| error::container(error, "tokens"))?;
            tokens.truncate_bits(planes);
            chunks.push(container::Chunk {
                head: ChunkHead {
                    stream: StreamId(0),
                    sequence: number as u64,
                    first_frame: frames,
                    frame_count,
                    latent_frames: LatentFrames(latent),
                    key,
                    segment: 0,
                },
                times: Times::default(),
                tokens,
            });
            frames += frame_count;
        }
        let options = options(model, &video, frames.0, threads, max_memory)?;
        py.detach(|| {
            Self::start(
                model,
                &video,
                &options,
                "tokens",
                floats,
                (0, frames.0),
                |input| {
                    for chunk in chunks {
                        if !push(input, Coded::Chunk(chunk), "tokens")? {
                            break;
                        }
                    }
                    Ok(())
                },
            )
        })
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(frame) = py.detach(|| self.pull())? else {
            return Ok(None);
        };
        let shape = [frame.height, frame.width, 3];
        if self.floats {
            return array(py, frame.data, shape).map(Some);
        }
        let bytes = py.detach(|| {
            let values = frame.data.iter();
            // Casts saturate, and NaN becomes 0.
            values
                .map(|value| (value * 255.0).round() as u8)
                .collect::<Vec<u8>>()
        });
        array(py, bytes, shape).map(Some)
    }
}
