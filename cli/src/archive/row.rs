//! What became of a clip: an entry of the journal, a row of the manifest, and what a clip's JSON in a shard says.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::plan::Clip;

/// A clip and what became of it: an entry of the journal, and a row of the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its place in the whole list, from 0.
    pub index: u64,
    pub key: String,
    /// Its source file.
    pub source: String,
    /// Seconds at which it begins there.
    pub start: Option<f64>,
    /// Seconds at which it ends there.
    pub end: Option<f64>,
    pub label: Option<String>,
    pub caption: Option<String>,
    /// SHA-256 of the source as hexadecimal digits, if it could be read.
    pub source_sha256: Option<String>,
    pub outcome: Outcome,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is in the archive.
    Done(Stored),
    /// Another clip of the same bytes and range is in the archive: its key.
    Duplicate(String),
    /// A filter leaves it out: why.
    Skipped(String),
    /// It could not be made: why.
    Failed(String),
}

/// A clip that is in the archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    #[serde(flatten)]
    pub made: Made,
    #[serde(flatten)]
    pub place: Location,
}

/// What was made of a clip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// SHA-256 of the `.lbit` file as hexadecimal digits.
    pub sha256: String,
    /// Length of the `.lbit` file.
    pub bytes: u64,
    /// What of it is beside the video: sound, subtitles, attachments. Journals of older versions do not say it.
    #[serde(default)]
    pub bytes_beside: u64,
    pub frames: u64,
    pub width: u32,
    pub height: u32,
    /// Frames per second; 0 for a picture.
    pub fps: f64,
    pub chunks: u64,
    /// Steps, height and width of its tokens.
    pub tokens_shape: [u64; 3],
    /// Bits of a token.
    pub bits: u8,
    /// SHA-256 of the bundle as hexadecimal digits.
    pub bundle_sha256: String,
    /// PSNR in dB, if it was measured.
    pub psnr: Option<f64>,
}

/// Where a clip is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// File in the folder of the archive.
    pub shard: String,
    /// Where its `.lbit` begins in that file, in bytes.
    pub offset: u64,
    /// Where everything that belongs to it ends in that file, in bytes.
    pub until: u64,
}

/// Rounds to six decimals, which survive the way through a journal or a clip's JSON. A millionth of a second, a decibel
/// or a frame per second is nothing.
pub fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

impl Row {
    pub fn new(clip: &Clip, source_sha256: Option<String>, outcome: Outcome) -> Self {
        let item = clip.item.clone();
        Self {
            index: clip.index,
            key: clip.key.clone(),
            source: item.path,
            start: item.start,
            end: item.end,
            label: item.label,
            caption: item.caption,
            source_sha256,
            outcome,
        }
    }

    /// The clip in the archive, if it is there.
    pub const fn stored(&self) -> Option<&Stored> {
        match &self.outcome {
            Outcome::Done(stored) => Some(stored),
            _ => None,
        }
    }
}

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
pub enum ColumnKind {
    Text,
    Int,
    Float,
    Ints,
}

/// A column.
pub struct Column {
    pub name: &'static str,
    pub kind: ColumnKind,
    /// Whether a clip's JSON in a shard has it too: not what only the whole archive knows.
    pub in_json: bool,
    cell: fn(&Row) -> Cell,
}

/// All columns, in order.
pub const COLUMNS: &[Column] = &[
    column("index", ColumnKind::Int, true, |row| int(row.index)),
    column("key", ColumnKind::Text, true, |row| text(&row.key)),
    column("source", ColumnKind::Text, true, |row| text(&row.source)),
    column("start", ColumnKind::Float, true, |row| float(row.start)),
    column("end", ColumnKind::Float, true, |row| float(row.end)),
    column("label", ColumnKind::Text, true, |row| {
        text_or_null(row.label.as_ref())
    }),
    column("caption", ColumnKind::Text, true, |row| {
        text_or_null(row.caption.as_ref())
    }),
    column("status", ColumnKind::Text, false, |row| {
        text(match row.outcome {
            Outcome::Done(_) => "done",
            Outcome::Duplicate(_) => "duplicate",
            Outcome::Skipped(_) => "skipped",
            Outcome::Failed(_) => "failed",
        })
    }),
    column("error", ColumnKind::Text, false, |row| match &row.outcome {
        Outcome::Skipped(reason) | Outcome::Failed(reason) => text(reason),
        _ => Cell::Null,
    }),
    column("duplicate_of", ColumnKind::Text, false, |row| {
        match &row.outcome {
            Outcome::Duplicate(key) => text(key),
            _ => Cell::Null,
        }
    }),
    column("source_sha256", ColumnKind::Text, true, |row| {
        text_or_null(row.source_sha256.as_ref())
    }),
    column("sha256", ColumnKind::Text, true, |row| {
        made(row, |made| text(&made.sha256))
    }),
    column("bytes", ColumnKind::Int, true, |row| {
        made(row, |made| int(made.bytes))
    }),
    column("frames", ColumnKind::Int, true, |row| {
        made(row, |made| int(made.frames))
    }),
    column("width", ColumnKind::Int, true, |row| {
        made(row, |made| int(made.width.into()))
    }),
    column("height", ColumnKind::Int, true, |row| {
        made(row, |made| int(made.height.into()))
    }),
    column("fps", ColumnKind::Float, true, |row| {
        made(row, |made| Cell::Float(made.fps))
    }),
    column("chunks", ColumnKind::Int, true, |row| {
        made(row, |made| int(made.chunks))
    }),
    column("tokens_shape", ColumnKind::Ints, true, |row| {
        made(row, |made| {
            Cell::Ints(made.tokens_shape.iter().map(|&side| signed(side)).collect())
        })
    }),
    column("bits", ColumnKind::Int, true, |row| {
        made(row, |made| int(made.bits.into()))
    }),
    column("bundle_sha256", ColumnKind::Text, true, |row| {
        made(row, |made| text(&made.bundle_sha256))
    }),
    column("psnr", ColumnKind::Float, true, |row| {
        made(row, |made| float(made.psnr))
    }),
    column("shard", ColumnKind::Text, false, |row| {
        place(row, |place| text(&place.shard))
    }),
    column("offset", ColumnKind::Int, false, |row| {
        place(row, |place| int(place.offset))
    }),
];

const fn column(name: &'static str, kind: ColumnKind, in_json: bool, cell: fn(&Row) -> Cell) -> Column {
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

fn place(row: &Row, cell: impl Fn(&Location) -> Cell) -> Cell {
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

/// A clip's JSON in a shard: the columns that a clip knows of itself.
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
