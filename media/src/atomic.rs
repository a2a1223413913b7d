//! Files that appear under their name only when they are complete.

use crate::error::MediaError;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file being written. Dropped without [`AtomicFile::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    place: String,
    target: PathBuf,
    temp: Option<PathBuf>,
}

/// Tells the files of this process apart; the process id does so for processes.
static COUNTER: AtomicU64 = AtomicU64::new(0);

impl AtomicFile {
    /// Chooses a name beside `path`. Devices and pipes (`/dev/null`, a FIFO) are written directly.
    pub fn new(path: &str) -> Result<Self, MediaError> {
        let io = |e| MediaError::io(path, "write", e);
        // Renaming must replace the file behind a symbolic link, not the link.
        let target = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => PathBuf::from(path),
            Err(e) => return Err(io(e)),
        };
        let temp = match fs::metadata(&target) {
            Ok(meta) if meta.is_dir() => return Err(io(std::io::ErrorKind::IsADirectory.into())),
            Ok(meta) if !meta.is_file() => None,
            _ => Some(temp_name(&target)),
        };
        Ok(Self {
            place: path.to_owned(),
            target,
            temp,
        })
    }

    /// The path to write to.
    pub fn path(&self) -> &Path {
        self.temp.as_deref().unwrap_or(&self.target)
    }

    /// Opens the file for writing.
    pub fn create(&self) -> Result<fs::File, MediaError> {
        let file = match &self.temp {
            Some(temp) => fs::File::create_new(temp),
            None => fs::OpenOptions::new().write(true).open(&self.target),
        };
        file.map_err(|e| MediaError::io(&self.place, "write", e))
    }

    /// Gives the file its name.
    pub fn commit(&mut self) -> Result<(), MediaError> {
        if let Some(temp) = &self.temp {
            fs::rename(temp, &self.target)
                .map_err(|e| MediaError::io(&self.place, "rename into place", e))?;
        }
        self.temp = None;
        Ok(())
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temp) = &self.temp {
            let _ = fs::remove_file(temp);
        }
    }
}

/// Where an output goes. A file gets its name when it is complete.
pub struct Target {
    /// The file's name, or "stdout".
    pub place: String,
    atomic: Option<AtomicFile>,
}

impl Target {
    /// Opens a file, or stdout for `-`.
    pub fn open(path_or_dash: &str) -> Result<(Self, Box<dyn Write + Send>), MediaError> {
        if path_or_dash == "-" {
            let place = "stdout".to_owned();
            return Ok((Self { place, atomic: None }, Box::new(std::io::stdout())));
        }
        let atomic = AtomicFile::new(path_or_dash)?;
        let file = atomic.create()?;
        let target = Self {
            place: path_or_dash.to_owned(),
            atomic: Some(atomic),
        };
        Ok((target, Box::new(BufWriter::new(file))))
    }

    /// Gives the file, which was written and flushed, its name.
    pub fn commit(self) -> Result<(), MediaError> {
        if let Some(mut atomic) = self.atomic {
            atomic.commit()?;
        }
        Ok(())
    }
}

/// A hidden name in the same folder, with the same extension because libav chooses the file format by it.
fn temp_name(target: &Path) -> PathBuf {
    let n = COUNTER.fetch_add(1, Ordering::Relaxed);
    let stem = target.file_stem().unwrap_or_default().to_string_lossy();
    let mut name = format!(".{stem}.{}-{n}.part", std::process::id());
    if let Some(extension) = target.extension() {
        name.push('.');
        name.push_str(&extension.to_string_lossy());
    }
    target.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_without_commit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mp4");
        let file = AtomicFile::new(path.to_str().unwrap()).unwrap();
        assert_eq!(file.path().extension(), path.extension());
        file.create().unwrap().write_all(b"x").unwrap();
        drop(file);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        let mut file = AtomicFile::new(path.to_str().unwrap()).unwrap();
        file.create().unwrap().write_all(b"x").unwrap();
        assert!(!path.exists());
        file.commit().unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"x");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn devices_are_written_directly() {
        let mut file = AtomicFile::new("/dev/null").unwrap();
        assert_eq!(file.path(), Path::new("/dev/null"));
        file.create().unwrap().write_all(b"x").unwrap();
        file.commit().unwrap();
        drop(file);
        assert!(Path::new("/dev/null").exists());
        assert!(AtomicFile::new("/").is_err());
    }
}
