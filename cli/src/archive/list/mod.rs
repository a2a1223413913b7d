//! What to archive: files, folders, patterns, and lists as text, JSON lines, tables or Parquet.

mod rows;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::Type;

use super::pattern;
use super::plan::Item;
use crate::exit::usage;
use latentbit_media::{MediaError, MediaErrorKind, is_media, path_of, text_of};
use rows::{Fields, add_lines, add_table, is_known};
pub use rows::{ListOptions, is_remote};

/// The clips of `sources`, in order: those of a folder or pattern by name, those of a list as it has them.
///
/// # Errors
/// Fails if a source does not exist, cannot be read or holds no clip, and if a line of a list makes no sense.
pub fn gather(sources: &[String], options: &ListOptions) -> anyhow::Result<Vec<Item>> {
    let mut items = Vec::new();
    for source in sources {
        let before = items.len();
        add_source(source, options, &mut items)?;
        if items.len() == before {
            return usage(format!(
                "{source}: there is no clip in it; name a video, a folder with videos, a pattern, or a list of them"
            ));
        }
    }
    Ok(items)
}

fn add_source(source: &str, options: &ListOptions, items: &mut Vec<Item>) -> anyhow::Result<()> {
    if source == "-" {
        let fields = Fields::new("stdin", "", options);
        return add_lines(&fields, &mut std::io::stdin().lock(), items);
    }
    let path = &path_of(source);
    if path.is_dir() {
        items.extend(clips_in(source)?.into_iter().map(Item::of_path));
        return Ok(());
    }
    if !path.exists() && source.contains(['*', '?', '[']) && !is_remote(source) {
        items.extend(pattern::files(source)?.into_iter().map(Item::of_path));
        return Ok(());
    }
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    let open = || {
        let file = File::open(path).map_err(|e| MediaError::io(source, "open", e));
        file.map(BufReader::new)
    };
    // What a list names is looked for beside it.
    let folder = text_of(path.parent().unwrap_or(Path::new("")));
    let fields = Fields::new(source, &folder, options);
    match extension.as_deref() {
        Some("txt" | "list" | "jsonl" | "ndjson") => add_lines(&fields, &mut open()?, items),
        Some("csv") => add_table(&fields, open()?, b',', items),
        Some("tsv") => add_table(&fields, open()?, b'\t', items),
        Some("parquet") => add_parquet(&fields, open()?.into_inner(), items),
        _ if is_remote(source) => {
            items.push(Item::of_path(source));
            Ok(())
        }
        _ => {
            std::fs::metadata(path).map_err(|e| MediaError::io(source, "open", e))?;
            items.push(Item::of_path(source));
            Ok(())
        }
    }
}

/// Adds the clips of a Parquet file. Reads only the columns that have a meaning: others may hold whole videos.
fn add_parquet(fields: &Fields<'_>, file: File, items: &mut Vec<Item>) -> anyhow::Result<()> {
    let failed = |error: ParquetError| {
        MediaError::new(
            MediaErrorKind::Invalid,
            fields.place,
            format!("expected a Parquet file that can be read: {error}"),
        )
    };
    let reader = SerializedFileReader::new(file).map_err(failed)?;
    let schema = reader.metadata().file_metadata().schema().clone();
    let known = schema.get_fields().iter().filter(|field| is_known(field.name()));
    let projection = Type::group_type_builder(schema.name())
        .with_fields(known.map(Arc::clone).collect())
        .build()
        .map_err(failed)?;
    let rows = reader.get_row_iter(Some(projection)).map_err(failed)?;
    for (number, row) in rows.enumerate() {
        let row = row.map_err(failed)?;
        let value = |name: &str| {
            let (_, field) = row.get_column_iter().find(|(column, _)| *column == name)?;
            match field {
                Field::Null => None,
                Field::Str(text) => Some(text.clone()),
                Field::Bytes(bytes) => bytes.as_utf8().ok().map(str::to_owned),
                Field::Float(value) => Some(value.to_string()),
                Field::Double(value) => Some(value.to_string()),
                other => Some(other.to_string()),
            }
        };
        items.push(fields.item(&format!("row {number}"), value)?);
    }
    Ok(())
}

/// Extensions of files that count as clips, whatever is in them.
#[cfg(feature = "libav")]
const EXTENSIONS: &[&str] = &[
    "3gp", "avi", "bmp", "flv", "gif", "jpeg", "jpg", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg",
    "mts", "ogv", "png", "tif", "tiff", "ts", "webm", "webp", "wmv", "y4m",
];
#[cfg(not(feature = "libav"))]
const EXTENSIONS: &[&str] = &["jpeg", "jpg", "png", "y4m"];

/// Videos and pictures in a folder and its subfolders, by name. Skips hidden ones, and folders behind links, which may
/// lead back. Says how many other files there are.
fn clips_in(folder: &str) -> Result<Vec<String>, MediaError> {
    let mut clips = Vec::new();
    let mut others = Vec::new();
    let mut folders = vec![path_of(folder)];
    while let Some(folder) = folders.pop() {
        let place = text_of(&folder);
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
                clips.push(text_of(&path));
            } else if path.is_file() {
                others.push(path);
            }
        }
    }
    others.sort();
    if let Some(first) = others.first() {
        tracing::warn!(
            "{folder}: {} files are neither videos nor pictures and are left alone, such as {}",
            others.len(),
            text_of(first)
        );
    }
    clips.sort();
    Ok(clips)
}

/// Whether a file is a clip: by its name, so that a damaged one is told; else by its content.
fn is_clip(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    let named = extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()));
    path.is_file() && (named || is_media(&text_of(path)))
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
        let found = clips_in(root.to_str().unwrap()).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|path| Path::new(path).strip_prefix(root).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["a/b.y4m", "a/c.PNG", "b.y4m"]);
        assert!(clips_in("no/such/folder").is_err());
    }
}
