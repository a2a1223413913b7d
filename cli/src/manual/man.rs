//! Man pages, one for each command.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::afterword::{ENVIRONMENT, examples, lines};
use super::{Path, built, walk};
use crate::exit::EXIT_CODES;

/// The pages of all commands, with the names of their files: `latentbit-tokens-export.1`.
///
/// # Errors
/// None are known; a writer into memory could run out of it.
pub fn pages(definition: Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let command = built(definition);
    let name = command.get_name();
    let version = command.get_version().unwrap_or_default();
    let all = walk(&command);
    let of = |(path, found): &(Path, &Command)| {
        let page = page_name(name, path);
        let bytes = page_of(found, path, &all, [&page, name, version])?;
        Ok((format!("{page}.1"), bytes))
    };
    all.iter().map(of).collect()
}

fn page_name(name: &str, path: &Path) -> String {
    std::iter::once(name)
        .chain(path.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join("-")
}

fn page_of(
    command: &Command,
    path: &Path,
    all: &[(Path, &Command)],
    [page, name, version]: [&str; 3],
) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .title(page.to_uppercase())
        .source(format!("{name} {version}"))
        .manual("LatentBit");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    synopsis(command).to_writer(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut out)?;
    }
    let mut rest = Roff::new();
    let examples = lines(examples(path));
    if !examples.is_empty() {
        rest.control("SH", ["EXAMPLES"]).control("nf", []);
        for line in examples {
            rest.text([roman(line)]);
        }
        rest.control("fi", []);
    }
    tagged(&mut rest, "ENVIRONMENT", ENVIRONMENT);
    tagged(&mut rest, "EXIT STATUS", EXIT_CODES);
    let others = all.iter().filter(|(other, _)| is_near(path, other));
    let others: Vec<Inline> = others
        .enumerate()
        .flat_map(|(at, (other, _))| {
            let comma = roman(if at == 0 { "" } else { ", " });
            [comma, bold(page_name(name, other)), roman("(1)")]
        })
        .collect();
    rest.control("SH", ["SEE ALSO"]).text(others);
    rest.to_writer(&mut out)?;
    Ok(out)
}

/// Whether a page names another one: what is above it, and what is beside and below it.
fn is_near(path: &Path, other: &Path) -> bool {
    let beside = path.len().saturating_sub(1);
    other != path
        && (other.starts_with(path) || (other.len() <= path.len() && other.starts_with(&path[..beside])))
}

fn synopsis(command: &Command) -> Roff {
    let usage = command.clone().render_usage().to_string();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    for (at, line) in usage.trim_start_matches("Usage:").lines().enumerate() {
        if at > 0 {
            roff.control("br", []);
        }
        roff.text([roman(line.trim())]);
    }
    roff
}

fn tagged(roff: &mut Roff, title: &str, rows: &[(&str, &str)]) {
    roff.control("SH", [title]);
    for (tag, text) in rows {
        roff.control("TP", []).text([bold(*tag)]).text([roman(*text)]);
    }
}
