//! Tokens as safetensors: a tensor for each chunk, and the sidecar in the metadata.

use std::collections::BTreeMap;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::layout::{Array, bad, read_up_to};
use super::sidecar::Sidecar;

/// Longest header in bytes: the safetensors library refuses more.
const MAX_HEADER: u64 = 100_000_000;

/// Metadata key of the sidecar.
const KEY: &str = "latentbit.tokens";

/// The header of a file.
#[derive(Debug, Serialize, Deserialize)]
pub struct SafetensorsHeader {
    #[serde(rename = "__metadata__", default)]
    metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    tensors: BTreeMap<String, Tensor>,
    /// Bytes before the numbers.
    #[serde(skip)]
    len: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// The tensors of an array's chunks, one after the other; lost chunks have none. Depths follow the tokens. Numbers in names
/// have zeros, so that sorted names give chunks in order.
fn tensors(sidecar: &Sidecar) -> io::Result<BTreeMap<String, Tensor>> {
    let mut tensors = BTreeMap::new();
    let end = put(&mut tensors, sidecar, "chunk", &sidecar.array(), 0)?;
    if sidecar.video.depth_step.is_some() {
        put(&mut tensors, sidecar, "depths", &sidecar.depths_array(), end)?;
    }
    Ok(tensors)
}

/// Adds the parts of an array that begins at `from`; returns where it ends.
fn put(
    tensors: &mut BTreeMap<String, Tensor>,
    sidecar: &Sidecar,
    name: &str,
    array: &Array,
    mut from: u64,
) -> io::Result<u64> {
    for entry in sidecar.chunks.iter().filter(|entry| !entry.lost) {
        let mut shape = array.shape.clone();
        if let Some(steps) = shape.first_mut() {
            *steps = entry.steps[1].saturating_sub(entry.steps[0]);
        }
        let part = Array {
            dtype: array.dtype.clone(),
            shape: shape.clone(),
        };
        let bytes = part.bytes();
        let to = bytes.and_then(|bytes| from.checked_add(bytes));
        let to = to.ok_or_else(|| bad(format!("chunk {}: its array is too large", entry.number)))?;
        let tensor = Tensor {
            dtype: array.dtype.to_uppercase(),
            shape,
            data_offsets: [from, to],
        };
        tensors.insert(format!("{name}.{:08}", entry.number), tensor);
        from = to;
    }
    Ok(from)
}

/// Everything before the numbers.
pub fn header(sidecar: &Sidecar) -> io::Result<Vec<u8>> {
    let about = serde_json::to_string(sidecar)?;
    let header = SafetensorsHeader {
        metadata: BTreeMap::from([(KEY.to_owned(), about)]),
        tensors: tensors(sidecar)?,
        len: 0,
    };
    let mut text = serde_json::to_string(&header)?;
    // Numbers begin at a multiple of eight bytes.
    text.push_str(&" ".repeat((8 - text.len() % 8) % 8));
    let len = text.len() as u64;
    if len > MAX_HEADER {
        return Err(bad(format!(
            "the header of safetensors would take {len} bytes, and readers take {MAX_HEADER}; write .npy, or cut the \
             file into parts"
        )));
    }
    Ok([&len.to_le_bytes()[..], text.as_bytes()].concat())
}

/// Reads up to the numbers.
pub fn read_header(file: &mut impl Read) -> io::Result<SafetensorsHeader> {
    let mut len = [0; 8];
    file.read_exact(&mut len)?;
    let len = u64::from_le_bytes(len);
    if len > MAX_HEADER {
        return Err(bad(format!(
            "expected a header of safetensors of at most {MAX_HEADER} bytes, found {len}; is it another kind of file?"
        )));
    }
    let text = read_up_to(file, len)?;
    let header: SafetensorsHeader = serde_json::from_slice(&text)
        .map_err(|error| bad(format!("expected a header of safetensors: {error}")))?;
    Ok(SafetensorsHeader {
        len: 8 + len,
        ..header
    })
}

impl SafetensorsHeader {
    /// The sidecar, as JSON.
    pub fn about(&self) -> Option<&str> {
        self.metadata.get(KEY).map(String::as_str)
    }

    /// Where the depths begin in the file, by what `sidecar` says of the tokens before them; none if their size cannot be
    /// counted.
    pub fn depths_at(&self, sidecar: &Sidecar) -> Option<u64> {
        self.len.checked_add(sidecar.array().bytes()?)
    }

    /// Fails unless the tensors are as `sidecar` says.
    pub fn check(&self, sidecar: &Sidecar) -> io::Result<()> {
        let expected = tensors(sidecar)?;
        for (name, tensor) in &expected {
            match self.tensors.get(name) {
                Some(found) if found == tensor => {}
                Some(found) => {
                    return Err(bad(format!(
                        "{name}: expected {}, found {}",
                        tensor.text(),
                        found.text()
                    )));
                }
                None => return Err(bad(format!("expected a tensor '{name}', found none"))),
            }
        }
        match self.tensors.keys().find(|name| !expected.contains_key(*name)) {
            Some(name) => Err(bad(format!(
                "expected tensors of the chunks in the sidecar, found '{name}' as well"
            ))),
            None => Ok(()),
        }
    }
}

impl Tensor {
    fn text(&self) -> String {
        let [from, to] = self.data_offsets;
        format!(
            "{} with the sides {:?} in bytes {from} to {to}",
            self.dtype, self.shape
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::testing::sidecar;

    #[test]
    fn each_chunk_has_a_tensor_and_the_sidecar_is_there() {
        let sidecar = sidecar();
        let bytes = header(&sidecar).unwrap();
        assert_eq!(bytes.len() % 8, 0);
        let mut rest = &bytes[..];
        let read = read_header(&mut rest).unwrap();
        assert!(rest.is_empty());
        read.check(&sidecar).unwrap();
        assert_eq!(read.about().unwrap(), serde_json::to_string(&sidecar).unwrap());
        let names: Vec<&str> = read.tensors.keys().map(String::as_str).collect();
        assert_eq!(names, ["chunk.00000000", "chunk.00000002"]);
        let second = &read.tensors["chunk.00000002"];
        assert_eq!(
            (&second.shape[..], second.data_offsets),
            (&[2, 2, 3][..], [24, 48])
        );
        for len in 0..bytes.len() {
            let error = read_header(&mut &bytes[..len]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{len}");
        }
    }

    #[test]
    fn other_files_are_refused() {
        let says = |bytes: &[u8]| read_header(&mut &bytes[..]).unwrap_err().to_string();
        assert!(says(&[0xff; 20]).contains("100000000"));
        assert!(says(b"\x02\0\0\0\0\0\0\0[]").contains("expected a header"));
        let sidecar = sidecar();
        let good = read_header(&mut &header(&sidecar).unwrap()[..]).unwrap();
        let with = |change: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
            let mut tensors = tensors(&sidecar).unwrap();
            change(&mut tensors);
            let metadata = good.metadata.clone();
            SafetensorsHeader {
                metadata,
                tensors,
                len: 0,
            }
            .check(&sidecar)
            .unwrap_err()
            .to_string()
        };
        assert!(with(&|all| drop(all.remove("chunk.00000002"))).contains("found none"));
        assert!(with(&|all| all.get_mut("chunk.00000000").unwrap().shape[0] = 3).contains("[2, 2, 3]"));
        let more = |all: &mut BTreeMap<String, Tensor>| {
            let tensor = tensors(&sidecar).unwrap().remove("chunk.00000000").unwrap();
            all.insert("more".to_owned(), tensor);
        };
        assert!(with(&more).contains("'more'"));
    }
}
