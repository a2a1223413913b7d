//! WebDataset shards: tar files in which the members of a clip share its key.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::part::Part;
use super::place::Folder;
use latentbit_media::MediaError;

/// A tar file is made of blocks of this length.
pub const BLOCK: u64 = 512;

/// Zeros that end a tar file.
pub const TRAILER: u64 = 2 * BLOCK;

/// Extension of the tokens of a clip, after its key.
pub const LBIT: &str = "lbit";
/// Extension of what there is to know about a clip.
pub const JSON: &str = "json";
/// Extension of the tokens as an array of numpy.
pub const NPY: &str = "tokens.npy";

/// When a shard is full: as soon as it has as much as one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// Bytes.
    pub bytes: u64,
    /// Clips.
    pub clips: u64,
}

/// The name of a shard.
pub fn name(part: Part, number: u64) -> String {
    match part {
        Part::WHOLE => format!("shard-{number:06}.tar"),
        Part { number: part, of } => format!("shard-{part}-of-{of}-{number:06}.tar"),
    }
}

/// Under which name a shard is written until it is complete.
pub fn half_done(folder: &Folder, name: &str) -> PathBuf {
    folder.file(&format!(".{name}.part"))
}

/// A shard in the making.
#[derive(Debug)]
pub struct Shard {
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
        let place = folder.file(&name).display().to_string();
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

    /// Adds a member of `len` bytes; gives where they begin.
    pub fn add(&mut self, name: &str, len: u64, mut contents: impl Read) -> anyhow::Result<u64> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name)?;
        header.set_size(len);
        // Nothing that changes from run to run: the same clips give the same shard.
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
        let failed = |error| MediaError::io(&path.display().to_string(), "read", error);
        let file = File::open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        self.add(name, len, file)
    }

    /// Waits until all is on the disk.
    pub fn sync(&self) -> Result<(), MediaError> {
        let synced = self.file.sync_data();
        synced.map_err(|error| MediaError::io(&self.place, "write", error))
    }

    /// Ends the shard and gives it its name.
    pub fn finish(mut self) -> Result<(), MediaError> {
        self.write(&buffer_of_zeros())?;
        self.sync()?;
        std::fs::rename(&self.path, &self.place)
            .map_err(|error| MediaError::io(&self.place, "rename into place", error))?;
        sync_folder(&self.folder);
        Ok(())
    }
}

const fn buffer_of_zeros() -> [u8; TRAILER as usize] {
    [0; TRAILER as usize]
}

/// Makes a new name in a folder last, where the system can.
pub fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
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
        let mut shard = Shard::open(&folder, name(Part::WHOLE, 3), 0, 0).unwrap();
        shard.add("a.json", 2, &b"{}"[..]).unwrap();
        let kept = shard.bytes;
        shard.add("b.lbit", 5, &b"thrown"[..]).unwrap();
        drop(shard);
        let mut shard = Shard::open(&folder, name(Part::WHOLE, 3), kept, 1).unwrap();
        let offset = shard.add(&long, 600, &[7; 600][..]).unwrap();
        assert_eq!((offset, shard.bytes), (kept + BLOCK, kept + member_bytes(600)));
        assert!(shard.add("short", 9, &b"1"[..]).is_err());
        let shard = Shard::open(&folder, name(Part::WHOLE, 3), kept + member_bytes(600), 2).unwrap();
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
