//! Opens `.lbit` outputs.

use std::io::{self, Write};

use latentbit_container::{Header, Result as ContainerResult, Summary, Writer, WriterOptions};

use latentbit_media::{MediaError, MediaErrorKind, Target};

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
