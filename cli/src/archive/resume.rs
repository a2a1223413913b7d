//! Resumes an archive: finds out how much of what its journal lists is really there.

use latentbit_media::text_of;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::folder::Folder;
use super::journal::{Begin, Journal, Reading};
use super::row::{Row, Stored};
use super::store::{Form, Progress, TRAILER, half_done};
use super::tally::Tally;
use crate::digest::hex;
use crate::exit::usage;
use latentbit_media::MediaError;

/// What counts of earlier runs.
#[derive(Debug, Default)]
pub struct Resumed {
    /// Bytes of the journal that count.
    pub journal: u64,
    pub tally: Tally,
    pub progress: Progress,
    /// Whether some of what the journal lists is gone and will be made again.
    pub lost: bool,
}

/// The shard being checked.
struct Current {
    name: String,
    /// Its clips, each with the end of its row in the journal.
    clips: Vec<(u64, Stored)>,
    /// End of the journal before its first clip.
    before: u64,
}

/// Opens the journal of an earlier run, or begins one.
pub fn begin_or_go_on(folder: &Folder, begin: Begin, form: Form) -> anyhow::Result<(Journal, Resumed)> {
    let path = folder.journal(begin.part);
    let Some(mut reading) = Reading::open(&path)? else {
        return Ok((Journal::create(&path, begin)?, Resumed::default()));
    };
    let Some(found) = reading.begin()? else {
        anyhow::bail!(
            "{}: its first entry is damaged, so nobody knows what this archive is; choose a new folder",
            text_of(&path)
        );
    };
    same(folder, &begin, &found)?;
    let mut resumed = resume(folder, form, &mut reading)?;
    if resumed.lost {
        tracing::warn!(
            "{}: some of what was made is missing or damaged; it is made again",
            text_of(folder.path())
        );
    }
    if let Some(mut reading) = Reading::open(&path)? {
        reading.begin()?;
        count(&mut reading, resumed.journal, |row| resumed.tally.take(row))?;
    }
    Ok((Journal::go_on(&path, Some(resumed.journal))?, resumed))
}

/// Fails if the archive was begun with another list or other options.
fn same(folder: &Folder, now: &Begin, then: &Begin) -> anyhow::Result<()> {
    let place = text_of(folder.path());
    if now == then {
        return Ok(());
    }
    if now.schema != then.schema {
        return usage(format!(
            "{place}: it was begun by another version of this program; go on with that one, or choose a new folder"
        ));
    }
    let names = now.settings.keys().chain(then.settings.keys());
    let mut other: Vec<&str> = names
        .filter(|name| now.settings.get(*name) != then.settings.get(*name))
        .map(String::as_str)
        .collect();
    other.sort_unstable();
    other.dedup();
    if !other.is_empty() {
        return usage(format!(
            "{place}: it was begun with another {}; use the same options to go on, or choose a new folder",
            other.join(", ")
        ));
    }
    usage(format!(
        "{place}: it was begun with another list ({} clips, and {} now); use the same sources to go on, or choose a new \
         folder",
        then.total, now.total
    ))
}

/// Checks the journal after its first entry, and the files that it lists.
fn resume(folder: &Folder, form: Form, journal: &mut Reading) -> Result<Resumed, MediaError> {
    let start = journal.offset;
    let mut current: Option<Current> = None;
    let mut shards = 0;
    let (mut good, mut lost) = (start, false);
    loop {
        let before = journal.offset;
        let Some(row) = journal.row()? else { break };
        if let Some(stored) = row.stored() {
            match form {
                Form::Lbit if !has_length(&folder.file(&stored.place.shard), stored.place.until) => {
                    lost = true;
                    break;
                }
                Form::Lbit => {}
                Form::Webdataset => {
                    if let Some(ended) = current.take_if(|shard| shard.name != stored.place.shard)
                        && !is_complete(folder, &ended)
                    {
                        (lost, current) = (true, Some(ended));
                        break;
                    }
                    if current.is_none() {
                        shards += 1;
                    }
                    let shard = current.get_or_insert_with(|| Current {
                        name: stored.place.shard.clone(),
                        clips: Vec::new(),
                        before,
                    });
                    shard.clips.push((journal.offset, stored.clone()));
                }
            }
        }
        good = journal.offset;
    }
    let mut progress = Progress {
        next: shards,
        half: None,
    };
    if let Some(shard) = current
        && (lost || !is_complete(folder, &shard))
    {
        let intact = intact(&half_done(folder, &shard.name), &shard)?;
        if intact < shard.clips.len() {
            lost = true;
            good = match intact {
                0 => shard.before,
                intact => shard.clips[intact - 1].0,
            };
        }
        match intact {
            0 => progress.next -= 1,
            intact => {
                let until = shard.clips[intact - 1].1.place.until;
                progress.half = Some((shard.name, until, intact as u64));
            }
        }
    }
    Ok(Resumed {
        journal: good,
        tally: Tally::default(),
        progress,
        lost,
    })
}

/// Passes the rows of the first `until` bytes of a journal to `take`.
pub fn count(journal: &mut Reading, until: u64, mut take: impl FnMut(&Row)) -> Result<(), MediaError> {
    while journal.offset < until {
        let Some(row) = journal.row()? else { break };
        take(&row);
    }
    Ok(())
}

fn has_length(path: &Path, length: u64) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == length)
}

fn is_complete(folder: &Folder, shard: &Current) -> bool {
    let until = shard.clips.last().map_or(0, |(_, stored)| stored.place.until);
    has_length(&folder.file(&shard.name), until + TRAILER)
}

/// How many clips of an unfinished shard are as the journal lists them. A machine that stops may leave a file with the
/// right length and nothing in it.
fn intact(path: &Path, shard: &Current) -> Result<usize, MediaError> {
    let place = text_of(path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(MediaError::io(&place, "open", error)),
    };
    let failed = |error| MediaError::io(&place, "read", error);
    let length = file.metadata().map_err(failed)?.len();
    let mut file = BufReader::new(file);
    for (index, (_, stored)) in shard.clips.iter().enumerate() {
        let (made, place) = (&stored.made, &stored.place);
        if place.until > length {
            return Ok(index);
        }
        file.seek(SeekFrom::Start(place.offset)).map_err(failed)?;
        let mut digest = Sha256::new();
        std::io::copy(&mut file.by_ref().take(made.bytes), &mut digest).map_err(failed)?;
        if hex(&digest.finalize()) != made.sha256 {
            return Ok(index);
        }
    }
    Ok(shard.clips.len())
}
