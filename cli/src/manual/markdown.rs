//! `docs/cli.md`: all commands and options on one page.

use std::fmt::Write;

use clap::{Arg, Command};

use super::afterword::{ENVIRONMENT, examples, lines};
use super::{Path, built, by_heading, walk};
use crate::args::headings::GENERAL;
use crate::exit::EXIT_CODES;

/// The whole page.
pub fn page(definition: Command) -> String {
    let command = built(definition);
    let name = command.get_name();
    let mut out = format!(
        "# The command line\n\n\
         <!-- Made by `{name} manual markdown`; a test compares them. -->\n\n\
         `{name} COMMAND --help` says the same of one command, and so do the man pages (`man {name}-encode`). Messages and \
         progress go to stderr, results to stdout.\n\n\
         | command | |\n|---|---|\n"
    );
    let all = walk(&command);
    let below = || all.iter().filter(|(path, _)| !path.is_empty());
    for (path, found) in below().filter(|(_, found)| !found.has_subcommands()) {
        let words = path.join(" ");
        let about = found.get_about().map(ToString::to_string).unwrap_or_default();
        row(
            &mut out,
            &[&format!("[`{words}`](#{})", words.replace(' ', "-")), &about],
        );
    }
    out.push_str("\n## Options of all commands\n\n");
    let general = |arg: &&Arg| arg.is_global_set() && arg.get_help_heading() == Some(GENERAL);
    let general: Vec<&Arg> = command.get_arguments().filter(general).collect();
    options(&mut out, &general);
    titled(&mut out, "Environment", ["variable", "meaning"], ENVIRONMENT);
    titled(&mut out, "Exit codes", ["code", "meaning"], EXIT_CODES);
    for (path, found) in below() {
        section(&mut out, path, found);
    }
    out
}

fn titled(out: &mut String, title: &str, head: [&str; 2], rows: &[(&str, &str)]) {
    let _ = write!(out, "\n## {title}\n\n| {} | {} |\n|---|---|\n", head[0], head[1]);
    for (key, meaning) in rows {
        row(out, &[&format!("`{key}`"), meaning]);
    }
}

fn section(out: &mut String, path: &Path, command: &Command) {
    let _ = write!(out, "\n## {}\n\n", path.join(" "));
    let about = command.get_long_about().or_else(|| command.get_about());
    let _ = writeln!(out, "{}", about.map(ToString::to_string).unwrap_or_default());
    if command.has_subcommands() {
        return;
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").lines().map(str::trim);
    let _ = write!(out, "\n```text\n{}\n```\n", usage.collect::<Vec<_>>().join("\n"));
    let positional: Vec<&Arg> = command
        .get_positionals()
        .filter(|arg| !arg.is_hide_set())
        .collect();
    if !positional.is_empty() {
        out.push_str("\n| argument | meaning |\n|---|---|\n");
        for arg in positional {
            row(out, &[&format!("`{arg}`"), &meaning(arg)]);
        }
    }
    for (heading, args) in by_heading(command) {
        let own = |arg: &&Arg| !arg.is_global_set() && arg.get_id() != "help";
        let args: Vec<&Arg> = args.into_iter().filter(own).collect();
        if args.is_empty() {
            continue;
        }
        match heading {
            Some(heading) => {
                let _ = write!(out, "\n**{heading}**\n\n");
            }
            None => out.push('\n'),
        }
        options(out, &args);
    }
    let examples = lines(examples(path));
    if !examples.is_empty() {
        let _ = write!(out, "\n```sh\n{}\n```\n", examples.join("\n"));
    }
}

fn options(out: &mut String, args: &[&Arg]) {
    out.push_str("| option | default | meaning |\n|---|---|---|\n");
    for arg in args {
        let takes = arg.get_action().takes_values();
        let values: Vec<&str> = match takes {
            true => arg
                .get_value_names()
                .unwrap_or_default()
                .iter()
                .map(AsRef::as_ref)
                .collect(),
            false => Vec::new(),
        };
        let names = [
            arg.get_short().map(|short| format!("-{short}")),
            arg.get_long().map(|long| format!("--{long}")),
        ];
        let names = names.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let defaults = arg.get_default_values().iter().filter(|_| takes);
        let defaults: Vec<String> = defaults
            .map(|value| format!("`{}`", value.to_string_lossy()))
            .collect();
        let option = std::iter::once(names.as_str())
            .chain(values)
            .collect::<Vec<_>>()
            .join(" ");
        row(out, &[&format!("`{option}`"), &defaults.join(" "), &meaning(arg)]);
    }
}

/// What an option means, and its values if they are few.
fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let values = match arg.get_action().takes_values() {
        true => arg.get_possible_values(),
        false => Vec::new(),
    };
    let values = values.iter().filter(|value| !value.is_hide_set()).map(|value| {
        let meaning = value
            .get_help()
            .map(|help| format!(" ({})", uncapitalised(&help.to_string())));
        format!("`{}`{}", value.get_name(), meaning.unwrap_or_default())
    });
    let values = values.collect::<Vec<_>>().join(", ");
    match values.is_empty() {
        true => help,
        false => format!("{help}: {values}"),
    }
}

/// A sentence as a part of another one.
fn uncapitalised(sentence: &str) -> String {
    let sentence = sentence.trim_end_matches('.');
    let mut rest = sentence.chars();
    match (rest.next(), sentence.chars().nth(1)) {
        // Not of names: "IEEE half precision".
        (Some(first), Some(second)) if !second.is_uppercase() => first.to_lowercase().chain(rest).collect(),
        _ => sentence.to_owned(),
    }
}

/// A row of a table.
fn row(out: &mut String, cells: &[&str]) {
    for cell in cells {
        // A paragraph, a bar and a tag would end the cell or vanish in it.
        let cell = cell.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = write!(out, "| {} ", cell.replace('|', "\\|"));
    }
    out.push_str("|\n");
}
