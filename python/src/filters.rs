//! The filters of the command for frames that Python gives: another rate, another size, a part of the picture.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use latentbit_codec::Frame;
use latentbit_media::{
    Extras, Filters, FrameSource, MediaError, MediaErrorKind, Rational, VideoInfo, parse_rate,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyIterator;

use crate::arrays::{Picture, pixels};

/// Filtered frames, one by one.
#[pyclass(frozen, module = "latentbit._latentbit")]
pub struct FrameFilter {
    source: Mutex<Box<dyn FrameSource>>,
    held: Arc<Mutex<Held>>,
    info: VideoInfo,
    /// Whether frames come as f32 instead of u8.
    floats: bool,
}

/// What Python gave along with frames that are still to come out.
#[derive(Default)]
struct Held {
    /// By the number of the frame.
    beside: VecDeque<(u64, Arc<Py<PyAny>>)>,
    /// That of the frame that came out last.
    shown: Option<Arc<Py<PyAny>>>,
    /// What the caller's iterator raised.
    fault: Option<PyErr>,
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Frames of an iterator over (array, ticks or None, anything), with their numbers behind their values: the filter of rates
/// leaves frames out and repeats them.
struct Numbered {
    frames: Py<PyIterator>,
    info: VideoInfo,
    held: Arc<Mutex<Held>>,
    count: u64,
    time: Option<i64>,
}

/// A float holds 24 bits exactly.
const DIGIT: u64 = 1 << 24;

impl Numbered {
    fn take(&mut self, py: Python<'_>) -> PyResult<Option<Frame>> {
        let Some(item) = self.frames.clone_ref(py).into_bound(py).next() else {
            return Ok(None);
        };
        let (picture, time, beside): (Picture<'_>, Option<i64>, Py<PyAny>) = item?.extract()?;
        let mut frame = picture.frame();
        if (frame.width, frame.height) != (self.info.width as usize, self.info.height as usize) {
            return Err(PyValueError::new_err(format!(
                "frames: expected {}x{} as before, found {}x{}",
                self.info.width, self.info.height, frame.width, frame.height
            )));
        }
        let number = self.count;
        frame
            .data
            .extend([(number % DIGIT) as f32, (number / DIGIT) as f32]);
        self.count += 1;
        self.time = time;
        locked(&self.held).beside.push_back((number, Arc::new(beside)));
        Ok(Some(frame))
    }
}

impl FrameSource for Numbered {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, MediaError> {
        Python::attach(|py| self.take(py)).map_err(|error| {
            locked(&self.held).fault = Some(error);
            MediaError::new(MediaErrorKind::Usage, "frames", "they ended with an exception")
        })
    }

    fn take_extras(&mut self) -> Extras {
        let mut extras = Extras::default();
        extras.time = self.time.take();
        extras
    }
}

/// The same frames without their numbers.
struct Plain {
    source: Box<dyn FrameSource>,
    held: Arc<Mutex<Held>>,
}

impl FrameSource for Plain {
    fn info(&self) -> &VideoInfo {
        self.source.info()
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, MediaError> {
        let Some(mut frame) = self.source.next_frame()? else {
            return Ok(None);
        };
        let digits = frame
            .data
            .split_off(frame.data.len().min(frame.width * frame.height * 3));
        let number = digits
            .iter()
            .rev()
            .fold(0, |number, &digit| number * DIGIT + digit as u64);
        let mut held = locked(&self.held);
        while held.beside.front().is_some_and(|&(first, _)| first < number) {
            held.beside.pop_front();
        }
        // It stays, because the frame may be repeated.
        held.shown = held.beside.front().map(|(_, beside)| beside.clone());
        Ok(Some(frame))
    }

    fn take_extras(&mut self) -> Extras {
        self.source.take_extras()
    }
}

fn wrong(name: &'static str) -> impl Fn(String) -> PyErr {
    move |reason| PyValueError::new_err(format!("{name}: {reason}"))
}

fn parsed(fps: Option<&str>, scale: Option<&str>, crop: Option<&str>) -> PyResult<(Filters, Filters)> {
    let rate = fps.map(|text| {
        parse_rate(text).ok_or_else(|| {
            PyValueError::new_err(format!(
                "fps: '{text}' is no frame rate; write 25, 29.97 or 30000/1001"
            ))
        })
    });
    let resize = scale.map(|text| text.parse().map_err(wrong("scale")));
    let crop = crop.map(|text| text.parse().map_err(wrong("crop")));
    Ok((
        Filters::default().with_rate(rate.transpose()?),
        Filters::default()
            .with_resize(resize.transpose()?)
            .with_crop(crop.transpose()?),
    ))
}

fn media(error: MediaError, held: &Mutex<Held>) -> PyErr {
    let fault = locked(held).fault.take();
    fault.unwrap_or_else(|| PyValueError::new_err(error.to_string()))
}

#[pymethods]
impl FrameFilter {
    /// Filters `frames`, an iterator over (array of height, width and RGB, its time in ticks or None, anything). Without
    /// times they come at `frame_rate`. What comes out is at `fps`, of the size `scale`, and of that the part `crop`, all as
    /// the command writes them.
    #[new]
    #[pyo3(signature = (frames, width, height, *, count, frame_rate, time_base, fps, scale, crop, floats))]
    #[allow(clippy::too_many_arguments)] // Python gives them by name.
    fn new(
        frames: Bound<'_, PyIterator>,
        width: u32,
        height: u32,
        count: Option<u64>,
        frame_rate: (u32, u32),
        time_base: Option<(u32, u32)>,
        fps: Option<&str>,
        scale: Option<&str>,
        crop: Option<&str>,
        floats: bool,
    ) -> PyResult<Self> {
        let rational = |(num, den): (u32, u32)| Rational { num, den };
        let mut info = VideoInfo::new(width, height, rational(frame_rate));
        info.frame_count = count;
        info.time_base = time_base.map(rational);
        let held: Arc<Mutex<Held>> = Arc::default();
        let (in_time, in_space) = parsed(fps, scale, crop)?;
        let numbered = Numbered {
            frames: frames.unbind(),
            info,
            held: held.clone(),
            count: 0,
            time: None,
        };
        let opened = in_time.apply("frames", Box::new(numbered)).and_then(|source| {
            let held = held.clone();
            in_space.apply("frames", Box::new(Plain { source, held }))
        });
        let source = opened.map_err(|error| media(error, &held))?;
        let info = source.info().clone();
        Ok(Self {
            source: Mutex::new(source),
            held,
            info,
            floats,
        })
    }

    /// Raises a ValueError for what is no filter.
    #[staticmethod]
    #[pyo3(signature = (*, fps, scale, crop))]
    fn check(fps: Option<&str>, scale: Option<&str>, crop: Option<&str>) -> PyResult<()> {
        parsed(fps, scale, crop).map(drop)
    }

    /// Width and height of what comes out.
    #[getter]
    fn size(&self) -> (u32, u32) {
        (self.info.width, self.info.height)
    }

    /// Frames per second of what comes out.
    #[getter]
    fn frame_rate(&self) -> (u32, u32) {
        (self.info.frame_rate.num, self.info.frame_rate.den)
    }

    /// Width over height of a pixel of what comes out; it was 1 before.
    #[getter]
    fn pixel_aspect(&self) -> (u32, u32) {
        (self.info.pixel_aspect.num, self.info.pixel_aspect.den)
    }

    /// How many frames come out, about, if that is known.
    #[getter]
    fn count(&self) -> Option<u64> {
        self.info.frame_count
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    /// The next frame, and what was given along with it.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<(Bound<'py, PyAny>, Py<PyAny>)>> {
        py.check_signals()?;
        let next = py.detach(|| locked(&self.source).next_frame());
        let Some(frame) = next.map_err(|error| media(error, &self.held))? else {
            return Ok(None);
        };
        let beside = locked(&self.held).shown.clone();
        let beside = beside.map_or_else(|| py.None(), |beside| beside.clone_ref(py));
        Ok(Some((pixels(py, frame, self.floats)?, beside)))
    }
}
