//! Bytes that are read once and digested as they go by.

use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::plan::hex;
use latentbit_media::MediaError;

/// What reads `inner` and keeps the SHA-256 of all that it gave.
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

    /// Reads what is left; gives the SHA-256 of all as hexadecimal digits, and what was read.
    pub fn finish(mut self) -> io::Result<(String, R)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((hex(&self.digest.finalize()), self.inner))
    }
}

impl Digested<File> {
    /// The file at `path`.
    pub fn open(path: &str) -> Result<Self, MediaError> {
        let file = File::open(path).map_err(|error| MediaError::io(path, "open", error))?;
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
