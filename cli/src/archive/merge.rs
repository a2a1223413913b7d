//! Merges the parts that several runs made into one manifest.

use latentbit_media::{sync_tree, text_of};
use std::time::Instant;

use super::folder::Folder;
use super::journal::{Reading, journals};
use super::plan::ListPart;
use super::report::ArchiveReport;
use super::row::Row;
use super::run::Ended;
use super::tally::Tally;
use super::{manifest, resume};
use crate::exit::{Exit, usage};
use latentbit_media::MediaError;

/// Rows of several journals in the order of the list.
pub struct Merged {
    journals: Vec<(Option<Row>, Reading)>,
}

impl Merged {
    /// From journals that are read up to their first row.
    pub fn new(journals: impl IntoIterator<Item = Reading>) -> Result<Self, MediaError> {
        let next = |mut reading: Reading| Ok((reading.row()?, reading));
        let journals: Result<_, MediaError> = journals.into_iter().map(next).collect();
        Ok(Self { journals: journals? })
    }
}

impl Iterator for Merged {
    type Item = Result<Row, MediaError>;

    fn next(&mut self) -> Option<Self::Item> {
        let waiting = self.journals.iter_mut().filter(|(row, _)| row.is_some());
        let (row, reading) = waiting.min_by_key(|(row, _)| row.as_ref().map(|row| row.index))?;
        let next = match reading.row() {
            Ok(next) => next,
            Err(error) => return Some(Err(error)),
        };
        std::mem::replace(row, next).map(Ok)
    }
}

/// Writes the manifest of complete parts.
pub fn write_manifest(folder: &Folder, parts: &[ListPart]) -> anyhow::Result<()> {
    let readings = journals(folder, parts)?.into_iter().map(|(_, reading)| reading);
    let target = folder.manifest();
    let place = text_of(&target);
    let rows = Merged::new(readings)?;
    let part = parts.first().copied().unwrap_or(ListPart::WHOLE);
    folder.replace(part, &target, |file| manifest::write(file, &place, rows))
}

/// Writes the manifest and the report of an archive whose parts were made by several runs.
///
/// # Errors
/// Fails if a part is missing or not complete, or if parts are of different lists or options.
pub fn merge(folder: &Folder, json: bool, quiet: bool) -> anyhow::Result<Exit> {
    let place = text_of(folder.path());
    let started = Instant::now();
    let parts = folder.parts()?;
    let Some(&ListPart { of, .. }) = parts.first() else {
        return usage(format!("{place}: there is no archive in this folder"));
    };
    for number in 1..=of {
        if !parts.contains(&ListPart { number, of }) {
            anyhow::bail!("{place}: part {number}/{of} was not begun; archive it with --shard {number}/{of}");
        }
    }
    let all = journals(folder, &parts)?;
    let Some((first, _)) = all.first() else {
        return usage(format!("{place}: there is no archive in this folder"));
    };
    let mut tally = Tally::default();
    for ((begin, _), part) in all.iter().zip(&parts) {
        if (&begin.list_sha256, &begin.settings) != (&first.list_sha256, &first.settings) {
            anyhow::bail!(
                "{place}: part {part} is of another list or was made with other options than part {}; archive it anew in \
                 a new folder",
                first.part
            );
        }
    }
    let bundle = first.settings.get("--model").cloned().unwrap_or_default();
    for ((begin, mut reading), part) in all.into_iter().zip(&parts) {
        let before = tally.clips;
        resume::count(&mut reading, u64::MAX, |row| tally.take(row))?;
        let found = tally.clips - before;
        if found != begin.clips {
            anyhow::bail!(
                "{place}: part {part} has {found} of its {} clips; finish it with --shard {part}",
                begin.clips
            );
        }
    }
    write_manifest(folder, &parts)?;
    let bundle = bundle.as_str().unwrap_or_default();
    let report = ArchiveReport::new(
        &tally,
        bundle,
        ListPart::WHOLE,
        Ended::Complete,
        started,
        tally.clips,
    );
    report.write(folder, &parts, &tally)?;
    sync_tree(folder.path()).map_err(|error| MediaError::io(&place, "sync", error))?;
    if json {
        crate::report::print(&report, false)?;
    } else if !quiet {
        crate::report::tell(&format!("{place}: {}", report.text()));
    }
    Ok(if tally.failed > 0 {
        Exit::Damaged
    } else {
        Exit::Success
    })
}
