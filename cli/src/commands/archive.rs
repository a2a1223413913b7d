//! `latentbit archive`.

use crate::archive::{Folder, archive, check, merge};
use crate::args::ArchiveArgs;
use crate::exit::{Exit, usage};

/// Runs the command.
pub fn run(args: &ArchiveArgs, quiet: bool) -> anyhow::Result<Exit> {
    if let Some(path) = &args.check {
        return check(&Folder::new(path), args.json);
    }
    if let Some(path) = &args.merge {
        return merge(&Folder::new(path), args.json, quiet);
    }
    match &args.output {
        Some(path) => archive(args, &Folder::new(path), quiet),
        None => usage("say where the archive goes with -o DIR"),
    }
}
