//! Frames go in, what a pipeline makes of them comes out: what encoders of tokens and of latents share.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use latentbit_codec::pipeline::FrameInput;
use latentbit_codec::{self as codec, Frame};
use numpy::{PyReadonlyArray4, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::arrays::{frame_of_bytes, frame_of_floats};
use crate::error::{self, LatentBitError};

/// How long a wait lasts before Python may act on Ctrl-C.
const PATIENCE: Duration = Duration::from_millis(100);

pub type Made<T> = Result<T, codec::Error>;

/// A pipeline that takes frames.
pub struct Session<T> {
    place: String,
    input: Mutex<Option<FrameInput>>,
    /// Unbounded, because what is made of frames is small: pushing never waits for a reader.
    made: Mutex<Receiver<Made<T>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Send + 'static> Session<T> {
    /// Runs `collect`, which sends what comes out of the pipeline, on a thread of its own.
    pub fn start(
        place: &str,
        input: FrameInput,
        collect: impl FnOnce(Sender<Made<T>>) + Send + 'static,
    ) -> PyResult<Self> {
        let (sender, made) = channel();
        let collecting = std::thread::Builder::new().spawn(move || collect(sender));
        collecting.map_err(|error| error::failed(error, place, "cannot start a thread"))?;
        Ok(Self {
            place: place.to_owned(),
            input: Mutex::new(Some(input)),
            made: Mutex::new(made),
        })
    }

    /// Why the pipeline stopped taking frames.
    fn reason(&self) -> PyErr {
        for made in locked(&self.made).iter() {
            if let Err(error) = made {
                return error::codec(error, &self.place);
            }
        }
        error::codec(codec::Error::Closed, &self.place)
    }

    /// Takes an array of (frames, height, width, RGB), u8 or f32 from 0 to 1. Waits while too many are in progress.
    pub fn push(&self, py: Python<'_>, frames: &Bound<'_, PyAny>) -> PyResult<()> {
        let frames: Frames<'_> = frames.extract().map_err(|_| {
            PyTypeError::new_err(
                "frames: expected an array (frames, height, width, 3) of uint8, or of float32 from 0 to 1",
            )
        })?;
        for index in 0..frames.count() {
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

    /// What is ready.
    pub fn ready(&self) -> PyResult<Vec<T>> {
        let made = locked(&self.made);
        let mut all = Vec::new();
        loop {
            match made.try_recv() {
                Ok(Ok(one)) => all.push(one),
                Ok(Err(error)) => return Err(error::codec(error, &self.place)),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(all),
            }
        }
    }

    /// Ends the video.
    pub fn finish(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            let input = locked(&self.input).take().ok_or_else(ended)?;
            input.flush().map_err(|error| match error {
                codec::Error::Closed => self.reason(),
                error => error::codec(error, &self.place),
            })
        })
    }

    /// The next one; waits for it, and none comes after the last one. Ctrl-C ends the wait.
    pub fn wait(&self, py: Python<'_>) -> PyResult<Option<T>> {
        loop {
            match py.detach(|| locked(&self.made).recv_timeout(PATIENCE)) {
                Ok(Ok(one)) => return Ok(Some(one)),
                Ok(Err(error)) => return Err(error::codec(error, &self.place)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => py.check_signals()?,
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
    fn count(&self) -> usize {
        let shape = match self {
            Self::Bytes(array) => array.shape(),
            Self::Floats(array) => array.shape(),
        };
        shape.first().copied().unwrap_or_default()
    }

    fn frame(&self, index: usize) -> Frame {
        let axis = numpy::ndarray::Axis(0);
        match self {
            Self::Bytes(array) => frame_of_bytes(array.as_array().index_axis(axis, index)),
            Self::Floats(array) => frame_of_floats(array.as_array().index_axis(axis, index)),
        }
    }
}

fn ended() -> PyErr {
    LatentBitError::new_err("this encoder was finished already; begin a new one")
}
