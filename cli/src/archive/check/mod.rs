//! Proves the manifest and the files of an archive against each other.

mod clip;
mod member;
mod rows;
mod shard;
mod strangers;

use std::path::Path;

use serde::Serialize;

use super::columns::{Cell, cell};
use super::place::Folder;
use crate::exit::{Exit, message};

/// Problems that are told one by one.
const TOLD: usize = 1000;

#[derive(Debug, Default, Serialize)]
struct Report {
    schema: &'static str,
    clips: u64,
    files: u64,
    bytes: u64,
    whole: bool,
    /// How many there are; the first ones are listed.
    problem_count: u64,
    problems: Vec<String>,
}

/// What the manifest says of a clip that is in the archive.
struct Expected {
    row: u64,
    key: String,
    cells: Vec<Cell>,
}

struct Check<'a> {
    folder: &'a Folder,
    report: Report,
    json: bool,
}

/// Checks an archive.
///
/// # Errors
/// A manifest that cannot be read. What is wrong with the archive is printed.
pub fn check(folder: &Folder, json: bool) -> anyhow::Result<Exit> {
    let mut check = Check {
        folder,
        report: Report {
            schema: "latentbit.archive.check/1",
            ..Report::default()
        },
        json,
    };
    let files = check.rows()?;
    check.strangers(&files)?;
    for (name, clips) in files {
        check.report.files += 1;
        let checked = match Path::new(&name).extension().is_some_and(|e| e == "tar") {
            true => check.shard(&name, clips),
            false => check.file(&name, &clips),
        };
        if let Err(error) = checked {
            check.problem(&name, &message(&error));
        }
    }
    let report = &mut check.report;
    report.whole = report.problem_count == 0;
    let whole = report.whole;
    if json {
        crate::report::print(report, false)?;
    } else {
        let place = folder.path().display();
        let state = match report.problem_count {
            0 => "whole".to_owned(),
            count => format!("damaged, {count} problems"),
        };
        crate::report::print_text(&format!(
            "{place}: {state}; {} clips in {} files, {} bytes",
            report.clips, report.files, report.bytes
        ))?;
    }
    Ok(if whole { Exit::Success } else { Exit::Damaged })
}

fn text<'a>(cells: &'a [Cell], name: &str) -> &'a str {
    match cell(cells, name) {
        Cell::Text(text) => text,
        _ => "",
    }
}

fn number(cells: &[Cell], name: &str) -> Option<u64> {
    match cell(cells, name) {
        Cell::Int(value) => u64::try_from(*value).ok(),
        _ => None,
    }
}

impl Check<'_> {
    fn problem(&mut self, place: &str, text: &str) {
        let problem = format!("{place}: {text}");
        self.report.problem_count += 1;
        if !self.json {
            tracing::error!("{problem}");
        }
        if self.report.problems.len() < TOLD {
            self.report.problems.push(problem);
        }
    }
}
