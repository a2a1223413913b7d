//! The clips in a folder.

use std::path::{Path, PathBuf};

use super::utf8;
use latentbit_media::MediaError;

/// Names of files that are taken for clips.
#[cfg(feature = "libav")]
const EXTENSIONS: &[&str] = &[
    "3gp", "avi", "bmp", "flv", "gif", "jpeg", "jpg", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg",
    "mts", "ogv", "png", "tif", "tiff", "ts", "webm", "webp", "wmv", "y4m",
];
#[cfg(not(feature = "libav"))]
const EXTENSIONS: &[&str] = &["jpeg", "jpg", "png", "y4m"];

/// Videos and pictures in a folder and the folders in it, by name; those that are hidden are left out, and folders behind
/// links, which may lead back.
pub fn clips(folder: &str) -> Result<Vec<String>, MediaError> {
    let mut clips = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        let place = folder.display().to_string();
        let failed = |error| MediaError::io(&place, "list", error);
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            if entry.file_type().map_err(failed)?.is_dir() {
                folders.push(path);
            } else if is_clip(&path) {
                clips.push(utf8(&path)?);
            }
        }
    }
    clips.sort();
    Ok(clips)
}

fn is_clip(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str())) && path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn videos_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in [
            "b.y4m",
            "a/c.PNG",
            "a/b.y4m",
            ".hidden/x.y4m",
            "notes.txt",
            ".x.y4m",
        ] {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"x").unwrap();
        }
        std::fs::create_dir(root.join("d.y4m")).unwrap();
        let found = clips(root.to_str().unwrap()).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|path| Path::new(path).strip_prefix(root).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["a/b.y4m", "a/c.PNG", "b.y4m"]);
        assert!(clips("no/such/folder").is_err());
    }
}
