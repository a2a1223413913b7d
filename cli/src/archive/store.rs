//! Where finished clips go: into files of their own, or into WebDataset shards, tar files in which the members of a clip
//! share its key.

use latentbit_media::{path_of, text_of};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Map, Value};

use super::folder::Folder;
use super::plan::ListPart;
use super::row::Location;
use latentbit_media::MediaError;

/// Block length of a tar file.
pub const BLOCK: u64 = 512;

/// Length of the zeros that end a tar file.
pub const TRAILER: u64 = 2 * BLOCK;

/// Extension of a clip's tokens, after its key.
pub const LBIT: &str = "lbit";
/// Extension of a clip's description.
pub const JSON: &str = "json";
/// Extension of the tokens as a numpy array.
pub const NPY: &str = "tokens.npy";

/// A shard is full as soon as it reaches one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// Bytes.
    pub bytes: u64,
    /// Clips.
    pub clips: u64,
}

/// The name of a shard.
fn shard_name(part: ListPart, number: u64) -> String {
    match part {
        ListPart::WHOLE => format!("shard-{number:06}.tar"),
        ListPart { number: part, of } => format!("shard-{part}-of-{of}-{number:06}.tar"),
    }
}

/// The path of an unfinished shard.
pub fn half_done(folder: &Folder, name: &str) -> PathBuf {
    folder.file(&format!(".{name}.part"))
}

/// An unfinished shard.
#[derive(Debug)]
struct Shard {
    pub name: String,
    place: String,
    folder: PathBuf,
    path: PathBuf,
    file: File,
    /// Bytes so far.
    pub bytes: u64,
    /// Clips so far.
    pub clips: u64,
}

impl Shard {
    /// Begins a shard, or goes on after its first `bytes` bytes, which hold `clips` clips.
    pub fn open(folder: &Folder, name: String, bytes: u64, clips: u64) -> Result<Self, MediaError> {
        let path = half_done(folder, &name);
        let place = text_of(folder.file(&name));
        let mut options = OpenOptions::new();
        let file = options
            .append(true)
            .create(true)
            .open(&path)
            .and_then(|file| file.set_len(bytes).map(|()| file))
            .map_err(|error| MediaError::io(&place, "write", error))?;
        Ok(Self {
            name,
            place,
            folder: folder.path().to_owned(),
            path,
            file,
            bytes,
            clips,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), MediaError> {
        let written = self.file.write_all(bytes);
        written.map_err(|error| MediaError::io(&self.place, "write", error))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Adds a member of `len` bytes; returns the offset at which they begin.
    pub fn add(&mut self, name: &str, len: u64, mut contents: impl Read) -> anyhow::Result<u64> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name)?;
        header.set_size(len);
        // Nothing that changes from run to run, so that the same clips give the same shard.
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_cksum();
        self.write(header.as_bytes())?;
        let offset = self.bytes;
        let mut buffer = vec![0; 1 << 16];
        let mut left = len;
        while left > 0 {
            let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let read = contents.read(&mut buffer[..most])?;
            anyhow::ensure!(read > 0, "{name}: it is shorter than it was a moment ago");
            self.write(&buffer[..read])?;
            left -= read as u64;
        }
        let padding = len.next_multiple_of(BLOCK) - len;
        self.write(&buffer_of_zeros()[..padding as usize])?;
        Ok(offset)
    }

    /// Adds the file at `path` as a member.
    pub fn add_file(&mut self, name: &str, path: &Path) -> anyhow::Result<u64> {
        let failed = |error| MediaError::io(&text_of(path), "read", error);
        let file = File::open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        self.add(name, len, file)
    }

    /// Waits until everything is on the disk.
    pub fn sync(&self) -> Result<(), MediaError> {
        let synced = self.file.sync_data();
        synced.map_err(|error| MediaError::io(&self.place, "write", error))
    }

    /// Ends the shard and gives it its name.
    pub fn finish(mut self) -> Result<(), MediaError> {
        self.write(&buffer_of_zeros())?;
        self.sync()?;
        std::fs::rename(&self.path, path_of(&self.place))
            .map_err(|error| MediaError::io(&self.place, "rename into place", error))?;
        sync_folder(&self.folder);
        Ok(())
    }
}

const fn buffer_of_zeros() -> [u8; TRAILER as usize] {
    [0; TRAILER as usize]
}

/// Syncs a folder, where the system can, so that new names in it last.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// The form of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A .lbit file for each clip.
    Lbit,
    /// WebDataset tar shards.
    Webdataset,
}

/// The files of a finished clip, in the folder for clips in progress.
#[derive(Debug)]
pub struct Files {
    pub lbit: PathBuf,
    /// Its tokens as a numpy array, if they are wanted, and the JSON that describes it.
    pub npy: Option<(PathBuf, Value)>,
}

/// Key of an array's sidecar in a clip's JSON.
pub const TOKENS: &str = "tokens";

/// Takes clips in order.
pub struct Store {
    folder: Folder,
    part: ListPart,
    form: Form,
    full: Full,
    shard: Option<Shard>,
    /// Number of the next shard.
    next: u64,
}

/// Where a run resumes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Number of the next shard.
    pub next: u64,
    /// Name, bytes and clips of the unfinished shard.
    pub half: Option<(String, u64, u64)>,
}

impl Store {
    pub fn open(
        folder: &Folder,
        part: ListPart,
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
    pub fn take(
        &mut self,
        key: &str,
        files: &Files,
        mut about: Map<String, Value>,
    ) -> anyhow::Result<Location> {
        if self.form == Form::Lbit {
            let name = format!("{key}.{LBIT}");
            let target = self.folder.file(&name);
            let failed = |error| MediaError::io(&text_of(&target), "rename into place", error);
            let until = std::fs::metadata(&files.lbit).map_err(failed)?.len();
            std::fs::rename(&files.lbit, &target).map_err(failed)?;
            return Ok(Location {
                shard: name,
                offset: 0,
                until,
            });
        }
        let shard = match &mut self.shard {
            Some(shard) => shard,
            none => {
                let name = shard_name(self.part, self.next);
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
        Ok(Location {
            shard: shard.name.clone(),
            offset,
            until: shard.bytes,
        })
    }

    /// Finishes the current shard if it is full; returns whether it was.
    pub fn finish_full(&mut self) -> Result<bool, MediaError> {
        let full = |shard: &mut Shard| shard.bytes >= self.full.bytes || shard.clips >= self.full.clips;
        match self.shard.take_if(full) {
            Some(shard) => shard.finish().map(|()| true),
            None => Ok(false),
        }
    }

    /// Finishes the current shard, if there is one.
    pub fn finish(mut self) -> Result<(), MediaError> {
        match self.shard.take() {
            Some(shard) => shard.finish(),
            None => {
                sync_folder(self.folder.path());
                Ok(())
            }
        }
    }

    /// Waits until all clips are on the disk.
    pub fn sync(&self) -> Result<(), MediaError> {
        self.shard.as_ref().map_or(Ok(()), Shard::sync)
    }
}

/// Removes a file that is no longer needed. If that fails, the next run removes it.
pub fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn member_bytes(len: u64) -> u64 {
        BLOCK + len.next_multiple_of(BLOCK)
    }

    #[test]
    fn other_programs_read_it() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::new(temp.path());
        let long = format!("{}-0123456789abcdef.{NPY}", "x".repeat(60));
        let mut shard = Shard::open(&folder, shard_name(ListPart::WHOLE, 3), 0, 0).unwrap();
        shard.add("a.json", 2, &b"{}"[..]).unwrap();
        let kept = shard.bytes;
        shard.add("b.lbit", 5, &b"thrown"[..]).unwrap();
        drop(shard);
        let mut shard = Shard::open(&folder, shard_name(ListPart::WHOLE, 3), kept, 1).unwrap();
        let offset = shard.add(&long, 600, &[7; 600][..]).unwrap();
        assert_eq!((offset, shard.bytes), (kept + BLOCK, kept + member_bytes(600)));
        assert!(shard.add("short", 9, &b"1"[..]).is_err());
        let shard = Shard::open(
            &folder,
            shard_name(ListPart::WHOLE, 3),
            kept + member_bytes(600),
            2,
        )
        .unwrap();
        shard.finish().unwrap();
        let bytes = std::fs::read(temp.path().join("shard-000003.tar")).unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let names: Vec<(String, u64)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.path().unwrap().display().to_string(), entry.size())
            })
            .collect();
        assert_eq!(names, [("a.json".to_owned(), 2), (long, 600)]);
    }
}
