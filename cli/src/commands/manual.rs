//! `latentbit manual`: what users read of the command line.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;
use latentbit_media::{MediaError, stdout, text_of};

use crate::args::path;
use crate::exit::Exit;
use crate::manual::{completions, man, markdown};
use crate::report::{print_text, stdout_failed};

/// What to write.
#[derive(Debug, Subcommand)]
pub enum ManualCommand {
    /// Write a man page for each command into a folder, such as ~/.local/share/man/man1.
    Man(ManArgs),
    /// Print the completions for a shell.
    Completions(CompletionsArgs),
    /// Print all commands and options as one page of Markdown.
    Markdown,
}

/// Options of `manual man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder, made if there is none.
    #[arg(value_parser = path)]
    pub folder: PathBuf,
}

/// Options of `manual completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: Shell,
}

/// Runs the command; `definition` is the whole command line.
pub fn run(command: &ManualCommand, definition: clap::Command) -> anyhow::Result<Exit> {
    match command {
        ManualCommand::Man(args) => {
            std::fs::create_dir_all(&args.folder)
                .map_err(|error| MediaError::io(&text_of(&args.folder), "make", error))?;
            for (page, bytes) in man::pages(definition)? {
                let path = args.folder.join(page);
                std::fs::write(&path, bytes)
                    .map_err(|error| MediaError::io(&text_of(&path), "write", error))?;
            }
        }
        ManualCommand::Completions(args) => {
            let mut script = Vec::new();
            completions::write(definition, args.shell, &mut script)?;
            let mut out = stdout()?;
            let written = out.write_all(&script).and_then(|()| out.flush());
            written.map_err(stdout_failed)?;
        }
        ManualCommand::Markdown => print_text(markdown::page(definition).trim_end())?,
    }
    Ok(Exit::Success)
}
