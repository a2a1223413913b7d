//! `latentbit models path`.

use crate::args::ModelsPathArgs;
use crate::exit::{Exit, usage};
use crate::models::{BUILT_IN, Cache};
use crate::report;

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
