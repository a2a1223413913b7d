//! The journal: what a run has done so far, so that the next one can go on.
//!
//! It is text with a JSON object on each line, `{"crc32":"…","entry":…}`, and only ever grows. A line with a wrong checksum
//! was being written when the run ended; it and what follows it do not count.

use latentbit_media::text_of;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::folder::Folder;
use super::plan::ListPart;
use super::row::Row;
use latentbit_media::MediaError;

/// Schema of the entries.
pub const SCHEMA: &str = "latentbit.journal/1";

/// Longest line in bytes: a row with long texts in it.
const MAX_LINE: u64 = 16 << 20;

/// The first entry: all that decides how clips come out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Begin {
    pub schema: String,
    pub part: ListPart,
    /// SHA-256 of the whole list.
    pub list_sha256: String,
    /// Clips of the whole list.
    pub total: u64,
    /// Clips of this part of it.
    pub clips: u64,
    pub settings: Map<String, Value>,
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JournalEntry {
    Begin(Begin),
    Row(Box<Row>),
}

fn line(entry: &JournalEntry) -> serde_json::Result<String> {
    let text = serde_json::to_string(entry)?;
    let crc = crc32fast::hash(text.as_bytes());
    Ok(format!("{{\"crc32\":\"{crc:08x}\",\"entry\":{text}}}\n"))
}

fn parse(line: &[u8]) -> Option<JournalEntry> {
    let rest = line.strip_prefix(b"{\"crc32\":\"")?;
    let (crc, rest) = rest.split_at_checked(8)?;
    let text = rest.strip_prefix(b"\",\"entry\":")?.strip_suffix(b"}\n")?;
    let crc = u32::from_str_radix(std::str::from_utf8(crc).ok()?, 16).ok()?;
    (crc == crc32fast::hash(text)).then(|| serde_json::from_slice(text).ok())?
}

/// A journal being read.
pub struct Reading {
    place: String,
    file: BufReader<File>,
    /// Bytes of the entries so far.
    pub offset: u64,
}

impl Reading {
    /// Opens a journal; none if there is none.
    pub fn open(path: &Path) -> Result<Option<Self>, MediaError> {
        let place = text_of(path);
        match File::open(path) {
            Ok(file) => Ok(Some(Self {
                place,
                file: BufReader::new(file),
                offset: 0,
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(MediaError::io(&place, "open", error)),
        }
    }

    /// The next entry; none at the end, or at the first entry that is not whole.
    pub fn next(&mut self) -> Result<Option<JournalEntry>, MediaError> {
        let mut line = Vec::new();
        let read = self.file.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        let len = read.map_err(|error| MediaError::io(&self.place, "read", error))?;
        let entry = parse(&line);
        if entry.is_some() {
            self.offset += len as u64;
        }
        Ok(entry)
    }

    /// The first entry.
    pub fn begin(&mut self) -> Result<Option<Begin>, MediaError> {
        Ok(match self.next()? {
            Some(JournalEntry::Begin(begin)) => Some(begin),
            _ => None,
        })
    }

    /// The next row.
    pub fn row(&mut self) -> Result<Option<Row>, MediaError> {
        Ok(match self.next()? {
            Some(JournalEntry::Row(row)) => Some(*row),
            _ => None,
        })
    }
}

/// A journal being written.
pub struct Journal {
    place: String,
    file: File,
}

impl Journal {
    /// Writes a new journal with its first entry.
    pub fn create(path: &Path, begin: Begin) -> anyhow::Result<Self> {
        // Under another name first, because a journal needs its first entry.
        let mut new = PathBuf::from(path);
        new.set_extension("new");
        let place = text_of(path);
        let failed = |error| MediaError::io(&place, "write", error);
        let mut file = File::create(&new).map_err(failed)?;
        file.write_all(line(&JournalEntry::Begin(begin))?.as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&new, path))
            .map_err(failed)?;
        Self::go_on(path, None)
    }

    /// Opens a journal to append after its first `keep` bytes, or at its end.
    pub fn go_on(path: &Path, keep: Option<u64>) -> anyhow::Result<Self> {
        let place = text_of(path);
        let failed = |error| MediaError::io(&place, "write", error);
        let file = OpenOptions::new().append(true).open(path).map_err(failed)?;
        if let Some(keep) = keep {
            file.set_len(keep).map_err(failed)?;
        }
        Ok(Self { place, file })
    }

    /// Adds an entry.
    pub fn add(&mut self, row: Row) -> anyhow::Result<()> {
        let line = line(&JournalEntry::Row(Box::new(row)))?;
        let written = self.file.write_all(line.as_bytes());
        Ok(written.map_err(|error| MediaError::io(&self.place, "write", error))?)
    }

    /// Waits until all entries are on the disk.
    pub fn sync(&self) -> anyhow::Result<()> {
        let synced = self.file.sync_data();
        Ok(synced.map_err(|error| MediaError::io(&self.place, "write", error))?)
    }
}

/// The journals of `parts`, each read past its first entry.
pub fn journals(folder: &Folder, parts: &[ListPart]) -> anyhow::Result<Vec<(Begin, Reading)>> {
    let mut all = Vec::new();
    for &part in parts {
        let path = folder.journal(part);
        let missing = || MediaError::io(&text_of(&path), "open", ErrorKind::NotFound.into());
        let mut reading = Reading::open(&path)?.ok_or_else(missing)?;
        let Some(begin) = reading.begin()? else {
            anyhow::bail!("{}: its first entry is damaged", text_of(&path));
        };
        all.push((begin, reading));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::row::Outcome;
    use super::*;

    fn begin() -> Begin {
        Begin {
            schema: SCHEMA.to_owned(),
            part: ListPart::WHOLE,
            list_sha256: "00".to_owned(),
            total: 3,
            clips: 3,
            settings: Map::new(),
        }
    }

    fn row(index: u64) -> Row {
        Row {
            index,
            key: "a".to_owned(),
            source: "a.mp4\n\"".to_owned(),
            start: Some(0.1),
            end: None,
            label: None,
            caption: None,
            source_sha256: None,
            outcome: Outcome::Failed("no such file".to_owned()),
        }
    }

    fn rows(path: &Path) -> (usize, u64) {
        let mut reading = Reading::open(path).unwrap().unwrap();
        assert_eq!(reading.begin().unwrap(), Some(begin()));
        let mut count = 0;
        while let Some(found) = reading.row().unwrap() {
            assert_eq!(found, row(count as u64));
            count += 1;
        }
        (count, reading.offset)
    }

    #[test]
    fn entries_come_back_up_to_the_first_that_is_not_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        assert!(Reading::open(&path).unwrap().is_none());
        let mut journal = Journal::create(&path, begin()).unwrap();
        (0..3).for_each(|index| journal.add(row(index)).unwrap());
        journal.sync().unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(rows(&path), (3, whole.len() as u64));
        let ends: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] == b'\n').collect();
        for len in ends[0] + 1..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            let (count, offset) = rows(&path);
            assert_eq!(offset as usize, ends[count] + 1, "{len}");
        }
        // What follows a damaged entry does not count.
        let mut damaged = whole.clone();
        damaged[ends[1] + 60] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let (count, offset) = rows(&path);
        assert_eq!(count, 1);
        let mut journal = Journal::go_on(&path, Some(offset)).unwrap();
        (1..3).for_each(|index| journal.add(row(index)).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
}
