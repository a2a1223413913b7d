//! Fetches a file, in as many pieces as the network needs.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::anyhow;
use indicatif::ProgressBar;

use super::http::{Answer, Ask, Failure, Http};
use super::part::{self, Part};
use super::remote::Remote;
use crate::models::digest;
use crate::models::error::{invalid, io_error};
use crate::models::known::file_name;
use crate::models::record::FileRecord;

/// In a row, none of which brought anything.
const TRIES: u32 = 3;

const PAUSE: Duration = Duration::from_millis(500);

const BUFFER: usize = 1 << 16;

/// Fewer bytes than this are no sign that the next try brings more.
const PROGRESS: u64 = 1 << 20;

/// Runs `action` until it goes well, or fails in a way that stays, or too often.
pub fn with_retries<T>(mut action: impl FnMut() -> Result<T, Failure>) -> anyhow::Result<T> {
    let mut tries = 0;
    loop {
        match action() {
            Ok(value) => return Ok(value),
            Err(failure) => {
                tries += 1;
                pause_or_fail(failure, tries)?;
            }
        }
    }
}

fn pause_or_fail(failure: Failure, tries: u32) -> anyhow::Result<()> {
    if !failure.transient || tries >= TRIES {
        return Err(failure.error);
    }
    tracing::info!("{:#}; trying again", failure.error);
    sleep(PAUSE * tries);
    Ok(())
}

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
        // A server that starts anew each time brings bytes, too, but gets nowhere.
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
        // Not what was asked for, so nothing of it fits; the next request is for the whole.
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
        part::write(&mut output, path, buffer.get(..n).unwrap_or_default()).map_err(Failure::lasting)?;
        bar.inc(n as u64);
    }
    match left {
        0 => Ok(()),
        _ => Err(Failure::passing(anyhow!(
            "{address}: the connection broke off, {left} bytes are missing"
        ))),
    }
}

/// Whether a part of a file is the one from `have` on, of the file of that length.
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

#[cfg(test)]
mod tests {
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

    #[test]
    fn what_passes_is_tried_again_and_what_stays_is_not() {
        let mut calls = 0;
        let mut failing = |transient| {
            calls = 0;
            let result: anyhow::Result<()> = with_retries(|| {
                calls += 1;
                Err(Failure {
                    transient,
                    error: anyhow!("x"),
                })
            });
            assert!(result.is_err());
            calls
        };
        assert_eq!(failing(false), 1);
        assert_eq!(failing(true), TRIES);
    }
}
