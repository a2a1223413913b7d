//! What to archive: files, folders, patterns, and lists as text, JSON lines, tables or Parquet.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use super::pattern;
use super::plan::Item;
use super::row::rounded;
use crate::exit::usage;
use latentbit_media::{
    MediaError, MediaErrorKind, Start, is_address, is_media, path_of, text_of, text_of_bytes,
};

/// How to read lists.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Path of clips that a list names by their ids alone, with `{id}` in it.
    pub id_path: Option<String>,
}

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

/// Whether a clip is read over the network; a file of such a name is not.
pub fn is_remote(path: &str) -> bool {
    is_address(path) && !path_of(path).exists()
}

/// Longest line, in bytes.
const MAX_LINE: u64 = 1 << 20;

/// Names of columns, the preferred one first.
const PATH: &[&str] = &["path", "file_name", "file", "video", "source"];
const ID: &[&str] = &["id", "clip", "key"];
const START: &[&str] = &["start"];
const END: &[&str] = &["end"];
const LABEL: &[&str] = &["label"];
const CAPTION: &[&str] = &["caption", "text"];

/// Whether a column has a meaning.
fn is_known(name: &str) -> bool {
    [PATH, ID, START, END, LABEL, CAPTION]
        .iter()
        .any(|names| names.contains(&name))
}

/// Turns the rows of a list into clips.
struct Fields<'a> {
    /// The list, in messages.
    place: &'a str,
    folder: String,
    options: &'a ListOptions,
}

impl<'a> Fields<'a> {
    /// For the list `place`, whose paths count from `folder`.
    fn new(place: &'a str, folder: &str, options: &'a ListOptions) -> Self {
        Self {
            place,
            folder: folder.to_owned(),
            options,
        }
    }

    /// The error for a row, which is called `row` in messages.
    fn wrong(&self, row: &str, message: &str) -> MediaError {
        MediaError::new(MediaErrorKind::Invalid, self.place, format!("{row}: {message}"))
    }

    /// A path of the list.
    fn path(&self, path: &str) -> Item {
        let path = match self.folder.as_str() {
            _ if is_remote(path) => path.to_owned(),
            "" => path.to_owned(),
            folder => text_of(Path::new(folder).join(path)),
        };
        Item::of_path(path)
    }

    /// The clip of a row; `value` returns what a column holds.
    fn item(&self, row: &str, value: impl Fn(&str) -> Option<String>) -> Result<Item, MediaError> {
        let first = |names: &[&str]| {
            let values = names.iter().filter_map(|name| value(name));
            values
                .map(|value| value.trim().to_owned())
                .find(|value| !value.is_empty())
        };
        let time = |names: &[&str]| {
            let Some(text) = first(names) else {
                return Ok(None);
            };
            match text.parse() {
                Ok(Start::Seconds(seconds)) => Ok(Some(rounded(seconds))),
                _ => Err(self.wrong(
                    row,
                    &format!(
                        "expected seconds (12.5) or HH:MM:SS in {}, found {text:?}",
                        names[0]
                    ),
                )),
            }
        };
        let id = first(ID);
        let path = match (first(PATH), &id, &self.options.id_path) {
            (Some(path), ..) => path,
            (None, Some(id), Some(pattern)) => pattern.replace("{id}", id),
            (None, Some(_), None) => {
                let message = "has an id and no path; say where clips are with --id-path 'videos/{id}.mp4'";
                return Err(self.wrong(row, message));
            }
            (None, None, _) => {
                let message = "has neither a path nor an id; name the columns path (or file_name, file, video, source) \
                               and id";
                return Err(self.wrong(row, message));
            }
        };
        let (start, end) = (time(START)?, time(END)?);
        if end.is_some_and(|end| end <= start.unwrap_or(0.0)) {
            return Err(self.wrong(row, "the end is not after the start"));
        }
        Ok(Item {
            id,
            start: start.filter(|&start| start > 0.0),
            end,
            label: first(LABEL),
            caption: first(CAPTION),
            ..self.path(&path)
        })
    }
}

/// Adds the clips of a table whose first line names the columns.
fn add_table(
    fields: &Fields<'_>,
    table: impl Read,
    delimiter: u8,
    items: &mut Vec<Item>,
) -> anyhow::Result<()> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(table);
    let failed = |error: csv::Error| {
        MediaError::new(
            MediaErrorKind::Invalid,
            fields.place,
            format!("expected a table with a line of names at its head: {error}"),
        )
    };
    let names = reader.headers().map_err(failed)?.clone();
    let column = |name: &str| {
        names
            .iter()
            .position(|found| found.trim().eq_ignore_ascii_case(name))
    };
    for record in reader.records() {
        let record = record.map_err(failed)?;
        let line = record.position().map_or(0, csv::Position::line);
        let value = |name: &str| Some(record.get(column(name)?)?.to_owned());
        items.push(fields.item(&format!("line {line}"), value)?);
    }
    Ok(())
}

/// Adds the clips of a list with a path or a JSON object on each line; skips empty lines and those that begin with `#`.
fn add_lines(fields: &Fields<'_>, list: &mut impl BufRead, items: &mut Vec<Item>) -> anyhow::Result<()> {
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        let len = list.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        let len = len.map_err(|error| MediaError::io(fields.place, "read", error))?;
        if len == 0 {
            break;
        }
        let row = format!("line {number}");
        if len as u64 == MAX_LINE {
            return Err(fields
                .wrong(
                    &row,
                    "it is longer than a megabyte; expected a path or a JSON object",
                )
                .into());
        }
        // A path is one, whatever its bytes.
        let text = text_of_bytes(&line);
        let text = text.trim();
        match text.chars().next() {
            None | Some('#') => {}
            Some('{') if std::str::from_utf8(&line).is_err() => {
                return Err(fields.wrong(&row, "it is no UTF-8, as JSON must be").into());
            }
            Some('{') => {
                let text = String::from_utf8_lossy(&line);
                let object: Map<String, Value> = serde_json::from_str(text.trim())
                    .map_err(|error| fields.wrong(&row, &format!("expected a JSON object: {error}")))?;
                items.push(fields.item(&row, |name| object.get(name).and_then(text_in))?);
            }
            Some(_) => items.push(fields.path(text)),
        }
    }
    Ok(())
}

fn text_in(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
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

    fn table(text: &str, id_path: Option<&str>) -> Result<Vec<Item>, String> {
        let options = ListOptions {
            id_path: id_path.map(str::to_owned),
        };
        let mut items = Vec::new();
        add_table(
            &Fields::new("a.csv", "lists", &options),
            text.as_bytes(),
            b',',
            &mut items,
        )
        .map(|()| items)
        .map_err(|error| error.to_string())
    }

    #[test]
    fn rows() {
        let items = table(
            "Path,start,end,label,text\nx.mp4,1.5,00:01:02,cat,\"a, b\"\n/y.mp4,,,,\n",
            None,
        )
        .unwrap();
        let first = Item {
            path: "lists/x.mp4".to_owned(),
            id: None,
            start: Some(1.5),
            end: Some(62.0),
            label: Some("cat".to_owned()),
            caption: Some("a, b".to_owned()),
        };
        assert_eq!(items, [first, Item::of_path("/y.mp4")]);
        let items = table("id\nabc\n", Some("clips/{id}.mp4")).unwrap();
        assert_eq!(
            (items[0].path.as_str(), items[0].id.as_deref()),
            ("lists/clips/abc.mp4", Some("abc"))
        );
    }

    #[test]
    fn rows_that_make_no_sense() {
        for (text, part) in [
            ("id\nabc\n", "--id-path"),
            ("name\nabc\n", "neither a path nor an id"),
            ("path,start\nx.mp4,soon\n", "line 2"),
            ("path,start,end\nx.mp4,2,2\n", "not after the start"),
            ("path,start\nx.mp4,40f\n", "expected seconds"),
            ("path,start\nx.mp4,1,2\n", "table"),
        ] {
            let error = table(text, None).unwrap_err();
            assert!(error.contains(part) && error.contains("a.csv"), "{error}");
        }
    }

    fn list(mut text: &[u8]) -> Result<Vec<Item>, String> {
        let options = ListOptions::default();
        let mut items = Vec::new();
        add_lines(&Fields::new("stdin", "", &options), &mut text, &mut items)
            .map(|()| items)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn paths_and_objects() {
        let items =
            list(b"# a list\n\na b.mp4\r\n{\"path\": \"c.mp4\", \"start\": 2, \"label\": 7, \"end\": null}")
                .unwrap();
        assert_eq!(items[0], Item::of_path("a b.mp4"));
        assert_eq!((items[1].start, items[1].end), (Some(2.0), None));
        assert_eq!(items[1].label.as_deref(), Some("7"));
        // Names may be any bytes.
        assert_eq!(list(b"\xff\n").unwrap(), [Item::of_path("\u{efff}")]);
    }

    #[test]
    fn lines_that_make_no_sense() {
        for (text, part) in [
            (&b"a.mp4\n{\"path\"\n"[..], "line 2"),
            (b"{\"path\": \"\xff\"}\n", "UTF-8"),
            (b"{\"start\": 3}", "neither a path"),
        ] {
            let error = list(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let long = vec![b'x'; 1 << 21];
        assert!(list(&long).unwrap_err().contains("megabyte"));
    }

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
