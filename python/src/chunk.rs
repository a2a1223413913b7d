//! A chunk, of a file or fresh from an encoder.

use std::sync::Arc;

use latentbit_container as container;
use numpy::IntoPyArray;
use pyo3::prelude::*;

use crate::arrays::{self, Numbers, array, check_planes, sides};
use crate::listing::Place;
use crate::reader::Opened;

enum Data {
    File(Arc<Opened>),
    Memory(container::Chunk),
}

/// The tokens of some latent frames, and which frames of the video they stand for. Those of a file are read when they are
/// asked for, each time anew.
#[pyclass(frozen, module = "latentbit")]
pub struct Chunk {
    place: Place,
    data: Data,
}

impl Chunk {
    pub fn in_file(place: Place, file: Arc<Opened>) -> Self {
        Self {
            place,
            data: Data::File(file),
        }
    }

    pub fn in_memory(chunk: container::Chunk) -> Self {
        Self {
            place: Place::of(&chunk),
            data: Data::Memory(chunk),
        }
    }

    /// The whole chunk with at most `planes` planes.
    pub fn load(&self, planes: u8) -> PyResult<container::Chunk> {
        match &self.data {
            Data::File(file) => file.load(&self.place, planes),
            Data::Memory(chunk) => {
                let mut chunk = chunk.clone();
                chunk.tokens.truncate_bits(planes);
                Ok(chunk)
            }
        }
    }

    /// How many planes a caller wants; for a lost chunk it does not matter.
    fn wanted(&self, asked: Option<u8>) -> PyResult<u8> {
        match self.place.bits {
            0 => Ok(1),
            there => check_planes(asked, there),
        }
    }
}

#[pymethods]
impl Chunk {
    /// Its number in the file, from 0.
    #[getter]
    fn number(&self) -> u64 {
        self.place.number
    }

    /// Index of its first frame in the video.
    #[getter]
    fn first_frame(&self) -> u64 {
        self.place.first_frame
    }

    /// Frames of the video in it.
    #[getter]
    fn frames(&self) -> u64 {
        self.place.frames
    }

    /// Latent frames in it.
    #[getter]
    fn latent_frames(&self) -> u64 {
        self.place.latent_frames
    }

    /// Whether the network's state was reset before it.
    #[getter]
    fn key(&self) -> bool {
        self.place.key
    }

    /// Tokens of different segments are of different videos.
    #[getter]
    fn segment(&self) -> u32 {
        self.place.segment
    }

    /// When its first frame is shown, in ticks.
    #[getter]
    fn start(&self) -> i64 {
        self.place.start
    }

    /// Whether its tokens are gone.
    #[getter]
    fn lost(&self) -> bool {
        self.place.bits == 0
    }

    /// Bits per token; 0 if it is lost.
    #[getter]
    fn bits_per_token(&self) -> u8 {
        self.place.bits
    }

    /// Steps, height and width.
    #[getter]
    fn shape(&self) -> (usize, usize, usize) {
        let [t, h, w] = sides(self.place.grid);
        (t, h, w)
    }

    /// How many ticks each frame is shown, where it is not the stream's `frame_duration`.
    #[getter]
    fn durations(&self, py: Python<'_>) -> PyResult<Option<Vec<u32>>> {
        Ok(py.detach(|| self.load(1))?.times.durations)
    }

    /// All tokens: steps, height, width; of 32 bits each, or of 64 where a token has more than 32.
    #[getter]
    fn tokens<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.read_tokens(py, None, false)
    }

    /// As `tokens`, with the `bits` most important bits of each, and always of 64 bits if it is `wide`.
    #[pyo3(signature = (bits = None, *, wide = false))]
    fn read_tokens<'py>(&self, py: Python<'py>, bits: Option<u8>, wide: bool) -> PyResult<Bound<'py, PyAny>> {
        let planes = self.wanted(bits)?;
        let (numbers, grid) = py.detach(|| -> PyResult<_> {
            let tokens = self.load(planes)?.tokens;
            let grid = tokens.grid;
            Ok((Numbers::new(tokens, wide), grid))
        })?;
        numbers.into_array(py, grid)
    }

    /// All bits: steps, height, width, bits; the most important one first.
    #[getter]
    fn bits<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let planes = self.wanted(None)?;
        let (values, tokens) = py.detach(|| -> PyResult<_> {
            let tokens = self.load(planes)?.tokens;
            Ok((arrays::bits(&tokens), tokens))
        })?;
        let [t, h, w] = sides(tokens.grid);
        array(py, values, [t, h, w, usize::from(tokens.bits)])
    }

    /// The `count` most important planes, all by default: planes, steps, height, width.
    #[pyo3(signature = (count = None))]
    fn planes<'py>(&self, py: Python<'py>, count: Option<u8>) -> PyResult<Bound<'py, PyAny>> {
        let planes = self.wanted(count)?;
        let (values, tokens) = py.detach(|| -> PyResult<_> {
            let tokens = self.load(planes)?.tokens;
            Ok((arrays::planes(&tokens), tokens))
        })?;
        let [t, h, w] = sides(tokens.grid);
        array(py, values, [usize::from(tokens.bits), t, h, w])
    }

    /// The planes as the format packs them: planes, bytes; bit i of byte k is token 8·k + i.
    #[pyo3(signature = (count = None))]
    fn packed<'py>(&self, py: Python<'py>, count: Option<u8>) -> PyResult<Bound<'py, PyAny>> {
        let planes = self.wanted(count)?;
        let packed = py.detach(|| -> PyResult<_> {
            let tokens = self.load(planes)?.tokens;
            Ok(container::bits::pack_planes(&tokens.values, tokens.bits))
        })?;
        let rows = usize::from(planes);
        let columns = packed.len() / rows.max(1);
        array(py, packed, [rows, columns])
    }

    /// When each of its frames is shown, in ticks.
    fn frame_times<'py>(&self, py: Python<'py>, frame_duration: u32) -> PyResult<Bound<'py, PyAny>> {
        let times = py.detach(|| self.load(1))?.times;
        let all: Vec<i64> = (0..self.place.frames)
            .map(|index| times.of(index, frame_duration))
            .collect();
        Ok(all.into_pyarray(py).into_any())
    }

    fn __repr__(&self) -> String {
        let place = &self.place;
        let lost = if place.bits == 0 { ", lost" } else { "" };
        format!(
            "<Chunk {}: frames {} to {}, tokens {} of {} bits{}{}>",
            place.number,
            place.first_frame,
            place.end().saturating_sub(1),
            place.grid,
            place.bits,
            if place.key { ", key" } else { "" },
            lost
        )
    }
}
