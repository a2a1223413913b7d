//! A run: makes several clips at once, and adds them to the archive one by one in the order of the list.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;

use super::journal::Journal;
use super::make::{Attempt, Stopped, Tried, Workshop};
use super::plan::Clip;
use super::row::{Location, Outcome, Row, Stored, cells, json};
use super::store::{Files, Store, remove};
use super::tally::{Tally, contents};
use crate::streaming::threads::start_scoped;
use crate::{interrupt, progress};

/// Clips in progress or waiting for an earlier one, for each worker: a long one must not keep the others waiting, and
/// clips that wait for it must not fill the disk.
const WINDOW: usize = 8;

/// How often finished clips are synced to the disk, and progress is printed where there is no bar.
const SYNC: Duration = Duration::from_secs(5);
const TELL: Duration = Duration::from_secs(60);

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All clips are done.
    Complete,
    /// The user pressed Ctrl-C.
    Interrupted,
    /// Too many clips failed.
    Errors,
}

/// A run.
pub struct Run<'a> {
    pub workshop: Workshop<'a>,
    pub shelf: Shelf<'a>,
    pub workers: usize,
    /// Clips that may fail.
    pub max_errors: Option<u64>,
    pub quiet: bool,
}

/// Where finished clips go.
pub struct Shelf<'a> {
    pub tally: &'a Mutex<Tally>,
    /// Folder for pictures of clips whose quality was measured.
    pub pictures: &'a Path,
    pub store: Store,
    pub journal: Journal,
}

fn locked(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    // A panic of its holder is reported elsewhere.
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run<'_> {
    /// Makes `clips`, the last ones of `total`.
    ///
    /// # Errors
    /// Only what is no clip's fault; finished clips stay.
    pub fn run(self, clips: &[Clip], total: u64) -> anyhow::Result<Ended> {
        let frames = AtomicU64::new(0);
        let told = Told::new(total, total - clips.len() as u64, self.quiet);
        let (jobs, queue) = unbounded::<(usize, &Clip)>();
        let (sender, results) = unbounded();
        let Run {
            workshop,
            mut shelf,
            workers,
            max_errors,
            ..
        } = self;
        let tally = shelf.tally;
        let ended = std::thread::scope(|scope| {
            for _ in 0..workers {
                let (queue, sender) = (queue.clone(), sender.clone());
                let (workshop, frames) = (&workshop, &frames);
                start_scoped(scope, "make", move || {
                    for (number, clip) in queue {
                        let count = |made| {
                            frames.fetch_add(made, Ordering::Relaxed);
                        };
                        let tried = catch_unwind(AssertUnwindSafe(|| workshop.make(clip, &count)));
                        let tried = tried.unwrap_or_else(|_| {
                            Ok(Tried {
                                source_sha256: None,
                                attempt: Attempt::Failed(
                                    "making it ended unexpectedly; this is a bug".to_owned(),
                                ),
                            })
                        });
                        if sender.send((number, tried)).is_err() {
                            break;
                        }
                    }
                })?;
            }
            drop((queue, sender));
            let mut waiting = clips.iter().enumerate();
            let window = waiting.by_ref().take(workers * WINDOW);
            for job in window {
                // Fails only if all workers are gone, which is noticed below.
                let _ = jobs.send(job);
            }
            let mut jobs = Some(jobs);
            let mut early = BTreeMap::new();
            let mut synced = Instant::now();
            let mut order = 0;
            let too_many = || max_errors.is_some_and(|most| locked(tally).failed > most);
            let ended = loop {
                if too_many() {
                    break Ok(Ended::Errors);
                }
                if order == clips.len() {
                    break Ok(Ended::Complete);
                }
                let Ok((number, tried)) = results.recv() else {
                    break Err(anyhow::anyhow!("the threads that make clips died; this is a bug"));
                };
                match tried {
                    Ok(tried) => {
                        early.insert(number, tried);
                    }
                    Err(error) if error.is::<Stopped>() => break Ok(Ended::Interrupted),
                    Err(error) => break Err(error),
                }
                let mut done = Ok(());
                while let Some(tried) = early.remove(&order)
                    && done.is_ok()
                    && !too_many()
                {
                    done = shelf.put(&clips[order], tried);
                    order += 1;
                    told.clip(&locked(tally), frames.load(Ordering::Relaxed));
                    if let (Some(jobs), Some(job)) = (&jobs, waiting.next()) {
                        let _ = jobs.send(job);
                    }
                }
                let due = synced.elapsed() > SYNC;
                if due {
                    synced = Instant::now();
                    done = done.and_then(|()| shelf.sync());
                }
                if let Err(error) = done {
                    break Err(error);
                }
            };
            // Nobody will take the clips in progress any more.
            if !matches!(ended, Ok(Ended::Complete)) {
                interrupt::stop();
            }
            jobs.take();
            ended
        });
        told.bar.finish_and_clear();
        let synced = shelf.sync();
        let ended = ended?;
        synced?;
        if ended == Ended::Complete {
            shelf.store.finish()?;
        }
        Ok(ended)
    }
}

impl Shelf<'_> {
    fn sync(&self) -> anyhow::Result<()> {
        self.store.sync()?;
        self.journal.sync()
    }

    /// Puts a clip into the archive.
    fn put(&mut self, clip: &Clip, tried: Tried) -> anyhow::Result<()> {
        let Tried {
            source_sha256,
            attempt,
        } = tried;
        let item = &clip.item;
        let known = source_sha256.as_ref().and_then(|sha256| {
            let contents = contents(sha256, item.start, item.end);
            locked(self.tally).known(&contents).cloned()
        });
        let outcome = match attempt {
            Attempt::Failed(reason) => {
                tracing::error!("{}: left out: {reason}", item.path);
                Outcome::Failed(reason)
            }
            Attempt::Skipped(reason) => Outcome::Skipped(reason),
            Attempt::Known | Attempt::Made { .. } if known.is_some() => {
                if let Attempt::Made { files, picture, .. } = attempt {
                    discard(&files);
                    picture.iter().for_each(|picture| remove(picture));
                }
                Outcome::Duplicate(known.unwrap_or_default())
            }
            Attempt::Known => anyhow::bail!("{}: a clip that it repeats is gone; this is a bug", item.path),
            Attempt::Made { made, files, picture } => {
                // A clip's JSON does not depend on where the clip is.
                let place = Location {
                    shard: String::new(),
                    offset: 0,
                    until: 0,
                };
                let stored = Stored { made: *made, place };
                let mut row = Row::new(clip, source_sha256.clone(), Outcome::Done(stored.clone()));
                let about = json(&cells(&row));
                let place = self.store.take(&clip.key, &files, about)?;
                row.outcome = Outcome::Done(Stored { place, ..stored });
                if let Some(picture) = picture {
                    // Only the report needs it.
                    let _ = fs::rename(picture, self.pictures.join(format!("{}.png", clip.key)));
                }
                return self.note(row);
            }
        };
        self.note(Row::new(clip, source_sha256, outcome))
    }

    fn note(&mut self, row: Row) -> anyhow::Result<()> {
        let dropped = {
            let mut tally = locked(self.tally);
            let before: Vec<String> = tally.worst.iter().map(|(_, key, _)| key.clone()).collect();
            tally.take(&row);
            let measured = row.stored().is_some_and(|stored| stored.made.psnr.is_some());
            let kept = |key: &String| tally.worst.iter().any(|(_, known, _)| known == key);
            let candidates = before.into_iter().chain(measured.then(|| row.key.clone()));
            candidates.filter(|key| !kept(key)).collect::<Vec<_>>()
        };
        for key in dropped {
            remove(&self.pictures.join(format!("{key}.png")));
        }
        self.journal.add(row)?;
        if self.store.finish_full()? {
            self.journal.sync()?;
        }
        Ok(())
    }
}

fn discard(files: &Files) {
    remove(&files.lbit);
    files.npy.iter().for_each(|(npy, _)| remove(npy));
}

/// Progress as it is shown.
struct Told {
    bar: indicatif::ProgressBar,
    started: Instant,
    before: u64,
    last: Mutex<Instant>,
    quiet: bool,
}

impl Told {
    fn new(total: u64, before: u64, quiet: bool) -> Self {
        let bar = progress::clips(total, quiet);
        bar.set_position(before);
        bar.reset_eta();
        bar.set_message("0 frames/s, 0 errors");
        Self {
            bar,
            started: Instant::now(),
            before,
            last: Mutex::new(Instant::now()),
            quiet,
        }
    }

    fn clip(&self, tally: &Tally, frames: u64) {
        let seconds = self.started.elapsed().as_secs_f64();
        let message = format!("{:.0} frames/s, {} errors", frames as f64 / seconds, tally.failed);
        self.bar.set_message(message.clone());
        self.bar.set_position(tally.clips);
        // For the logs of batch systems, which are no terminals.
        if self.quiet || !self.bar.is_hidden() {
            return;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() < TELL {
            return;
        }
        *last = Instant::now();
        let rate = (tally.clips - self.before) as f64 / seconds;
        let total = self.bar.length().unwrap_or(tally.clips);
        let left = (total - tally.clips.min(total)) as f64 / rate.max(1e-9);
        crate::report::tell(&format!(
            "{} of {total} clips, {rate:.2} clips/s, {message}, {left:.0} s left",
            tally.clips
        ));
    }
}
