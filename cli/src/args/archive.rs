//! Options of `archive`.

use std::path::PathBuf;

use clap::Args;
use latentbit_codec::Device;

use super::shared::{CarryArgs, CoderArgs, GroupArgs, MemoryArgs, ModelArgs};
use super::values::{ShardTokens, bits, bytes, rate, threads};
use crate::archive::{Form, Part};
use latentbit_media::{Crop, Rational, Resize};

/// Options of `archive`.
#[derive(Debug, Args)]
pub struct ArchiveArgs {
    /// Videos, pictures, folders, patterns or lists of clips; - for a list on stdin.
    #[arg(value_name = "SOURCE", required_unless_present_any = ["check", "merge"])]
    pub sources: Vec<String>,

    /// Folder of the archive.
    #[arg(short, long, value_name = "DIR", required_unless_present_any = ["check", "merge"])]
    pub output: Option<PathBuf>,

    /// Prove the manifest and the files of an archive against each other, in every byte, instead.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["sources", "output", "merge"])]
    pub check: Option<PathBuf>,

    /// Write the manifest of an archive whose parts are complete, instead.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["sources", "output"])]
    pub merge: Option<PathBuf>,

    /// Form of the archive: a .lbit file for each clip, or tar shards that WebDataset reads.
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Form::Lbit)]
    pub format: Form,

    /// Put the tokens of each clip into shards as an array, too.
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub tokens: Option<ShardTokens>,

    /// Begin a new shard when one has reached this size.
    #[arg(long, value_name = "SIZE", value_parser = bytes, default_value = "1GiB")]
    pub shard_size: u64,

    /// Begin a new shard when one has this many clips.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub shard_clips: u64,

    /// Archive one part of the list, such as 1/4: several machines can write to one folder so, and --merge writes the
    /// manifest when all are done.
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Part>,

    /// Where clips are that a list has by their ids alone: a path with {id} in it.
    #[arg(long, value_name = "PATH")]
    pub id_path: Option<String>,

    /// Bring clips to this frame rate: 12, 29.97, 30000/1001.
    #[arg(long, value_name = "R", value_parser = rate)]
    pub fps: Option<Rational>,

    /// Scale pictures: the pixels of the short side (256), or W:H, where -1 follows the other side.
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub scale: Option<Resize>,

    /// Keep a part of the pictures, after scaling: W:H for their middle, or W:H:X:Y.
    #[arg(long, value_name = "W:H[:X:Y]")]
    pub crop: Option<Crop>,

    /// Leave clips out that have fewer frames.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min_frames: u64,

    /// Leave clips out whose pictures have a short side of fewer pixels, before scaling.
    #[arg(long, value_name = "PIXELS", default_value_t = 1)]
    pub min_size: u32,

    /// Measure the PSNR of every N-th clip: the report shows the worst ones.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub quality_sample: u64,

    /// Stop when more than this many clips failed.
    #[arg(long, value_name = "N")]
    pub max_errors: Option<u64>,

    /// Clips that are made at once; 0 for one on each core, or 32 on a GPU, which computes small ones together.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = threads)]
    pub workers: usize,

    /// Bits to keep of each token, the most important ones; all by default.
    #[arg(long, value_name = "N", value_parser = bits)]
    pub bits: Option<u8>,

    /// Latent frames of a chunk; what the model was trained with by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
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
    #[arg(long)]
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

    /// Of so many clips, those that are made at once.
    pub fn workers(&self, clips: usize, device: &Device) -> usize {
        let workers = match (self.workers, device) {
            (0, Device::Cpu) => self.all_threads(),
            (0, Device::Cuda(_)) => Device::CLIPS_TOGETHER,
            (workers, _) => workers,
        };
        workers.min(clips).max(1)
    }

    /// Threads for each of them.
    pub fn threads_each(&self, workers: usize) -> usize {
        (self.all_threads() / workers).max(1)
    }
}
