use super::*;

/// Both kinds of hidden file: without a name where the system has such files, and with one.
fn write(file: &mut AtomicFile, named: bool, bytes: &[u8]) {
    let mut out = match named {
        true => file.create().unwrap(),
        false => file.create_unnamed().unwrap(),
    };
    out.write_all(bytes).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn nothing_stays_without_commit() {
    for named in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mp4");
        let mut file = AtomicFile::new(path.to_str().unwrap()).unwrap();
        assert_eq!(file.path().extension(), path.extension());
        write(&mut file, named, b"x");
        drop(file);
        assert!(names(dir.path()).is_empty());

        let mut file = AtomicFile::new(path.to_str().unwrap()).unwrap();
        write(&mut file, named, b"x");
        assert!(!path.exists());
        file.commit().unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"x");
        assert_eq!(names(dir.path()), ["a.mp4"]);

        // Over an older file.
        let mut file = AtomicFile::new(path.to_str().unwrap()).unwrap();
        write(&mut file, named, b"new");
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["a.mp4"]);
    }
}

#[test]
fn devices_are_written_directly() {
    let mut file = AtomicFile::new("/dev/null").unwrap();
    assert_eq!(file.path(), Path::new("/dev/null"));
    file.create().unwrap().write_all(b"x").unwrap();
    file.commit().unwrap();
    drop(file);
    assert!(Path::new("/dev/null").exists());
    assert!(AtomicFile::new("/").is_err());
}

#[cfg(unix)]
#[test]
fn a_replaced_file_leaves_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    for named in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lbit");
        fs::write(&path, b"old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let mut file = AtomicFile::new(path.to_str().unwrap()).unwrap();
        write(&mut file, named, b"new");
        file.commit().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let link = dir.path().join("link.lbit");
    // Once to a file that is not there yet, once to one that is.
    std::os::unix::fs::symlink("inner/real.lbit", &link).unwrap();
    for bytes in [b"one", b"two"] {
        let mut file = AtomicFile::new(link.to_str().unwrap()).unwrap();
        write(&mut file, false, bytes);
        file.commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(inner.join("real.lbit")).unwrap(), bytes);
    }
    fs::remove_file(inner.join("real.lbit")).unwrap();
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("link.lbit", &link).unwrap();
    assert!(
        AtomicFile::new(link.to_str().unwrap()).is_err(),
        "a link to itself"
    );
}

#[test]
fn the_longest_names_work() {
    let dir = tempfile::tempdir().unwrap();
    for extension in [".mp4".to_owned(), ".".to_owned() + &"e".repeat(200)] {
        let path = dir.path().join("n".repeat(255 - extension.len()) + &extension);
        for named in [true, false] {
            let mut file = AtomicFile::new(path.to_str().unwrap()).unwrap();
            write(&mut file, named, b"x");
            file.commit().unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"x");
        }
    }
}

/// What `commit` does without the right to replace.
#[test]
fn a_taken_name_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.lbit");
    fs::write(dir.path().join("from"), b"new").unwrap();
    rename_new(&dir.path().join("from"), &path).unwrap();
    fs::write(dir.path().join("from"), b"newer").unwrap();
    let error = rename_new(&dir.path().join("from"), &path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).unwrap(), b"new");
    if let Some(mut file) = open_unnamed(dir.path()) {
        file.write_all(b"unnamed").unwrap();
        assert_eq!(link(&file, &path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        link(&file, &dir.path().join("b.lbit")).unwrap();
        assert_eq!(fs::read(dir.path().join("b.lbit")).unwrap(), b"unnamed");
    }
}

#[test]
fn an_older_file_stays_beside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.lbit");
    for (old, name) in [(false, "a.lbit"), (true, "a.partial.lbit")] {
        let mut file = AtomicFile::new(path.to_str().unwrap()).unwrap();
        write(&mut file, false, b"part");
        assert!(file.step_aside().ends_with(name));
        file.commit().unwrap();
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), b"part");
        if !old {
            fs::write(&path, b"old").unwrap();
        }
    }
    assert_eq!(fs::read(&path).unwrap(), b"old");
}

#[test]
fn unfinished_files_can_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    let file = AtomicFile::new(dir.path().join("a.mp4").to_str().unwrap()).unwrap();
    file.create().unwrap().write_all(b"x").unwrap();
    assert_eq!(names(dir.path()).len(), 1);
    let path = file.path().to_owned();
    std::mem::forget(file);
    // Not by `remove_unfinished`, which would remove those of other tests as well.
    assert!(UNFINISHED.lock().unwrap().remove(&path));
}
