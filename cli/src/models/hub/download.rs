//! Fetches a file in as many pieces as the network needs, and keeps what came for the next run.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use super::http::{Answer, Ask, Failure, Http, pause_or_fail};
use super::repo::Remote;
use crate::models::cache::remove;
use crate::models::digest;
use crate::models::error::{invalid, io_error};
use crate::models::name::file_name;
use crate::models::record::FileRecord;

const BUFFER: usize = 1 << 16;

/// Fewer new bytes than this do not count as progress.
const PROGRESS: u64 = 1 << 20;

/// Fetches `file` into `folder`.
pub fn fetch(http: &Http, file: &Remote, folder: &Path, bar: &ProgressBar) -> anyhow::Result<FileRecord> {
    let part = Part::open(folder, file)?;
    let mut tries = 0;
    let mut most = part.length()?;
    loop {
        let have = part.length()?;
        bar.set_position(have);
        if have == file.bytes {
            break;
        }
        if have > 0 {
            tracing::info!("{}: going on after {have} of {} bytes", file.path, file.bytes);
        }
        let Err(failure) = piece(http, file, &part, have, bar) else {
            continue;
        };
        // A server that starts anew each time sends bytes too, but gets nowhere.
        let length = part.length()?;
        if length >= most.saturating_add(PROGRESS) {
            tries = 0;
            most = length;
        }
        tries += 1;
        pause_or_fail(failure, tries).map_err(|error| {
            let kept = part.length().unwrap_or(0);
            if kept == 0 {
                return error;
            }
            error.context(format!(
                "{}: {kept} of {} bytes have come and are kept; the same command goes on from there",
                file.path, file.bytes
            ))
        })?;
    }
    if file.bytes == 0 {
        part.append(0)?;
    }
    let (bytes, sha256) = digest::of_file(part.path(), &ProgressBar::hidden())?;
    if let Some(expected) = &file.sha256
        && *expected != sha256
    {
        part.discard()?;
        return invalid(format!(
            "{}: expected the SHA-256 {expected}, found {sha256}; what came is deleted, pull it again",
            file.address
        ));
    }
    part.finish()?;
    Ok(FileRecord {
        name: file_name(&file.path).to_owned(),
        bytes,
        sha256,
    })
}

/// Asks for the rest of the file and writes what comes.
fn piece(http: &Http, file: &Remote, part: &Part, have: u64, bar: &ProgressBar) -> Result<(), Failure> {
    let answer = http.send(Ask::Get { from: have }, &file.address)?;
    let keep = match answer.status {
        // Other bytes than requested are of no use; the next request is for the whole file.
        206 if have == 0 || !continues(&answer, have, file.bytes) => None,
        206 => Some(have),
        200 => Some(0),
        _ => None,
    };
    let Some(keep) = keep else {
        part.append(0).map_err(Failure::lasting)?;
        return Err(Failure::passing(anyhow!(
            "{}: asked for the bytes from {have} on, but the server sent others",
            answer.address
        )));
    };
    let rest = file.bytes - keep;
    if let Some(length) = answer.body.content_length()
        && length != rest
    {
        return Err(Failure::lasting(anyhow!(
            "{}: expected {rest} bytes, but the server sends {length}",
            answer.address
        )));
    }
    if keep < have {
        tracing::warn!(
            "{}: the server sends no parts of files, so it starts anew",
            file.path
        );
    }
    let output = part.append(keep).map_err(Failure::lasting)?;
    bar.set_position(keep);
    copy(answer, rest, output, part.path(), bar)
}

fn copy(answer: Answer, rest: u64, mut output: File, path: &Path, bar: &ProgressBar) -> Result<(), Failure> {
    let address = answer.address;
    // One byte more than there should be shows that there are more.
    let mut body = answer.body.into_reader().take(rest.saturating_add(1));
    let mut buffer = vec![0; BUFFER];
    let mut left = rest;
    loop {
        let n = match body.read(&mut buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => {
                let error = anyhow::Error::from(e);
                return Err(Failure::passing(
                    error.context(format!("{address}: the connection broke off")),
                ));
            }
        };
        if n == 0 {
            break;
        }
        let Some(after) = left.checked_sub(n as u64) else {
            // What came before is the beginning of another file.
            output
                .set_len(0)
                .map_err(|e| Failure::lasting(io_error(path, "write", e)))?;
            return Err(Failure::lasting(anyhow!(
                "{address}: more than the {rest} bytes that were announced"
            )));
        };
        left = after;
        write(&mut output, path, buffer.get(..n).unwrap_or_default()).map_err(Failure::lasting)?;
        bar.inc(n as u64);
    }
    match left {
        0 => Ok(()),
        _ => Err(Failure::passing(anyhow!(
            "{address}: the connection broke off, {left} bytes are missing"
        ))),
    }
}

/// Whether an answer is the rest of the file from `have` on.
fn continues(answer: &Answer, have: u64, bytes: u64) -> bool {
    let range = answer.headers.get("content-range").and_then(|v| v.to_str().ok());
    range.is_some_and(|range| is_rest(range, have, bytes))
}

fn is_rest(range: &str, have: u64, bytes: u64) -> bool {
    let parse = || {
        let (range, total) = range.strip_prefix("bytes ")?.trim().split_once('/')?;
        let (from, to) = range.split_once('-')?;
        let total = match total {
            "*" => bytes,
            _ => total.parse().ok()?,
        };
        let (from, to): (u64, u64) = (from.parse().ok()?, to.parse().ok()?);
        Some(from == have && to.checked_add(1)? == bytes && total == bytes)
    };
    parse().unwrap_or(false)
}

const MAX_STATE: u64 = 1 << 16;

/// A file being fetched: `NAME.part`, with `NAME.part.json` beside it.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    state: PathBuf,
    whole: PathBuf,
}

/// What must be unchanged for the rest of a file to fit its beginning.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    address: String,
    bytes: u64,
    etag: Option<String>,
}

impl Part {
    /// Resumes the part of `file` in `folder` if there is one and the file is still the same, else starts anew.
    fn open(folder: &Path, file: &Remote) -> anyhow::Result<Self> {
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
        // A file that was finished before another one failed is resumed in the same way.
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
    fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that have come.
    fn length(&self) -> anyhow::Result<u64> {
        match self.path.metadata() {
            Ok(meta) => Ok(meta.len()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(io_error(&self.path, "read", e)),
        }
    }

    /// Opens it to write after the first `keep` bytes.
    fn append(&self, keep: u64) -> anyhow::Result<File> {
        let failed = |e| io_error(&self.path, "write", e);
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.path)
            .map_err(failed)?;
        file.set_len(keep).map_err(failed)?;
        Ok(file)
    }

    /// Renames it to the whole file.
    fn finish(&self) -> anyhow::Result<()> {
        File::open(&self.path)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&self.path, &self.whole))
            .map_err(|e| io_error(&self.path, "rename", e))
    }

    /// Removes it.
    fn discard(&self) -> anyhow::Result<()> {
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
fn write(file: &mut File, path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    file.write_all(bytes).map_err(|e| io_error(path, "write", e))
}

#[cfg(test)]
mod tests {
    use super::super::address::Address;
    use super::*;

    #[test]
    fn ranges_must_be_what_was_asked_for() {
        assert!(is_rest("bytes 3-9/10", 3, 10));
        assert!(is_rest("bytes 3-9/*", 3, 10));
        for bad in [
            "bytes 2-9/10",
            "bytes 3-8/10",
            "bytes 3-9/11",
            "bytes */10",
            "3-9/10",
            "bytes 3-18446744073709551615/10",
            "",
        ] {
            assert!(!is_rest(bad, 3, 10), "{bad}");
        }
    }

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
