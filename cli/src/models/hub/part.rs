//! A file that has come in part, and what it is a part of.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::remote::Remote;
use crate::models::error::io_error;
use crate::models::known::file_name;
use crate::models::locked::remove;

const MAX_STATE: u64 = 1 << 16;

/// A file being fetched: `NAME.part`, with `NAME.part.json` beside it.
#[derive(Debug)]
pub struct Part {
    path: PathBuf,
    state: PathBuf,
    whole: PathBuf,
}

/// What must be the same for the rest of a file to fit to its beginning.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    address: String,
    bytes: u64,
    etag: Option<String>,
}

impl Part {
    /// Takes up the part of `file` in `folder`, if there is one and the file is still the same; else begins anew.
    pub fn open(folder: &Path, file: &Remote) -> anyhow::Result<Self> {
        let name = file_name(&file.path);
        let part = Self {
            path: folder.join(format!("{name}.part")),
            state: folder.join(format!("{name}.part.json")),
            whole: folder.join(name),
        };
        let state = State {
            address: file.address.to_string(),
            bytes: file.bytes,
            etag: file.etag.clone(),
        };
        // A file that was finished before another one failed is taken up in the same way.
        if part.whole.exists() {
            fs::rename(&part.whole, &part.path).map_err(|e| io_error(&part.whole, "rename", e))?;
        }
        if part.read_state().as_ref() != Some(&state) || part.length()? > file.bytes {
            part.discard()?;
            let text = serde_json::to_vec(&state)?;
            fs::write(&part.state, text).map_err(|e| io_error(&part.state, "write", e))?;
        }
        Ok(part)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that have come.
    pub fn length(&self) -> anyhow::Result<u64> {
        match self.path.metadata() {
            Ok(meta) => Ok(meta.len()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(io_error(&self.path, "read", e)),
        }
    }

    /// Opens it to write after the first `keep` bytes.
    pub fn append(&self, keep: u64) -> anyhow::Result<File> {
        let failed = |e| io_error(&self.path, "write", e);
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.path)
            .map_err(failed)?;
        file.set_len(keep).map_err(failed)?;
        Ok(file)
    }

    /// Gives it the name of the whole file.
    pub fn finish(&self) -> anyhow::Result<()> {
        File::open(&self.path)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&self.path, &self.whole))
            .map_err(|e| io_error(&self.path, "rename", e))
    }

    /// Removes it.
    pub fn discard(&self) -> anyhow::Result<()> {
        remove(&self.path)?;
        remove(&self.state)
    }

    fn read_state(&self) -> Option<State> {
        let mut bytes = Vec::new();
        let file = File::open(&self.state).ok()?;
        file.take(MAX_STATE).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

/// Removes from `folder` what is neither a part nor the whole of one of `paths`, and with `finished` the states, too.
pub fn keep_only(folder: &Path, paths: &[String], finished: bool) -> anyhow::Result<()> {
    let mut kept = Vec::new();
    for path in paths {
        let name = file_name(path);
        kept.push(name.to_owned());
        if !finished {
            kept.push(format!("{name}.part"));
            kept.push(format!("{name}.part.json"));
        }
    }
    for entry in fs::read_dir(folder).map_err(|e| io_error(folder, "read", e))? {
        let entry = entry.map_err(|e| io_error(folder, "read", e))?;
        if !kept.iter().any(|kept| entry.file_name() == kept.as_str()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Writes all of `bytes`.
pub fn write(file: &mut File, path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    file.write_all(bytes).map_err(|e| io_error(path, "write", e))
}

#[cfg(test)]
mod tests {
    use super::super::address::Address;
    use super::*;

    fn remote(etag: &str) -> Remote {
        Remote {
            address: Address::parse("http://h/o/r/resolve/main/sub/a.pth").unwrap(),
            path: "sub/a.pth".to_owned(),
            bytes: 4,
            commit: None,
            etag: Some(etag.to_owned()),
            sha256: None,
        }
    }

    #[test]
    fn a_part_is_taken_up_if_the_file_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let part = Part::open(folder.path(), &remote("x")).unwrap();
        assert_eq!(part.length().unwrap(), 0);
        let mut file = part.append(0).unwrap();
        write(&mut file, part.path(), b"abc").unwrap();
        drop(file);
        let again = || Part::open(folder.path(), &remote("x")).unwrap().length().unwrap();
        assert_eq!(again(), 3);
        part.finish().unwrap();
        assert_eq!(fs::read(folder.path().join("a.pth")).unwrap(), b"abc");
        assert_eq!(again(), 3);
        part.append(1).unwrap();
        assert_eq!(again(), 1);
        fs::write(part.path(), b"too long").unwrap();
        assert_eq!(again(), 0);
        fs::write(part.path(), b"abc").unwrap();
        let other = Part::open(folder.path(), &remote("y")).unwrap();
        assert_eq!(other.length().unwrap(), 0);
    }

    #[test]
    fn what_belongs_to_other_files_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.pth", "a.pth.part", "a.pth.part.json", "b.pth.part", "c"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let paths = ["sub/a.pth".to_owned()];
        let count = || fs::read_dir(folder.path()).unwrap().count();
        keep_only(folder.path(), &paths, false).unwrap();
        assert_eq!(count(), 3);
        keep_only(folder.path(), &paths, true).unwrap();
        assert_eq!(count(), 1);
    }
}
