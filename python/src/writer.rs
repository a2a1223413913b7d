//! Writes `.lbit` files from tokens, to a path or to a Python object.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use latentbit_container::units::frames_held;
use latentbit_container::{
    self as container, ChunkHead, Compression, Header, LatentFrames, Metadata, PixelFrames, StreamId,
    TokenGrid, Tokens, VideoStream, WriterOptions,
};
use numpy::PyReadonlyArray3;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tempfile::NamedTempFile;

use crate::arrays::{check_planes, with_depths};
use crate::chunk::Chunk;
use crate::error::{self, LatentBitError, failed};
use crate::video::Fields;

const STREAM: StreamId = StreamId(0);

/// A file being written. Dropped before `finish`, it leaves nothing behind.
#[pyclass(frozen, module = "latentbit._latentbit")]
pub struct Writer {
    place: String,
    video: VideoStream,
    /// None once it is finished or discarded. Locked only while detached from the interpreter, because a sink may need it.
    writer: Mutex<Option<container::Writer<Sink>>>,
}

impl Writer {
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut container::Writer<Sink>) -> container::Result<T> + Send,
    ) -> PyResult<T> {
        py.detach(|| {
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let writer = writer.as_mut().ok_or_else(|| self.closed())?;
            work(writer).map_err(|error| error::container(error, &self.place))
        })
    }

    fn closed(&self) -> PyErr {
        LatentBitError::new_err(format!("{}: this file was closed already", self.place))
    }

    /// Writes a chunk after those before.
    fn append(&self, py: Python<'_>, mut chunk: container::Chunk) -> PyResult<()> {
        self.with(py, |writer| {
            let before = writer.totals(STREAM);
            chunk.stream = STREAM;
            chunk.sequence = before.chunks;
            chunk.first_frame = before.frames;
            writer.write_chunk(&chunk)
        })
    }
}

#[pymethods]
impl Writer {
    #[new]
    #[pyo3(signature = (output, video, *, coder = "cm", level = 3, metadata = Vec::new()))]
    fn new(
        py: Python<'_>,
        output: &Bound<'_, PyAny>,
        video: Fields,
        coder: &str,
        level: i32,
        metadata: Vec<(String, String)>,
    ) -> PyResult<Self> {
        let video = video.stream()?;
        let compression = compression(coder, level)?;
        let (sink, place) = Sink::open(output)?;
        let options = WriterOptions::default().with_compression(compression);
        let header = Header::from(video.clone());
        let metadata = Metadata {
            stream: StreamId::NONE,
            entries: metadata,
        };
        let begin = || {
            let mut writer = container::Writer::new(sink, &header, options)?;
            if !metadata.entries.is_empty() {
                writer.write_metadata(&metadata)?;
            }
            Ok(writer)
        };
        let writer = py
            .detach(begin)
            .map_err(|error| error::container(error, &place))?;
        Ok(Self {
            place,
            video,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Writes a chunk from another file or an encoder. It gets the next number and first frame here.
    #[pyo3(signature = (chunk, segment = None))]
    fn write(&self, py: Python<'_>, chunk: &Chunk, segment: Option<u32>) -> PyResult<()> {
        let mut chunk = py.detach(|| chunk.load(self.video.bits))?;
        chunk.segment = segment.unwrap_or(chunk.segment);
        self.append(py, chunk)
    }

    /// Writes tokens as a chunk.
    #[pyo3(signature = (values, *, key, segment = 0, frames = None, latent_frames = None, start = None, depths = None, bits = None))]
    #[allow(clippy::too_many_arguments)] // Python gives them by name.
    fn write_tokens(
        &self,
        py: Python<'_>,
        values: PyReadonlyArray3<'_, u64>,
        key: bool,
        segment: u32,
        frames: Option<u64>,
        latent_frames: Option<u64>,
        start: Option<i64>,
        depths: Option<PyReadonlyArray3<'_, u8>>,
        bits: Option<u8>,
    ) -> PyResult<()> {
        let bits = check_planes(bits, self.video.bits)?;
        let view = values.as_array();
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        let (t, h, w) = view.dim();
        let grid = TokenGrid {
            t: side(t),
            h: side(h),
            w: side(w),
        };
        let values: Vec<u64> = view.iter().copied().collect();
        let steps = t as u64;
        let latent = latent_frames.unwrap_or(steps.saturating_mul(u64::from(self.video.patch[0])));
        let held = frames_held(LatentFrames(latent), self.video.strides[0], key);
        let first = py.detach(|| {
            let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.as_ref().map(|writer| writer.totals(STREAM).frames)
        });
        let first = first.ok_or_else(|| self.closed())?;
        let mut times = self.video.constant_times(first);
        times.start = start.unwrap_or(times.start);
        let chunk = container::Chunk {
            head: ChunkHead {
                stream: STREAM,
                sequence: 0,
                first_frame: first,
                frame_count: frames.map_or(held, PixelFrames),
                latent_frames: LatentFrames(latent),
                key,
                segment,
            },
            times,
            tokens: with_depths(
                Tokens::new(grid, bits, values),
                self.video.depth_step,
                depths.as_ref(),
            )?,
        };
        self.append(py, chunk)
    }

    /// Completes the file and gives it its name. Returns its bytes, chunks and frames.
    fn finish(&self, py: Python<'_>) -> PyResult<(u64, u64, u64)> {
        py.detach(|| {
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let writer = writer.take().ok_or_else(|| self.closed())?;
            let (sink, summary) = writer
                .finish()
                .map_err(|error| error::container(error, &self.place))?;
            sink.commit()
                .map_err(|error| failed(error, &self.place, "cannot give the file its name"))?;
            let totals = summary.totals.first().copied().unwrap_or_default();
            Ok((summary.bytes, totals.chunks, totals.frames.0))
        })
    }

    /// Discards the file: nothing is left of it.
    fn discard(&self, py: Python<'_>) {
        py.detach(|| drop(self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()));
    }
}

/// The coder of this name.
pub fn compression(coder: &str, level: i32) -> PyResult<Compression> {
    match coder {
        "raw" => Ok(Compression::Raw),
        "zstd" => Ok(Compression::Zstd { level }),
        "cm" => Ok(Compression::Cm),
        other => Err(PyValueError::new_err(format!(
            "coder: expected raw, zstd or cm, found {other:?}"
        ))),
    }
}

/// A file that appears under its name only when it is complete, or a Python object with `write`.
enum Sink {
    File { file: NamedTempFile, target: PathBuf },
    Object(Py<PyAny>),
}

impl Sink {
    /// Opens what a caller gave as output; the second result is a name for messages.
    fn open(given: &Bound<'_, PyAny>) -> PyResult<(Self, String)> {
        if given.hasattr("write")? {
            let place = match given.getattr("name") {
                Ok(name) => name.str()?.to_string(),
                Err(_) => given.get_type().name()?.to_string(),
            };
            return Ok((Self::Object(given.clone().unbind()), place));
        }
        let given: PathBuf = given.extract()?;
        let place = given.display().to_string();
        // Renaming must replace the file behind a symbolic link, not the link.
        let target = given.canonicalize().unwrap_or(given);
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let file = temporary(&folder, &target).map_err(|error| failed(error, &place, "cannot write"))?;
        Ok((Self::File { file, target }, place))
    }

    /// Gives the file its name.
    fn commit(self) -> io::Result<()> {
        match self {
            Self::Object(_) => Ok(()),
            Self::File { file, target } => {
                file.as_file().sync_all()?;
                file.persist(target).map(drop).map_err(|error| error.error)
            }
        }
    }
}

/// A hidden file beside `target`, named after it so that it can be recognized if the process is killed.
fn temporary(folder: &Path, target: &Path) -> io::Result<NamedTempFile> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}-");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".part");
    // Like any new file: what the user's umask leaves.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File { file, .. } => file.write(bytes),
            Self::Object(object) => Python::attach(|py| {
                let written = object
                    .bind(py)
                    .call_method1("write", (PyBytes::new(py, bytes),))?;
                // Some return nothing, which means all.
                Ok::<usize, PyErr>(written.extract().unwrap_or(bytes.len()))
            })
            .map_err(io::Error::from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.flush(),
            Self::Object(_) => Ok(()),
        }
    }
}
