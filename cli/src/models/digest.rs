//! SHA-256 of files.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use indicatif::ProgressBar;
use sha2::{Digest, Sha256};

use super::error::io_error;
use crate::digest::hex;

/// Few calls of the system for each megabyte, and little memory.
const BUFFER: usize = 1 << 18;

/// The length of a file and its SHA-256 as hexadecimal digits.
///
/// # Errors
/// If it cannot be read.
pub fn of_file(path: &Path, bar: &ProgressBar) -> anyhow::Result<(u64, String)> {
    let mut file = File::open(path).map_err(|e| io_error(path, "read", e))?;
    pass(path, &mut file, bar, |_| Ok(()))
}

/// Copies `from` to the new file `to`, and gives the length and SHA-256 of what was copied.
///
/// # Errors
/// If one cannot be read or the other not be written.
pub fn copy(from: &Path, to: &Path, bar: &ProgressBar) -> anyhow::Result<(u64, String)> {
    let failed = |e| io_error(to, "write", e);
    let mut input = File::open(from).map_err(|e| io_error(from, "read", e))?;
    let mut output = File::create_new(to).map_err(failed)?;
    let found = pass(from, &mut input, bar, |bytes| {
        output.write_all(bytes).map_err(failed)
    })?;
    output.sync_all().map_err(failed)?;
    Ok(found)
}

fn pass(
    path: &Path,
    input: &mut File,
    bar: &ProgressBar,
    mut each: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<(u64, String)> {
    let mut hash = Sha256::new();
    let mut length = 0;
    let mut buffer = vec![0; BUFFER];
    loop {
        let n = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(io_error(path, "read", e)),
        };
        let bytes = buffer.get(..n).unwrap_or_default();
        hash.update(bytes);
        each(bytes)?;
        length += n as u64;
        bar.inc(n as u64);
    }
    Ok((length, hex(&hash.finalize())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_sha256() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&from, b"abc").unwrap();
        let expected = (
            3,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned(),
        );
        let bar = ProgressBar::hidden();
        assert_eq!(of_file(&from, &bar).unwrap(), expected);
        assert_eq!(copy(&from, &to, &bar).unwrap(), expected);
        assert_eq!(std::fs::read(&to).unwrap(), b"abc");
        assert!(copy(&from, &to, &bar).is_err());
    }
}
