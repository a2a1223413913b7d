//! Files whose names match a pattern, whatever bytes the names are made of. The crate `glob` says what matches; its own
//! walk passes names over that are no UTF-8, without a word.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use glob::{Pattern, PatternError};

use crate::exit::usage;
use latentbit_media::{MediaError, path_of, text_of};

/// A part of a path between two slashes.
enum Part {
    Literal(PathBuf),
    Pattern(Pattern),
    /// `**`: this folder and all below it.
    Folders,
}

/// Files that a pattern matches, by name.
///
/// # Errors
/// A wrong usage for what is no pattern; fails if a folder cannot be listed.
pub fn files(source: &str) -> anyhow::Result<Vec<String>> {
    let parts = match parts_of(source) {
        Ok(parts) => parts,
        Err(error) => return usage(format!("{source}: this is no pattern of names: {error}")),
    };
    let mut found = Vec::new();
    if source.ends_with(std::path::is_separator) {
        // Folders alone, and no files.
        return Ok(found);
    }
    walk(Path::new(""), &parts, &mut Vec::new(), &mut found)?;
    found.sort();
    found.dedup();
    Ok(found)
}

fn parts_of(source: &str) -> Result<Vec<Part>, PatternError> {
    // Of the whole, so that errors count from its start.
    Pattern::new(source)?;
    let mut parts = Vec::new();
    for component in Path::new(source).components() {
        let text = match component {
            // It is text already, with characters in the place of other bytes.
            Component::Normal(text) => text.to_str().unwrap_or_default(),
            other => {
                parts.push(Part::Literal(Path::new(other.as_os_str()).to_owned()));
                continue;
            }
        };
        parts.push(match text {
            "**" if matches!(parts.last(), Some(Part::Folders)) => continue,
            "**" => Part::Folders,
            _ if text.contains(['*', '?', '[']) => Part::Pattern(Pattern::new(text)?),
            _ => Part::Literal(path_of(text)),
        });
    }
    Ok(parts)
}

/// Adds the files below `at` that match. `above` are the folders that `**` came through, which links may lead back to.
fn walk(
    at: &Path,
    parts: &[Part],
    above: &mut Vec<PathBuf>,
    found: &mut Vec<String>,
) -> Result<(), MediaError> {
    let Some((part, rest)) = parts.split_first() else {
        if at.is_file() {
            found.push(text_of(at));
        }
        return Ok(());
    };
    match part {
        Part::Literal(name) => walk(&at.join(name), rest, above, found),
        Part::Pattern(pattern) => {
            for path in list(at)? {
                if pattern.matches(&text_of(path.file_name().unwrap_or_default()))
                    && (rest.is_empty() || path.is_dir())
                {
                    walk(&path, rest, above, found)?;
                }
            }
            Ok(())
        }
        Part::Folders => {
            let here = if at.as_os_str().is_empty() {
                Path::new(".")
            } else {
                at
            };
            // What is not there has nothing in it.
            let Ok(real) = fs::canonicalize(here) else {
                return Ok(());
            };
            if above.contains(&real) {
                return Ok(());
            }
            walk(at, rest, above, found)?;
            above.push(real);
            for path in list(at)? {
                if path.is_dir() {
                    walk(&path, parts, above, found)?;
                }
            }
            above.pop();
            Ok(())
        }
    }
}

/// What is in a folder; nothing, if it is none.
fn list(folder: &Path) -> Result<Vec<PathBuf>, MediaError> {
    let failed = |error| MediaError::io(&text_of(folder), "list", error);
    let here = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let entries = match fs::read_dir(here) {
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    entries
        .map(|entry| Ok(folder.join(entry.map_err(failed)?.file_name())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(path_of(name));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    #[track_caller]
    fn matching(folder: &tempfile::TempDir, pattern: &str) -> Vec<String> {
        let root = folder.path().to_str().unwrap();
        let found = files(&format!("{root}/{pattern}")).unwrap();
        found
            .iter()
            .map(|path| path.strip_prefix(root).unwrap()[1..].to_owned())
            .collect()
    }

    /// As the crate's own walk finds them.
    #[test]
    fn patterns_match_as_those_of_glob() {
        let names = [
            "a.y4m",
            "b.mp4",
            ".hidden.y4m",
            "[x].y4m",
            "d/a.y4m",
            "d/e/b.y4m",
            "d/e/f/c.y4m",
            "é.y4m",
        ];
        let folder = made(&names);
        let root = folder.path().to_str().unwrap();
        for pattern in [
            "*",
            "*.y4m",
            "?.y4m",
            "[ab].*",
            "[!a]*",
            "[[]x].y4m",
            "*/*.y4m",
            "**/*.y4m",
            "d/**/*.y4m",
            "**/e/*",
            "**/**/c.y4m",
            "d/../*.mp4",
            "**",
            "none/*",
            "a.y4m/*",
            "d/*/b.y4m",
            "**/f/c.y4m",
            "*/",
        ] {
            let mut expected: Vec<String> = glob::glob(&format!("{root}/{pattern}"))
                .unwrap()
                .map(Result::unwrap)
                .filter(|path| path.is_file())
                .map(|path| text_of(&path))
                .collect();
            expected.sort();
            assert_eq!(
                files(&format!("{root}/{pattern}")).unwrap(),
                expected,
                "{pattern}"
            );
        }
        for wrong in ["[", "a**", "***/b"] {
            assert!(files(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn names_of_any_bytes_match() {
        // As text: a byte that is no UTF-8 is one character.
        let odd = text_of(path_of("\u{efff}"));
        let folder = made(&[&format!("{odd}.y4m"), &format!("{odd}d/{odd}e/b.y4m"), "a.y4m"]);
        assert_eq!(
            matching(&folder, "*.y4m"),
            ["a.y4m".to_owned(), format!("{odd}.y4m")]
        );
        assert_eq!(matching(&folder, "?.y4m").len(), 2);
        assert_eq!(matching(&folder, &format!("{odd}*.y4m")), [format!("{odd}.y4m")]);
        assert_eq!(matching(&folder, "**/b.*"), [format!("{odd}d/{odd}e/b.y4m")]);
        assert_eq!(matching(&folder, &format!("*/{odd}e/*")).len(), 1);
    }

    #[test]
    #[cfg(unix)]
    fn links_in_circles_end() {
        let folder = made(&["d/a.y4m"]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("d/up")).unwrap();
        assert_eq!(matching(&folder, "**/a.y4m"), ["d/a.y4m"]);
    }
}
