//! Opens `.lbit` outputs.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use latentbit_container::{Header, Result as ContainerResult, Summary, Writer, WriterOptions};

use crate::media::{AtomicFile, MediaError, MediaErrorKind};

/// Where an output goes. A file gets its name when it is complete.
pub struct Target {
    /// The file's name, or "stdout".
    pub place: String,
    atomic: Option<AtomicFile>,
}

impl Target {
    /// Opens a file, or stdout for `-`.
    pub fn open(path_or_dash: &str) -> anyhow::Result<(Self, Box<dyn Write + Send>)> {
        if path_or_dash == "-" {
            let place = "stdout".to_owned();
            return Ok((Self { place, atomic: None }, Box::new(io::stdout())));
        }
        let atomic = AtomicFile::new(path_or_dash)?;
        let file: File = atomic.create()?;
        let target = Self {
            place: path_or_dash.to_owned(),
            atomic: Some(atomic),
        };
        Ok((target, Box::new(BufWriter::new(file))))
    }

    /// Gives a file that was written and flushed its name.
    pub fn commit(self) -> anyhow::Result<()> {
        if let Some(mut atomic) = self.atomic {
            atomic.commit()?;
        }
        Ok(())
    }
}

/// A stream that is being written.
pub struct Output {
    target: Target,
    writer: Writer<Box<dyn Write + Send>>,
}

impl Output {
    /// Opens a file, or stdout for `-`, and writes the header.
    pub fn create(path_or_dash: &str, header: &Header, options: WriterOptions) -> anyhow::Result<Self> {
        let (target, inner) = Target::open(path_or_dash)?;
        let writer = Writer::new(inner, header, options).map_err(|e| explain(&target.place, e))?;
        Ok(Self { target, writer })
    }

    /// Writes something.
    pub fn write(
        &mut self,
        write: impl FnOnce(&mut Writer<Box<dyn Write + Send>>) -> ContainerResult<()>,
    ) -> anyhow::Result<()> {
        write(&mut self.writer).map_err(|e| explain(&self.target.place, e))
    }

    /// Ends the stream.
    pub fn finish(self) -> anyhow::Result<Summary> {
        let (_, summary) = self.writer.finish().map_err(|e| explain(&self.target.place, e))?;
        self.target.commit()?;
        Ok(summary)
    }
}

/// Says of failed writes what the system said of them.
pub fn explain(place: &str, error: latentbit_container::Error) -> anyhow::Error {
    match error {
        latentbit_container::Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => {
            let message = "the reader of this output closed it before the stream was complete";
            MediaError::new(MediaErrorKind::Io, place, message).into()
        }
        latentbit_container::Error::Io { action, source, .. } => MediaError::io(place, action, source).into(),
        other => anyhow::Error::from(other).context(place.to_owned()),
    }
}
