//! Chunks, tokens and latents to frames.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use latentbit_codec::maskgit::FillOptions;
use latentbit_codec::pipeline::{
    self, ChunkInput, Coded, Conceal, DecodedFrame, Fidelity, Geometry, LatentChunk, LatentInput, Options,
    Output, Work,
};
use latentbit_codec::{self as codec, Frame, Predictor, Volume};
use latentbit_container::units::frames_held;
use latentbit_container::{
    self as container, ChunkHead, DepthMap, LatentFrames, PixelFrames, StreamId, Times, TokenGrid, Tokens,
    VideoStream,
};
use numpy::{PyReadonlyArray3, PyReadonlyArray4, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrays::{check_planes, pixels};
use crate::bundle::Bundle;
use crate::error::{self, FormatError, LatentBitError, LostChunkError, TruncatedError};
use crate::file::Opened;
use crate::reader::Reader;

/// The frames of a decoder, one by one: of a file, or of tokens or latents that are pushed.
#[pyclass(frozen, module = "latentbit._latentbit")]
pub struct FrameStream {
    place: String,
    /// Whether frames come as f32 instead of u8.
    floats: bool,
    state: Mutex<State>,
    /// What was found wrong with chunks whose frames were filled in.
    faults: Arc<Mutex<Vec<String>>>,
    /// Where tokens and latents are pushed; none once that has ended.
    feed: Mutex<Option<Feed>>,
}

struct State {
    output: Frames,
    /// Why feeding the decoder ended early.
    fault: Receiver<PyErr>,
    /// Frames before this one are not wanted.
    first: u64,
    /// Nor is this one, and those after it.
    end: u64,
}

enum Frames {
    Decoded(Output<DecodedFrame>),
    /// Of latents, which are never lost; with the number of the next one.
    Plain(Output<Frame>, u64),
}

impl Frames {
    /// The number of the next frame, what it is, and the frame.
    fn pull(&mut self) -> codec::Result<Option<(u64, Fidelity, Frame)>> {
        match self {
            Self::Decoded(output) => {
                let decoded = output.pull()?;
                Ok(decoded.map(|decoded| (decoded.index.0, decoded.fidelity, decoded.frame)))
            }
            Self::Plain(output, next) => Ok(output.pull()?.map(|frame| {
                *next += 1;
                (*next - 1, Fidelity::Exact, frame)
            })),
        }
    }
}

/// Where Python pushes what is to be decoded.
enum Feed {
    Tokens(TokenFeed),
    Latents(LatentFeed),
}

struct TokenFeed {
    chunks: Sender<Option<container::Chunk>>,
    video: VideoStream,
    planes: u8,
    sequence: u64,
    next_frame: PixelFrames,
}

struct LatentFeed {
    chunks: Sender<Option<LatentChunk>>,
    geometry: Geometry,
    sequence: u64,
    next_frame: u64,
}

/// What a look at the decoder's output gave.
enum Pulled {
    Wanted(u64, Fidelity, Frame),
    Unwanted,
    End,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FrameStream {
    fn start<I: Send + 'static>(
        place: &str,
        floats: bool,
        wanted: Range<u64>,
        (mut input, output): (I, Frames),
        feed: impl FnOnce(&mut I) -> PyResult<bool> + Send + 'static,
        flush: impl FnOnce(I) -> codec::Result<()> + Send + 'static,
    ) -> PyResult<Self> {
        let (sender, fault) = channel();
        let feeding = std::thread::Builder::new().spawn(move || match feed(&mut input) {
            // Nothing more to tell if the decoder has stopped already.
            Ok(true) => drop(flush(input)),
            Ok(false) => {}
            Err(error) => drop(sender.send(error)),
        });
        feeding.map_err(|error| error::failed(error, place, "cannot start a thread"))?;
        Ok(Self {
            place: place.to_owned(),
            floats,
            state: Mutex::new(State {
                output,
                fault,
                first: wanted.start,
                end: wanted.end,
            }),
            faults: Arc::default(),
            feed: Mutex::new(None),
        })
    }

    fn pull(&self) -> PyResult<Pulled> {
        let mut state = locked(&self.state);
        if state.end <= state.first {
            return Ok(Pulled::End);
        }
        match state.output.pull() {
            Ok(None) => Ok(Pulled::End),
            Ok(Some((index, ..))) if index < state.first => Ok(Pulled::Unwanted),
            Ok(Some((index, ..))) if index >= state.end => {
                state.end = 0;
                Ok(Pulled::End)
            }
            Ok(Some((index, fidelity, frame))) => {
                state.first = index.saturating_add(1);
                Ok(Pulled::Wanted(index, fidelity, frame))
            }
            Err(error) => {
                state.end = 0;
                // If reading failed, the decoder only knows that nothing more came.
                let fault = state.fault.recv();
                Err(fault.unwrap_or_else(|_| error::codec(error, &self.place)))
            }
        }
    }
}

/// What is done about lost chunks; `auto` is as the command has it.
fn concealment(name: &str, predictor: Option<PathBuf>, steps: u32, model: &Bundle) -> PyResult<Conceal> {
    let bundle = &model.bundle;
    let find = || -> PyResult<Option<Predictor>> {
        let (found, place) = match &predictor {
            Some(path) => (
                Predictor::open(path, bundle, bundle.dtype()).map(Some),
                path.display().to_string(),
            ),
            None => (
                Predictor::embedded(bundle, bundle.dtype()),
                "the built-in predictor".to_owned(),
            ),
        };
        found.map_err(|error| error::codec(error, &place))
    };
    let filling = |predictor| Conceal::MaskGit {
        predictor: Arc::new(predictor),
        fill: FillOptions::default().steps(steps),
    };
    match name {
        "off" => Ok(Conceal::Off),
        "freeze" => Ok(Conceal::Freeze),
        "blend" => Ok(Conceal::Blend),
        "latent" => Ok(Conceal::Latent),
        "maskgit" => find()?.map(filling).ok_or_else(|| {
            PyValueError::new_err(format!(
                "conceal: no predictor is built in for {}; give one with predictor=, or take another method",
                model.place
            ))
        }),
        "auto" => Ok(find()?.map_or(Conceal::Freeze, filling)),
        other => Err(PyValueError::new_err(format!(
            "conceal: expected auto, off, freeze, blend, latent or maskgit, found {other:?}"
        ))),
    }
}

/// How to decode `frames` frames of a stream, if it is known how many, within `max_memory` bytes.
fn options(
    model: &Bundle,
    geometry: &Geometry,
    work: Work,
    frames: Option<u64>,
    threads: usize,
    max_memory: Option<u64>,
) -> PyResult<Options> {
    let plan = model.plan(geometry, work, frames, max_memory)?;
    Ok(Options::default().threads(threads).decoder_plan(Some(plan)))
}

/// Whether the pipeline takes more.
fn goes_on(pushed: codec::Result<()>, place: &str) -> PyResult<bool> {
    match pushed {
        Ok(()) => Ok(true),
        Err(codec::Error::Closed) => Ok(false),
        Err(error) => Err(error::codec(error, place)),
    }
}

/// Whether an error is of a chunk and not of the system.
fn is_damage(error: &PyErr) -> bool {
    Python::attach(|py| {
        error.is_instance_of::<FormatError>(py)
            || error.is_instance_of::<TruncatedError>(py)
            || error.is_instance_of::<LostChunkError>(py)
    })
}

/// Pushes chunks of a file. Those that cannot be read end it, or are noted as `faults` if they are to be concealed.
fn feed_file(
    input: &mut ChunkInput,
    file: &Opened,
    chunks: Range<usize>,
    planes: u8,
    faults: Option<&Mutex<Vec<String>>>,
) -> PyResult<bool> {
    let mut made_up = 0u64;
    for chunk in file.chunks.get(chunks).unwrap_or_default() {
        let part = match (file.load(chunk, planes), faults) {
            (Ok(chunk), _) => Coded::Chunk(chunk),
            (Err(error), Some(faults)) if is_damage(&error) => {
                made_up = made_up.saturating_add(chunk.frame_count.0);
                file.check_made_up(made_up)?;
                locked(faults).push(Python::attach(|py| error.value(py).to_string()));
                Coded::Lost {
                    chunks: chunk.sequence..chunk.sequence.saturating_add(1),
                    frames: chunk.first_frame.0..chunk.end_frame().0,
                }
            }
            (Err(error), _) => return Err(error),
        };
        if !goes_on(input.push(part), &file.place)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Pushes what comes until none does: then it has ended, and if nobody is left to send, it was given up.
fn feed_pushed<T>(
    parts: &Receiver<Option<T>>,
    place: &str,
    mut push: impl FnMut(T) -> codec::Result<()>,
) -> PyResult<bool> {
    loop {
        match parts.recv() {
            Ok(Some(part)) => {
                if !goes_on(push(part), place)? {
                    return Ok(false);
                }
            }
            Ok(None) => return Ok(true),
            Err(_) => return Ok(false),
        }
    }
}

#[pymethods]
impl FrameStream {
    /// Decodes frames `first` up to but without `end` of a file. Without `conceal` a chunk that is lost is an error.
    #[staticmethod]
    #[pyo3(signature = (model, file, *, first, end, bits, threads, max_memory, floats, conceal, predictor, conceal_steps, low_delay))]
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
        conceal: Option<&str>,
        predictor: Option<PathBuf>,
        conceal_steps: Option<u32>,
        low_delay: bool,
    ) -> PyResult<Self> {
        let file: Arc<Opened> = file.0.clone();
        let planes = check_planes(bits, file.video.bits)?;
        let needed = file.chunks_for(first..end);
        let (chunks, frames) = needed.map_or((0..0, 0), |needed| {
            let last = file.chunks.get(..needed.end).and_then(<[_]>::last);
            let end = last.map_or(PixelFrames(0), |last| last.end_frame());
            let frames = end.saturating_sub(needed.decoded_from);
            (needed.from_key..needed.end, frames.0)
        });
        let geometry = Geometry::from(&file.video);
        let mut options = options(model, &geometry, Work::Decode, Some(frames), threads, max_memory)?;
        if let Some(name) = conceal {
            file.check_lost(chunks.clone())?;
            let steps = conceal_steps.unwrap_or(FillOptions::default().steps);
            if !(1..=1000).contains(&steps) {
                return Err(PyValueError::new_err(format!(
                    "conceal_steps: expected a number from 1 to 1000, found {steps}"
                )));
            }
            options = options
                .conceal(py.detach(|| concealment(name, predictor, steps, model))?)
                .low_delay(low_delay);
        }
        let fed = file.clone();
        let faults: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = conceal.is_some().then(|| faults.clone());
        let stream = py.detach(|| {
            let (input, output) = pipeline::decoder(&model.bundle, &file.video, &options)
                .map_err(|error| error::codec(error, &file.place))?;
            Self::start(
                &file.place,
                floats,
                first..end,
                (input, Frames::Decoded(output)),
                move |input| feed_file(input, &fed, chunks, planes, noted.as_deref()),
                ChunkInput::flush,
            )
        })?;
        Ok(Self { faults, ..stream })
    }

    /// Decodes tokens that are pushed, those of one group from its start on.
    #[staticmethod]
    #[pyo3(signature = (model, width, height, *, frames, bits, threads, max_memory, floats))]
    #[allow(clippy::too_many_arguments)] // Python gives them by name.
    fn of_tokens(
        py: Python<'_>,
        model: &Bundle,
        width: u32,
        height: u32,
        frames: Option<u64>,
        bits: Option<u8>,
        threads: usize,
        max_memory: Option<u64>,
        floats: bool,
    ) -> PyResult<Self> {
        let video = model.stream(width, height, (0, 1), None)?;
        let planes = check_planes(bits, video.bits)?;
        let geometry = Geometry::from(&video);
        let options = options(model, &geometry, Work::Decode, frames, threads, max_memory)?;
        let (chunks, parts) = channel();
        let stream = py.detach(|| {
            let (input, output) = pipeline::decoder(&model.bundle, &video, &options)
                .map_err(|error| error::codec(error, "tokens"))?;
            Self::start(
                "tokens",
                floats,
                0..u64::MAX,
                (input, Frames::Decoded(output)),
                move |input| feed_pushed(&parts, "tokens", |chunk| input.push(Coded::Chunk(chunk))),
                ChunkInput::flush,
            )
        })?;
        *locked(&stream.feed) = Some(Feed::Tokens(TokenFeed {
            chunks,
            video,
            planes,
            sequence: 0,
            next_frame: PixelFrames(0),
        }));
        Ok(stream)
    }

    /// Decodes latents that are pushed, those of one group from its start on.
    #[staticmethod]
    #[pyo3(signature = (model, width, height, *, frames, threads, max_memory, floats))]
    #[allow(clippy::too_many_arguments)] // Python gives them by name.
    fn of_latents(
        py: Python<'_>,
        model: &Bundle,
        width: u32,
        height: u32,
        frames: Option<u64>,
        threads: usize,
        max_memory: Option<u64>,
        floats: bool,
    ) -> PyResult<Self> {
        let geometry = Geometry::new(&model.bundle, width, height);
        let options = options(model, &geometry, Work::DecodeLatents, frames, threads, max_memory)?;
        let (chunks, parts) = channel();
        let stream = py.detach(|| {
            let (input, output) = pipeline::latent_decoder(&model.bundle, &geometry, &options)
                .map_err(|error| error::codec(error, "latents"))?;
            Self::start(
                "latents",
                floats,
                0..u64::MAX,
                (input, Frames::Plain(output, 0)),
                move |input| feed_pushed(&parts, "latents", |chunk| input.push(chunk)),
                LatentInput::flush,
            )
        })?;
        *locked(&stream.feed) = Some(Feed::Latents(LatentFeed {
            chunks,
            geometry,
            sequence: 0,
            next_frame: 0,
        }));
        Ok(stream)
    }

    /// Takes the tokens of the next chunk. Returns how many frames they stand for, which can be pulled without waiting for
    /// another push.
    #[pyo3(signature = (values, depths = None))]
    fn push_tokens(
        &self,
        values: PyReadonlyArray3<'_, u64>,
        depths: Option<PyReadonlyArray3<'_, u8>>,
    ) -> PyResult<u64> {
        let mut feed = locked(&self.feed);
        let Some(Feed::Tokens(feed)) = feed.as_mut() else {
            return Err(ended());
        };
        let view = values.as_array();
        let (t, h, w) = view.dim();
        let (width, height) = (feed.video.width, feed.video.height);
        let chunk_frames = u64::from(feed.video.chunk_latent_frames);
        let full = feed.video.grid(LatentFrames(chunk_frames));
        if t == 0 || t > full.t as usize || (full.h as usize, full.w as usize) != (h, w) {
            return Err(PyValueError::new_err(format!(
                "tokens: expected (steps, {}, {}) for frames of {width}x{height}, found ({t}, {h}, {w})",
                full.h, full.w
            )));
        }
        // A patch that does not fill the last chunk is padding, as in an encoder's chunks.
        let latent = (t as u64 * u64::from(feed.video.patch[0])).min(chunk_frames);
        let key = feed.sequence == 0;
        let frame_count = frames_held(LatentFrames(latent), feed.video.strides[0], key);
        let grid = TokenGrid { t: t as u32, ..full };
        let mut tokens = Tokens::new(grid, feed.video.bits, view.iter().copied().collect());
        if let Some(depths) = &depths {
            if depths.shape() != [t, h, w] {
                return Err(PyValueError::new_err(format!(
                    "depths: expected the shape of the tokens, {:?}, found {:?}",
                    [t, h, w],
                    depths.shape()
                )));
            }
            // Any depth will do for a decoder.
            tokens = tokens.with_depths(DepthMap {
                step: 1,
                values: depths.as_array().iter().copied().collect(),
            });
        }
        tokens
            .validate()
            .map_err(|error| error::container(error, "tokens"))?;
        tokens.truncate_bits(feed.planes);
        let chunk = container::Chunk {
            head: ChunkHead {
                stream: StreamId(0),
                sequence: feed.sequence,
                first_frame: feed.next_frame,
                frame_count,
                latent_frames: LatentFrames(latent),
                key,
                segment: 0,
            },
            times: Times::default(),
            tokens,
        };
        // If nobody takes it, pulling tells why.
        let _ = feed.chunks.send(Some(chunk));
        feed.sequence += 1;
        feed.next_frame += frame_count;
        Ok(frame_count.0)
    }

    /// Takes the latents (latent frames, height, width, channels) of the next chunk, of about unit variance. Returns as
    /// `push_tokens` does.
    fn push_latents(&self, values: PyReadonlyArray4<'_, f32>) -> PyResult<u64> {
        let mut feed = locked(&self.feed);
        let Some(Feed::Latents(feed)) = feed.as_mut() else {
            return Err(ended());
        };
        let view = values.as_array();
        let (t, h, w, c) = view.dim();
        if t == 0
            || t > usize::from(feed.geometry.chunk_latent_frames)
            || [h, w] != feed.geometry.latent_size()
        {
            return Err(PyValueError::new_err(format!(
                "latents: expected at most {} latent frames of {:?}, found {t} of {:?}",
                feed.geometry.chunk_latent_frames,
                feed.geometry.latent_size(),
                [h, w]
            )));
        }
        let key = feed.sequence == 0;
        let stride = feed.geometry.strides[0] as u64;
        let frames = match key {
            true => 1 + (t as u64 - 1) * stride,
            false => t as u64 * stride,
        };
        let volume = Volume::new(&[t, h, w, c], view.iter().copied().collect());
        let volume = volume.map_err(|error| error::codec(error, "latents"))?;
        let (first, count) = (PixelFrames(feed.next_frame), PixelFrames(frames));
        // If nobody takes it, pulling tells why.
        let _ = feed
            .chunks
            .send(Some(LatentChunk::new(feed.sequence, first, count, key, volume)));
        feed.sequence += 1;
        feed.next_frame += frames;
        Ok(frames)
    }

    /// Says that nothing more is pushed.
    fn finish(&self) -> PyResult<()> {
        match locked(&self.feed).take() {
            Some(Feed::Tokens(feed)) => drop(feed.chunks.send(None)),
            Some(Feed::Latents(feed)) => drop(feed.chunks.send(None)),
            None => return Err(ended()),
        }
        Ok(())
    }

    /// What was found wrong with chunks whose frames were filled in.
    #[getter]
    fn faults(&self) -> Vec<String> {
        locked(&self.faults).clone()
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    /// The next frame, its number, what it is (exact, affected or concealed), and if it is concealed how.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Shown<'py>>> {
        let (index, fidelity, frame) = loop {
            match py.detach(|| self.pull())? {
                Pulled::Wanted(index, fidelity, frame) => break (index, fidelity, frame),
                Pulled::End => return Ok(None),
                // There may be many before the first one that is wanted.
                Pulled::Unwanted => py.check_signals()?,
            }
        };
        let (fidelity, method) = match fidelity {
            Fidelity::Exact => ("exact", None),
            Fidelity::Affected => ("affected", None),
            Fidelity::Concealed(method) => ("concealed", Some(method.name())),
        };
        let values = pixels(py, frame, self.floats)?;
        Ok(Some((values, index, fidelity, method)))
    }
}

/// A frame, its number, what it is and how it was concealed.
type Shown<'py> = (Bound<'py, PyAny>, u64, &'static str, Option<&'static str>);

fn ended() -> PyErr {
    LatentBitError::new_err("nothing more can be pushed into this decoder; begin a new one")
}
