//! `model.json`: what a model in the cache is, and where it is from.

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{invalid, io_error};
use super::name::{Name, is_safe};

/// The name of the record in the folder of a model.
pub const RECORD_FILE: &str = "model.json";

const SCHEMA: &str = "latentbit.model/1";

/// Longest record in bytes: one names a handful of files.
const MAX_BYTES: u64 = 1 << 20;

/// What a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A LatentBit bundle.
    Bundle,
    /// A VAE of the Wan family, as its authors or diffusers write it.
    WanVae,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bundle => "bundle",
            Self::WanVae => "wan-vae",
        })
    }
}

/// Where a model is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Source {
    /// A path on this machine.
    Path {
        /// The file or folder.
        path: String,
        /// Whether the cache has links to it rather than copies.
        linked: bool,
    },
    /// A repository on the Hugging Face hub.
    Hub {
        /// The hub or mirror.
        endpoint: String,
        /// Owner and repository.
        repo: String,
        /// The branch, tag or commit that was asked for.
        revision: String,
        /// The commit that it was, if the hub said so.
        commit: Option<String>,
        /// The files in it.
        paths: Vec<String>,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path { path, linked: false } => write!(f, "{path}"),
            Self::Path { path, linked: true } => write!(f, "{path} (linked)"),
            Self::Hub {
                repo,
                revision,
                commit,
                ..
            } => {
                let commit: Option<String> = commit.as_ref().map(|commit| commit.chars().take(12).collect());
                write!(f, "{repo}@{}", commit.as_ref().unwrap_or(revision))
            }
        }
    }
}

/// One file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its name in the folder of the model.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 as hexadecimal digits.
    pub sha256: String,
}

/// What a model in the cache is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    schema: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its files.
    pub files: Vec<FileRecord>,
    /// Where it is from.
    pub source: Source,
}

impl Record {
    /// The record of a new model.
    pub fn new(name: &Name, kind: Kind, files: Vec<FileRecord>, source: Source) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            name: name.to_string(),
            kind,
            files,
            source,
        }
    }

    /// Reads the record of the model in `folder`.
    ///
    /// # Errors
    /// If it cannot be read, or names files outside the folder.
    pub fn read(folder: &Path, name: &Name) -> anyhow::Result<Self> {
        let path = folder.join(RECORD_FILE);
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            .map_err(|e| io_error(&path, "read", e))?;
        match Self::parse(&bytes) {
            // Whoever renames a folder renames the model.
            Ok(record) => Ok(Self {
                name: name.to_string(),
                ..record
            }),
            Err(reason) => invalid(format!(
                "{}: not the record of a model: {reason}; add or pull the model again with -y, or delete its folder",
                path.display()
            )),
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("more than {MAX_BYTES} bytes"));
        }
        let record: Self = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        if record.schema != SCHEMA {
            return Err(format!("expected the schema {SCHEMA}, found {:?}", record.schema));
        }
        if record.files.is_empty() {
            return Err("it names no files".to_owned());
        }
        for file in &record.files {
            if !is_safe(&file.name) || file.name == RECORD_FILE {
                return Err(format!("{:?} cannot be a file of a model", file.name));
            }
            if file.sha256.len() != 64 || !file.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(format!("{:?} is no SHA-256 in hexadecimal digits", file.sha256));
            }
        }
        Ok(record)
    }

    /// Writes the record into `folder`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join(RECORD_FILE);
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        File::create(&path)
            .and_then(|mut file| {
                file.write_all(&text)?;
                file.sync_all()
            })
            .map_err(|e| io_error(&path, "write", e))
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files
            .iter()
            .fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// What to give to `--model`: the file, or the folder where a model has several.
    pub fn path(&self, folder: &Path) -> PathBuf {
        match self.files.as_slice() {
            [file] => folder.join(&file.name),
            _ => folder.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let file = FileRecord {
            name: "a.pth".to_owned(),
            bytes: 5,
            sha256: "0".repeat(64),
        };
        let source = Source::Path {
            path: "x".to_owned(),
            linked: false,
        };
        Record::new(&Name::new("a").unwrap(), Kind::WanVae, vec![file], source)
    }

    #[test]
    fn records_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        record().write(folder.path()).unwrap();
        let read = Record::read(folder.path(), &Name::new("b").unwrap()).unwrap();
        assert_eq!(
            read,
            Record {
                name: "b".to_owned(),
                ..record()
            }
        );
        assert_eq!(read.path(folder.path()), folder.path().join("a.pth"));
    }

    #[test]
    fn wrong_records_are_refused() {
        let with = |change: fn(&mut Record)| {
            let mut record = record();
            change(&mut record);
            Record::parse(&serde_json::to_vec(&record).unwrap())
        };
        assert!(with(|_| ()).is_ok());
        assert!(with(|r| r.schema = "latentbit.model/2".to_owned()).is_err());
        assert!(with(|r| r.files.clear()).is_err());
        assert!(with(|r| r.files[0].name = "../a".to_owned()).is_err());
        assert!(with(|r| r.files[0].name = "model.json".to_owned()).is_err());
        assert!(with(|r| r.files[0].sha256.push('0')).is_err());
        assert!(Record::parse(b"{}").is_err());
        assert!(Record::parse(&vec![b' '; MAX_BYTES as usize + 1]).is_err());
    }
}
