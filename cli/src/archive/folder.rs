//! The folder of an archive: where its files are, and who may write to it.

use latentbit_media::text_of;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::plan::ListPart;
use crate::exit::usage;
use latentbit_media::MediaError;

/// The subfolder for what runs need and readers do not.
const STATE: &str = ".archive";

/// The folder of an archive.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// A file of the archive.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn manifest(&self) -> PathBuf {
        self.file("manifest.parquet")
    }

    fn state(&self) -> PathBuf {
        self.file(STATE)
    }

    /// The folder in which runs of a part of the list keep their state.
    pub fn part(&self, part: ListPart) -> PathBuf {
        self.state().join(format!("{}-of-{}", part.number, part.of))
    }

    /// The journal of a part of the list.
    pub fn journal(&self, part: ListPart) -> PathBuf {
        self.part(part).join("journal.jsonl")
    }

    /// Writes a file that gets its name once it is complete. Until then it is in the folder of `part`, where the next run
    /// overwrites what a killed one left.
    pub fn replace(
        &self,
        part: ListPart,
        target: &Path,
        write: impl FnOnce(&File) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let new = self.part(part).join(format!("{name}.part"));
        let place = text_of(target);
        let failed = |error| MediaError::io(&place, "write", error);
        let file = File::create(&new).map_err(failed)?;
        write(&file)?;
        file.sync_all()
            .and_then(|()| fs::rename(&new, target))
            .map_err(failed)?;
        Ok(())
    }

    /// The parts of the list that were begun.
    pub fn parts(&self) -> Result<Vec<ListPart>, MediaError> {
        let state = self.state();
        let place = text_of(&state);
        let entries = match fs::read_dir(&state) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(MediaError::io(&place, "list", error)),
        };
        let mut parts = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| MediaError::io(&place, "list", error))?;
            let name = entry.file_name().to_string_lossy().replace("-of-", "/");
            // A folder without a journal is from a run that ended before its first entry.
            if let Ok(part) = name.parse::<ListPart>()
                && self.journal(part).is_file()
            {
                parts.push(part);
            }
        }
        parts.sort_by_key(|part| (part.of, part.number));
        Ok(parts)
    }

    /// Makes the folders that a run of `part` needs, and keeps other runs of it out while the result lives.
    ///
    /// # Errors
    /// Wrong usage if the folder holds something else, or an archive begun in another number of parts.
    pub fn prepare(&self, part: ListPart) -> anyhow::Result<Lock> {
        let place = text_of(&self.0);
        if !self.state().is_dir()
            && let Ok(mut entries) = fs::read_dir(&self.0)
            && entries.next().is_some()
        {
            return usage(format!(
                "{place}: there is something in this folder that is no archive; choose a new folder"
            ));
        }
        if let Some(other) = self.parts()?.iter().find(|other| other.of != part.of) {
            return usage(format!(
                "{place}: it was begun in {} parts; go on with --shard N/{}, or choose a new folder",
                other.of, other.of
            ));
        }
        let state = self.part(part);
        let failed = |error| MediaError::io(&text_of(&state), "make", error);
        let scratch = state.join("scratch");
        fs::create_dir_all(&scratch).map_err(failed)?;
        let lock = File::create(state.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!("{place}: another run is writing to this archive; wait for it, or end it")
            }
            // Some network file systems have no locks.
            Err(TryLockError::Error(error)) => tracing::warn!("{place}: cannot keep other runs out: {error}"),
        }
        // Leftovers of a run that was killed.
        fs::remove_dir_all(&scratch).map_err(failed)?;
        fs::create_dir(&scratch).map_err(failed)?;
        fs::create_dir_all(state.join("pictures")).map_err(failed)?;
        Ok(Lock {
            scratch,
            pictures: state.join("pictures"),
            _file: lock,
        })
    }
}

/// The right to write to an archive.
pub struct Lock {
    /// Folder for clips in progress.
    pub scratch: PathBuf,
    /// Folder for pictures of clips whose quality was measured.
    pub pictures: PathBuf,
    _file: File,
}
