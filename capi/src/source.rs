//! Where the bytes of a file come from, and cursors over them that do not disturb each other.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// Bytes to read from the system at a time.
const BLOCK: usize = 1 << 16;

/// Bytes that can be read at any offset, by several threads at once.
pub enum Source {
    File { file: File, len: u64 },
    Bytes(Vec<u8>),
}

impl Source {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let about = file.metadata()?;
        match about.is_file() {
            true => Ok(Self::File {
                file,
                len: about.len(),
            }),
            false => Err(io::Error::other(
                "it is no regular file; read a pipe into memory first, and open that",
            )),
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::File { len, .. } => *len,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

/// A position in a source, and the last block that was read of a file.
pub struct Cursor {
    source: Arc<Source>,
    position: u64,
    block: Vec<u8>,
    block_at: u64,
}

impl Cursor {
    pub const fn new(source: Arc<Source>) -> Self {
        Self {
            source,
            position: 0,
            block: Vec::new(),
            block_at: 0,
        }
    }

    /// The part of the block from the position on.
    fn held(&self) -> &[u8] {
        let from = self.position.checked_sub(self.block_at);
        let from = from.and_then(|from| usize::try_from(from).ok());
        from.and_then(|from| self.block.get(from..)).unwrap_or_default()
    }
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bytes = match &*self.source {
            Source::Bytes(all) => usize::try_from(self.position)
                .ok()
                .and_then(|from| all.get(from..))
                .unwrap_or_default(),
            // What is larger than a block needs none.
            Source::File { file, .. } if self.held().is_empty() && buffer.len() >= BLOCK => {
                let len = read_at(file, self.position, buffer)?;
                self.position += len as u64;
                return Ok(len);
            }
            Source::File { file, .. } => {
                if self.held().is_empty() {
                    let mut block = std::mem::take(&mut self.block);
                    block.resize(BLOCK, 0);
                    let len = read_at(file, self.position, &mut block)?;
                    block.truncate(len);
                    (self.block, self.block_at) = (block, self.position);
                }
                self.held()
            }
        };
        let len = bytes.read(buffer)?;
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.source.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

/// Reads some bytes at an offset, without the file's own position where the system can.
fn read_at(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
    #[cfg(unix)]
    let read = std::os::unix::fs::FileExt::read_at;
    #[cfg(windows)]
    let read = std::os::windows::fs::FileExt::seek_read;
    loop {
        match read(file, bytes, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
