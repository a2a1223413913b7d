//! `latentbit index`.

use anyhow::Context;
use clap::Args;
use latentbit_container::edit;

use crate::args::OutputArgs;
use crate::exit::Exit;
use crate::limits::limits;
use crate::overwrite;
use crate::streaming::{lbit_input, lbit_output};

/// Options of `index`.
#[derive(Debug, Args)]
pub struct IndexArgs {
    /// .lbit file.
    pub file: String,

    /// Write to this file instead; the input is changed if there is none.
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<String>,

    /// Overwrite that file if it exists.
    #[arg(short = 'y', long, requires = "output")]
    pub overwrite: bool,
}

/// Runs the command.
pub fn run(args: &IndexArgs) -> anyhow::Result<Exit> {
    let file = lbit_input::open_file(&args.file)?;
    let output = match &args.output {
        Some(output) => {
            overwrite::check(&OutputArgs {
                output: output.clone(),
                overwrite: args.overwrite,
                skip_existing: false,
                force: false,
            })?;
            output
        }
        None => &args.file,
    };
    let bytes = lbit_output::write_file(output, |inner| edit::reindex(file, inner, &limits()))
        .with_context(|| args.file.clone())?;
    tracing::info!("{output}: {bytes} bytes, with an index");
    Ok(Exit::Success)
}
