//! Keeps within the memory that a command line allows.

use latentbit_codec::Bundle;
use latentbit_codec::pipeline::{Geometry, MemoryPlan, TileStates, Work};
use latentbit_container::PixelFrames;

use crate::args::MemoryArgs;
use crate::exit::usage;
use crate::report::resident_bytes;

/// How the VAE is run, and how much memory that takes in all.
#[derive(Debug)]
pub struct Planned {
    pub plan: MemoryPlan,
    /// Peak memory of the process that is expected, in bytes.
    pub estimate: u64,
}

/// Chooses whole frames or tiles, and says so if a limit was given. The model must be loaded: what the process has by now
/// is part of the estimate. So is `besides`, in bytes: what the command takes beside the pipeline. `frames` is how many the video
/// has, if that is known.
pub fn plan(
    args: &MemoryArgs,
    bundle: &Bundle,
    geometry: &Geometry,
    work: Work,
    frames: Option<u64>,
    besides: u64,
    quiet: bool,
) -> anyhow::Result<Planned> {
    let before = resident_bytes().unwrap_or(0).saturating_add(besides);
    let limit = match args.max_memory {
        None => None,
        Some(limit) if limit > before => Some(limit - before),
        Some(limit) => {
            return usage(format!(
                "--max-memory: {} are less than the {} that the model alone takes",
                megabytes(limit),
                megabytes(before)
            ));
        }
    };
    let plan = MemoryPlan::new(bundle, geometry, work, frames.map(PixelFrames), limit)?;
    let estimate = before + plan.estimate;
    let how = match &plan.tiling {
        None => "whole frames".to_owned(),
        Some(tiling) => {
            let [rows, columns] = tiling.counts();
            let seams = if tiling.blends() { "blended" } else { "exact" };
            let disk = match plan.states {
                TileStates::OnDisk => ", their states on disk",
                TileStates::InMemory | TileStates::Nowhere => "",
            };
            format!("{rows}x{columns} {seams} tiles{disk}")
        }
    };
    let text = format!("about {} of memory: {how}", megabytes(estimate));
    if args.max_memory.is_some() && !quiet {
        eprintln!("{text}");
    } else {
        tracing::info!("{text}");
    }
    Ok(Planned { plan, estimate })
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}
