//! Checks the manifest and the files of an archive against each other.

use latentbit_media::text_of;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use latentbit_container::{Reader, verify};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::folder::Folder;
use super::journal::journals;
use super::manifest;
use super::merge::Merged;
use super::row::{COLUMNS, Cell, cell, cells, json};
use super::store::{BLOCK, JSON, LBIT, NPY, TOKENS, TRAILER, half_done};
use crate::digest::Digested;
use crate::exit::{Exit, message};
use crate::limits::limits;
use crate::tokens::write_npy;
use latentbit_media::{MediaError, MediaErrorKind};

/// Problems that are listed one by one.
const TOLD: usize = 1000;

#[derive(Debug, Default, Serialize)]
struct CheckReport {
    schema: &'static str,
    clips: u64,
    files: u64,
    bytes: u64,
    whole: bool,
    /// All problems; only the first ones are listed.
    problem_count: u64,
    problems: Vec<String>,
}

/// What the manifest says of an archived clip.
struct Expected {
    row: u64,
    key: String,
    cells: Vec<Cell>,
}

struct Check<'a> {
    folder: &'a Folder,
    report: CheckReport,
    json: bool,
}

/// Checks an archive.
///
/// # Errors
/// Fails if the manifest cannot be read. Problems of the archive are printed instead.
pub fn check(folder: &Folder, json: bool) -> anyhow::Result<Exit> {
    let mut check = Check {
        folder,
        report: CheckReport {
            schema: "latentbit.archive.check/1",
            ..CheckReport::default()
        },
        json,
    };
    let files = check.rows()?;
    check.strangers(&files)?;
    for (name, clips) in files {
        check.report.files += 1;
        let checked = match Path::new(&name).extension().is_some_and(|e| e == "tar") {
            true => check.shard(&name, clips),
            false => check.file(&name, &clips),
        };
        if let Err(error) = checked {
            check.problem(&name, &message(&error));
        }
    }
    let report = &mut check.report;
    report.whole = report.problem_count == 0;
    let whole = report.whole;
    if json {
        crate::report::print(report, false)?;
    } else {
        let place = text_of(folder.path());
        let state = match report.problem_count {
            0 => "whole".to_owned(),
            count => format!("damaged, {count} problems"),
        };
        crate::report::print_text(&format!(
            "{place}: {state}; {} clips in {} files, {} bytes",
            report.clips, report.files, report.bytes
        ))?;
    }
    Ok(if whole { Exit::Success } else { Exit::Damaged })
}

fn text<'a>(cells: &'a [Cell], name: &str) -> &'a str {
    match cell(cells, name) {
        Cell::Text(text) => text,
        _ => "",
    }
}

fn number(cells: &[Cell], name: &str) -> Option<u64> {
    match cell(cells, name) {
        Cell::Int(value) => u64::try_from(*value).ok(),
        _ => None,
    }
}

impl Check<'_> {
    fn problem(&mut self, place: &str, text: &str) {
        let problem = format!("{place}: {text}");
        self.report.problem_count += 1;
        if !self.json {
            tracing::error!("{problem}");
        }
        if self.report.problems.len() < TOLD {
            self.report.problems.push(problem);
        }
    }
}

impl Check<'_> {
    /// Compares the rows of the manifest with those of the journals; returns the clips of each file.
    fn rows(&mut self) -> anyhow::Result<BTreeMap<String, Vec<Expected>>> {
        let path = self.folder.manifest();
        let place = text_of(&path);
        // An archive may have been copied without its journals.
        let parts = self.folder.parts()?;
        let mut rows = match journals(self.folder, &parts) {
            Ok(all) => Merged::new(all.into_iter().map(|(_, reading)| reading))?,
            Err(error) => {
                self.problem(&place, &message(&error));
                Merged::new([])?
            }
        };
        let mut files: BTreeMap<String, Vec<Expected>> = BTreeMap::new();
        let mut keys: HashMap<String, bool> = HashMap::new();
        let mut repeats = Vec::new();
        let mut next = 0;
        for found in manifest::read(&path)? {
            let found = found?;
            let row = next;
            next += 1;
            let at = format!("{place}, row {row}");
            if !parts.is_empty() {
                match rows.next().transpose()? {
                    None => self.problem(&at, "the journal has no such clip"),
                    Some(row) => {
                        let expected = cells(&row);
                        let differing = COLUMNS.iter().zip(expected.iter().zip(&found));
                        for (column, (expected, found)) in differing.filter(|(_, (a, b))| a != b) {
                            let name = column.name;
                            self.problem(
                                &at,
                                &format!(
                                    "{name}: expected {expected:?}, as the journal has it, found {found:?}"
                                ),
                            );
                        }
                    }
                }
            }
            if number(&found, "index") != Some(row) {
                self.problem(&at, "its index is not its place");
            }
            let key = text(&found, "key").to_owned();
            let done = text(&found, "status") == "done";
            if keys.insert(key.clone(), done).is_some() {
                self.problem(&at, &format!("the key {key:?} is there twice"));
            }
            match text(&found, "status") {
                "done" => {
                    self.report.clips += 1;
                    let shard = text(&found, "shard").to_owned();
                    // A name must not lead out of the folder.
                    if shard.is_empty() || shard.contains(['/', '\\']) {
                        self.problem(&at, &format!("{shard:?} is no name of a file in the archive"));
                        continue;
                    }
                    files.entry(shard).or_default().push(Expected {
                        row,
                        key,
                        cells: found,
                    });
                }
                "duplicate" => repeats.push((at, text(&found, "duplicate_of").to_owned())),
                "skipped" | "failed" => {}
                other => self.problem(&at, &format!("{other:?} is no status")),
            }
        }
        if !parts.is_empty() && rows.next().transpose()?.is_some() {
            self.problem(
                &place,
                &format!("it ends after {next} rows, and the journal goes on"),
            );
        }
        for (at, key) in repeats {
            if keys.get(&key) != Some(&true) {
                self.problem(&at, &format!("it repeats {key:?}, which is not in the archive"));
            }
        }
        Ok(files)
    }
}

impl Check<'_> {
    /// Reports files that look like clips or shards and have no row.
    fn strangers(&mut self, files: &BTreeMap<String, Vec<Expected>>) -> anyhow::Result<()> {
        let place = text_of(self.folder.path());
        let failed = |error| MediaError::io(&place, "list", error);
        let mut names = BTreeSet::new();
        for entry in std::fs::read_dir(self.folder.path()).map_err(failed)? {
            names.insert(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        for name in names {
            let ours = Path::new(&name)
                .extension()
                .is_some_and(|extension| extension == "tar" || extension == LBIT);
            if ours && !files.contains_key(&name) && !name.starts_with('.') {
                self.problem(&name, "no row of the manifest names this file");
            }
        }
        for name in files.keys() {
            if half_done(self.folder, name).exists() {
                self.problem(
                    name,
                    "a half-done copy of it is there; the same archive command finishes it",
                );
            }
        }
        Ok(())
    }
}

impl Check<'_> {
    /// Checks a shard: every member belongs to a clip of the manifest, and every clip has its members.
    fn shard(&mut self, name: &str, clips: Vec<Expected>) -> anyhow::Result<()> {
        let path = self.folder.file(name);
        let place = text_of(&path);
        let failed = |error| MediaError::io(&place, "read", error);
        let file = File::open(&path).map_err(|error| MediaError::io(&place, "open", error))?;
        let length = file.metadata().map_err(failed)?.len();
        self.report.bytes += length;
        let clips: HashMap<String, Expected> =
            clips.into_iter().map(|clip| (clip.key.clone(), clip)).collect();
        let mut found: BTreeSet<String> = BTreeSet::new();
        // Digests of arrays that are still to come.
        let mut arrays: HashMap<String, [u8; 32]> = HashMap::new();
        let mut end = 0;
        let mut members = tar::Archive::new(BufReader::new(file));
        let broken = |error: io::Error| {
            let message = format!("expected a tar file of clips: {error}");
            MediaError::new(MediaErrorKind::Invalid, name, message)
        };
        for member in members.entries_with_seek().map_err(broken)? {
            let mut member = member.map_err(broken)?;
            let path = member.path().map_err(broken)?.to_string_lossy().into_owned();
            let (offset, len) = (member.raw_file_position(), member.size());
            end = offset + len.next_multiple_of(BLOCK);
            let Some((key, extension)) = path.split_once('.') else {
                self.problem(name, &format!("{path:?} is no member of a clip"));
                continue;
            };
            let Some(clip) = clips.get(key) else {
                self.problem(
                    name,
                    &format!("no row of the manifest has {path:?} in this shard"),
                );
                continue;
            };
            if !found.insert(path.clone()) {
                self.problem(name, &format!("{path:?} is there twice"));
                continue;
            }
            match extension {
                LBIT => {
                    let told = (number(&clip.cells, "offset"), number(&clip.cells, "bytes"));
                    if told != (Some(offset), Some(len)) {
                        self.problem(
                            name,
                            &format!("{path:?} has {len} bytes from byte {offset} on, and the manifest says {told:?}"),
                        );
                    }
                    self.lbit(name, clip, &mut member, len)?;
                }
                JSON => {
                    let array = self.member_json(name, clip, member)?;
                    arrays.extend(array.map(|digest| (key.to_owned(), digest)));
                }
                NPY => {
                    let mut digest = Sha256::new();
                    io::copy(&mut member, &mut digest).map_err(failed)?;
                    if arrays.remove(key) != Some(digest.finalize().into()) {
                        self.problem(name, &format!("{path:?} is not the array of the clip's tokens"));
                    }
                }
                _ => self.problem(name, &format!("{path:?} is no member of a clip")),
            }
        }
        if length != end + TRAILER {
            self.problem(
                name,
                &format!("it has {length} bytes, and its members end at byte {end}"),
            );
        }
        for key in clips.keys().collect::<BTreeSet<_>>() {
            let array = arrays.contains_key(key).then_some(NPY);
            for extension in [LBIT, JSON].into_iter().chain(array) {
                let member = format!("{key}.{extension}");
                if !found.contains(&member) {
                    self.problem(name, &format!("{member:?} is missing"));
                }
            }
        }
        Ok(())
    }
}

/// Longest JSON of a clip, in bytes.
const MAX_JSON: u64 = 1 << 29;

/// Characters of a value that a message quotes.
const MAX_TOLD: usize = 200;

impl Check<'_> {
    /// Checks a clip's JSON; returns the digest of the array that it describes, if any.
    fn member_json(
        &mut self,
        name: &str,
        clip: &Expected,
        member: impl Read,
    ) -> anyhow::Result<Option<[u8; 32]>> {
        let mut bytes = Vec::new();
        member
            .take(MAX_JSON)
            .read_to_end(&mut bytes)
            .map_err(|error| MediaError::io(name, "read", error))?;
        let place = format!("{name}, clip {}", clip.key);
        let Ok(found) = serde_json::from_slice::<Map<String, Value>>(&bytes) else {
            self.problem(&place, "its JSON is damaged");
            return Ok(None);
        };
        let mut expected = json(&clip.cells);
        let mut array = None;
        if found.contains_key(TOKENS) {
            match self.array(name, clip, &place) {
                Ok((sidecar, digest)) => {
                    expected.insert(TOKENS.to_owned(), sidecar);
                    array = Some(digest);
                }
                Err(error) => {
                    self.problem(&place, &format!("its tokens cannot be read: {}", message(&error)))
                }
            }
        }
        let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
        let differing: Vec<&String> = names
            .into_iter()
            .filter(|name| expected.get(*name) != found.get(*name))
            .collect();
        for name in &differing {
            let text = |map: &Map<String, Value>| {
                let text = map
                    .get(*name)
                    .map_or_else(|| "nothing".to_owned(), Value::to_string);
                text.chars().take(MAX_TOLD).collect::<String>()
            };
            let (expected, found) = (text(&expected), text(&found));
            self.problem(
                &place,
                &format!("its JSON has {name} {found}, and the manifest or the tokens {expected}"),
            );
        }
        if differing.is_empty() && serde_json::to_vec(&expected)? != bytes {
            self.problem(&place, "its JSON is not written as it was");
        }
        Ok(array)
    }

    /// Sidecar and digest of a clip's array, computed from the tokens in the same shard.
    fn array(&self, name: &str, clip: &Expected, place: &str) -> anyhow::Result<(Value, [u8; 32])> {
        let path = self.folder.file(name);
        let failed = |error| MediaError::io(&text_of(&path), "read", error);
        let [offset, bytes] = ["offset", "bytes"].map(|name| number(&clip.cells, name).unwrap_or(0));
        let steps = match cell(&clip.cells, "tokens_shape") {
            Cell::Ints(sides) => sides.first().and_then(|&steps| u64::try_from(steps).ok()),
            _ => None,
        };
        let mut shard = File::open(&path).map_err(failed)?;
        shard.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut digest = Sha256::new();
        let lbit = shard.take(bytes);
        let sidecar = write_npy(lbit, place, steps.unwrap_or(0), &mut digest, place)?;
        Ok((sidecar, digest.finalize().into()))
    }
}

/// Bytes that certainly hold a header.
const HEAD: usize = 1 << 16;

impl Check<'_> {
    /// Checks the file of a single clip.
    fn file(&mut self, name: &str, clips: &[Expected]) -> anyhow::Result<()> {
        let path = self.folder.file(name);
        let place = text_of(&path);
        let file = File::open(&path).map_err(|error| MediaError::io(&place, "open", error))?;
        let length = file
            .metadata()
            .map_err(|error| MediaError::io(&place, "look at", error))?
            .len();
        self.report.bytes += length;
        let mut file = BufReader::new(file);
        for clip in clips {
            if name != format!("{}.{LBIT}", clip.key) {
                self.problem(name, &format!("the manifest has it for the clip {:?}", clip.key));
            }
            let expected = (number(&clip.cells, "offset"), number(&clip.cells, "bytes"));
            if expected != (Some(0), Some(length)) {
                self.problem(
                    name,
                    &format!("the manifest has bytes {expected:?} of it, and it has {length} from byte 0"),
                );
            }
            self.lbit(name, clip, &mut file, length)?;
        }
        Ok(())
    }

    /// Checks a clip's tokens, the next `len` bytes of `input`.
    fn lbit(&mut self, place: &str, clip: &Expected, input: &mut impl Read, len: u64) -> anyhow::Result<()> {
        let place = format!("{place}, clip {}", clip.key);
        // Bytes are digested and verified as they pass; only the head is kept, for what the row says of the stream.
        let mut input = Digested::new(Head {
            inner: input.take(len),
            head: Vec::new(),
        });
        let found = verify(&mut input, &limits());
        let read = input.finish();
        let (sha256, Head { head, .. }) = read.map_err(|error| MediaError::io(&place, "read", error))?;
        if sha256 != text(&clip.cells, "sha256") {
            self.problem(
                &place,
                &format!(
                    "its bytes have the SHA-256 {sha256}, and the manifest says {}",
                    text(&clip.cells, "sha256")
                ),
            );
        }
        match found {
            Err(error) => self.problem(&place, &error.to_string()),
            Ok(found) if !found.is_whole() => {
                let first = found
                    .problems
                    .first()
                    .map_or_else(String::new, ToString::to_string);
                self.problem(&place, &format!("it is not whole: {first}"));
            }
            Ok(found) => {
                let totals = found.totals.iter().flatten().next().copied().unwrap_or_default();
                for (name, value) in [("frames", totals.frames.0), ("chunks", totals.chunks)] {
                    self.equal(&place, clip, name, value);
                }
            }
        }
        if let Ok(reader) = Reader::new(&head[..], limits())
            && let Some((_, video)) = reader.header().first_video()
        {
            for (name, value) in [
                ("width", video.width.into()),
                ("height", video.height.into()),
                ("bits", video.bits.into()),
            ] {
                self.equal(&place, clip, name, value);
            }
            let bundle = video.bundle.sha256_hex();
            if bundle != text(&clip.cells, "bundle_sha256") {
                self.problem(
                    &place,
                    &format!("it was made with the bundle {bundle}, as the manifest does not say"),
                );
            }
        }
        Ok(())
    }

    fn equal(&mut self, place: &str, clip: &Expected, name: &str, value: u64) {
        let told = number(&clip.cells, name);
        if told != Some(value) {
            let row = clip.row;
            self.problem(
                place,
                &format!(
                    "{name} is {value}, and row {row} of the manifest says {}",
                    told.map_or_else(|| "nothing".to_owned(), |told| told.to_string())
                ),
            );
        }
    }
}

/// A reader that keeps the first bytes it reads.
struct Head<R> {
    inner: R,
    head: Vec<u8>,
}

impl<R: Read> Read for Head<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        let room = HEAD - self.head.len();
        self.head.extend_from_slice(&buffer[..len.min(room)]);
        Ok(len)
    }
}
