//! `latentbit models verify`.

use clap::Args;
use serde::Serialize;

use crate::args::headings;
use crate::exit::{Exit, message, usage};
use crate::models::{BUILT_IN, Cache, FileRecord, Name, Record, digest};
use crate::{progress, report};

/// Options of `models verify`.
#[derive(Debug, Args)]
pub struct ModelsVerifyArgs {
    /// Model to check; all of them by default.
    pub name: Option<String>,

    /// Print JSON: one line for each model.
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct ModelsVerifyReport<'a> {
    schema: &'static str,
    name: &'a str,
    /// "whole" or "damaged".
    state: &'static str,
    files: usize,
    bytes: u64,
    problems: Vec<String>,
}

/// Runs the command.
pub fn run(args: &ModelsVerifyArgs, quiet: bool) -> anyhow::Result<Exit> {
    let cache = Cache::from_env()?;
    let models = match args.name.as_deref() {
        Some(BUILT_IN) => {
            return usage(format!(
                "{BUILT_IN} is inside the program; there are no files of it to check"
            ));
        }
        Some(name) => {
            let (name, record) = cache.find(name)?;
            vec![(name, Ok(record))]
        }
        None => {
            let entries = cache.list()?.into_iter();
            entries.map(|entry| (entry.name, entry.record)).collect()
        }
    };
    if models.is_empty() {
        tracing::warn!("{}: there are no models in it", cache.root().display());
    }
    let mut worst = Exit::Success;
    for (name, record) in &models {
        let report = check(&cache, name, record, quiet);
        if !report.problems.is_empty() {
            worst = Exit::Damaged;
        }
        match args.json {
            true => report::print(&report, false)?,
            false => report::print_text(&text(&report))?,
        }
    }
    Ok(worst)
}

fn check<'a>(
    cache: &Cache,
    name: &'a Name,
    record: &anyhow::Result<Record>,
    quiet: bool,
) -> ModelsVerifyReport<'a> {
    let (files, problems) = match record {
        Ok(record) => {
            let problems = record
                .files
                .iter()
                .filter_map(|file| problem(cache, name, file, quiet));
            (record.files.as_slice(), problems.collect())
        }
        Err(error) => (&[][..], vec![message(error)]),
    };
    let state = if problems.is_empty() { "whole" } else { "damaged" };
    ModelsVerifyReport {
        schema: "latentbit.models.verify/1",
        name: name.as_str(),
        state,
        files: files.len(),
        bytes: record.as_ref().map_or(0, Record::bytes),
        problems,
    }
}

fn problem(cache: &Cache, name: &Name, file: &FileRecord, quiet: bool) -> Option<String> {
    let path = cache.folder(name).join(&file.name);
    let length = match path.metadata() {
        Ok(meta) => meta.len(),
        Err(error) => return Some(format!("{}: cannot read: {error}", path.display())),
    };
    if length != file.bytes {
        return Some(format!(
            "{}: expected {} bytes, found {length}",
            path.display(),
            file.bytes
        ));
    }
    let bar = progress::bytes(&file.name, length, quiet);
    let found = digest::of_file(&path, &bar);
    bar.finish_and_clear();
    match found {
        Ok((_, sha256)) if sha256.eq_ignore_ascii_case(&file.sha256) => None,
        Ok((_, sha256)) => Some(format!(
            "{}: expected the SHA-256 {}, found {sha256}",
            path.display(),
            file.sha256
        )),
        Err(error) => Some(message(&error)),
    }
}

fn text(report: &ModelsVerifyReport<'_>) -> String {
    let files = if report.files == 1 { "file" } else { "files" };
    let mut lines = vec![format!(
        "{}: {}, {} {files}, {} bytes",
        report.name, report.state, report.files, report.bytes
    )];
    lines.extend(report.problems.iter().map(|problem| format!("  {problem}")));
    if !report.problems.is_empty() {
        lines.push("  pull or add it again with -y".to_owned());
    }
    lines.join("\n")
}
