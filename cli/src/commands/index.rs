//! `latentbit index`.

use anyhow::Context;
use latentbit_container::{Limits, edit};

use crate::args::{IndexArgs, OutputArgs};
use crate::copied;
use crate::exit::Exit;
use crate::lbit_input;
use crate::overwrite;

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
    let bytes = copied::write(output, |inner| edit::reindex(file, inner, &Limits::default()))
        .with_context(|| args.file.clone())?;
    tracing::info!("{output}: {bytes} bytes, with an index");
    Ok(Exit::Success)
}
