//! The columns of the manifest.

use serde_json::{Map, Value};

use super::row::{Made, Outcome, Place, Row};

/// A value of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Text(String),
    Int(i64),
    Float(f64),
    Ints(Vec<i64>),
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Int,
    Float,
    Ints,
}

/// A column.
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// Whether a clip's JSON in a shard tells it as well. What is only known of the whole archive is not among them.
    pub in_json: bool,
    cell: fn(&Row) -> Cell,
}

/// All columns, in order.
pub const COLUMNS: &[Column] = &[
    column("index", Kind::Int, true, |row| int(row.index)),
    column("key", Kind::Text, true, |row| text(&row.key)),
    column("source", Kind::Text, true, |row| text(&row.source)),
    column("start", Kind::Float, true, |row| float(row.start)),
    column("end", Kind::Float, true, |row| float(row.end)),
    column("label", Kind::Text, true, |row| text_or_null(row.label.as_ref())),
    column("caption", Kind::Text, true, |row| {
        text_or_null(row.caption.as_ref())
    }),
    column("status", Kind::Text, false, |row| {
        text(match row.outcome {
            Outcome::Done(_) => "done",
            Outcome::Duplicate(_) => "duplicate",
            Outcome::Skipped(_) => "skipped",
            Outcome::Failed(_) => "failed",
        })
    }),
    column("error", Kind::Text, false, |row| match &row.outcome {
        Outcome::Skipped(reason) | Outcome::Failed(reason) => text(reason),
        _ => Cell::Null,
    }),
    column("duplicate_of", Kind::Text, false, |row| match &row.outcome {
        Outcome::Duplicate(key) => text(key),
        _ => Cell::Null,
    }),
    column("source_sha256", Kind::Text, true, |row| {
        text_or_null(row.source_sha256.as_ref())
    }),
    column("sha256", Kind::Text, true, |row| {
        made(row, |made| text(&made.sha256))
    }),
    column("bytes", Kind::Int, true, |row| made(row, |made| int(made.bytes))),
    column("frames", Kind::Int, true, |row| {
        made(row, |made| int(made.frames))
    }),
    column("width", Kind::Int, true, |row| {
        made(row, |made| int(made.width.into()))
    }),
    column("height", Kind::Int, true, |row| {
        made(row, |made| int(made.height.into()))
    }),
    column("fps", Kind::Float, true, |row| {
        made(row, |made| Cell::Float(made.fps))
    }),
    column("chunks", Kind::Int, true, |row| {
        made(row, |made| int(made.chunks))
    }),
    column("tokens_shape", Kind::Ints, true, |row| {
        made(row, |made| {
            Cell::Ints(made.tokens_shape.iter().map(|&side| signed(side)).collect())
        })
    }),
    column("bits", Kind::Int, true, |row| {
        made(row, |made| int(made.bits.into()))
    }),
    column("bundle_sha256", Kind::Text, true, |row| {
        made(row, |made| text(&made.bundle_sha256))
    }),
    column("psnr", Kind::Float, true, |row| {
        made(row, |made| float(made.psnr))
    }),
    column("shard", Kind::Text, false, |row| {
        place(row, |place| text(&place.shard))
    }),
    column("offset", Kind::Int, false, |row| {
        place(row, |place| int(place.offset))
    }),
];

const fn column(name: &'static str, kind: Kind, in_json: bool, cell: fn(&Row) -> Cell) -> Column {
    Column {
        name,
        kind,
        in_json,
        cell,
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn int(value: u64) -> Cell {
    Cell::Int(signed(value))
}

fn float(value: Option<f64>) -> Cell {
    value.map_or(Cell::Null, Cell::Float)
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn text_or_null(text: Option<&String>) -> Cell {
    text.map_or(Cell::Null, |text| Cell::Text(text.clone()))
}

fn made(row: &Row, cell: impl Fn(&Made) -> Cell) -> Cell {
    row.stored().map_or(Cell::Null, |stored| cell(&stored.made))
}

fn place(row: &Row, cell: impl Fn(&Place) -> Cell) -> Cell {
    row.stored().map_or(Cell::Null, |stored| cell(&stored.place))
}

impl Cell {
    fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Text(text) => text.clone().into(),
            Self::Int(value) => (*value).into(),
            Self::Float(value) => (*value).into(),
            Self::Ints(values) => values.clone().into(),
        }
    }
}

/// The values of a row, in the order of [`COLUMNS`].
pub fn cells(row: &Row) -> Vec<Cell> {
    COLUMNS.iter().map(|column| (column.cell)(row)).collect()
}

/// What a clip's JSON in a shard tells: those columns that a clip knows of itself.
pub fn json(cells: &[Cell]) -> Map<String, Value> {
    let known = COLUMNS.iter().zip(cells).filter(|(column, _)| column.in_json);
    known
        .map(|(column, cell)| (column.name.to_owned(), cell.to_json()))
        .collect()
}

/// The value of the column `name` among `cells`.
pub fn cell<'a>(cells: &'a [Cell], name: &str) -> &'a Cell {
    let place = COLUMNS.iter().position(|column| column.name == name);
    place.and_then(|place| cells.get(place)).unwrap_or(&Cell::Null)
}
