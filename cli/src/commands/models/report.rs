//! Reports about models.

use std::path::PathBuf;

use serde::Serialize;

use crate::models::{Cache, FileRecord, Kind, Name, Record, Source};
use crate::report;

/// A model as JSON.
#[derive(Debug, Serialize)]
pub struct ModelReport<'a> {
    pub name: &'a str,
    pub kind: Kind,
    pub bytes: u64,
    /// Path to give to other programs.
    pub path: PathBuf,
    pub files: &'a [FileRecord],
    pub source: &'a Source,
}

impl<'a> ModelReport<'a> {
    /// Report of a model in `cache`.
    pub fn new(cache: &Cache, name: &'a Name, record: &'a Record) -> Self {
        Self {
            name: name.as_str(),
            kind: record.kind,
            bytes: record.bytes(),
            path: record.path(&cache.folder(name)),
            files: &record.files,
            source: &record.source,
        }
    }
}

#[derive(Debug, Serialize)]
struct Kept<'a> {
    schema: &'static str,
    /// Whether it was there before.
    unchanged: bool,
    #[serde(flatten)]
    model: ModelReport<'a>,
}

/// Says that the cache has a model now.
pub fn kept(cache: &Cache, name: &Name, record: &Record, unchanged: bool, json: bool) -> anyhow::Result<()> {
    let model = ModelReport::new(cache, name, record);
    if json {
        let schema = "latentbit.models.kept/1";
        let kept = Kept {
            schema,
            unchanged,
            model,
        };
        return report::print(&kept, false);
    }
    let state = if unchanged { ", was there already" } else { "" };
    report::print_text(&format!(
        "{name}: {}, {}{state}; use it with --model {name}",
        record.kind,
        size(record.bytes())
    ))
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
