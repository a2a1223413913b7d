//! Files that appear under their name only when they are complete, and are on the disk by then.

use crate::error::{MediaError, MediaErrorKind};
use crate::name::{path_of, text_of};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Tells the files of this process apart; the process id does so for processes.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Hidden files that must not outlive the process.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

static REPLACES: AtomicBool = AtomicBool::new(true);
static SYNCS: AtomicBool = AtomicBool::new(true);

/// Whether outputs of this process may replace files; they may at first. If not, a name that somebody else has taken by the
/// time that a file is complete is left alone, and that is an error.
pub fn set_replace(replace: bool) {
    REPLACES.store(replace, Ordering::Relaxed);
}

/// Whether an output is on the disk before it gets its name, and its name is by the time that it is reported as done, so
/// that a loss of power leaves the old file or the new one; so it is at first.
pub fn set_sync(sync: bool) {
    SYNCS.store(sync, Ordering::Relaxed);
}

/// Removes the hidden files of all outputs that are not complete: for a process that ends at once, on a signal say.
pub fn remove_unfinished() {
    // Whoever holds the lock ends as well; a file too many is better than waiting for it.
    let unfinished = match UNFINISHED.try_lock() {
        Ok(unfinished) => unfinished,
        Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(std::sync::TryLockError::WouldBlock) => return,
    };
    for path in unfinished.iter() {
        let _ = fs::remove_file(path);
    }
}

/// A file being written. Dropped without [`AtomicFile::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    place: String,
    target: PathBuf,
    /// A hidden name beside the target; none if that is no file and is written directly.
    temp: Option<PathBuf>,
    /// The file, where the system lets it have no name until it is complete.
    unnamed: Option<File>,
}

impl AtomicFile {
    /// Chooses a name beside `path`, or beside what it links to. Devices and pipes (`/dev/null`, a FIFO) are written
    /// directly.
    pub fn new(path: &str) -> Result<Self, MediaError> {
        let failed = |e| MediaError::io(path, "write", e);
        // Renaming must replace the file behind a symbolic link, not the link.
        let target = behind_links(&path_of(path)).map_err(failed)?;
        let temp = match fs::metadata(&target) {
            Ok(meta) if meta.is_dir() => return Err(failed(ErrorKind::IsADirectory.into())),
            Ok(meta) if !meta.is_file() => None,
            _ => Some(temp_name(&target)),
        };
        if let Some(temp) = &temp {
            let mut unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
            unfinished.insert(temp.clone());
        }
        Ok(Self {
            place: path.to_owned(),
            target,
            temp,
            unnamed: None,
        })
    }

    /// The path to write to, for those who open it themselves.
    pub fn path(&self) -> &Path {
        self.temp.as_deref().unwrap_or(&self.target)
    }

    /// Opens the file for writing, at [`path`](Self::path).
    pub fn create(&self) -> Result<File, MediaError> {
        let file = match &self.temp {
            Some(temp) => File::create_new(temp),
            None => fs::OpenOptions::new().write(true).open(&self.target),
        };
        file.map_err(|e| MediaError::io(&self.place, "write", e))
    }

    /// Opens the file for writing; where the system can, it has no name at all before [`commit`](Self::commit), so that
    /// nothing is left of it however the process ends.
    pub fn create_unnamed(&mut self) -> Result<File, MediaError> {
        let failed = |e| MediaError::io(&self.place, "write", e);
        if self.temp.is_some()
            && let Some(file) = open_unnamed(folder_of(&self.target))
        {
            self.unnamed = Some(file.try_clone().map_err(failed)?);
            return Ok(file);
        }
        self.create()
    }

    /// Has the file go beside an older one of its name, as `NAME.partial.EXT`, and replace one of that name; where there is
    /// no older one it keeps its name. Gives the name that it will have.
    pub fn step_aside(&mut self) -> String {
        let older = self.temp.is_some() && self.target.is_file();
        if older {
            let mut name = self.target.file_stem().unwrap_or_default().to_owned();
            name.push(".partial");
            if let Some(extension) = self.target.extension() {
                name.push(".");
                name.push(extension);
            }
            self.target.set_file_name(name);
            self.place = text_of(&self.target);
        }
        self.place.clone()
    }

    /// Gives the file, which was written and flushed, its name. It gets the mode of the file that it replaces, and its owner
    /// if that may be.
    pub fn commit(&mut self) -> Result<(), MediaError> {
        let Some(temp) = self.temp.clone() else {
            return Ok(());
        };
        let named = self.name_it(&temp);
        named.map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => MediaError::new(
                MediaErrorKind::Io,
                &self.place,
                "a file of that name appeared while this one was written, and was left as it is; overwrite it with -y",
            ),
            _ => MediaError::io(&self.place, "rename into place", e),
        })?;
        self.forget();
        Ok(())
    }

    fn name_it(&mut self, temp: &Path) -> io::Result<()> {
        let (file, unnamed) = match self.unnamed.take() {
            Some(file) => (file, true),
            None => (File::options().read(true).write(true).open(temp)?, false),
        };
        let older = fs::metadata(&self.target).ok().filter(fs::Metadata::is_file);
        if let Some(older) = &older {
            like(&file, older);
        }
        let syncs = SYNCS.load(Ordering::Relaxed);
        if syncs {
            file.sync_all()?;
        }
        match (REPLACES.load(Ordering::Relaxed), unnamed) {
            (true, false) => fs::rename(temp, &self.target)?,
            (true, true) => {
                // A name can only be taken that is free; an older file is replaced by way of another name.
                if older.is_some() || link(&file, &self.target).is_err() {
                    link(&file, temp)?;
                    fs::rename(temp, &self.target)?;
                }
            }
            (false, true) => link(&file, &self.target)?,
            (false, false) => rename_new(temp, &self.target)?,
        }
        if syncs {
            sync_folder(folder_of(&self.target))?;
        }
        Ok(())
    }

    /// The hidden name is not needed any more.
    fn forget(&mut self) {
        if let Some(temp) = self.temp.take() {
            let mut unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
            unfinished.remove(&temp);
        }
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temp) = &self.temp {
            let _ = fs::remove_file(temp);
        }
        self.forget();
    }
}

/// Where a path leads, by all links; the last one may lead to nothing yet.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    // As many as Linux follows.
    const MOST: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST {
        match fs::canonicalize(&path) {
            Ok(real) => return Ok(real),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        match fs::read_link(&path) {
            Ok(to) => path = folder_of(&path).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many links"))
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes a new file like the older one that it will replace, as far as this user may.
fn like(file: &File, older: &fs::Metadata) {
    let _ = file.set_permissions(older.permissions());
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let same = file
            .metadata()
            .is_ok_and(|new| (new.uid(), new.gid()) == (older.uid(), older.gid()));
        if !same {
            let _ = fchown(file, Some(older.uid()), Some(older.gid()));
            // A change of owner takes some bits of the mode away.
            let _ = file.set_permissions(older.permissions());
        }
    }
}

/// A file without a name in a folder, if the system and the file system have such files.
#[cfg(target_os = "linux")]
fn open_unnamed(folder: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666)).ok()?;
    // It gets its name by way of this folder.
    Path::new("/proc/self/fd").is_dir().then(|| File::from(file))
}

#[cfg(not(target_os = "linux"))]
fn open_unnamed(_folder: &Path) -> Option<File> {
    None
}

/// Gives a file without a name one that is free.
#[cfg(target_os = "linux")]
fn link(file: &File, to: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD};
    use std::os::fd::AsRawFd;
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, from, CWD, to, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn link(_file: &File, _to: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Renames a file, but not over another one.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags};
        use rustix::io::Errno;
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Not every file system can.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            result => return Ok(result?),
        }
    }
    match fs::hard_link(from, to) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        Ok(()) => fs::remove_file(from),
        // Without links there is no way but to look first.
        Err(_) if to.exists() => Err(ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to),
    }
}

/// Has the names in a folder, in the folders in it, and of those that it is in written to the disk, so that what was put there
/// outlives a power cut. Files must have been synced. Does nothing after [`set_sync`]`(false)`.
///
/// # Errors
/// If a folder cannot be read or synced.
pub fn sync_tree(folder: &Path) -> io::Result<()> {
    if !SYNCS.load(Ordering::Relaxed) {
        return Ok(());
    }
    let folder = std::path::absolute(folder)?;
    let mut below = vec![folder.clone()];
    while let Some(next) = below.pop() {
        let entries = match fs::read_dir(&next) {
            // Somebody else has removed it meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            // Links are not followed: what they lead to is not new.
            if entry.file_type()?.is_dir() {
                below.push(entry.path());
            }
        }
        sync_folder(&next)?;
    }
    folder.ancestors().skip(1).try_for_each(sync_folder)
}

/// Has the names in a folder written to the disk.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some file systems do so by themselves and know no such call; a folder may not be readable.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        result => result,
    }
}

/// Stdout, for data and reports alike. Whoever writes to it flushes it, and tells errors.
///
/// # Errors
/// [`MediaErrorKind::Io`] if it was closed when the program began.
pub fn stdout() -> Result<io::Stdout, MediaError> {
    if latentbit_codec::stdout_is_closed() {
        let message = "it is closed, or open for reading only; send the output to a file or a pipe";
        return Err(MediaError::new(MediaErrorKind::Io, "stdout", message));
    }
    Ok(io::stdout())
}

/// Where an output goes. A file gets its name when it is complete.
pub struct Target {
    /// The file's name, or "stdout".
    pub place: String,
    atomic: Option<AtomicFile>,
}

impl Target {
    /// Opens a file, or stdout for `-`. Nothing is left of the file if the process is killed.
    pub fn open(path_or_dash: &str) -> Result<(Self, Box<dyn Write + Send>), MediaError> {
        Self::open_with(path_or_dash, AtomicFile::create_unnamed)
    }

    /// As [`open`](Self::open), for a file of which a part is worth keeping: if the process is killed, what was written is left
    /// under a hidden name.
    pub fn open_recoverable(path_or_dash: &str) -> Result<(Self, Box<dyn Write + Send>), MediaError> {
        Self::open_with(path_or_dash, |atomic| atomic.create())
    }

    fn open_with(
        path_or_dash: &str,
        create: impl FnOnce(&mut AtomicFile) -> Result<File, MediaError>,
    ) -> Result<(Self, Box<dyn Write + Send>), MediaError> {
        if path_or_dash == "-" {
            let place = "stdout".to_owned();
            return Ok((Self { place, atomic: None }, Box::new(stdout()?)));
        }
        let mut atomic = AtomicFile::new(path_or_dash)?;
        let file = create(&mut atomic)?;
        let target = Self {
            place: path_or_dash.to_owned(),
            atomic: Some(atomic),
        };
        Ok((target, Box::new(BufWriter::new(file))))
    }

    /// Has the file go beside an older one of its name; see [`AtomicFile::step_aside`].
    pub fn step_aside(&mut self) {
        if let Some(atomic) = &mut self.atomic {
            self.place = atomic.step_aside();
        }
    }

    /// Gives the file, which was written and flushed, its name.
    pub fn commit(self) -> Result<(), MediaError> {
        if let Some(mut atomic) = self.atomic {
            atomic.commit()?;
        }
        Ok(())
    }
}

/// A hidden name in the same folder, with the same extension because libav chooses the file format by it. It is short, so
/// that the file itself may have the longest name that the file system takes.
fn temp_name(target: &Path) -> PathBuf {
    const LONGEST_EXTENSION: usize = 16;
    let n = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut name = format!(".latentbit-{}-{n}.part", std::process::id());
    let extension = target.extension().and_then(|extension| extension.to_str());
    if let Some(extension) = extension.filter(|extension| extension.len() <= LONGEST_EXTENSION) {
        name.push('.');
        name.push_str(extension);
    }
    target.with_file_name(name)
}

#[cfg(test)]
mod tests;
