//! The class that Python opens files with.

use std::sync::Arc;

use latentbit_container::{self as container, ChunkInfo, Limits};
use numpy::IntoPyArray;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::arrays::{Numbers, array, check_planes, sides};
use crate::chunk::Chunk;
use crate::file::Opened;
use crate::source::Source;
use crate::video;

/// The fields of an attachment, in their order in Python.
type AttachmentParts<'py> = (u8, String, String, String, Bound<'py, PyBytes>);

/// A file and the list of its chunks.
#[pyclass(frozen, module = "latentbit._latentbit")]
pub struct Reader(pub Arc<Opened>);

impl Reader {
    /// The chunks from `first` up to but without `end`.
    fn some(&self, first: usize, end: usize) -> PyResult<&[ChunkInfo]> {
        let chunks = &self.0.chunks;
        chunks.get(first..end).ok_or_else(|| {
            PyIndexError::new_err(format!(
                "{}: expected chunks from 0 to {}, found {first} to {end}",
                self.0.place,
                chunks.len()
            ))
        })
    }
}

#[pymethods]
impl Reader {
    #[new]
    #[pyo3(signature = (source, *, offset = None, length = None, stream = None, trusted = false))]
    fn new(
        py: Python<'_>,
        source: &Bound<'_, PyAny>,
        offset: Option<u64>,
        length: Option<u64>,
        stream: Option<u16>,
        trusted: bool,
    ) -> PyResult<Self> {
        let part = match (offset, length) {
            (None, None) => None,
            (Some(offset), Some(length)) => Some((offset, length)),
            _ => return Err(PyValueError::new_err("give offset and length, or neither")),
        };
        let (source, place) = Source::open(source, part)?;
        let limits = match trusted {
            true => Limits::none(),
            false => Limits::default(),
        };
        let opened = py.detach(|| Opened::new(source, place, stream, limits))?;
        Ok(Self(Arc::new(opened)))
    }

    fn __len__(&self) -> usize {
        self.0.chunks.len()
    }

    #[getter]
    fn place(&self) -> &str {
        &self.0.place
    }

    #[getter]
    fn size(&self) -> u64 {
        self.0.len()
    }

    #[getter]
    fn version(&self) -> (u16, u16) {
        (self.0.version.major, self.0.version.minor)
    }

    #[getter]
    fn indexed(&self) -> bool {
        self.0.indexed
    }

    #[getter]
    fn truncated(&self) -> bool {
        self.0.truncated
    }

    #[getter]
    fn damage(&self) -> Vec<String> {
        self.0.damage.clone()
    }

    #[getter]
    fn video<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        video::to_dict(py, &self.0.video)
    }

    /// Keys and values, and chapters as start and end in nanoseconds and title.
    #[allow(clippy::type_complexity)] // Python takes tuples apart.
    fn about(&self, py: Python<'_>) -> PyResult<(Vec<(String, String)>, Vec<(u64, u64, String)>)> {
        let (entries, chapters) = py.detach(|| self.0.about())?;
        let chapters = chapters.into_iter();
        Ok((
            entries,
            chapters
                .map(|chapter| (chapter.start, chapter.end, chapter.title))
                .collect(),
        ))
    }

    /// Kind (1: a file, 2: a cover picture), name, media type, description and bytes of each file that goes along.
    fn attachments<'py>(&self, py: Python<'py>) -> PyResult<Vec<AttachmentParts<'py>>> {
        let attachments = py.detach(|| self.0.attachments())?;
        let parts = attachments.into_iter().map(|attachment| {
            (
                attachment.kind.number(),
                attachment.name,
                attachment.media_type,
                attachment.description,
                PyBytes::new(py, &attachment.data),
            )
        });
        Ok(parts.collect())
    }

    /// Which chunks hold these frames: the first one, and the one after the last one.
    fn chunks_for(&self, first: u64, end: u64) -> (usize, usize) {
        let needed = self.0.chunks_for(first..end);
        needed.map_or((0, 0), |needed| (needed.first, needed.end))
    }

    /// The first frame that is shown at or after a time in ticks.
    fn frame_at(&self, py: Python<'_>, time: i64) -> PyResult<u64> {
        py.detach(|| self.0.frame_at(time))
    }

    fn chunk(&self, number: usize) -> PyResult<Chunk> {
        match self.some(number, number.saturating_add(1))? {
            [info] => Ok(Chunk::in_file(info, self.0.clone())),
            _ => Err(PyIndexError::new_err("no such chunk")),
        }
    }

    /// The tokens of several chunks in a row.
    #[pyo3(signature = (first, end, bits = None, wide = false))]
    fn tokens<'py>(
        &self,
        py: Python<'py>,
        first: usize,
        end: usize,
        bits: Option<u8>,
        wide: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let opened = &self.0;
        let chunks = self.some(first, end)?;
        let planes = check_planes(bits, opened.video.bits)?;
        let (numbers, grid) = py.detach(|| -> PyResult<_> {
            let mut all =
                container::Tokens::new(opened.video.grid(container::LatentFrames(0)), planes, Vec::new());
            for chunk in chunks {
                let tokens = opened.load(chunk, planes)?.tokens;
                all.grid.t = all.grid.t.saturating_add(tokens.grid.t);
                match all.values.is_empty() {
                    true => all.values = tokens.values,
                    false => all.values.extend(tokens.values),
                }
            }
            let grid = all.grid;
            Ok((Numbers::new(all, wide), grid))
        })?;
        numbers.into_array(py, grid)
    }

    /// How many bits the tokens of several chunks in a row have.
    #[pyo3(signature = (first, end, bits = None))]
    fn depths<'py>(
        &self,
        py: Python<'py>,
        first: usize,
        end: usize,
        bits: Option<u8>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let opened = &self.0;
        let chunks = self.some(first, end)?;
        let planes = check_planes(bits, opened.video.bits)?;
        let (values, grid) = py.detach(|| -> PyResult<_> {
            let mut grid = opened.video.grid(container::LatentFrames(0));
            let mut values = Vec::new();
            for chunk in chunks {
                let tokens = opened.load(chunk, planes)?.tokens;
                grid.t = grid.t.saturating_add(tokens.grid.t);
                values.extend_from_slice(&tokens.depth_values());
            }
            Ok((values, grid))
        })?;
        array(py, values, sides(grid))
    }

    /// The list of chunks, as an array for each field.
    fn table<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let chunks = &self.0.chunks;
        let dict = PyDict::new(py);
        macro_rules! column {
            ($name:literal, $of:expr) => {
                dict.set_item(
                    $name,
                    chunks.iter().map($of).collect::<Vec<_>>().into_pyarray(py),
                )?
            };
        }
        column!("first_frame", |chunk| chunk.first_frame.0);
        column!("frames", |chunk| chunk.frame_count.0);
        column!("latent_frames", |chunk| chunk.latent_frames.0);
        column!("steps", |chunk| self.0.grid(chunk).t);
        column!("key", |chunk| chunk.key);
        column!("segment", |chunk| chunk.segment);
        column!("start", |chunk| chunk.start);
        column!("bits", |chunk| chunk.bits);
        Ok(dict)
    }
}
