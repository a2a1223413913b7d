//! Whether an output may be written.

use latentbit_media::path_of;
use std::io::IsTerminal;

use crate::args::OutputArgs;
use crate::exit::usage;

/// What to do about the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Write,
    /// It exists and is to be left alone.
    Skip,
}

/// Decides without asking: an existing file is overwritten with -y, left alone with -n, else refused.
pub fn check(args: &OutputArgs) -> anyhow::Result<Decision> {
    // Nor is a file replaced that appears later.
    latentbit_media::set_replace(args.overwrite);
    if args.output == "-" {
        if std::io::stdout().is_terminal() && !args.force {
            return usage("stdout is a terminal; send the output to a file or a pipe, or force it with -f");
        }
        return Ok(Decision::Write);
    }
    // Devices and pipes are there to be written to.
    let exists = path_of(&args.output).metadata().is_ok_and(|m| m.is_file());
    if !exists || args.overwrite {
        return Ok(Decision::Write);
    }
    if args.skip_existing {
        tracing::warn!("{}: exists, left as it is", args.output);
        return Ok(Decision::Skip);
    }
    anyhow::bail!(
        "{}: exists already; overwrite it with -y, or leave it with -n",
        args.output
    )
}

/// Refuses to write a second file over one that exists, unless the output may be overwritten too.
pub fn check_beside(path: &str, args: &OutputArgs) -> anyhow::Result<()> {
    if path == "-" && args.output == "-" {
        return usage("stdout carries the output already; name a file");
    }
    match path {
        "-" => Ok(()),
        path => check_file(path, args.overwrite),
    }
}

/// Refuses to write over a file that exists, unless that is asked for.
pub fn check_file(path: &str, overwrite: bool) -> anyhow::Result<()> {
    let exists = path_of(path).metadata().is_ok_and(|m| m.is_file());
    if exists && !overwrite {
        anyhow::bail!("{path}: exists already; overwrite it with -y");
    }
    Ok(())
}
