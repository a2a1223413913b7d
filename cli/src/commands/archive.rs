//! `latentbit archive`.

use crate::args::path;
use latentbit_media::{MediaError, sync_tree, text_of};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use clap::Args;
use latentbit_codec::Device;
use latentbit_codec::bundle::Halves;
use latentbit_codec::pipeline::Geometry;
use serde_json::{Map, Value, json};

use crate::archive::journal::{Begin, SCHEMA};
use crate::archive::list::{ListOptions, gather};
use crate::archive::make::{Digests, Recipe, Workshop};
use crate::archive::plan::ArchivePlan;
use crate::archive::report::ArchiveReport;
use crate::archive::resume::begin_or_go_on;
use crate::archive::run::{Ended, Run, Shelf};
use crate::archive::store::{Full, Store};
use crate::archive::{Folder, Form, ListPart, check, merge, write_manifest};
use crate::args::headings;
use crate::args::{
    CarryArgs, CoderArgs, FilterArgs, GroupArgs, InputArgs, MemoryArgs, ModelArgs, ShardTokens, bits, bytes,
    threads,
};
use crate::exit::{Exit, usage};
use crate::report::{self, resident_bytes};
use crate::streaming::rate::RateArgs;
use crate::{interrupt, model};

/// Options of `archive`.
#[derive(Debug, Args)]
pub struct ArchiveArgs {
    /// Videos, pictures, folders, patterns or lists of clips; - for a list on stdin.
    #[arg(value_name = "SOURCE", required_unless_present_any = ["check", "merge"])]
    pub sources: Vec<String>,

    /// Folder of the archive.
    #[arg(short, long, value_name = "DIR", required_unless_present_any = ["check", "merge"], value_parser = path)]
    pub output: Option<PathBuf>,

    /// Prove the manifest and the files of an archive against each other, in every byte, instead.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["sources", "output", "merge"], value_parser = path)]
    pub check: Option<PathBuf>,

    /// Write the manifest of an archive whose parts are complete, instead.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["sources", "output"], value_parser = path)]
    pub merge: Option<PathBuf>,

    /// Form of the archive: a .lbit file for each clip, or tar shards that WebDataset reads.
    #[arg(help_heading = headings::ARCHIVE, long, value_name = "FORM", value_enum, default_value_t = Form::Lbit)]
    pub format: Form,

    /// Put the tokens of each clip into shards as an array, too.
    #[arg(help_heading = headings::ARCHIVE, long, value_name = "FORMAT", value_enum)]
    pub tokens: Option<ShardTokens>,

    /// Begin a new shard when one has reached this size.
    #[arg(help_heading = headings::ARCHIVE, long, value_name = "SIZE", value_parser = bytes, default_value = "1GiB")]
    pub shard_size: u64,

    /// Begin a new shard when one has this many clips.
    #[arg(help_heading = headings::ARCHIVE, long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub shard_clips: u64,

    /// Archive one part of the list, such as 1/4: several machines can write to one folder so, and --merge writes the
    /// manifest when all are done.
    #[arg(help_heading = headings::CLIPS, long, value_name = "I/N")]
    pub shard: Option<ListPart>,

    /// Where clips are that a list has by their ids alone: a path with {id} in it.
    #[arg(help_heading = headings::CLIPS, long, value_name = "PATH")]
    pub id_path: Option<String>,

    #[command(flatten)]
    pub filters: FilterArgs,

    #[command(flatten)]
    pub input: InputArgs,

    /// Leave clips out that have fewer frames.
    #[arg(help_heading = headings::CLIPS, long, value_name = "N", default_value_t = 1)]
    pub min_frames: u64,

    /// Leave clips out whose pictures have a short side of fewer pixels, before scaling.
    #[arg(help_heading = headings::CLIPS, long, value_name = "PIXELS", default_value_t = 1)]
    pub min_size: u32,

    /// Measure the PSNR of every N-th clip: the report shows the worst ones.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub quality_sample: u64,

    /// Stop when more than this many clips failed.
    #[arg(help_heading = headings::CLIPS, long, value_name = "N")]
    pub max_errors: Option<u64>,

    /// Clips that are made at once; 0 for one on each core, or 32 on a GPU, which computes small ones together.
    #[arg(help_heading = headings::MODEL, long, value_name = "N", default_value_t = 0, value_parser = threads)]
    pub workers: usize,

    /// Bits to keep of each token, the most important ones; all by default.
    #[arg(help_heading = headings::RATE, long, value_name = "N", value_parser = bits)]
    pub bits: Option<u8>,

    #[command(flatten)]
    pub rate: RateArgs,

    /// Latent frames of a chunk; what the model was trained with by default.
    #[arg(help_heading = headings::STORAGE, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub chunk: Option<u16>,

    #[command(flatten)]
    pub groups: GroupArgs,

    #[command(flatten)]
    pub coder: CoderArgs,

    #[command(flatten)]
    pub carry: CarryArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    /// Print a summary as JSON.
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

impl ArchiveArgs {
    /// Threads of the whole run.
    fn all_threads(&self) -> usize {
        match self.model.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// Clips in progress at once, of `clips` in all.
    fn workers(&self, clips: usize, device: &Device) -> usize {
        let workers = match (self.workers, device) {
            (0, Device::Cpu) => self.all_threads(),
            (0, Device::Cuda(_)) => Device::CLIPS_TOGETHER,
            (workers, _) => workers,
        };
        workers.min(clips).max(1)
    }

    /// Threads for each of them.
    fn threads_each(&self, workers: usize) -> usize {
        (self.all_threads() / workers).max(1)
    }

    /// What each worker may take of `--max-memory`.
    fn memory_each(&self, workers: usize) -> anyhow::Result<Option<u64>> {
        let Some(limit) = self.memory.max_memory else {
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

    /// Refuses options that contradict each other, before a folder is made for them.
    fn check_usage(&self) -> anyhow::Result<()> {
        if self.tokens.is_some() && self.format != Form::Webdataset {
            return usage(
                "--tokens puts arrays into shards; add --format webdataset, or export tokens with `latentbit tokens export`",
            );
        }
        self.rate.check(self.bits)?;
        if self.rate.size.is_some() {
            return usage("--size: an archive has many files; give --bpp, --bitrate or --crf instead");
        }
        if self.rate.is_given() && self.tokens.is_some() {
            return usage(
                "--tokens: one array has no place for the depths of tokens; drop it, or give --bits instead of --crf, \
                 --bitrate or --bpp",
            );
        }
        Ok(())
    }

    /// How clips are made, with `workers` at once.
    fn recipe(&self, workers: usize) -> anyhow::Result<Recipe> {
        Ok(Recipe {
            full: Full {
                bytes: self.shard_size,
                clips: self.shard_clips,
            },
            npy: self.tokens.is_some(),
            bits: self.bits,
            rate: self.rate.clone(),
            chunk: self.chunk,
            options: self.groups.options().threads(self.threads_each(workers)),
            writer_options: self.coder.writer_options(),
            filters: self.filters.filters(),
            input: self.input.clone(),
            audio: !self.carry.no_audio,
            subtitles: !self.carry.no_subtitles,
            min_frames: self.min_frames,
            min_size: self.min_size,
            quality_sample: self.quality_sample,
            memory: self.memory_each(workers)?,
        })
    }

    /// Everything that decides what an archive holds, by the names of the options: a run cannot resume one with other
    /// settings. How many clips are made at once does not matter.
    fn settings(&self, bundle: &str, dtype: &str) -> Map<String, Value> {
        let debug = |value: &dyn std::fmt::Debug| Value::from(format!("{value:?}"));
        let shards = self.format == Form::Webdataset;
        let settings = json!({
            "--format": debug(&self.format),
            "--tokens": debug(&self.tokens),
            "--shard-size": shards.then_some(self.shard_size),
            "--shard-clips": shards.then_some(self.shard_clips),
            "--bits": self.bits,
            "--crf": self.rate.crf,
            "--bitrate": self.rate.bitrate,
            "--bpp": self.rate.bpp,
            "--psnr": self.rate.psnr,
            "--maxrate": self.rate.maxrate,
            "--bufsize": self.rate.bufsize,
            "--effort": self.rate.effort,
            "--chunk": self.chunk,
            "--group": self.groups.group,
            "--no-scene-cuts": self.groups.no_scene_cuts,
            "--coder": debug(&self.coder),
            "--fps": debug(&self.filters.fps),
            "--scale": debug(&self.filters.scale),
            "--crop": debug(&self.filters.crop),
            "--vf": self.filters.vf,
            "--no-autorotate": self.input.no_autorotate,
            "--no-deinterlace": self.input.no_deinterlace,
            "--background": debug(&self.input.background),
            "--no-audio": self.carry.no_audio,
            "--no-subtitles": self.carry.no_subtitles,
            "--min-frames": self.min_frames,
            "--min-size": self.min_size,
            "--quality-sample": self.quality_sample,
            "--max-memory": self.memory.max_memory,
            "--model": bundle,
            "--dtype": dtype,
        });
        match settings {
            Value::Object(settings) => settings,
            _ => Map::new(),
        }
    }
}

/// Runs the command.
pub fn run(args: &ArchiveArgs, quiet: bool) -> anyhow::Result<Exit> {
    if let Some(path) = &args.check {
        return check(&Folder::new(path), args.json);
    }
    if let Some(path) = &args.merge {
        return merge(&Folder::new(path), args.json, quiet);
    }
    match &args.output {
        Some(path) => archive(args, &Folder::new(path), quiet),
        None => usage("say where the archive goes with -o DIR"),
    }
}

/// Archives the clips that are asked for.
fn archive(args: &ArchiveArgs, folder: &Folder, quiet: bool) -> anyhow::Result<Exit> {
    let part = args.shard.unwrap_or(ListPart::WHOLE);
    args.check_usage()?;
    let options = ListOptions {
        id_path: args.id_path.clone(),
    };
    let plan = ArchivePlan::new(gather(&args.sources, &options)?, part)?;
    if plan.repeated > 0 {
        tracing::warn!(
            "{} clips are listed more than once; they are made once",
            plan.repeated
        );
    }
    let halves = match (args.quality_sample, args.rate.is_given()) {
        (0, false) => Halves::Encoder,
        _ => Halves::Both,
    };
    let bundle = model::load(&args.model, halves)?;
    let most = Geometry::new(&bundle, 1, 1).chunk_latent_frames;
    if let Some(chunk) = args.chunk.filter(|&chunk| chunk > most) {
        return usage(format!(
            "--chunk {chunk}: the chunks of this model have at most {most} latent frames"
        ));
    }
    let lock = folder.prepare(part)?;
    let begin = Begin {
        schema: SCHEMA.to_owned(),
        part,
        list_sha256: plan.digest.clone(),
        total: plan.total,
        clips: plan.clips.len() as u64,
        settings: args.settings(&bundle.id.sha256_hex(), &bundle.dtype().to_string()),
    };
    let (journal, resumed) = begin_or_go_on(folder, begin, args.format)?;
    let before = resumed.tally.clips;
    let left = plan.clips.get(before as usize..).unwrap_or_default();
    let workers = args.workers(left.len(), bundle.device());
    let recipe = args.recipe(workers)?;
    let store = Store::open(folder, part, args.format, recipe.full, resumed.progress)?;
    let tally = Mutex::new(resumed.tally);

    interrupt::listen();
    let started = Instant::now();
    let run = Run {
        workshop: Workshop {
            bundle: bundle.clone(),
            recipe: &recipe,
            digests: Digests::new(left),
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
    let place = text_of(folder.path());
    if ended == Ended::Complete && part == ListPart::WHOLE {
        write_manifest(folder, &[part])?;
    }
    let report = ArchiveReport::new(&tally, &bundle.id.sha256_hex(), part, ended, started, before);
    if ended == Ended::Complete {
        report.write(folder, &[part], &tally)?;
        sync_tree(folder.path()).map_err(|error| MediaError::io(&place, "sync", error))?;
    }
    if args.json {
        report::print(&report, false)?;
    } else if !quiet {
        report::tell(&format!("{place}: {}", report.text()));
    }
    match ended {
        Ended::Interrupted => {
            tracing::error!(
                "{place}: stopped after {} of {} clips; the same command goes on from there",
                tally.clips,
                plan.clips.len()
            );
            return Ok(interrupt::ended_early().unwrap_or(Exit::Interrupted));
        }
        Ended::Errors => anyhow::bail!(
            "{place}: stopped after {} of {} clips, {} of which failed; see what is wrong, then go on with a larger --max-errors",
            tally.clips,
            plan.clips.len(),
            tally.failed
        ),
        Ended::Complete if part != ListPart::WHOLE && !quiet => report::tell(&format!(
            "part {part} is complete; when all of them are, `latentbit archive --merge {place}` writes the manifest"
        )),
        Ended::Complete => {}
    }
    Ok(if tally.failed > 0 {
        Exit::Damaged
    } else {
        Exit::Success
    })
}
