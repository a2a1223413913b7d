//! Reading a file as far as it goes, and what is wrong with it.

use std::io::Read;

use latentbit_container::{ChunkInfo, Error, ErrorKind, Event, Reader};

/// What is wrong with a file.
#[derive(Debug, Default)]
pub struct Damage {
    /// What was passed over.
    pub found: Vec<Error>,
    /// The file is cut off after what was read of it.
    pub cut_off: Option<Error>,
}

impl Damage {
    fn note(&mut self, error: Error) {
        match error.kind() {
            ErrorKind::Truncated => self.cut_off = Some(error),
            _ => self.found.push(error),
        }
    }
}

/// A file that is read as far as it goes.
pub struct Reading<R: Read> {
    reader: Reader<R>,
    unpack: bool,
    pub damage: Damage,
}

impl<R: Read> Reading<R> {
    /// `unpack`: whether chunks come with their tokens, or as they are stored.
    pub fn new(reader: Reader<R>, unpack: bool) -> Self {
        Self {
            reader,
            unpack,
            damage: Damage::default(),
        }
    }

    /// The next thing that is no damage; none at the end of what can be read.
    ///
    /// A reading that fails is another matter than a file that is damaged, and so is a file that this program is too old
    /// for or that asks for too much: to go on would hide it.
    pub fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let event = match self.unpack {
                true => self.reader.next_event(),
                false => self.reader.next_stored_event(),
            };
            match event {
                Ok(Some(Event::Lost(lost))) => self.damage.note(lost.reason),
                Ok(event) => return Ok(event),
                Err(error) if matches!(error.kind(), ErrorKind::Format | ErrorKind::Truncated) => {
                    self.damage.note(error);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Where the chunk that came last lies.
    pub const fn last_chunk(&self) -> Option<&ChunkInfo> {
        self.reader.last_chunk()
    }
}
