//! What a run made, for programs and for people.

mod html;

use std::time::Instant;

use serde::Serialize;

use super::part::Part;
use super::place::Folder;
use super::run::Ended;
use super::tally::{Histogram, Tally};
use latentbit_media::MediaError;

/// What a run made.
#[derive(Debug, Serialize)]
pub struct Report {
    schema: &'static str,
    /// Whether the whole list, or the whole part of it, has been looked at.
    complete: bool,
    part: String,
    bundle_sha256: String,
    clips: u64,
    done: u64,
    duplicates: u64,
    skipped: u64,
    failed: u64,
    frames: u64,
    tokens: u64,
    bytes: u64,
    /// Bits per pixel.
    bpp: f64,
    /// Of this run.
    seconds: f64,
    /// Clips that this run looked at.
    clips_of_this_run: u64,
    clips_per_second: f64,
    /// Clips by the length of their files in bytes.
    sizes: Vec<Bin>,
    /// Clips by their frames.
    lengths: Vec<Bin>,
    /// Clips by their PSNR in dB, of those that were measured.
    qualities: Vec<Bin>,
    worst: Vec<Worst>,
    /// The first ones; the manifest has all of them.
    failures: Vec<Failure>,
}

/// A bar of a histogram: values from, and up to but without.
#[derive(Debug, Serialize)]
struct Bin {
    from: u64,
    to: u64,
    clips: u64,
}

#[derive(Debug, Serialize)]
struct Worst {
    psnr: f64,
    key: String,
    source: String,
}

#[derive(Debug, Serialize)]
struct Failure {
    source: String,
    error: String,
}

fn powers(histogram: &Histogram) -> Vec<Bin> {
    let power = |bin: usize| 1u64.checked_shl(bin as u32).unwrap_or(u64::MAX);
    let bins = histogram.bins().map(|(bin, clips)| Bin {
        from: power(bin),
        to: power(bin + 1),
        clips,
    });
    bins.collect()
}

fn units(histogram: &Histogram) -> Vec<Bin> {
    let bins = histogram.bins().map(|(bin, clips)| Bin {
        from: bin as u64,
        to: bin as u64 + 1,
        clips,
    });
    bins.collect()
}

impl Report {
    /// Of a run that began at `started`, when `before` clips had been looked at.
    pub fn new(tally: &Tally, bundle: &str, part: Part, ended: Ended, started: Instant, before: u64) -> Self {
        let seconds = started.elapsed().as_secs_f64();
        let of_this_run = tally.clips - before;
        let worst = tally.worst.iter().map(|(psnr, key, source)| Worst {
            psnr: *psnr,
            key: key.clone(),
            source: source.clone(),
        });
        let failures = tally.failures.iter().map(|(source, error)| Failure {
            source: source.clone(),
            error: error.clone(),
        });
        Self {
            schema: "latentbit.archive/1",
            complete: ended == Ended::Complete,
            part: part.to_string(),
            bundle_sha256: bundle.to_owned(),
            clips: tally.clips,
            done: tally.done,
            duplicates: tally.duplicates,
            skipped: tally.skipped,
            failed: tally.failed,
            frames: tally.frames,
            tokens: tally.tokens,
            bytes: tally.bytes,
            bpp: if tally.pixels > 0.0 {
                tally.bytes as f64 * 8.0 / tally.pixels
            } else {
                0.0
            },
            seconds,
            clips_of_this_run: of_this_run,
            clips_per_second: of_this_run as f64 / seconds.max(1e-9),
            sizes: powers(&tally.sizes),
            lengths: powers(&tally.lengths),
            qualities: units(&tally.qualities),
            worst: worst.collect(),
            failures: failures.collect(),
        }
    }

    /// A line for people.
    pub fn text(&self) -> String {
        format!(
            "{} clips, {} of them archived ({} frames, {} bytes, {:.4} bits per pixel), {} duplicates, {} skipped, {} failed; \
             {:.1} clips/s",
            self.clips,
            self.done,
            self.frames,
            self.bytes,
            self.bpp,
            self.duplicates,
            self.skipped,
            self.failed,
            self.clips_per_second
        )
    }

    /// Writes `report.json` and `report.html` into the archive, with pictures that runs of `parts` kept; for a part of
    /// the list beside its journal.
    pub fn write(&self, folder: &Folder, parts: &[Part], tally: &Tally) -> anyhow::Result<()> {
        let pictures = tally.worst.iter().map(|(_, key, _)| {
            let paths = parts
                .iter()
                .map(|&part| folder.part(part).join("pictures").join(format!("{key}.png")));
            paths.into_iter().find_map(|path| std::fs::read(path).ok())
        });
        let html = html::page(self, &pictures.collect::<Vec<_>>());
        let json = serde_json::to_string_pretty(self)? + "\n";
        let to = match parts {
            [part] if *part != Part::WHOLE => folder.part(*part),
            _ => folder.path().to_owned(),
        };
        let part = parts.first().copied().unwrap_or(Part::WHOLE);
        for (name, text) in [("report.json", json), ("report.html", html)] {
            let target = to.join(name);
            let place = target.display().to_string();
            folder.replace(part, &target, |mut file| {
                let written = std::io::Write::write_all(&mut file, text.as_bytes());
                Ok(written.map_err(|error| MediaError::io(&place, "write", error))?)
            })?;
        }
        Ok(())
    }
}
