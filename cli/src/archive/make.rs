//! Encodes one clip.

use latentbit_media::path_of;
use latentbit_media::text_of;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use latentbit_codec::Bundle;
use latentbit_codec::pipeline::{MemoryPlan, Options};
use latentbit_codec::rate::depth_step;
use latentbit_container::{VideoStream, WriterOptions};
use sha2::{Digest, Sha256};

use super::list::is_remote;
use super::plan::{Clip, Item};
use super::quality;
use super::row::{Made, rounded};
use super::store::{Files, Full, NPY, remove};
use super::tally::{Tally, contents};
use crate::args::InputArgs;
use crate::digest::{Digested, hex};
use crate::exit::message;
use crate::interrupt;
use crate::streaming::encoding::{Encoding, describe};
use crate::streaming::rate::RateArgs;
use crate::tokens::write_npy;
use latentbit_media::{Filters, FrameSource, InputOptions, MediaError, MediaErrorKind, Start, open_source};

/// The result of trying to make a clip.
#[derive(Debug)]
pub enum Attempt {
    Made {
        made: Box<Made>,
        files: Files,
        /// File with the worst frame beside its original, if the quality was measured.
        picture: Option<PathBuf>,
    },
    /// A clip with the same contents is in the archive already.
    Known,
    /// A filter leaves it out: why.
    Skipped(String),
    /// It cannot be made: why.
    Failed(String),
}

/// The result for a clip, and the SHA-256 of its source if that could be read.
#[derive(Debug)]
pub struct Tried {
    pub source_sha256: Option<String>,
    pub attempt: Attempt,
}

/// SHA-256 of the sources that several clips are parts of, each computed once.
#[derive(Debug)]
pub struct Digests(HashMap<String, Mutex<Option<SourceDigest>>>);

/// A digest and the state of the file that it is of.
#[derive(Debug)]
struct SourceDigest {
    len: u64,
    modified: Option<SystemTime>,
    sha256: String,
}

impl Digests {
    /// For the sources of these clips.
    pub fn new(clips: &[Clip]) -> Self {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for clip in clips {
            *counts.entry(&clip.item.path).or_default() += 1;
        }
        let several = counts.into_iter().filter(|(_, count)| *count > 1);
        Self(
            several
                .map(|(path, _)| (path.to_owned(), Mutex::default()))
                .collect(),
        )
    }

    /// SHA-256 of a source, as hexadecimal digits. Others who want the same one wait for it.
    fn of(&self, path: &str) -> anyhow::Result<String> {
        let Some(known) = self.0.get(path) else {
            return digest(path);
        };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let metadata = fs::metadata(path_of(path)).map_err(|error| MediaError::io(path, "open", error))?;
        let (len, modified) = (metadata.len(), metadata.modified().ok());
        if let Some(known) = known
            .as_ref()
            .filter(|known| (known.len, known.modified) == (len, modified))
        {
            return Ok(known.sha256.clone());
        }
        let sha256 = digest(path)?;
        *known = Some(SourceDigest {
            len,
            modified,
            sha256: sha256.clone(),
        });
        Ok(sha256)
    }
}

/// What all clips are made with.
pub struct Workshop<'a> {
    pub bundle: Arc<Bundle>,
    pub recipe: &'a Recipe,
    pub digests: Digests,
    /// Folder for clips in progress.
    pub scratch: &'a Path,
    pub tally: &'a Mutex<Tally>,
}

/// The run was stopped, so the clip has no result.
#[derive(Debug, thiserror::Error)]
#[error("the run was stopped")]
pub struct Stopped;

impl Workshop<'_> {
    /// Makes a clip. `progress` is called with the number of new frames.
    ///
    /// # Errors
    /// Only what is not the clip's fault: a disk that is full or fails, and [`Stopped`].
    pub fn make(&self, clip: &Clip, progress: &(dyn Fn(u64) + Sync)) -> anyhow::Result<Tried> {
        let mut source_sha256 = None;
        let result = self.attempt(clip, &mut source_sha256, progress);
        // A clip that this cut short would look whole.
        if interrupt::interrupted() {
            return Err(Stopped.into());
        }
        let attempt = match result {
            Ok(attempt) => attempt,
            Err(error) if self.is_ours(&error) => return Err(error),
            Err(error) => Attempt::Failed(message(&error)),
        };
        Ok(Tried {
            source_sha256,
            attempt,
        })
    }

    /// Whether an error is about the output rather than the clip.
    fn is_ours(&self, error: &anyhow::Error) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        error.chain().any(|cause| {
            let full = cause
                .downcast_ref()
                .is_some_and(|error: &std::io::Error| matches!(error.kind(), StorageFull | QuotaExceeded));
            let written = cause
                .downcast_ref()
                .is_some_and(|error: &MediaError| path_of(error.place()).starts_with(self.scratch));
            full || written
        })
    }

    fn attempt(
        &self,
        clip: &Clip,
        source_sha256: &mut Option<String>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> anyhow::Result<Attempt> {
        let item = &clip.item;
        // What comes over the network is read once, by the decoder, and nobody sees all of its bytes.
        if !is_remote(&item.path) {
            let sha256 = self.digests.of(&item.path)?;
            *source_sha256 = Some(sha256.clone());
            let known = contents(&sha256, item.start, item.end);
            let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            if tally.known(&known).is_some() {
                return Ok(Attempt::Known);
            }
        }
        let recipe = self.recipe;
        let (mut source, whole) = self.open(item)?;
        if whole.iter().any(|&side| side < recipe.min_size) {
            let [width, height] = whole;
            let reason = format!(
                "its pictures are {width}x{height}, and --min-size asks for {} on the short side",
                recipe.min_size
            );
            return Ok(Attempt::Skipped(reason));
        }
        let mut video = describe(&self.bundle, source.info(), recipe.bits)?;
        if let Some(chunk) = recipe.chunk {
            video.chunk_latent_frames = video.chunk_latent_frames.min(chunk);
        }
        let rate = recipe.rate.rate(&video, recipe.bits)?;
        let video = rate.describe(video, &self.bundle);
        let lbit = self.scratch.join(format!("{}.lbit", clip.key));
        let output = text_of(&lbit);
        let work = rate.work(depth_step(&self.bundle));
        // Planned as for a long clip: tiles can show in tokens, so they must not depend on the length that a container claims.
        let plan = MemoryPlan::new(&self.bundle, &(&video).into(), work, None, recipe.memory)?;
        let mut options = recipe.options.clone();
        options.encoder_plan = Some(plan);
        let encoding = Encoding {
            bundle: &self.bundle,
            place: &item.path,
            output: &output,
            options,
            writer_options: recipe.writer_options,
            rate,
            limited: item.end.is_some(),
        };
        let encoded = encoding.run(source.as_mut(), &video, progress)?;
        if let Some(fault) = encoded.fault {
            remove(&lbit);
            return Err(fault);
        }
        if let Some(text) = encoded.below_psnr(rate, &item.path) {
            tracing::warn!("{text}");
        }
        let totals = encoded.summary.totals.first().copied().unwrap_or_default();
        let frames = totals.frames.0;
        if frames < recipe.min_frames {
            remove(&lbit);
            let reason = format!(
                "it has {frames} frames, and --min-frames asks for {}",
                recipe.min_frames
            );
            return Ok(Attempt::Skipped(reason));
        }
        let (sha256, npy) = self.finish(clip, &lbit, encoded.steps)?;
        let measured = match recipe.quality_sample {
            0 => None,
            every if clip.index.is_multiple_of(every) => Some(self.measure(clip, &lbit)?),
            _ => None,
        };
        let (psnr, picture) = measured.unzip();
        let grid = video.grid(latentbit_container::LatentFrames(1));
        Ok(Attempt::Made {
            made: Box::new(Made {
                sha256,
                bytes: encoded.summary.bytes,
                bytes_beside: encoded.bytes_beside,
                frames,
                width: video.width,
                height: video.height,
                fps: fps(&video),
                chunks: totals.chunks,
                tokens_shape: [encoded.steps, grid.h.into(), grid.w.into()],
                bits: video.bits,
                bundle_sha256: video.bundle.sha256_hex(),
                psnr,
            }),
            files: Files { lbit, npy },
            picture,
        })
    }

    /// The frames of a clip, and the width and height of the pictures in its file.
    fn open(&self, item: &Item) -> anyhow::Result<(Box<dyn FrameSource>, [u32; 2])> {
        let recipe = self.recipe;
        let options = InputOptions::default()
            .with_start(item.start.map(Start::Seconds))
            .with_packets(recipe.audio, recipe.subtitles)
            .with_threads(recipe.options.threads);
        let seconds = item.end.map(|end| end - item.start.unwrap_or(0.0));
        let options = recipe
            .input
            .apply(options)
            .with_filters(recipe.filters.clone().with_seconds(seconds));
        let source = open_source(&item.path, &options)?;
        let whole = source.info().unfiltered.into();
        Ok((source, whole))
    }

    /// Syncs a clip of `steps` steps to the disk; returns its SHA-256, and its tokens as an array if they are wanted.
    fn finish(
        &self,
        clip: &Clip,
        lbit: &Path,
        steps: u64,
    ) -> anyhow::Result<(String, Option<(PathBuf, serde_json::Value)>)> {
        let place = text_of(lbit);
        OpenOptions::new()
            .write(true)
            .open(lbit)
            .and_then(|file| file.sync_data())
            .map_err(|error| MediaError::io(&place, "write", error))?;
        if !self.recipe.npy {
            return Ok((digest(&place)?, None));
        }
        let path = self.scratch.join(format!("{}.{NPY}", clip.key));
        let array = text_of(&path);
        let file = File::create(&path).map_err(|error| MediaError::io(&array, "write", error))?;
        let mut input = Digested::open(&place)?;
        let sidecar = write_npy(&mut input, &place, steps, file, &array)?;
        let read = input.finish();
        let (sha256, _) = read.map_err(|error| MediaError::io(&place, "read", error))?;
        Ok((sha256, Some((path, sidecar))))
    }

    fn measure(&self, clip: &Clip, lbit: &Path) -> anyhow::Result<(f64, PathBuf)> {
        let recipe = self.recipe;
        let (mut source, _) = self.open(&clip.item)?;
        let measured = quality::measure(
            &self.bundle,
            lbit,
            source.as_mut(),
            recipe.options.threads,
            recipe.memory,
        )?;
        let path = self.scratch.join(format!("{}.png", clip.key));
        fs::write(&path, &measured.picture)
            .map_err(|error| MediaError::io(&text_of(&path), "write", error))?;
        Ok((rounded(measured.psnr), path))
    }
}

fn fps(video: &VideoStream) -> f64 {
    rounded(f64::from(video.frame_rate.num) / f64::from(video.frame_rate.den.max(1)))
}

/// SHA-256 of a file as hexadecimal digits.
fn digest(path: &str) -> anyhow::Result<String> {
    let mut file = File::open(path_of(path)).map_err(|error| MediaError::io(path, "open", error))?;
    let metadata = file
        .metadata()
        .map_err(|error| MediaError::io(path, "open", error))?;
    if !metadata.is_file() {
        let message = "this is no file; name a video or picture file";
        return Err(MediaError::new(MediaErrorKind::Usage, path, message).into());
    }
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        if interrupt::interrupted() {
            return Err(Stopped.into());
        }
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&digest.finalize())),
            Ok(read) => digest.update(&buffer[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(MediaError::io(path, "read", error).into()),
        }
    }
}

/// How all clips are made.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub full: Full,
    /// Whether tokens are also wanted as numpy arrays.
    pub npy: bool,
    /// Bits of each token to keep; all if none.
    pub bits: Option<u8>,
    pub rate: RateArgs,
    /// Latent frames of a chunk; those of the bundle if none.
    pub chunk: Option<u16>,
    pub options: Options,
    pub writer_options: WriterOptions,
    pub filters: Filters,
    pub input: InputArgs,
    pub audio: bool,
    pub subtitles: bool,
    /// Fewest frames of a clip.
    pub min_frames: u64,
    /// Fewest pixels of the short side.
    pub min_size: u32,
    /// Measure the quality of every n-th clip; of none if 0.
    pub quality_sample: u64,
    /// Bytes of memory for each clip in progress.
    pub memory: Option<u64>,
}
