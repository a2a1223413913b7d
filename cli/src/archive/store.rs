//! Where clips go that are made: files of their own, or shards.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Map, Value};

use super::part::Part;
use super::place::Folder;
use super::row::Place;
use super::shard::{self, Full, JSON, LBIT, NPY, Shard};
use latentbit_media::MediaError;

/// The form of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A .lbit file for each clip.
    Lbit,
    /// tar shards, as WebDataset has them.
    Webdataset,
}

/// The files of a clip that was made, in the folder for clips in the making.
#[derive(Debug)]
pub struct Files {
    pub lbit: PathBuf,
    /// Its tokens as an array of numpy, if they are wanted, and the JSON that says what it is.
    pub npy: Option<(PathBuf, Value)>,
}

/// What the sidecar of an array is called in a clip's JSON.
pub const TOKENS: &str = "tokens";

/// Takes clips in order.
pub struct Store {
    folder: Folder,
    part: Part,
    form: Form,
    full: Full,
    shard: Option<Shard>,
    /// Number of the next shard.
    next: u64,
}

/// Where a run goes on.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Number of the next shard.
    pub next: u64,
    /// Name, bytes and clips of the shard that is not complete.
    pub half: Option<(String, u64, u64)>,
}

impl Store {
    pub fn open(
        folder: &Folder,
        part: Part,
        form: Form,
        full: Full,
        progress: Progress,
    ) -> Result<Self, MediaError> {
        let half = progress.half;
        let shard = half.map(|(name, bytes, clips)| Shard::open(folder, name, bytes, clips));
        let mut store = Self {
            folder: folder.clone(),
            part,
            form,
            full,
            shard: shard.transpose()?,
            next: progress.next,
        };
        store.finish_full()?;
        Ok(store)
    }

    /// Takes the files of a clip; `about` is its JSON.
    pub fn take(&mut self, key: &str, files: &Files, mut about: Map<String, Value>) -> anyhow::Result<Place> {
        if self.form == Form::Lbit {
            let name = format!("{key}.{LBIT}");
            let target = self.folder.file(&name);
            let failed = |error| MediaError::io(&target.display().to_string(), "rename into place", error);
            let until = std::fs::metadata(&files.lbit).map_err(failed)?.len();
            std::fs::rename(&files.lbit, &target).map_err(failed)?;
            return Ok(Place {
                shard: name,
                offset: 0,
                until,
            });
        }
        let shard = match &mut self.shard {
            Some(shard) => shard,
            none => {
                let name = shard::name(self.part, self.next);
                self.next += 1;
                none.insert(Shard::open(&self.folder, name, 0, 0)?)
            }
        };
        if let Some((_, sidecar)) = &files.npy {
            about.insert(TOKENS.to_owned(), sidecar.clone());
        }
        let json = serde_json::to_vec(&about)?;
        shard.add(&format!("{key}.{JSON}"), json.len() as u64, &json[..])?;
        let offset = shard.add_file(&format!("{key}.{LBIT}"), &files.lbit)?;
        if let Some((npy, _)) = &files.npy {
            shard.add_file(&format!("{key}.{NPY}"), npy)?;
        }
        shard.clips += 1;
        for file in std::iter::once(&files.lbit).chain(files.npy.iter().map(|(npy, _)| npy)) {
            remove(file);
        }
        Ok(Place {
            shard: shard.name.clone(),
            offset,
            until: shard.bytes,
        })
    }

    /// Ends the shard that is being written if it is full; says whether it was.
    pub fn finish_full(&mut self) -> Result<bool, MediaError> {
        let full = |shard: &mut Shard| shard.bytes >= self.full.bytes || shard.clips >= self.full.clips;
        match self.shard.take_if(full) {
            Some(shard) => shard.finish().map(|()| true),
            None => Ok(false),
        }
    }

    /// Ends the shard that is being written, if there is one.
    pub fn finish(mut self) -> Result<(), MediaError> {
        match self.shard.take() {
            Some(shard) => shard.finish(),
            None => {
                shard::sync_folder(self.folder.path());
                Ok(())
            }
        }
    }

    /// Waits until what was taken is on the disk.
    pub fn sync(&self) -> Result<(), MediaError> {
        self.shard.as_ref().map_or(Ok(()), Shard::sync)
    }
}

/// Removes a file that is not needed any more. What stays is removed by the next run.
pub fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}
