//! Plans memory within `--max-memory`.

use latentbit_codec::Bundle;
use latentbit_codec::pipeline::{Geometry, MemoryPlan, TileStates, Work};
use latentbit_container::PixelFrames;

use crate::args::MemoryArgs;
use crate::exit::usage;
use crate::report::{peak_memory_bytes, resident_bytes};

/// How the VAE is run, and how much memory the process takes.
#[derive(Debug)]
pub struct Planned {
    pub plan: MemoryPlan,
    /// Expected peak memory of the process, in bytes.
    pub estimate: u64,
}

/// What the memory depends on.
#[derive(Debug)]
pub struct Task<'a> {
    /// Must be loaded: the memory that the process holds by now is part of the estimate.
    pub bundle: &'a Bundle,
    pub geometry: &'a Geometry,
    pub work: Work,
    /// How many frames go through the VAE, if that is known.
    pub frames: Option<u64>,
    /// What concealment adds once chunks are lost, in bytes. It counts towards the limit.
    pub where_lost: u64,
}

/// Chooses between whole frames and tiles, and prints the choice if a limit was given.
pub fn plan(args: &MemoryArgs, task: &Task, quiet: bool) -> anyhow::Result<Planned> {
    let before = resident_bytes().unwrap_or(0);
    let reserved = before.saturating_add(task.where_lost);
    let limit = match args.max_memory {
        None => None,
        Some(limit) if limit > reserved => Some(limit - reserved),
        Some(limit) => {
            return usage(format!(
                "--max-memory: {} are less than the {} that the model alone takes",
                megabytes(limit),
                megabytes(reserved)
            ));
        }
    };
    let plan = MemoryPlan::new(
        task.bundle,
        task.geometry,
        task.work,
        task.frames.map(PixelFrames),
        limit,
    )?;
    // Small frames can take less than loading the model did.
    let estimate = (before + plan.estimate).max(peak_memory_bytes().unwrap_or(0));
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
    let lost = match task.where_lost {
        0 => String::new(),
        more => format!(", {} where chunks are lost", megabytes(estimate + more)),
    };
    let text = format!("about {} of memory{lost}: {how}", megabytes(estimate));
    if args.max_memory.is_some() && !quiet {
        crate::report::tell(&text);
    } else {
        tracing::info!("{text}");
    }
    Ok(Planned { plan, estimate })
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}
