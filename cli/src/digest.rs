//! SHA-256 of what is read, and digests as text.

use latentbit_media::path_of;
use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use latentbit_media::MediaError;

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A reader that digests what it reads.
pub struct Digested<R> {
    inner: R,
    digest: Sha256,
}

impl<R: Read> Digested<R> {
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            digest: Sha256::new(),
        }
    }

    /// Reads the rest; returns the SHA-256 of everything read, as hexadecimal digits, and the inner reader.
    pub fn finish(mut self) -> io::Result<(String, R)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((hex(&self.digest.finalize()), self.inner))
    }
}

impl Digested<File> {
    /// Opens the file at `path`.
    pub fn open(path: &str) -> Result<Self, MediaError> {
        let file = File::open(path_of(path)).map_err(|error| MediaError::io(path, "open", error))?;
        Ok(Self::new(file))
    }
}

impl<R: Read> Read for Digested<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.digest.update(&buffer[..len]);
        Ok(len)
    }
}
