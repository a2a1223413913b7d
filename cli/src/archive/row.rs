//! What became of a clip.

use serde::{Deserialize, Serialize};

use super::plan::Clip;

/// A clip and what became of it: an entry of the journal, and a row of the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its place in the whole list, from 0.
    pub index: u64,
    pub key: String,
    /// File that it is from.
    pub source: String,
    /// Seconds at which it begins there.
    pub start: Option<f64>,
    /// Seconds at which it ends there.
    pub end: Option<f64>,
    pub label: Option<String>,
    pub caption: Option<String>,
    /// SHA-256 of the source as hexadecimal digits, if it could be read.
    pub source_sha256: Option<String>,
    pub outcome: Outcome,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is in the archive.
    Done(Stored),
    /// Another clip of the same bytes and range is in the archive: its key.
    Duplicate(String),
    /// A filter leaves it out: why.
    Skipped(String),
    /// It could not be made: why.
    Failed(String),
}

/// A clip that is in the archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    #[serde(flatten)]
    pub made: Made,
    #[serde(flatten)]
    pub place: Place,
}

/// What was made of a clip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// SHA-256 of the `.lbit` file as hexadecimal digits.
    pub sha256: String,
    /// Length of the `.lbit` file.
    pub bytes: u64,
    pub frames: u64,
    pub width: u32,
    pub height: u32,
    /// Frames per second; 0 for a picture.
    pub fps: f64,
    pub chunks: u64,
    /// Steps, height and width of its tokens.
    pub tokens_shape: [u64; 3],
    /// Bits of a token.
    pub bits: u8,
    /// SHA-256 of the bundle as hexadecimal digits.
    pub bundle_sha256: String,
    /// In dB, if it was measured.
    pub psnr: Option<f64>,
}

/// Where a clip is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// File in the folder of the archive.
    pub shard: String,
    /// Where its `.lbit` begins in that file, in bytes.
    pub offset: u64,
    /// Where all that belongs to it ends in that file, in bytes.
    pub until: u64,
}

/// A number with six digits after the point. So few come out of a journal or a clip's JSON as they went in, and a
/// millionth of a second, a decibel or a frame per second is nothing.
pub fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

impl Row {
    pub fn new(clip: &Clip, source_sha256: Option<String>, outcome: Outcome) -> Self {
        let item = clip.item.clone();
        Self {
            index: clip.index,
            key: clip.key.clone(),
            source: item.path,
            start: item.start,
            end: item.end,
            label: item.label,
            caption: item.caption,
            source_sha256,
            outcome,
        }
    }

    /// What is in the archive of it.
    pub const fn stored(&self) -> Option<&Stored> {
        match &self.outcome {
            Outcome::Done(stored) => Some(stored),
            _ => None,
        }
    }
}
