//! The rows of the manifest.

use std::collections::{BTreeMap, HashMap};

use super::super::columns::{COLUMNS, cells};
use super::super::journal::journals;
use super::super::manifest;
use super::super::merge::Merged;
use super::{Check, Expected, number, text};
use crate::exit::message;

impl Check<'_> {
    /// Looks at the rows of the manifest and at those of the journals; gives the clips of each file.
    pub fn rows(&mut self) -> anyhow::Result<BTreeMap<String, Vec<Expected>>> {
        let path = self.folder.manifest();
        let place = path.display().to_string();
        // An archive that was copied without its journals is an archive as well.
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
                    // A name that leads out of the folder is no name of a file in it.
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
