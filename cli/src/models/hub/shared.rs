//! The cache of `huggingface_hub`, in its layout: what one program fetched is there for all.

use std::env;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use indicatif::ProgressBar;

use super::repo::{Remote, is_hex, model_in};
use crate::models::cache::remove;
use crate::models::digest;
use crate::models::error::io_error;
use crate::models::kind::VAE;
use crate::models::name::{file_name, is_path};
use crate::models::record::FileRecord;

/// Longest tag of a file, and longest name of a commit, that is believed.
const MAX_NAME: usize = 128;

/// The cache of the hub on this machine.
#[derive(Debug)]
pub struct SharedCache {
    root: PathBuf,
}

/// Files of a repository that are there as they were at one commit.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit.
    pub commit: String,
    folder: PathBuf,
}

impl SharedCache {
    /// The folder of `HF_HUB_CACHE`, else `hub` in that of `HF_HOME`, else the usual one. It need not exist; none if no home
    /// folder is known.
    pub fn from_env() -> Option<Self> {
        let given = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let home = || given("HOME").or_else(|| given("USERPROFILE")).map(PathBuf::from);
        let whole = |path: PathBuf| match path.strip_prefix("~") {
            Ok(rest) => home().map(|home| home.join(rest)),
            Err(_) => Some(path),
        };
        let hub = |path: PathBuf| path.join("hub");
        let root = if let Some(path) = given("HF_HUB_CACHE").or_else(|| given("HUGGINGFACE_HUB_CACHE")) {
            whole(path.into())
        } else if let Some(path) = given("HF_HOME") {
            whole(path.into()).map(hub)
        } else {
            let caches = match given("XDG_CACHE_HOME") {
                Some(path) => whole(path.into()),
                None => home().map(|home| home.join(".cache")),
            };
            caches.map(|caches| hub(caches.join("huggingface")))
        };
        let root = std::path::absolute(root?).ok()?;
        Some(Self { root })
    }

    fn repo(&self, repo: &str) -> PathBuf {
        self.root.join(format!("models--{}", repo.replace('/', "--")))
    }

    /// Puts `remote` into `folder` if it is here, whole; `surely` asks for a SHA-256 that proves it.
    ///
    /// # Errors
    /// If `folder` cannot be written to.
    pub fn take(
        &self,
        repo: &str,
        remote: &Remote,
        folder: &Path,
        surely: bool,
    ) -> anyhow::Result<Option<FileRecord>> {
        let repo = self.repo(repo);
        let blob = tag(remote).map(|tag| repo.join("blobs").join(tag));
        // Where there are no links, files are in snapshots alone.
        let at_commit = remote.commit.as_ref().map(|commit| {
            let snapshot = repo.join("snapshots").join(commit);
            snapshot.join(&remote.path)
        });
        if surely && remote.sha256.is_none() {
            return Ok(None);
        }
        for place in blob.into_iter().chain(at_commit) {
            let is_whole = |about: fs::Metadata| about.is_file() && about.len() == remote.bytes;
            if !place.metadata().is_ok_and(is_whole) {
                continue;
            }
            let record = link_into(&place, &remote.path, folder)?;
            if remote
                .sha256
                .as_ref()
                .is_none_or(|sha256| *sha256 == record.sha256)
            {
                tracing::info!("{}: it is in {} already", remote.path, self.root.display());
                return Ok(Some(record));
            }
            tracing::warn!(
                "{}: expected the SHA-256 {}, found {}; it is fetched again",
                place.display(),
                remote.sha256.as_deref().unwrap_or_default(),
                record.sha256
            );
            remove(&folder.join(&record.name))?;
        }
        Ok(None)
    }

    /// Adds `file`, which is `remote` at `revision`. The contents are not stored twice where both places are on one disk.
    /// Nothing is done if the hub did not say what identifies them.
    ///
    /// # Errors
    /// If the cache cannot be written to.
    pub fn put(&self, repo: &str, revision: &str, remote: &Remote, file: &Path) -> anyhow::Result<()> {
        let (Some(tag), Some(commit)) = (tag(remote), remote.commit.as_deref()) else {
            tracing::debug!("{}: without a tag or commit it is not shared", remote.address);
            return Ok(());
        };
        let repo = self.repo(repo);
        let blob = repo.join("blobs").join(tag);
        replace(&blob, |new| link_or_copy(file, new))?;
        let pointer = repo.join("snapshots").join(commit).join(&remote.path);
        let up = "../".repeat(2 + remote.path.matches('/').count());
        let target = PathBuf::from(format!("{up}blobs/{tag}"));
        replace(&pointer, |new| {
            symlink(&target, new).or_else(|_| link_or_copy(file, new))
        })?;
        if revision != commit && is_inside(revision) {
            replace(&repo.join("refs").join(revision), |new| fs::write(new, commit))?;
        }
        Ok(())
    }

    /// What is here of a repository at a revision, without asking the hub.
    pub fn snapshot(&self, repo: &str, revision: &str) -> Option<Snapshot> {
        let repo = self.repo(repo);
        let commit = if is_hex(revision, 40) {
            revision.to_owned()
        } else {
            let file =
                fs::File::open(repo.join("refs").join(is_inside(revision).then_some(revision)?)).ok()?;
            let mut text = String::new();
            file.take(MAX_NAME as u64).read_to_string(&mut text).ok()?;
            text.trim().to_owned()
        };
        let folder = repo.join("snapshots").join(is_name(&commit).then_some(&commit)?);
        folder.is_dir().then_some(Snapshot { commit, folder })
    }
}

impl Snapshot {
    /// The files of the model, if it is whole: these `paths`, or where none are named the only ones that can be it.
    pub fn model(&self, paths: &[String]) -> Option<Vec<String>> {
        let paths = match paths {
            [] => {
                let here = [String::new(), format!("{VAE}/")]
                    .map(|part| self.names(&part))
                    .concat();
                model_in(&here.iter().map(String::as_str).collect::<Vec<_>>()).ok()?
            }
            named => named.to_vec(),
        };
        let there = |path: &String| self.folder.join(path).is_file();
        paths.iter().all(there).then_some(paths)
    }

    fn names(&self, part: &str) -> Vec<String> {
        let entries = fs::read_dir(self.folder.join(part)).into_iter().flatten();
        // Other names are no files of models.
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.map(|name| format!("{part}{name}")).collect()
    }

    /// Puts one of its files into `folder`.
    ///
    /// # Errors
    /// If it cannot be read, or `folder` not be written to.
    pub fn take(&self, path: &str, folder: &Path) -> anyhow::Result<FileRecord> {
        link_into(&self.folder.join(path), path, folder)
    }
}

/// What identifies the contents of a file, if it can be a name.
fn tag(remote: &Remote) -> Option<&str> {
    remote.etag.as_deref().filter(|tag| is_name(tag))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_inside(path: &str) -> bool {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    !path.is_empty() && Path::new(path).components().all(plain) && is_path(path)
}

fn link_into(from: &Path, path: &str, folder: &Path) -> anyhow::Result<FileRecord> {
    let name = file_name(path).to_owned();
    let to = folder.join(&name);
    remove(&to)?;
    // A link to a link would end with the cache.
    let real = fs::canonicalize(from).map_err(|e| io_error(from, "read", e))?;
    link_or_copy(&real, &to).map_err(|e| io_error(&to, "write", e))?;
    let (bytes, sha256) = digest::of_file(&to, &ProgressBar::hidden())?;
    Ok(FileRecord { name, bytes, sha256 })
}

fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(_) => fs::copy(from, to).and_then(|_| fs::File::open(to)?.sync_all()),
    }
}

/// Makes a file with `make` beside `path`, and gives it its name: others see the old one, the new one, or none.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(path);
    let failed = |e| io_error(path, "write", e);
    fs::create_dir_all(folder).map_err(failed)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!(".{name}.{}", std::process::id()));
    remove(&new)?;
    let made = make(&new).and_then(|()| fs::rename(&new, path));
    // Two names of one file stay two names.
    let _ = fs::remove_file(&new);
    made.map_err(failed)
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

#[cfg(test)]
mod tests {
    use super::super::address::Address;
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn remote(path: &str, content: &[u8], folder: &Path) -> Remote {
        fs::write(folder.join("measured"), content).unwrap();
        let (bytes, sha256) = digest::of_file(&folder.join("measured"), &ProgressBar::hidden()).unwrap();
        Remote {
            address: Address::parse("http://h/o/r").unwrap(),
            path: path.to_owned(),
            bytes,
            commit: Some(COMMIT.to_owned()),
            etag: Some(sha256.clone()),
            sha256: Some(sha256),
        }
    }

    #[test]
    fn files_lie_as_huggingface_hub_wants_them() {
        let folder = tempfile::tempdir().unwrap();
        let cache = SharedCache {
            root: folder.path().join("hub"),
        };
        let remote = remote("vae/a.safetensors", b"weights", folder.path());
        fs::write(folder.path().join("a.safetensors"), b"weights").unwrap();
        for revision in ["main", "refs/pr/1", "../../out", COMMIT] {
            cache
                .put("o/r", revision, &remote, &folder.path().join("a.safetensors"))
                .unwrap();
        }
        let repo = folder.path().join("hub/models--o--r");
        let pointer = repo.join(format!("snapshots/{COMMIT}/vae/a.safetensors"));
        assert_eq!(fs::read(&pointer).unwrap(), b"weights");
        let blob = repo.join("blobs").join(remote.etag.as_ref().unwrap());
        assert_eq!(
            fs::canonicalize(&pointer).unwrap(),
            fs::canonicalize(&blob).unwrap()
        );
        assert_eq!(fs::read_to_string(repo.join("refs/main")).unwrap(), COMMIT);
        assert_eq!(fs::read_to_string(repo.join("refs/refs/pr/1")).unwrap(), COMMIT);
        let left: Vec<_> = fs::read_dir(repo.join("blobs")).unwrap().collect();
        assert_eq!(left.len(), 1);
        assert!(!folder.path().join("hub/out").exists());
        // And the other way round.
        for revision in ["main", COMMIT, "refs/pr/1"] {
            let snapshot = cache.snapshot("o/r", revision).unwrap();
            assert_eq!(snapshot.commit, COMMIT);
            assert_eq!(
                snapshot.model(std::slice::from_ref(&remote.path)).unwrap(),
                std::slice::from_ref(&remote.path)
            );
            assert!(snapshot.model(&["b.pth".to_owned()]).is_none());
        }
        for absent in [
            cache.snapshot("o/r", "v2"),
            cache.snapshot("o/other", "main"),
            cache.snapshot("o/r", ".."),
        ] {
            assert_eq!(absent, None);
        }
    }

    #[test]
    fn what_is_there_is_taken_if_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let cache = SharedCache {
            root: folder.path().join("hub"),
        };
        let mut remote = remote("a.pth", b"weights", folder.path());
        let to = folder.path().join("to");
        fs::create_dir(&to).unwrap();
        let take = |remote: &Remote, surely| cache.take("o/r", remote, &to, surely).unwrap();
        assert_eq!(take(&remote, false), None);
        fs::write(folder.path().join("a.pth"), b"weights").unwrap();
        cache
            .put("o/r", "main", &remote, &folder.path().join("a.pth"))
            .unwrap();
        let record = take(&remote, true).unwrap();
        assert_eq!((record.name.as_str(), record.bytes), ("a.pth", 7));
        // It stays when the cache goes, and is no link into it.
        let repo = folder.path().join("hub/models--o--r");
        let blob = repo.join("blobs").join(remote.etag.as_ref().unwrap());
        assert!(to.join("a.pth").symlink_metadata().unwrap().is_file());
        // Damage is found where there is a hash, and what is fetched then takes its place.
        fs::remove_file(&blob).unwrap();
        fs::write(&blob, b"weightz").unwrap();
        assert_eq!(take(&remote, false), None);
        assert!(!to.join("a.pth").exists());
        cache
            .put("o/r", "main", &remote, &folder.path().join("a.pth"))
            .unwrap();
        assert!(take(&remote, false).is_some());
        remote.sha256 = None;
        assert!(take(&remote, false).is_some());
        assert_eq!(take(&remote, true), None);
        remote.bytes = 8;
        assert_eq!(take(&remote, false), None);
    }
}
