//! Formats of array files, which differ in what precedes the numbers: a header of npy or safetensors, or nothing.

use std::io::{self, Read};
use std::path::Path;

use clap::ValueEnum;

use super::layout::Array;
use super::sidecar::Sidecar;
use super::{npy, safetensors};

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ArrayFormat {
    /// numpy.
    Npy,
    /// safetensors: a tensor for each chunk, "chunk.00000000" and so on, and the JSON in the metadata.
    Safetensors,
    /// The numbers and nothing else.
    Raw,
}

/// The header of an array file.
#[derive(Debug)]
pub enum Found {
    Nothing,
    Npy(Array),
    Safetensors(safetensors::SafetensorsHeader),
}

impl ArrayFormat {
    /// The format by the extension of a file.
    pub fn of_name(name: &str) -> Option<Self> {
        match Path::new(name).extension()?.to_str()? {
            "npy" => Some(Self::Npy),
            "safetensors" => Some(Self::Safetensors),
            "bin" | "raw" => Some(Self::Raw),
            _ => None,
        }
    }

    /// The header for the array that `sidecar` describes.
    pub fn header(self, sidecar: &Sidecar) -> io::Result<Vec<u8>> {
        match self {
            Self::Raw => Ok(Vec::new()),
            Self::Npy => npy::header(&sidecar.array()),
            Self::Safetensors => safetensors::header(sidecar),
        }
    }

    /// Reads the header, up to the numbers. Errors of the kinds `InvalidData` and `UnexpectedEof` are the file's fault.
    pub fn read_header(self, file: &mut impl Read) -> io::Result<Found> {
        match self {
            Self::Raw => Ok(Found::Nothing),
            Self::Npy => npy::read_header(file).map(Found::Npy),
            Self::Safetensors => safetensors::read_header(file).map(Found::Safetensors),
        }
    }
}

impl Found {
    /// The sidecar, if the header contains it.
    pub fn about(&self) -> Option<&str> {
        match self {
            Self::Safetensors(header) => header.about(),
            _ => None,
        }
    }

    /// Where the depths begin in a file that holds them behind its tokens.
    pub fn depths_at(&self, sidecar: &Sidecar) -> Option<u64> {
        match self {
            Self::Safetensors(header) => header.depths_at(sidecar),
            Self::Nothing | Self::Npy(_) => None,
        }
    }

    /// Fails unless the header is of the array that `sidecar` describes.
    pub fn check(&self, sidecar: &Sidecar) -> io::Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Npy(found) => found.expect(&sidecar.array()),
            Self::Safetensors(header) => header.check(sidecar),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_formats() {
        let of = ArrayFormat::of_name;
        assert_eq!(of("a/b.npy"), Some(ArrayFormat::Npy));
        assert_eq!(of("b.bin"), Some(ArrayFormat::Raw));
        assert_eq!((of("-"), of("npy"), of("a.npz")), (None, None, None));
    }
}
