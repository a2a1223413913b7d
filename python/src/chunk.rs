//! A chunk, from a file or fresh from an encoder.

use std::sync::Arc;

use latentbit_container::{self as container, ChunkHead, ChunkInfo, TokenGrid};
use numpy::IntoPyArray;
use pyo3::prelude::*;

use crate::arrays::{self, Numbers, array, check_planes, sides};
use crate::file::Opened;

enum Data {
    File(Arc<Opened>, ChunkInfo),
    Memory(container::Chunk),
}

/// The tokens of some latent frames, and which frames of the video they stand for. Tokens of a file are read each time
/// they are asked for.
#[pyclass(frozen, module = "latentbit")]
pub struct Chunk {
    head: ChunkHead,
    /// When its first frame is shown, in ticks.
    start: i64,
    /// Bits per token; 0 if its tokens are lost.
    bits: u8,
    /// No steps if its tokens are lost.
    grid: TokenGrid,
    data: Data,
}

impl Chunk {
    pub fn in_file(info: &ChunkInfo, file: Arc<Opened>) -> Self {
        Self {
            head: info.head,
            start: info.start,
            bits: info.bits,
            grid: file.grid(info),
            data: Data::File(file, *info),
        }
    }

    pub fn in_memory(chunk: container::Chunk) -> Self {
        Self {
            head: chunk.head,
            start: chunk.times.start,
            bits: chunk.tokens.bits,
            grid: chunk.tokens.grid,
            data: Data::Memory(chunk),
        }
    }

    /// The whole chunk with at most `planes` planes.
    pub fn load(&self, planes: u8) -> PyResult<container::Chunk> {
        match &self.data {
            Data::File(file, info) => file.load(info, planes),
            Data::Memory(chunk) => {
                let mut chunk = chunk.clone();
                chunk.tokens.truncate_bits(planes);
                Ok(chunk)
            }
        }
    }

    /// How many planes a caller wants; of a lost chunk there are none to count.
    fn wanted(&self, asked: Option<u8>) -> PyResult<u8> {
        match self.bits {
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
        self.head.sequence
    }

    /// Index of its first frame in the video.
    #[getter]
    fn first_frame(&self) -> u64 {
        self.head.first_frame.0
    }

    /// Frames of the video in it.
    #[getter]
    fn frames(&self) -> u64 {
        self.head.frame_count.0
    }

    /// Latent frames in it.
    #[getter]
    fn latent_frames(&self) -> u64 {
        self.head.latent_frames.0
    }

    /// Whether the network's state was reset before it.
    #[getter]
    fn key(&self) -> bool {
        self.head.key
    }

    /// Tokens of different segments are of different videos.
    #[getter]
    fn segment(&self) -> u32 {
        self.head.segment
    }

    /// When its first frame is shown, in ticks.
    #[getter]
    fn start(&self) -> i64 {
        self.start
    }

    /// Whether its tokens are lost.
    #[getter]
    fn lost(&self) -> bool {
        self.bits == 0
    }

    /// Bits per token; 0 if it is lost.
    #[getter]
    fn bits_per_token(&self) -> u8 {
        self.bits
    }

    /// Steps, height and width.
    #[getter]
    fn shape(&self) -> (usize, usize, usize) {
        let [t, h, w] = sides(self.grid);
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

    /// How many of its bits each token has, the most important ones: steps, height, width. All have as many, unless the file
    /// is elastic; bits beyond the depth of a token are zeros in every array.
    #[getter]
    fn depths<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.read_depths(py, None)
    }

    /// As `depths`, of the `bits` most important bits.
    #[pyo3(signature = (bits = None))]
    fn read_depths<'py>(&self, py: Python<'py>, bits: Option<u8>) -> PyResult<Bound<'py, PyAny>> {
        let planes = self.wanted(bits)?;
        let (values, grid) = py.detach(|| -> PyResult<_> {
            let tokens = self.load(planes)?.tokens;
            Ok((tokens.depth_values().into_owned(), tokens.grid))
        })?;
        array(py, values, sides(grid))
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

    /// The `bits` most important bits of its tokens, of 64 bits each, and their depths: what `read_tokens` and `read_depths`
    /// give, in one reading.
    #[pyo3(signature = (bits = None))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        bits: Option<u8>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let planes = self.wanted(bits)?;
        let (depths, tokens) = py.detach(|| -> PyResult<_> {
            let tokens = self.load(planes)?.tokens;
            Ok((tokens.depth_values().into_owned(), tokens))
        })?;
        let shape = sides(tokens.grid);
        Ok((array(py, tokens.values, shape)?, array(py, depths, shape)?))
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

    /// The planes as the format packs them: planes, bytes; bit i of byte k is token 8·k + i. Bits that a token of an elastic
    /// stream lacks are zeros.
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
        let all: Vec<i64> = (0..self.head.frame_count.0)
            .map(|index| times.of(index, frame_duration))
            .collect();
        Ok(all.into_pyarray(py).into_any())
    }

    fn __repr__(&self) -> String {
        let head = &self.head;
        format!(
            "<Chunk {}: frames {} to {}, tokens {} of {} bits{}{}>",
            head.sequence,
            head.first_frame,
            head.end_frame().0.saturating_sub(1),
            self.grid,
            self.bits,
            if head.key { ", key" } else { "" },
            if self.bits == 0 { ", lost" } else { "" }
        )
    }
}
