//! Changes of one model in the cache, of which others see all or nothing.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::cache::Cache;
use super::error::io_error;
use super::name::Name;
use super::record::Record;

/// Beside the models; a name of a model cannot begin like that.
const WORK_FOLDER: &str = ".work";

/// The right to change one model. It ends when this is dropped.
#[derive(Debug)]
pub struct Locked<'a> {
    cache: &'a Cache,
    name: Name,
    _lock: File,
}

impl<'a> Locked<'a> {
    pub(super) fn new(cache: &'a Cache, name: &Name) -> anyhow::Result<Self> {
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

    /// Makes a prepared folder the model, instead of what there was of that name.
    ///
    /// # Errors
    /// If the record cannot be written or folders not be renamed; then the old model stays.
    pub fn install(self, staging: &Path, record: &Record) -> anyhow::Result<()> {
        record.write(staging)?;
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
    use super::super::record::{FileRecord, Kind, Source};
    use super::*;

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
