//! `latentbit verify`.

use anyhow::Context;
use clap::Args;
use latentbit_container::{Error, ErrorKind, Status, Verification, verify, verify_file};
use serde::Serialize;

use crate::args::headings;
use crate::digest::hex;
use crate::exit::{Exit, message};
use crate::limits::limits;
use crate::report;
use crate::streaming::lbit_input;

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// .lbit files; - for stdin.
    #[arg(required = true)]
    pub files: Vec<String>,

    /// Print JSON: one line for each file.
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct VerifyReport<'a> {
    schema: &'static str,
    file: &'a str,
    /// "whole", "lossy" (whole, but tokens were lost before it was written), "truncated", "damaged" or "unreadable".
    state: &'static str,
    bytes: u64,
    chunks: u64,
    lost_chunks: u64,
    lost_frames: u64,
    /// Of each stream, if the end record has them: SHA-256 of the contents, as hexadecimal digits.
    digests: Vec<Option<String>>,
    problems: Vec<Problem>,
    /// How many problems there are besides those.
    more_problems: u64,
}

#[derive(Debug, Serialize)]
struct Problem {
    kind: &'static str,
    offset: Option<u64>,
    chunk: Option<u64>,
    message: String,
}

/// Runs the command.
pub fn run(args: &VerifyArgs) -> anyhow::Result<Exit> {
    let mut worst = Exit::Success;
    for file in &args.files {
        let (report, exit) = match check(file) {
            Ok(found) => describe(file, &found),
            Err(error) => {
                tracing::error!("{}", message(&error));
                (unreadable(file, message(&error)), Exit::of(&error))
            }
        };
        worst = worst.max(exit);
        match args.json {
            true => report::print(&report, false)?,
            false => report::print_text(&text(&report))?,
        }
    }
    Ok(worst)
}

fn check(file: &str) -> anyhow::Result<Verification> {
    let limits = limits();
    let found = match lbit_input::seekable(file)? {
        Some(input) => verify_file(input, &limits),
        None => verify(lbit_input::open_bytes(file)?.1, &limits),
    };
    found.with_context(|| file.to_owned())
}

fn describe<'a>(file: &'a str, found: &Verification) -> (VerifyReport<'a>, Exit) {
    let truncated = |error: &Error| error.kind() == ErrorKind::Truncated;
    let refused = |error: &Error| matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Limits);
    let (state, exit) = match found.status {
        _ if found.is_whole() => ("whole", Exit::Success),
        _ if found.problems.iter().any(refused) => ("unreadable", Exit::Error),
        Status::Complete { .. } if found.problems.is_empty() => ("lossy", Exit::Damaged),
        _ if found.lost_chunks == 0 && found.problems.iter().all(truncated) => ("truncated", Exit::Truncated),
        _ => ("damaged", Exit::Damaged),
    };
    let totals = found.totals.iter().flatten();
    let digests = totals.map(|totals| totals.digest.map(|digest| hex(&digest)));
    let report = VerifyReport {
        schema: "latentbit.verify/1",
        file,
        state,
        bytes: found.bytes,
        chunks: found.chunks,
        lost_chunks: found.lost_chunks,
        lost_frames: found.lost_frames,
        digests: digests.collect(),
        problems: found.problems.iter().map(problem).collect(),
        more_problems: found.problems.more(),
    };
    (report, exit)
}

fn unreadable(file: &str, message: String) -> VerifyReport<'_> {
    VerifyReport {
        schema: "latentbit.verify/1",
        file,
        state: "unreadable",
        bytes: 0,
        chunks: 0,
        lost_chunks: 0,
        lost_frames: 0,
        digests: Vec::new(),
        problems: vec![Problem {
            kind: "io",
            offset: None,
            chunk: None,
            message,
        }],
        more_problems: 0,
    }
}

fn problem(error: &Error) -> Problem {
    Problem {
        kind: match error.kind() {
            ErrorKind::Io => "io",
            ErrorKind::Format => "format",
            ErrorKind::Truncated => "truncated",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Limits => "limits",
            _ => "parameter",
        },
        offset: error.offset(),
        chunk: error.chunk(),
        message: error.to_string(),
    }
}

fn text(r: &VerifyReport<'_>) -> String {
    let mut lines = vec![format!(
        "{}: {}, {} chunks, {} bytes",
        r.file, r.state, r.chunks, r.bytes
    )];
    if r.lost_chunks > 0 {
        lines.push(format!(
            "  {} chunks with {} frames are lost",
            r.lost_chunks, r.lost_frames
        ));
    }
    lines.extend(
        r.problems
            .iter()
            .map(|problem| format!("  {}: {}", problem.kind, problem.message)),
    );
    lines.extend(report::more_problems(r.more_problems).map(|more| format!("  {more}")));
    lines.join("\n")
}
