//! Lists with a clip on each line: a path, or a JSON object.

use std::io::{BufRead, Read};

use serde_json::{Map, Value};

use super::Item;
use super::fields::Fields;
use latentbit_media::MediaError;

/// Bytes that a line may have.
const MAX_LINE: u64 = 1 << 20;

/// The clips of a list; empty lines and those that begin with `#` are left out.
pub fn add(fields: &Fields<'_>, list: &mut impl BufRead, items: &mut Vec<Item>) -> anyhow::Result<()> {
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
        let Ok(text) = std::str::from_utf8(&line) else {
            return Err(fields.wrong(&row, "it is no UTF-8").into());
        };
        let text = text.trim();
        match text.chars().next() {
            None | Some('#') => {}
            Some('{') => {
                let object: Map<String, Value> = serde_json::from_str(text)
                    .map_err(|error| fields.wrong(&row, &format!("expected a JSON object: {error}")))?;
                items.push(fields.item(&row, |name| object.get(name).and_then(text_of))?);
            }
            Some(_) => items.push(fields.path(text)),
        }
    }
    Ok(())
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ListOptions;
    use super::*;

    fn list(mut text: &[u8]) -> Result<Vec<Item>, String> {
        let options = ListOptions::default();
        let mut items = Vec::new();
        add(&Fields::new("stdin", "", &options), &mut text, &mut items)
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
    }

    #[test]
    fn lines_that_make_no_sense() {
        for (text, part) in [
            (&b"a.mp4\n{\"path\"\n"[..], "line 2"),
            (b"\xff\n", "UTF-8"),
            (b"{\"start\": 3}", "neither a path"),
        ] {
            let error = list(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let long = vec![b'x'; 1 << 21];
        assert!(list(&long).unwrap_err().contains("megabyte"));
    }
}
