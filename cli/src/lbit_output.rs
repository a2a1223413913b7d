//! Opens `.lbit` outputs.

use std::io::{self, Write};

use latentbit_container::{Chunk, Header, Summary, Writer, WriterOptions};

use crate::media::{AtomicFile, MediaError, MediaErrorKind};

/// A stream that is being written. A file gets its name when it is complete.
pub struct Output {
    place: String,
    target: Option<AtomicFile>,
    writer: Writer<Box<dyn Write + Send>>,
}

impl Output {
    /// Opens a file, or stdout for `-`, and writes the header.
    pub fn create(path_or_dash: &str, header: &Header, options: WriterOptions) -> anyhow::Result<Self> {
        let (place, target, inner): (_, _, Box<dyn Write + Send>) = if path_or_dash == "-" {
            ("stdout", None, Box::new(io::stdout()))
        } else {
            let target = AtomicFile::new(path_or_dash)?;
            let file = target.create()?;
            (path_or_dash, Some(target), Box::new(file))
        };
        let place = place.to_owned();
        let writer = Writer::new(inner, header, options).map_err(|e| explain(&place, e))?;
        Ok(Self {
            place,
            target,
            writer,
        })
    }

    /// Writes the next chunk.
    pub fn write(&mut self, chunk: &Chunk) -> anyhow::Result<()> {
        let written = self.writer.write_chunk(chunk);
        written.map_err(|e| explain(&self.place, e))
    }

    /// Ends the stream.
    pub fn finish(self) -> anyhow::Result<Summary> {
        let (_, summary) = self.writer.finish().map_err(|e| explain(&self.place, e))?;
        if let Some(mut target) = self.target {
            target.commit()?;
        }
        Ok(summary)
    }
}

/// Says of failed writes what the system said of them.
fn explain(place: &str, error: latentbit_container::Error) -> anyhow::Error {
    match error {
        latentbit_container::Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => {
            let message = "the reader of this output closed it before the stream was complete";
            MediaError::new(MediaErrorKind::Io, place, message).into()
        }
        latentbit_container::Error::Io { action, source, .. } => MediaError::io(place, action, source).into(),
        other => anyhow::Error::from(other).context(place.to_owned()),
    }
}
