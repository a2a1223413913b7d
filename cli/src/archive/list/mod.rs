//! What to archive: files, folders, patterns and lists.

mod fields;
mod folder;
mod lines;
mod parquet;

use std::io::BufReader;
use std::path::Path;

use crate::exit::usage;
use latentbit_media::{MediaError, MediaErrorKind};

use fields::Fields;

/// A clip that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// File of the clip.
    pub path: String,
    /// What a list calls it.
    pub id: Option<String>,
    /// Seconds at which it begins in the file.
    pub start: Option<f64>,
    /// Seconds at which it ends in the file.
    pub end: Option<f64>,
    /// A class or the like.
    pub label: Option<String>,
    /// A sentence about it.
    pub caption: Option<String>,
}

impl Item {
    fn of_path(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            id: None,
            start: None,
            end: None,
            label: None,
            caption: None,
        }
    }
}

/// How to read lists.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Where the file of a clip is that a list has by its id alone: a path with `{id}` in it.
    pub id_path: Option<String>,
}

/// The clips of `sources`, in order: of a folder or pattern by name, of a list as it has them.
///
/// # Errors
/// A source that does not exist or cannot be read, a list with a line that makes no sense, and sources without a clip.
pub fn gather(sources: &[String], options: &ListOptions) -> anyhow::Result<Vec<Item>> {
    let mut items = Vec::new();
    for source in sources {
        let before = items.len();
        add(source, options, &mut items)?;
        if items.len() == before {
            return usage(format!(
                "{source}: there is no clip in it; name a video, a folder with videos, a pattern, or a list of them"
            ));
        }
    }
    Ok(items)
}

fn add(source: &str, options: &ListOptions, items: &mut Vec<Item>) -> anyhow::Result<()> {
    if source == "-" {
        let fields = Fields::new("stdin", "", options);
        return lines::add(&fields, &mut std::io::stdin().lock(), items);
    }
    let path = Path::new(source);
    if path.is_dir() {
        items.extend(folder::clips(source)?.into_iter().map(Item::of_path));
        return Ok(());
    }
    if !path.exists() && source.contains(['*', '?', '[']) {
        items.extend(pattern(source)?.into_iter().map(Item::of_path));
        return Ok(());
    }
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    let open = || {
        let file = std::fs::File::open(source).map_err(|e| MediaError::io(source, "open", e));
        file.map(BufReader::new)
    };
    // What a list names is looked for beside it.
    let folder = path.parent().unwrap_or(Path::new("")).to_string_lossy();
    let fields = Fields::new(source, &folder, options);
    match extension.as_deref() {
        Some("txt" | "list" | "jsonl" | "ndjson") => lines::add(&fields, &mut open()?, items),
        Some("csv") => fields::add_table(&fields, open()?, b',', items),
        Some("tsv") => fields::add_table(&fields, open()?, b'\t', items),
        Some("parquet") => parquet::add(&fields, open()?.into_inner(), items),
        _ => {
            std::fs::metadata(path).map_err(|e| MediaError::io(source, "open", e))?;
            items.push(Item::of_path(source));
            Ok(())
        }
    }
}

/// Files that a pattern matches, by name.
fn pattern(source: &str) -> anyhow::Result<Vec<String>> {
    let matches = match glob::glob(source) {
        Ok(matches) => matches,
        Err(error) => return usage(format!("{source}: this is no pattern of names: {error}")),
    };
    let mut paths = Vec::new();
    for found in matches {
        let found = found.map_err(|error| {
            let place = error.path().display().to_string();
            MediaError::io(&place, "list", error.into())
        })?;
        if found.is_file() {
            paths.push(utf8(&found)?);
        }
    }
    paths.sort();
    Ok(paths)
}

/// A path as text, which lists, manifests and messages need.
fn utf8(path: &Path) -> Result<String, MediaError> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        let message = "the name is no UTF-8, so no manifest can hold it; rename the file";
        MediaError::new(MediaErrorKind::Unsupported, &path.display().to_string(), message)
    })
}
