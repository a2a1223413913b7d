//! What a shard has of a clip beside its tokens: JSON, and an array.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::super::columns::{Cell, cell, json};
use super::super::npy;
use super::super::store::TOKENS;
use super::{Check, Expected, number};
use crate::exit::message;
use latentbit_media::MediaError;

/// Bytes that a clip's JSON may have.
const MAX_JSON: u64 = 1 << 29;

/// Letters of a value that are told.
const MAX_TOLD: usize = 200;

impl Check<'_> {
    /// Checks a clip's JSON; gives the digest of the array that it tells of, if it tells of one.
    pub fn member_json(
        &mut self,
        name: &str,
        clip: &Expected,
        member: impl Read,
    ) -> anyhow::Result<Option<[u8; 32]>> {
        let mut bytes = Vec::new();
        member
            .take(MAX_JSON)
            .read_to_end(&mut bytes)
            .map_err(|error| MediaError::io(name, "read", error))?;
        let place = format!("{name}, clip {}", clip.key);
        let Ok(found) = serde_json::from_slice::<Map<String, Value>>(&bytes) else {
            self.problem(&place, "its JSON is damaged");
            return Ok(None);
        };
        let mut expected = json(&clip.cells);
        let mut array = None;
        if found.contains_key(TOKENS) {
            match self.array(name, clip, &place) {
                Ok((sidecar, digest)) => {
                    expected.insert(TOKENS.to_owned(), sidecar);
                    array = Some(digest);
                }
                Err(error) => {
                    self.problem(&place, &format!("its tokens cannot be read: {}", message(&error)))
                }
            }
        }
        let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
        let differing: Vec<&String> = names
            .into_iter()
            .filter(|name| expected.get(*name) != found.get(*name))
            .collect();
        for name in &differing {
            let text = |map: &Map<String, Value>| {
                let text = map
                    .get(*name)
                    .map_or_else(|| "nothing".to_owned(), Value::to_string);
                text.chars().take(MAX_TOLD).collect::<String>()
            };
            let (expected, found) = (text(&expected), text(&found));
            self.problem(
                &place,
                &format!("its JSON has {name} {found}, and the manifest or the tokens {expected}"),
            );
        }
        if differing.is_empty() && serde_json::to_vec(&expected)? != bytes {
            self.problem(&place, "its JSON is not written as it was");
        }
        Ok(array)
    }

    /// The array of a clip's tokens, which are in the same shard: its sidecar and its digest.
    fn array(&self, name: &str, clip: &Expected, place: &str) -> anyhow::Result<(Value, [u8; 32])> {
        let path = self.folder.file(name);
        let failed = |error| MediaError::io(&path.display().to_string(), "read", error);
        let [offset, bytes] = ["offset", "bytes"].map(|name| number(&clip.cells, name).unwrap_or(0));
        let steps = match cell(&clip.cells, "tokens_shape") {
            Cell::Ints(sides) => sides.first().and_then(|&steps| u64::try_from(steps).ok()),
            _ => None,
        };
        let mut shard = File::open(&path).map_err(failed)?;
        shard.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut digest = Sha256::new();
        let lbit = shard.take(bytes);
        let sidecar = npy::write(lbit, place, steps.unwrap_or(0), &mut digest, place)?;
        Ok((sidecar, digest.finalize().into()))
    }
}
