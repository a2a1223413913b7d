//! Many clips to an archive of tokens: lists, runs that go on where they ended, shards, the manifest.
//!
//! Clips are made by several workers and put into the archive one after the other, in the order of the list. So the same
//! list gives the same archive, byte for byte, however many workers there are and however often a run was ended: what
//! counts is a journal that says how far the list has been put into it. (On a GPU only with one worker: what small clips
//! are rounded to depends on how many are computed together.)

mod check;
mod columns;
mod digested;
mod journal;
mod list;
mod make;
mod manifest;
mod merge;
mod npy;
mod part;
mod place;
mod plan;
mod quality;
mod recipe;
mod report;
mod resume;
mod row;
mod run;
mod shard;
mod store;
mod tally;

pub use check::check;
pub use merge::merge;
pub use part::Part;
pub use place::Folder;
pub use store::Form;

use std::sync::Mutex;
use std::time::Instant;

use crate::args::ArchiveArgs;
use crate::exit::{Exit, usage};
use crate::interrupt;
use crate::model;
use crate::report::resident_bytes;
use latentbit_codec::bundle::Halves;
use latentbit_media::MediaError;

use journal::{Begin, Journal, Reading, SCHEMA};
use list::{ListOptions, gather};
use make::Workshop;
use plan::Plan;
use recipe::{Recipe, settings};
use resume::Resumed;
use run::{Ended, Run, Shelf};
use store::Store;

/// Archives the clips of a command line.
pub fn archive(args: &ArchiveArgs, folder: &Folder, quiet: bool) -> anyhow::Result<Exit> {
    let part = args.shard.unwrap_or(Part::WHOLE);
    if args.tokens.is_some() && args.format != Form::Webdataset {
        return usage(
            "--tokens puts arrays into shards; add --format webdataset, or export tokens with `latentbit tokens export`",
        );
    }
    let options = ListOptions {
        id_path: args.id_path.clone(),
    };
    let plan = Plan::new(gather(&args.sources, &options)?, part)?;
    if plan.repeated > 0 {
        tracing::warn!(
            "{} clips are listed more than once; they are made once",
            plan.repeated
        );
    }
    let halves = match args.quality_sample {
        0 => Halves::Encoder,
        _ => Halves::Both,
    };
    let bundle = model::load(&args.model, halves)?;
    let lock = folder.prepare(part)?;
    let begin = Begin {
        schema: SCHEMA.to_owned(),
        part,
        list_sha256: plan.digest.clone(),
        total: plan.total,
        clips: plan.clips.len() as u64,
        settings: settings(args, &bundle.id.sha256_hex(), &bundle.dtype().to_string()),
    };
    let (journal, resumed) = begin_or_go_on(folder, begin, args.format)?;
    let before = resumed.tally.clips;
    let left = plan.clips.get(before as usize..).unwrap_or_default();
    let workers = args.workers(left.len(), bundle.device());
    let recipe = Recipe::new(args, args.threads_each(workers), memory_each(args, workers)?);
    let store = Store::open(folder, part, args.format, recipe.full, resumed.progress)?;
    let tally = Mutex::new(resumed.tally);

    interrupt::listen();
    let started = Instant::now();
    let run = Run {
        workshop: Workshop {
            bundle: bundle.clone(),
            recipe: &recipe,
            scratch: &lock.scratch,
            tally: &tally,
        },
        shelf: Shelf {
            tally: &tally,
            pictures: &lock.pictures,
            store,
            journal,
        },
        workers,
        max_errors: args.max_errors,
        quiet,
    };
    let ended = run.run(left, plan.clips.len() as u64)?;
    let tally = tally
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let place = folder.path().display();
    if ended == Ended::Complete && part == Part::WHOLE {
        merge::manifest(folder, &[part])?;
    }
    let report = report::Report::new(&tally, &bundle.id.sha256_hex(), part, ended, started, before);
    if ended == Ended::Complete {
        report.write(folder, &[part], &tally)?;
    }
    if args.json {
        crate::report::print(&report, false)?;
    } else if !quiet {
        eprintln!("{place}: {}", report.text());
    }
    match ended {
        Ended::Interrupted => anyhow::bail!(
            "{place}: stopped after {} of {} clips; the same command goes on from there",
            tally.clips,
            plan.clips.len()
        ),
        Ended::Errors => anyhow::bail!(
            "{place}: stopped after {} of {} clips, {} of which failed; see what is wrong, then go on with a larger --max-errors",
            tally.clips,
            plan.clips.len(),
            tally.failed
        ),
        Ended::Complete if part != Part::WHOLE && !quiet => eprintln!(
            "part {part} is complete; when all of them are, `latentbit archive --merge {place}` writes the manifest"
        ),
        Ended::Complete => {}
    }
    Ok(if tally.failed > 0 {
        Exit::Damaged
    } else {
        Exit::Success
    })
}

/// Opens the journal of an earlier run, or begins one.
fn begin_or_go_on(folder: &Folder, begin: Begin, form: Form) -> anyhow::Result<(Journal, Resumed)> {
    let path = folder.journal(begin.part);
    let Some(mut reading) = Reading::open(&path)? else {
        return Ok((Journal::create(&path, begin)?, Resumed::default()));
    };
    let Some(found) = reading.begin()? else {
        anyhow::bail!(
            "{}: its first entry is damaged, so nobody knows what this archive is; choose a new folder",
            path.display()
        );
    };
    same(folder, &begin, &found)?;
    let mut resumed = resume::resume(folder, form, &mut reading)?;
    if resumed.lost {
        tracing::warn!(
            "{}: some of what was made is missing or damaged; it is made again",
            folder.path().display()
        );
    }
    if let Some(mut reading) = Reading::open(&path)? {
        reading.begin()?;
        resume::count(&mut reading, resumed.journal, |row| resumed.tally.take(row))?;
    }
    Ok((Journal::go_on(&path, Some(resumed.journal))?, resumed))
}

/// Refuses to go on with another list or other options than the archive was begun with.
fn same(folder: &Folder, now: &Begin, then: &Begin) -> anyhow::Result<()> {
    let place = folder.path().display();
    if now == then {
        return Ok(());
    }
    if now.schema != then.schema {
        return usage(format!(
            "{place}: it was begun by another version of this program; go on with that one, or choose a new folder"
        ));
    }
    let names = now.settings.keys().chain(then.settings.keys());
    let mut other: Vec<&str> = names
        .filter(|name| now.settings.get(*name) != then.settings.get(*name))
        .map(String::as_str)
        .collect();
    other.sort_unstable();
    other.dedup();
    if !other.is_empty() {
        return usage(format!(
            "{place}: it was begun with another {}; use the same options to go on, or choose a new folder",
            other.join(", ")
        ));
    }
    usage(format!(
        "{place}: it was begun with another list ({} clips, and {} now); use the same sources to go on, or choose a new \
         folder",
        then.total, now.total
    ))
}

/// What each worker may take of `--max-memory`.
fn memory_each(args: &ArchiveArgs, workers: usize) -> anyhow::Result<Option<u64>> {
    let Some(limit) = args.memory.max_memory else {
        return Ok(None);
    };
    let model = resident_bytes().unwrap_or(0);
    match limit.checked_sub(model) {
        Some(left) if left > 0 => Ok(Some(left / workers as u64)),
        _ => usage(format!(
            "--max-memory: {limit} bytes are less than the {model} that the model alone takes"
        )),
    }
}

/// The journals of `parts`, each after its first entry.
fn journals(folder: &Folder, parts: &[Part]) -> anyhow::Result<Vec<(Begin, Reading)>> {
    let mut all = Vec::new();
    for &part in parts {
        let path = folder.journal(part);
        let missing = || {
            MediaError::io(
                &path.display().to_string(),
                "open",
                std::io::ErrorKind::NotFound.into(),
            )
        };
        let mut reading = Reading::open(&path)?.ok_or_else(missing)?;
        let Some(begin) = reading.begin()? else {
            anyhow::bail!("{}: its first entry is damaged", path.display());
        };
        all.push((begin, reading));
    }
    Ok(all)
}
