//! A `.lbit` file that is open.

use std::sync::Arc;

use latentbit_container::{
    self as container, Header, Limits, StreamId, Version, VideoStream, read_planes_at,
};
use numpy::IntoPyArray;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{Numbers, check_planes};
use crate::chunk::Chunk;
use crate::error::{self, FormatError, LostChunkError};
use crate::listing::{About, Listing, Place};
use crate::source::{BLOCK, Cursor, Source};
use crate::video;

/// What all chunks of an open file share.
pub struct Opened {
    source: Source,
    /// A name for messages.
    pub place: String,
    header: Header,
    version: Version,
    stream: StreamId,
    pub video: VideoStream,
    limits: Limits,
    pub listing: Listing,
}

impl Opened {
    fn new(source: Source, place: String, stream: Option<u16>, limits: Limits) -> PyResult<Self> {
        let in_file = |error| error::container(error, &place);
        let reader = container::Reader::new(Cursor::new(&source, BLOCK), limits).map_err(in_file)?;
        let (header, version) = (reader.header().clone(), reader.version());
        let found = match stream {
            None => header.first_video(),
            Some(id) => header.video(StreamId(id)).map(|video| (StreamId(id), video)),
        };
        let Some((stream, video)) = found.map(|(stream, video)| (stream, video.clone())) else {
            let message = match stream {
                None => format!("{place}: there is no video in this file"),
                Some(id) => format!("{place}: stream {id} is no video"),
            };
            return Err(FormatError::new_err(message));
        };
        let listing = Listing::new(&source, stream, &video, &limits).map_err(in_file)?;
        Ok(Self {
            source,
            place,
            header,
            version,
            stream,
            video,
            limits,
            listing,
        })
    }

    /// Reads a chunk with at most `planes` planes.
    pub fn load(&self, place: &Place, planes: u8) -> PyResult<container::Chunk> {
        let Some(info) = &place.info else {
            return Err(LostChunkError::new_err(format!(
                "{}: chunk {}: its tokens are lost, frames {} to {}; other chunks are not touched by that",
                self.place,
                place.number,
                place.first_frame,
                place.end().saturating_sub(1)
            )));
        };
        // One request for the whole chunk; a source never gives more than it has.
        let len = usize::try_from(info.stored_len).unwrap_or(usize::MAX);
        let most = self.limits.max_chunk_bytes.unwrap_or(u64::MAX);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut cursor = Cursor::new(&self.source, len.min(most.saturating_add(BLOCK)));
        read_planes_at(&mut cursor, &self.header, info, planes, &self.limits)
            .map_err(|error| error::container(error, &self.place))
    }

    /// The chunks from `first` up to but without `end`.
    pub fn places(&self, first: usize, end: usize) -> PyResult<&[Place]> {
        let places = &self.listing.places;
        places.get(first..end).ok_or_else(|| {
            PyIndexError::new_err(format!(
                "{}: expected chunks from 0 to {}, found {first} to {end}",
                self.place,
                places.len()
            ))
        })
    }
}

/// A file and the list of its chunks.
#[pyclass(frozen, module = "latentbit._latentbit")]
pub struct Reader(pub Arc<Opened>);

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
        self.0.listing.places.len()
    }

    #[getter]
    fn place(&self) -> &str {
        &self.0.place
    }

    #[getter]
    fn size(&self) -> u64 {
        self.0.source.len()
    }

    #[getter]
    fn version(&self) -> (u16, u16) {
        (self.0.version.major, self.0.version.minor)
    }

    #[getter]
    fn indexed(&self) -> bool {
        self.0.listing.indexed
    }

    #[getter]
    fn truncated(&self) -> bool {
        self.0.listing.is_truncated()
    }

    #[getter]
    fn damage(&self) -> Vec<String> {
        self.0.listing.damage.iter().map(ToString::to_string).collect()
    }

    #[getter]
    fn video<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        video::to_dict(py, &self.0.video)
    }

    /// Keys and values, and chapters as start and end in nanoseconds and title.
    #[allow(clippy::type_complexity)] // Python takes tuples apart.
    fn about(&self, py: Python<'_>) -> PyResult<(Vec<(String, String)>, Vec<(u64, u64, String)>)> {
        let opened = &self.0;
        let about = py.detach(|| About::new(&opened.source, opened.stream, opened.limits));
        let about = about.map_err(|error| error::container(error, &opened.place))?;
        let chapters = about.chapters.into_iter();
        Ok((
            about.entries,
            chapters
                .map(|chapter| (chapter.start, chapter.end, chapter.title))
                .collect(),
        ))
    }

    fn chunk(&self, number: usize) -> PyResult<Chunk> {
        let place = self.0.places(number, number.saturating_add(1))?;
        match place {
            [place] => Ok(Chunk::in_file(place.clone(), self.0.clone())),
            _ => Err(PyIndexError::new_err("no such chunk")),
        }
    }

    /// The tokens of several chunks, one after the other.
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
        let places = opened.places(first, end)?;
        let planes = check_planes(bits, opened.video.bits)?;
        let (numbers, grid) = py.detach(|| -> PyResult<_> {
            let mut all = container::Tokens {
                grid: opened.video.grid(container::LatentFrames(0)),
                bits: planes,
                values: Vec::new(),
            };
            for place in places {
                let tokens = opened.load(place, planes)?.tokens;
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

    /// What is known of all chunks, as one array for each field.
    fn table<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let places = &self.0.listing.places;
        let dict = PyDict::new(py);
        macro_rules! column {
            ($name:literal, $of:expr) => {
                dict.set_item(
                    $name,
                    places.iter().map($of).collect::<Vec<_>>().into_pyarray(py),
                )?
            };
        }
        column!("first_frame", |place| place.first_frame);
        column!("frames", |place| place.frames);
        column!("latent_frames", |place| place.latent_frames);
        column!("steps", |place| place.grid.t);
        column!("key", |place| place.key);
        column!("segment", |place| place.segment);
        column!("start", |place| place.start);
        column!("bits", |place| place.bits);
        Ok(dict)
    }
}
