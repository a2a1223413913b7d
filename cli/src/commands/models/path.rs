//! `latentbit models path`.

use clap::Args;

use crate::exit::{Exit, usage};
use crate::models::{BUILT_IN, Cache};
use crate::report;

/// Options of `models path`.
#[derive(Debug, Args)]
pub struct ModelsPathArgs {
    /// Name of the model.
    pub name: String,
}

/// Runs the command.
pub fn run(args: &ModelsPathArgs) -> anyhow::Result<Exit> {
    if args.name == BUILT_IN {
        return usage(format!(
            "{BUILT_IN} is inside the program and has no path; it is used without --model"
        ));
    }
    let cache = Cache::from_env()?;
    let (name, record) = cache.find(&args.name)?;
    let path = record.path(&cache.folder(&name));
    report::print_text(&path.display().to_string())?;
    Ok(Exit::Success)
}
