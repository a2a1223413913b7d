//! Options of the commands that predict tokens.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use latentbit_codec::maskgit::{FillOptions, Schedule};
use latentbit_codec::pipeline::DEFAULT_CHUNKS_PER_GROUP;

use super::Rectangle;
use crate::args::{CoderArgs, ModelArgs, OutputArgs};
use latentbit_media::Start;

/// How tokens are filled.
#[derive(Debug, Args)]
pub struct FillArgs {
    /// Predictor to use instead of the built-in one: a file that `training/` made for this model.
    #[arg(long, value_name = "FILE")]
    pub predictor: Option<PathBuf>,

    /// Passes through the predictor for each chunk: in each the surest tokens are settled.
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub steps: u32,

    /// How many tokens are settled in each pass.
    #[arg(long, value_name = "SCHEDULE", value_enum, default_value_t = ScheduleChoice::Cosine)]
    pub schedule: ScheduleChoice,

    /// 0: the likelier value of each bit. 1: bits are drawn as likely as the predictor holds them.
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    pub temperature: f32,

    /// Scale of the noise on which tokens count as sure; it fades from pass to pass.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub noise: f32,

    /// Where chance begins: the same seed gives the same tokens, for a given device and number type.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
}

impl FillArgs {
    /// As the codec takes them.
    pub fn options(&self) -> FillOptions {
        FillOptions {
            schedule: match self.schedule {
                ScheduleChoice::Cosine => Schedule::Cosine,
                ScheduleChoice::Linear => Schedule::Linear,
            },
            steps: self.steps,
            temperature: self.temperature,
            noise: self.noise,
            seed: self.seed,
        }
    }
}

/// Values of `--schedule`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScheduleChoice {
    /// Few tokens at first, many at the end.
    Cosine,
    /// The same number in each pass.
    Linear,
}

/// Options of `generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    pub output: OutputArgs,

    /// How many frames to make.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub frames: u64,

    /// Width and height in pixels; that of the file with --continue.
    #[arg(long, value_name = "WxH", value_parser = size, required_unless_present = "continue_file")]
    pub size: Option<[u32; 2]>,

    /// Frames per second.
    #[arg(
        long,
        value_name = "FPS",
        default_value_t = 25,
        conflicts_with = "continue_file"
    )]
    pub fps: u32,

    /// Begin with the tokens of this .lbit file, and go on from its end.
    #[arg(
        long = "continue",
        id = "continue_file",
        value_name = "FILE",
        conflicts_with = "size"
    )]
    pub continue_file: Option<String>,

    /// Chunks from one random access point to the next; 0 for a single one at the start.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_CHUNKS_PER_GROUP)]
    pub group: u32,

    #[command(flatten)]
    pub fill: FillArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub coder: CoderArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

/// Options of `inpaint`.
#[derive(Debug, Args)]
pub struct InpaintArgs {
    /// .lbit file, intact.
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// The rectangle to make anew, in pixels, as ffmpeg's crop has it: width:height:x:y. It grows to whole tokens. Without
    /// it whole frames are made anew.
    #[arg(long, value_name = "W:H:X:Y")]
    pub mask: Option<Rectangle>,

    /// Where to begin: seconds (12.5), HH:MM:SS.ms or a number of frames (40f); the start by default. It grows to whole
    /// tokens.
    #[arg(long, value_name = "TIME")]
    pub from: Option<Start>,

    /// Where to end, the same way; the end by default.
    #[arg(long, value_name = "TIME")]
    pub to: Option<Start>,

    #[command(flatten)]
    pub fill: FillArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub coder: CoderArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

/// Options of `score`.
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// .lbit file, or - for stdin.
    #[arg(allow_hyphen_values = true)]
    pub input: String,

    /// Predictor to use instead of the built-in one.
    #[arg(long, value_name = "FILE")]
    pub predictor: Option<PathBuf>,

    /// In how many parts the tokens of a chunk are told, each predicted from those before: more parts cost more time and
    /// give a tighter bound.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub parts: u32,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Reads `640x360`.
fn size(text: &str) -> Result<[u32; 2], String> {
    let wrong = || format!("'{text}' is no size; write width and height as 640x360");
    let (width, height) = text.split_once('x').ok_or_else(wrong)?;
    let side = |text: &str| match text.parse::<u32>() {
        Ok(side) if side > 0 => Ok(side),
        _ => Err(wrong()),
    };
    Ok([side(width)?, side(height)?])
}
