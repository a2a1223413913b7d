//! A row of a list, and tables of them.

use std::io::Read;
use std::path::Path;

use super::super::row::rounded;
use super::{Item, ListOptions};
use latentbit_media::{MediaError, MediaErrorKind, Start};

/// What columns are called, the most telling name first.
const PATH: &[&str] = &["path", "file_name", "file", "video", "source"];
const ID: &[&str] = &["id", "clip", "key"];
const START: &[&str] = &["start"];
const END: &[&str] = &["end"];
const LABEL: &[&str] = &["label"];
const CAPTION: &[&str] = &["caption", "text"];

/// All names of columns that mean something.
pub fn is_known(name: &str) -> bool {
    [PATH, ID, START, END, LABEL, CAPTION]
        .iter()
        .any(|names| names.contains(&name))
}

/// Makes clips of the rows of a list.
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
    pub fn wrong(&self, row: &str, message: &str) -> MediaError {
        MediaError::new(MediaErrorKind::Invalid, self.place, format!("{row}: {message}"))
    }

    /// A path of the list.
    pub fn path(&self, path: &str) -> Item {
        let path = match self.folder.as_str() {
            "" => path.to_owned(),
            folder => Path::new(folder).join(path).to_string_lossy().into_owned(),
        };
        Item::of_path(path)
    }

    /// The clip of a row; `value` gives what a column has in it, if anything.
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

/// The clips of a table with a line of names at its head.
pub fn add_table(
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
}
