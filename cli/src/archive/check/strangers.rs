//! Files that no row knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::super::shard::{LBIT, half_done};
use super::{Check, Expected};
use latentbit_media::MediaError;

impl Check<'_> {
    /// Files in the folder that look like clips or shards and are in no row.
    pub fn strangers(&mut self, files: &BTreeMap<String, Vec<Expected>>) -> anyhow::Result<()> {
        let place = self.folder.path().display().to_string();
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
