//! What comes before the numbers in a file: npy, safetensors, or nothing.

use std::io::{self, Read};
use std::path::Path;

use clap::ValueEnum;
use serde_json::{Value, json};

/// The most bytes that a header of safetensors may have.
const MAX_HEADER: u64 = 100 << 20;

/// The same for numpy, whose headers are a line.
const MAX_NPY_HEADER: u32 = 1 << 16;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ArrayFormat {
    /// numpy.
    Npy,
    /// safetensors: the array is called "tokens".
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

fn bad(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
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

    /// What comes before the numbers of `array`; `about` is what safetensors keeps with it.
    pub fn header(self, array: &Array, about: &str) -> io::Result<Vec<u8>> {
        match self {
            Self::Raw => Ok(Vec::new()),
            Self::Npy => npy_header(array),
            Self::Safetensors => {
                let bytes = array.bytes().ok_or_else(|| bad("the array is too large"))?;
                let header = json!({
                    "__metadata__": { "latentbit.tokens": about },
                    "tokens": {
                        "dtype": array.dtype.to_uppercase(),
                        "shape": array.shape,
                        "data_offsets": [0, bytes],
                    },
                });
                let mut text = header.to_string();
                // Numbers begin at a multiple of eight bytes.
                text.push_str(&" ".repeat((8 - text.len() % 8) % 8));
                Ok([&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat())
            }
        }
    }

    /// Reads up to the numbers. None of raw files, which say nothing.
    pub fn read_header(self, file: &mut impl Read) -> io::Result<Option<Array>> {
        match self {
            Self::Raw => Ok(None),
            Self::Npy => read_npy_header(file).map(Some),
            Self::Safetensors => safetensors_header(file).map(Some),
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

/// The header of numpy's format 1.0.
fn npy_header(array: &Array) -> io::Result<Vec<u8>> {
    let kind = match array.dtype.as_str() {
        "u16" => "<u2",
        "u32" => "<u4",
        _ => "<u8",
    };
    let sides: Vec<String> = array.shape.iter().map(|side| format!("{side},")).collect();
    let mut text = format!(
        "{{'descr': '{kind}', 'fortran_order': False, 'shape': ({}), }}",
        sides.join(" ")
    );
    // Everything before the numbers takes a multiple of 64 bytes, and ends a line.
    let len = 10 + text.len() + 1;
    text.push_str(&" ".repeat((64 - len % 64) % 64));
    text.push('\n');
    let len = u16::try_from(text.len()).map_err(|_| bad("the array has too many sides"))?;
    Ok([b"\x93NUMPY\x01\x00", &len.to_le_bytes()[..], text.as_bytes()].concat())
}

/// Reads a header of numpy's formats 1, 2 and 3: a Python literal with three entries.
fn read_npy_header(file: &mut impl Read) -> io::Result<Array> {
    let mut start = [0; 8];
    file.read_exact(&mut start)?;
    let (magic, version) = start.split_at(6);
    if magic != b"\x93NUMPY" {
        return Err(bad("expected an array of numpy, found another kind of file"));
    }
    let mut len = [0; 4];
    let digits = if version[0] == 1 { 2 } else { 4 };
    file.read_exact(&mut len[..digits])?;
    let mut text = Vec::new();
    file.take(u64::from(u32::from_le_bytes(len).min(MAX_NPY_HEADER)))
        .read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    // What follows a key, up to the comma or bracket that ends it.
    let value = |key: &str, end: char| {
        let (_, after) = text.split_once(&format!("'{key}':"))?;
        after.split(end).next().map(str::trim)
    };
    let (Some(kind), Some(order), Some(shape)) = (
        value("descr", ','),
        value("fortran_order", ','),
        value("shape", ')'),
    ) else {
        return Err(bad("expected a header with descr, fortran_order and shape"));
    };
    let dtype = match kind.trim_matches(['\'', '"']) {
        "<u2" => "u16",
        "<u4" => "u32",
        "<u8" => "u64",
        other => {
            return Err(bad(format!(
                "expected numbers of type <u2, <u4 or <u8, found {other}"
            )));
        }
    };
    if order != "False" {
        return Err(bad("expected C order, found Fortran order"));
    }
    let sides = shape.trim_start_matches('(').split(',').map(str::trim);
    let sides: Result<Vec<u64>, _> = sides.filter(|side| !side.is_empty()).map(str::parse).collect();
    Ok(Array {
        dtype: dtype.to_owned(),
        shape: sides.map_err(|_| bad(format!("expected sides that are numbers, found {shape}")))?,
    })
}

fn safetensors_header(file: &mut impl Read) -> io::Result<Array> {
    let mut len = [0; 8];
    file.read_exact(&mut len)?;
    let len = u64::from_le_bytes(len);
    if len > MAX_HEADER {
        return Err(bad(format!(
            "expected a header of at most {MAX_HEADER} bytes, found {len}"
        )));
    }
    let mut text = Vec::new();
    file.take(len).read_to_end(&mut text)?;
    let header: Value = serde_json::from_slice(&text)?;
    let tensor = &header["tokens"];
    let numbers =
        |value: &Value| -> Option<Vec<u64>> { value.as_array()?.iter().map(Value::as_u64).collect() };
    let (Some(dtype), Some(shape), Some(offsets)) = (
        tensor["dtype"].as_str(),
        numbers(&tensor["shape"]),
        numbers(&tensor["data_offsets"]),
    ) else {
        return Err(bad("expected a tensor with the name 'tokens'"));
    };
    let array = Array {
        dtype: dtype.to_lowercase(),
        shape,
    };
    match array.bytes() {
        None => Err(bad(format!(
            "expected numbers of type U16, U32 or U64, found {dtype}"
        ))),
        Some(bytes) if offsets != [0, bytes] => Err(bad(format!(
            "expected the tokens in bytes 0 to {bytes}, found them in {offsets:?}"
        ))),
        Some(_) => Ok(array),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_back() {
        let array = Array {
            dtype: "u32".to_owned(),
            shape: vec![5, 60, 106, 2],
        };
        for format in [ArrayFormat::Npy, ArrayFormat::Safetensors] {
            let header = format.header(&array, "{\"a\": \"ä\"}").unwrap();
            assert_eq!(header.len() % 8, 0);
            let mut rest = &header[..];
            assert_eq!(format.read_header(&mut rest).unwrap().as_ref(), Some(&array));
            assert!(rest.is_empty());
            for len in 0..header.len() - 1 {
                let _ = format.read_header(&mut &header[..len]);
            }
        }
        assert_eq!(ArrayFormat::Raw.header(&array, "").unwrap(), b"");
        assert_eq!(array.bytes(), Some(4 * 5 * 60 * 106 * 2));
    }

    #[test]
    fn other_arrays_are_refused() {
        let mut float = npy_header(&Array {
            dtype: "u32".into(),
            shape: vec![1],
        })
        .unwrap();
        let at = float.windows(3).position(|part| part == b"<u4").unwrap();
        float[at + 1] = b'f';
        let error = ArrayFormat::Npy.read_header(&mut &float[..]).unwrap_err();
        assert!(error.to_string().contains("<f4"), "{error}");
        assert!(
            ArrayFormat::Safetensors
                .read_header(&mut &[0xff; 20][..])
                .is_err()
        );
        assert!(
            ArrayFormat::Safetensors
                .read_header(&mut &b"\x02\0\0\0\0\0\0\0{}"[..])
                .is_err()
        );
    }
}
