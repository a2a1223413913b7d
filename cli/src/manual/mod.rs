//! What users read of the command line, made of the definitions that parse it: man pages, completions, Markdown, and the
//! examples and exit codes after `--help`.

pub mod afterword;
pub mod completions;
pub mod man;
pub mod markdown;

use clap::{Arg, Command};

/// The definition with all that commands inherit, and without `help`, which is no page of its own.
fn built(definition: Command) -> Command {
    let mut command = definition.disable_help_subcommand(true);
    command.build();
    command
}

/// The words that call a command: `["tokens", "export"]`.
type Path = Vec<String>;

/// A command and all below it, each with its words, in the order of `--help`.
fn walk(command: &Command) -> Vec<(Path, &Command)> {
    let mut all = vec![(Vec::new(), command)];
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        for (below, found) in walk(sub) {
            let path = std::iter::once(sub.get_name().to_owned()).chain(below);
            all.push((path.collect(), found));
        }
    }
    all
}

/// The options of a command by their headings, in the order of `--help`; the first ones have none.
fn by_heading(command: &Command) -> Vec<(Option<&str>, Vec<&Arg>)> {
    let mut groups: Vec<(Option<&str>, Vec<&Arg>)> = vec![(None, Vec::new())];
    let shown = |arg: &&Arg| !arg.is_hide_set() && !arg.is_positional();
    for arg in command.get_arguments().filter(shown) {
        let heading = arg.get_help_heading();
        match groups.iter_mut().find(|(name, _)| *name == heading) {
            Some((_, args)) => args.push(arg),
            None => groups.push((heading, vec![arg])),
        }
    }
    groups.retain(|(_, args)| !args.is_empty());
    groups
}

#[cfg(test)]
mod tests;
