//! The folder that models are kept in: one folder for each, with its files and its record.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use etcetera::BaseStrategy;

use super::BUILT_IN;
use super::error::{io_error, missing};
use super::locked::Locked;
use super::name::Name;
use super::record::{RECORD_FILE, Record};

/// Names another folder for models.
pub const FOLDER_VARIABLE: &str = "LATENTBIT_MODELS";

/// The models on this machine.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// A model in the cache.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: Name,
    /// What it is, or why that is not known.
    pub record: anyhow::Result<Record>,
}

impl Cache {
    /// The folder of `LATENTBIT_MODELS`, else the one that is usual on this system. It need not exist.
    ///
    /// # Errors
    /// If there is neither.
    pub fn from_env() -> anyhow::Result<Self> {
        let root = match std::env::var_os(FOLDER_VARIABLE) {
            Some(folder) if !folder.is_empty() => PathBuf::from(folder),
            _ => etcetera::base_strategy::choose_native_strategy()
                .with_context(|| format!("no folder for models is known; name one with {FOLDER_VARIABLE}"))?
                .cache_dir()
                .join("latentbit")
                .join("models"),
        };
        // What `models path` prints must hold in other folders, too.
        let root = std::path::absolute(&root).map_err(|e| io_error(&root, "be used", e))?;
        Ok(Self { root })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a model, whether it is there or not.
    pub fn folder(&self, name: &Name) -> PathBuf {
        self.root.join(name.as_str())
    }

    /// Whether there is anything of that name, be it damaged.
    pub fn contains(&self, name: &Name) -> bool {
        self.folder(name).symlink_metadata().is_ok()
    }

    /// The model of that name, if there is one.
    ///
    /// # Errors
    /// If its record cannot be read.
    pub fn get(&self, name: &Name) -> anyhow::Result<Option<Record>> {
        match self.contains(name) {
            true => Record::read(&self.folder(name), name).map(Some),
            false => Ok(None),
        }
    }

    /// The model of the name `text`.
    ///
    /// # Errors
    /// If there is none; the message lists those that there are.
    pub fn find(&self, text: &str) -> anyhow::Result<(Name, Record)> {
        if let Ok(name) = Name::new(text)
            && let Some(record) = self.get(&name)?
        {
            return Ok((name, record));
        }
        missing(format!("'{}' {}", text.escape_debug(), self.lacks()?))
    }

    /// The end of a message about a model that is not in the cache.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn lacks(&self) -> anyhow::Result<String> {
        let entries = self.list()?;
        let mut names = vec![BUILT_IN];
        names.extend(entries.iter().map(|entry| entry.name.as_str()));
        Ok(format!(
            "is no model in {}; there are: {}",
            self.root.display(),
            names.join(", ")
        ))
    }

    /// All models, by name.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn list(&self) -> anyhow::Result<Vec<Entry>> {
        let failed = |e| io_error(&self.root, "read", e);
        let folders = match fs::read_dir(&self.root) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut entries = Vec::new();
        for folder in folders {
            let folder = folder.map_err(failed)?;
            let name = folder.file_name();
            // Other folders may stand beside those of models.
            if let Some(Ok(name)) = name.to_str().map(Name::new)
                && folder.path().join(RECORD_FILE).symlink_metadata().is_ok()
            {
                let record = Record::read(&folder.path(), &name);
                entries.push(Entry { name, record });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Waits until no other process changes the model `name`, and keeps others from it.
    ///
    /// # Errors
    /// If the cache cannot be written to.
    pub fn lock(&self, name: &Name) -> anyhow::Result<Locked<'_>> {
        Locked::new(self, name)
    }

    #[cfg(test)]
    pub fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }
}
