//! Rows of lists: lines of text, JSON lines and tables, and what a row says of a clip.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::path::Path;

use serde_json::{Map, Value};

use super::super::plan::Item;
use super::super::row::rounded;
use latentbit_media::{MediaError, MediaErrorKind, Start, is_address, path_of, text_of, text_of_bytes};

/// How to read lists.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Path of clips that a list names by their ids alone, with `{id}` in it.
    pub id_path: Option<String>,
}

/// Whether a clip is read over the network; a file of such a name is not.
pub fn is_remote(path: &str) -> bool {
    is_address(path) && !path_of(path).exists()
}

/// Longest line or row, in bytes.
const MAX_LINE: u64 = 1 << 20;

/// Names of columns, the preferred one first.
const PATH: &[&str] = &["path", "file_name", "file", "video", "source"];
const ID: &[&str] = &["id", "clip", "key"];
const START: &[&str] = &["start"];
const END: &[&str] = &["end"];
const LABEL: &[&str] = &["label"];
const CAPTION: &[&str] = &["caption", "text"];

/// Whether a column has a meaning.
pub fn is_known(name: &str) -> bool {
    [PATH, ID, START, END, LABEL, CAPTION]
        .iter()
        .any(|names| names.contains(&name))
}

/// Turns the rows of a list into clips.
pub struct Fields<'a> {
    /// The list, in messages.
    pub place: &'a str,
    folder: String,
    options: &'a ListOptions,
}

impl<'a> Fields<'a> {
    /// For the list `place`, whose paths count from `folder`.
    pub fn new(place: &'a str, folder: &str, options: &'a ListOptions) -> Self {
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
    pub fn item(&self, row: &str, value: impl Fn(&str) -> Option<String>) -> Result<Item, MediaError> {
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

/// Bytes of a table, which end with an error once a row has taken all that is `left`: quotes that never close would make the
/// rest of the table one row.
struct Bounded<'a, R> {
    table: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 {
            let message = "a row is longer than a megabyte; does a quote in it never close?";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let len = self.table.read(buffer)?;
        self.left.set(self.left.get().saturating_sub(len as u64));
        Ok(len)
    }
}

/// Adds the clips of a table whose first line names the columns.
pub fn add_table(
    fields: &Fields<'_>,
    table: impl Read,
    delimiter: u8,
    items: &mut Vec<Item>,
) -> anyhow::Result<()> {
    let left = Cell::new(MAX_LINE);
    let table = Bounded { table, left: &left };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(table);
    let failed = |error: csv::Error| {
        let message = match error.kind() {
            csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::InvalidData => error.to_string(),
            _ => format!("expected a table with a line of names at its head: {error}"),
        };
        MediaError::new(MediaErrorKind::Invalid, fields.place, message)
    };
    let names = reader.headers().map_err(failed)?.clone();
    let column = |name: &str| {
        names
            .iter()
            .position(|found| found.trim().eq_ignore_ascii_case(name))
    };
    for record in reader.records() {
        let record = record.map_err(failed)?;
        left.set(MAX_LINE);
        let line = record.position().map_or(0, csv::Position::line);
        let value = |name: &str| Some(record.get(column(name)?)?.to_owned());
        items.push(fields.item(&format!("line {line}"), value)?);
    }
    Ok(())
}

/// Adds the clips of a list with a path or a JSON object on each line; skips empty lines and those that begin with `#`.
pub fn add_lines(fields: &Fields<'_>, list: &mut impl BufRead, items: &mut Vec<Item>) -> anyhow::Result<()> {
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
            (&format!("path\nx.mp4\n\"{}", "y\n".repeat(1 << 20)), "megabyte"),
        ] {
            let error = table(text, None).unwrap_err();
            assert!(error.contains(part) && error.contains("a.csv"), "{error}");
        }
        // Many rows may be longer in all.
        let long = format!("path\n{}", "some/folder/x.mp4\n".repeat(1 << 17));
        assert_eq!(table(&long, None).unwrap().len(), 1 << 17);
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
}
