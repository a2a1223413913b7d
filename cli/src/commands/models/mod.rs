//! `latentbit models`: models that are kept on this machine.

mod add;
mod list;
mod path;
mod pull;
mod report;
mod verify;

use crate::args::ModelsCommand;
use crate::exit::Exit;

/// Runs the command.
pub fn run(command: &ModelsCommand, quiet: bool) -> anyhow::Result<Exit> {
    match command {
        ModelsCommand::List(args) => list::run(args),
        ModelsCommand::Add(args) => add::run(args, quiet),
        ModelsCommand::Pull(args) => pull::run(args, quiet),
        ModelsCommand::Verify(args) => verify::run(args, quiet),
        ModelsCommand::Path(args) => path::run(args),
    }
}
