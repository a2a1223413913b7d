//! What comes before the numbers in a file: npy, safetensors, or nothing.

use std::io::{self, Read};
use std::path::Path;

use clap::ValueEnum;

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

/// Type and sides of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    pub dtype: String,
    pub shape: Vec<u64>,
}

/// What a file says of itself before the numbers.
#[derive(Debug)]
pub enum Found {
    Nothing,
    Npy(Array),
    Safetensors(safetensors::Header),
}

/// An error for contents that are not what they should be, which is another matter than a reading that failed.
pub fn bad(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// Reads `len` bytes; takes memory only for those that come.
pub fn read_up_to(file: &mut impl Read, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.take(len).read_to_end(&mut bytes)?;
    match read as u64 == len {
        true => Ok(bytes),
        false => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("expected {len} more bytes of the header, found {read}"),
        )),
    }
}

impl ArrayFormat {
    /// The kind that a file's name tells.
    pub fn of_name(name: &str) -> Option<Self> {
        match Path::new(name).extension()?.to_str()? {
            "npy" => Some(Self::Npy),
            "safetensors" => Some(Self::Safetensors),
            "bin" | "raw" => Some(Self::Raw),
            _ => None,
        }
    }

    /// What comes before the numbers of the array that `sidecar` describes.
    pub fn header(self, sidecar: &Sidecar) -> io::Result<Vec<u8>> {
        match self {
            Self::Raw => Ok(Vec::new()),
            Self::Npy => npy::header(&sidecar.array()),
            Self::Safetensors => safetensors::header(sidecar),
        }
    }

    /// Reads up to the numbers. An error of the kinds `InvalidData` and `UnexpectedEof` is the file's fault.
    pub fn read_header(self, file: &mut impl Read) -> io::Result<Found> {
        match self {
            Self::Raw => Ok(Found::Nothing),
            Self::Npy => npy::read_header(file).map(Found::Npy),
            Self::Safetensors => safetensors::read_header(file).map(Found::Safetensors),
        }
    }
}

impl Found {
    /// The sidecar, if the file has it in itself.
    pub fn about(&self) -> Option<&str> {
        match self {
            Self::Safetensors(header) => header.about(),
            _ => None,
        }
    }

    /// Whether the file holds the array that `sidecar` describes.
    pub fn check(&self, sidecar: &Sidecar) -> io::Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Npy(found) => {
                let expected = sidecar.array();
                if *found == expected {
                    return Ok(());
                }
                Err(bad(format!(
                    "expected an array of {} with the sides {:?}, as the sidecar says, found one of {} with {:?}",
                    expected.dtype, expected.shape, found.dtype, found.shape
                )))
            }
            Self::Safetensors(header) => header.check(sidecar),
        }
    }
}

impl Array {
    /// Bytes of all numbers, if they can be counted.
    pub fn bytes(&self) -> Option<u64> {
        let each: u64 = match self.dtype.as_str() {
            "u16" => 2,
            "u32" => 4,
            "u64" => 8,
            _ => return None,
        };
        self.shape
            .iter()
            .try_fold(each, |bytes, &side| bytes.checked_mul(side))
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

    #[test]
    fn bytes_that_cannot_be_counted() {
        let array = |shape: &[u64]| Array {
            dtype: "u32".to_owned(),
            shape: shape.to_vec(),
        };
        assert_eq!(array(&[5, 60, 106, 2]).bytes(), Some(4 * 5 * 60 * 106 * 2));
        assert_eq!(array(&[u64::MAX, 2]).bytes(), None);
    }
}
