//! The folder that models are kept in: one folder for each, with its files and its record; and changes of one model, of
//! which others see all or nothing.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use etcetera::BaseStrategy;

use latentbit_media::sync_tree;

use super::error::{FOLDER_VARIABLE, io_error, missing};
use super::name::{BUILT_IN, Name};
use super::record::{Kind, RECORD_FILE, Record};

/// The models on this machine.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// A model in the cache.
#[derive(Debug)]
pub struct StoredModel {
    /// Its name.
    pub name: Name,
    /// Its record, or why that cannot be read.
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

    /// Whether there is a model of that name, even a damaged one.
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
    pub fn list(&self) -> anyhow::Result<Vec<StoredModel>> {
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
                entries.push(StoredModel { name, record });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// The file of a stored bundle that has this SHA-256, in hexadecimal digits. Models whose records cannot be read are
    /// passed over: `models list` tells about them.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn bundle_with(&self, sha256: &str) -> anyhow::Result<Option<PathBuf>> {
        let found = self.list()?.into_iter().find_map(|model| {
            let record = model.record.ok()?;
            let is_it = record.kind == Kind::Bundle && record.files.iter().any(|file| file.sha256 == sha256);
            is_it.then(|| record.path(&self.folder(&model.name)))
        });
        Ok(found)
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

/// Beside the models, under a name that no model can have.
const WORK_FOLDER: &str = ".work";

/// The right to change one model. It ends when this is dropped.
#[derive(Debug)]
pub struct Locked<'a> {
    cache: &'a Cache,
    name: Name,
    _lock: File,
}

impl<'a> Locked<'a> {
    fn new(cache: &'a Cache, name: &Name) -> anyhow::Result<Self> {
        let folder = cache.root().join(WORK_FOLDER);
        fs::create_dir_all(&folder).map_err(|e| io_error(&folder, "be made", e))?;
        let path = folder.join(format!("{name}.lock"));
        let lock = File::create(&path).map_err(|e| io_error(&path, "write", e))?;
        wait(&lock, &path, name)?;
        let locked = Self {
            cache,
            name: name.clone(),
            _lock: lock,
        };
        locked.undo_half_a_replacement()?;
        Ok(locked)
    }

    /// A folder to prepare the model in, for `purpose`. It stays from one run to the next.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn staging(&self, purpose: &str) -> anyhow::Result<PathBuf> {
        let folder = self.work(purpose);
        fs::create_dir_all(&folder).map_err(|e| io_error(&folder, "be made", e))?;
        Ok(folder)
    }

    /// The same folder, emptied of what an interrupted run left.
    ///
    /// # Errors
    /// If it cannot be emptied or made.
    pub fn empty_staging(&self, purpose: &str) -> anyhow::Result<PathBuf> {
        remove(&self.work(purpose))?;
        self.staging(purpose)
    }

    /// Installs a prepared folder as the model, in place of one that has the name.
    ///
    /// # Errors
    /// If the record cannot be written or a folder cannot be renamed; then the old model stays.
    pub fn install(self, staging: &Path, record: &Record) -> anyhow::Result<()> {
        record.write(staging)?;
        // A folder that has its name after a cut has all of its files, too.
        sync_tree(staging).map_err(|e| io_error(staging, "be synced", e))?;
        let folder = self.cache.folder(&self.name);
        let old = self.work("old");
        remove(&old)?;
        let replaced = self.cache.contains(&self.name);
        if replaced {
            fs::rename(&folder, &old).map_err(|e| io_error(&folder, "be moved away", e))?;
        }
        if let Err(error) = fs::rename(staging, &folder) {
            if replaced {
                let _ = fs::rename(&old, &folder);
            }
            return Err(io_error(&folder, "be made", error));
        }
        sync_tree(&folder).map_err(|e| io_error(&folder, "be synced", e))?;
        remove(&old)
    }

    /// Between the two renames of a replacement there is no model of that name.
    fn undo_half_a_replacement(&self) -> anyhow::Result<()> {
        let old = self.work("old");
        if old.exists() && !self.cache.contains(&self.name) {
            fs::rename(&old, self.cache.folder(&self.name))
                .map_err(|e| io_error(&old, "be moved back", e))?;
        }
        Ok(())
    }

    fn work(&self, purpose: &str) -> PathBuf {
        let name = format!("{}.{purpose}", self.name);
        self.cache.root().join(WORK_FOLDER).join(name)
    }
}

fn wait(lock: &File, path: &Path, name: &Name) -> anyhow::Result<()> {
    let result = match lock.try_lock() {
        Err(TryLockError::WouldBlock) => {
            tracing::warn!("{name}: another latentbit works on it; waiting until it has ended");
            lock.lock()
        }
        Err(TryLockError::Error(error)) => Err(error),
        Ok(()) => Ok(()),
    };
    match result {
        Err(e) if e.kind() == io::ErrorKind::Unsupported => {
            tracing::debug!(
                "{}: no locks here, so only one latentbit at a time is safe",
                path.display()
            );
            Ok(())
        }
        other => other.map_err(|e| io_error(path, "lock", e)),
    }
}

/// Removes a file or folder that need not exist; links are removed, not followed.
pub fn remove(path: &Path) -> anyhow::Result<()> {
    let result = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error(path, "be removed", e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::record::{FileRecord, Kind, Source};

    fn install(cache: &Cache, name: &Name, content: &str) {
        let locked = cache.lock(name).unwrap();
        let staging = locked.empty_staging("add").unwrap();
        fs::write(staging.join("a.pth"), content).unwrap();
        let file = FileRecord {
            name: "a.pth".to_owned(),
            bytes: content.len() as u64,
            sha256: "0".repeat(64),
        };
        let source = Source::Path {
            path: "x".to_owned(),
            linked: false,
        };
        let record = Record::new(name, Kind::WanVae, vec![file], source);
        locked.install(&staging, &record).unwrap();
    }

    #[test]
    fn models_appear_whole_and_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(&folder.path().join("not/there"));
        let name = Name::new("m").unwrap();
        assert!(cache.list().unwrap().is_empty());
        for content in ["one", "other"] {
            install(&cache, &name, content);
            let record = cache.get(&name).unwrap().unwrap();
            assert_eq!(
                fs::read(record.path(&cache.folder(&name))).unwrap(),
                content.as_bytes()
            );
        }
        let names: Vec<_> = cache.list().unwrap().into_iter().map(|e| e.name).collect();
        assert_eq!(names, [name]);
        let left: Vec<_> = fs::read_dir(cache.root().join(WORK_FOLDER))
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left, ["m.lock"]);
    }

    #[test]
    fn a_replacement_that_was_interrupted_is_undone() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let name = Name::new("m").unwrap();
        install(&cache, &name, "one");
        let old = folder.path().join(WORK_FOLDER).join("m.old");
        fs::rename(cache.folder(&name), &old).unwrap();
        assert!(cache.get(&name).unwrap().is_none());
        drop(cache.lock(&name).unwrap());
        assert!(cache.get(&name).unwrap().is_some());
        assert!(!old.exists());
    }

    #[test]
    fn one_process_at_a_time_changes_a_model() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let name = Name::new("m").unwrap();
        let locked = cache.lock(&name).unwrap();
        let path = folder.path().join(WORK_FOLDER).join("m.lock");
        let other = File::create(&path).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(locked);
        assert!(other.try_lock().is_ok());
    }
}
