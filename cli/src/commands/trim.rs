//! `latentbit trim`.

use latentbit_container::{Limits, WriterOptions, edit};

use crate::args::TrimArgs;
use crate::copied::{self, Nothing};
use crate::exit::Exit;
use crate::lbit_input;
use crate::overwrite::{self, Decision};

/// Runs the command.
pub fn run(args: &TrimArgs) -> anyhow::Result<Exit> {
    if overwrite::check(&args.output)? == Decision::Skip {
        return Ok(Exit::Success);
    }
    let (place, input) = lbit_input::open_bytes(&args.input)?;
    let output = &args.output.output;
    let (_, summary) = copied::write(output, |inner| {
        edit::trim(
            input,
            inner,
            args.bits,
            &Limits::default(),
            WriterOptions::default(),
        )
    })
    .map_err(|error| error.context(place))?;
    copied::tell("trim", output, &summary, Nothing {}, args.json)
}
