//! Says what this reader finds in files, for comparing it with another reader: paths come on stdin, one a line, and for each a
//! line of JSON goes to stdout, in the form of the conformance files (`testdata/conformance/README.md`), and what `verify`
//! says of faults, those of the index included. `spec/reader/tests/test_differential.py` uses it.
//!
//! `cargo run -p latentbit-container --example verdicts < PATHS`

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{self, BufRead, Write};

use latentbit_container::{Limits, verify_file};
use serde_json::json;

#[path = "../tests/conformance/summary.rs"]
mod summary;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for path in io::stdin().lock().lines() {
        let bytes = std::fs::read(path?)?;
        let problems = match verify_file(io::Cursor::new(&bytes), &Limits::default()) {
            Ok(found) => found.problems.iter().map(ToString::to_string).collect(),
            Err(error) => vec![error.to_string()],
        };
        let verdict = json!({
            "problems": problems,
            "strict": summary::strict_error(&bytes),
            "recover": summary::summary(&bytes),
        });
        writeln!(out, "{verdict}")?;
        out.flush()?;
    }
    Ok(())
}
