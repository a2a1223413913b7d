//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand, ValueEnum};
use latentbit_codec::Device;
use latentbit_codec::maskgit::FillOptions;
use latentbit_codec::pipeline::{DEFAULT_CHUNKS_PER_GROUP, KeyFrames, Options};
use latentbit_container::{Compression, WriterOptions};

use crate::archive::{Form, Part};
use crate::commands::degrade::ChunkRun;
use crate::latents::Scale;
use crate::media::{
    Crop, InputOptions, OutputOptions, PixelLayout, Rational, RawFormat, Resize, Start, VideoInfo, parse_rate,
};
use crate::predict::args::{GenerateArgs, InpaintArgs, ScoreArgs};
use crate::tokens::{ArrayFormat, Columns};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  error (reading, writing, a feature that is missing)
  2  wrong usage
  3  the input is damaged or not what it should be; what could be read was written
  4  the input is cut off; what there was of it was written
  5  chunks are lost and their frames were concealed (decode; not with --allow-conceal)
  6  the model is missing, or another one is needed";

/// Streaming neural video codec: video to .lbit tokens and back.
#[derive(Debug, Parser)]
#[command(name = "latentbit", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Print errors only, and no progress bar.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Print more; twice for debugging.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Turn a video or a picture into tokens.
    #[command(after_help = EXIT_CODES)]
    Encode(EncodeArgs),
    /// Turn tokens back into a video or a picture.
    #[command(after_help = EXIT_CODES)]
    Decode(DecodeArgs),
    /// Tell what a .lbit file holds, and whether it is whole.
    #[command(after_help = EXIT_CODES)]
    Info(InfoArgs),
    /// Compare a .lbit file with the video that it was made of: PSNR, SSIM, MS-SSIM, bits per pixel.
    ///
    /// The same figures are given for the model's VAE without quantization, the upper bound of what tokens can reach.
    #[command(after_help = EXIT_CODES)]
    Eval(EvalArgs),
    /// Check .lbit files in every byte: checksums, lengths, order, tokens, totals, digests and index.
    #[command(after_help = EXIT_CODES)]
    Verify(VerifyArgs),
    /// Make a whole file of what is left of a damaged or truncated one.
    ///
    /// Every intact chunk, packet and other record is copied as it is. Chunks that are lost between others are marked as
    /// lost, so that all frames keep their numbers and times. Ends with code 3 or 4 if anything was lost.
    #[command(after_help = EXIT_CODES)]
    Recover(RecoverArgs),
    /// Write a new index to a file whose own is missing or damaged.
    #[command(after_help = EXIT_CODES)]
    Index(IndexArgs),
    /// Leave the least important bits of all tokens out: a smaller file of lower quality, without encoding again.
    #[command(after_help = EXIT_CODES)]
    Trim(TrimArgs),
    /// Copy a part of a file, without encoding again: it begins and ends on chunk borders.
    ///
    /// It begins at the last key chunk that is not after --from, because decoding cannot begin elsewhere, and ends with
    /// the chunk that holds the last frame before --to. What was kept is printed.
    #[command(after_help = EXIT_CODES)]
    Cut(CutArgs),
    /// Join files one after the other, without encoding again.
    ///
    /// They must have the same model, size and kinds of streams. Each begins a new segment, so that nobody who trains on
    /// the tokens joins across.
    #[command(after_help = EXIT_CODES)]
    Concat(ConcatArgs),
    /// Lose chunks of a file on purpose, for tests and research: by number or at random.
    ///
    /// Their records are left out, as a channel does that loses packets; nothing else of the file changes. With --hold the
    /// places of lost chunks are held, as `recover` does; with --planes their most important planes stay.
    #[command(after_help = EXIT_CODES)]
    Degrade(DegradeArgs),
    /// Tokens out of a file as arrays for other programs (npy, safetensors, raw), and back into one.
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// The VAE alone: a video to the latents that diffusion models take, and back. It needs no tokenizer.
    #[command(subcommand)]
    Latents(LatentsCommand),
    /// Make a video from nothing, or go on from a file: tokens that the predictor holds likely.
    #[command(after_help = EXIT_CODES)]
    Generate(GenerateArgs),
    /// Make a rectangle or a span of time of a file anew, from what is around it.
    ///
    /// All other tokens stay as they are, to the bit.
    #[command(after_help = EXIT_CODES)]
    Inpaint(InpaintArgs),
    /// Tell how likely the tokens of a file are: bits per token under the predictor, for each chunk. Much more than other
    /// files have means that this one is unlike what the predictor was trained on.
    #[command(after_help = EXIT_CODES)]
    Score(ScoreArgs),
    /// Turn many clips into an archive of tokens, with a manifest: for data sets to train on.
    ///
    /// SOURCE is a video or picture, a folder, a pattern of names ('clips/**/*.mp4'), or a list: text or JSON lines (.txt,
    /// .list, .jsonl), CSV, TSV or Parquet, with a path or an id for each clip, and if you like start, end, label and
    /// caption. A list can come on stdin as well (-).
    ///
    /// A run that ended for whatever reason goes on when the same command is given again. The same list gives the same
    /// files, byte for byte. Clips that cannot be made are listed in the manifest with the reason; the command then ends
    /// with code 3.
    #[command(after_help = EXIT_CODES)]
    Archive(ArchiveArgs),
    /// Models that are kept on this machine: list, add, pull, verify, path.
    ///
    /// They are in the folder for caches of your system, or in that of LATENTBIT_MODELS. `--model NAME` uses one.
    #[command(subcommand)]
    Models(ModelsCommand),
}

/// Where the output goes.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// Output file, or - for stdout.
    #[arg(short, long, value_name = "OUT", allow_hyphen_values = true)]
    pub output: String,

    /// Overwrite the output if it exists.
    #[arg(short = 'y', long, conflicts_with = "skip_existing")]
    pub overwrite: bool,

    /// Leave an existing output as it is and end well.
    #[arg(short = 'n', long)]
    pub skip_existing: bool,

    /// Write binary data to a terminal.
    #[arg(short, long)]
    pub force: bool,
}

/// Which part of the video.
#[derive(Debug, Args)]
pub struct RangeArgs {
    /// Where to begin: seconds (12.5), HH:MM:SS.ms or a number of frames (40f).
    #[arg(long, value_name = "TIME")]
    pub start: Option<Start>,

    /// How many frames to take.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub frames: Option<u64>,
}

/// How to read a video, and which part of it.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// The video is raw: its size, frame rate and ffmpeg's name of its pixel format.
    #[arg(long, value_name = "WxH@FPS:PIXFMT")]
    pub raw: Option<RawFormat>,

    #[command(flatten)]
    pub range: RangeArgs,
}

impl SourceArgs {
    /// What the reader is told; `threads` are for decoding.
    pub fn input_options(&self, threads: usize) -> InputOptions {
        InputOptions {
            raw: self.raw,
            start: self.range.start,
            frames: self.range.frames,
            threads,
            ..InputOptions::default()
        }
    }
}

/// What is copied beside the pictures.
#[derive(Debug, Args)]
pub struct CarryArgs {
    /// Leave sound out (also -an, as ffmpeg has it).
    #[arg(long)]
    pub no_audio: bool,

    /// Leave subtitles out (also -sn).
    #[arg(long)]
    pub no_subtitles: bool,
}

/// The options that ffmpeg writes with one dash and two letters, in the form that others have here.
pub fn as_ffmpeg_has_it(argument: OsString) -> OsString {
    match argument.to_str() {
        Some("-an") => "--no-audio".into(),
        Some("-sn") => "--no-subtitles".into(),
        _ => argument,
    }
}

/// The model and what it runs on.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// Model to use instead of the built-in one: a path, or a name that `latentbit models list` prints.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,

    /// Where to compute: auto (a GPU if this build can use one and there is one, else the CPU), cpu, cuda or cuda:N.
    /// `latentbit info --device cpu` tells which instructions the CPU uses; LATENTBIT_CPU=amx, avx512, avx2 or portable
    /// in the environment asks for others.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,

    /// Number type of the networks.
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = DtypeChoice::Auto)]
    pub dtype: DtypeChoice,

    /// Threads that compute; 0 for one on each core.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = threads)]
    pub threads: usize,
}

/// How much memory to take.
#[derive(Debug, Args)]
pub struct MemoryArgs {
    /// Take at most so much memory (8GiB, 500MB): large frames are then computed in tiles. What will be taken is printed
    /// before the run.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub max_memory: Option<u64>,
}

/// Where random access points are.
#[derive(Debug, Args)]
pub struct GroupArgs {
    /// Chunks from one random access point to the next; 0 for a single one at the start.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_CHUNKS_PER_GROUP)]
    pub group: u32,

    /// Do not begin a random access point where the scene cuts.
    #[arg(long)]
    pub no_scene_cuts: bool,
}

impl GroupArgs {
    /// What the pipeline is told.
    pub fn options(&self) -> Options {
        Options {
            chunks_per_group: self.group,
            key_frames: match self.no_scene_cuts {
                true => KeyFrames::None,
                false => KeyFrames::AtCuts,
            },
            ..Options::default()
        }
    }
}

/// How tokens are stored.
#[derive(Debug, Args)]
pub struct CoderArgs {
    /// Payload coder of the bit-planes.
    #[arg(long, value_name = "CODER", value_enum, default_value_t = CoderChoice::Cm)]
    pub coder: CoderChoice,

    /// Level of zstd, if that is the coder.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=22))]
    pub level: i32,
}

/// Values of `--coder`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CoderChoice {
    /// As they are: the fastest.
    Raw,
    /// As zstd frames.
    Zstd,
    /// By context mixing: the smallest.
    Cm,
}

impl CoderArgs {
    /// What the writer is told.
    pub fn writer_options(&self) -> WriterOptions {
        let compression = match self.coder {
            CoderChoice::Raw => Compression::Raw,
            CoderChoice::Zstd => Compression::Zstd { level: self.level },
            CoderChoice::Cm => Compression::Cm,
        };
        WriterOptions {
            compression,
            ..WriterOptions::default()
        }
    }
}

/// Values of `--dtype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DtypeChoice {
    /// The faster one.
    Auto,
    /// bfloat16 operands, f32 sums.
    Bf16,
    /// 32-bit floats.
    F32,
    /// IEEE half precision operands, f32 sums; on GPUs only.
    F16,
}

fn bytes(text: &str) -> Result<u64, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "k" | "kib" => 1 << 10,
        "mb" => 1_000_000,
        "m" | "mib" => 1 << 20,
        "gb" => 1_000_000_000,
        "g" | "gib" => 1 << 30,
        _ => return Err("expected a size such as 8GiB, 8GB or 500MB".to_owned()),
    };
    match number.parse::<f64>() {
        Ok(number) if number > 0.0 => Ok((number * unit as f64) as u64),
        _ => Err("expected a size such as 8GiB, 8GB or 500MB".to_owned()),
    }
}

fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n <= 1024 => Ok(n),
        _ => Err("expected a number from 0 to 1024".to_owned()),
    }
}

fn bits(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(n) if (1..=64).contains(&n) => Ok(n),
        _ => Err("expected a number from 1 to 64".to_owned()),
    }
}

fn rate(text: &str) -> Result<Rational, String> {
    parse_rate(text).ok_or_else(|| format!("'{text}' is no frame rate; write 25, 29.97 or 30000/1001"))
}

fn pixel_layout(text: &str) -> Result<PixelLayout, String> {
    PixelLayout::from_ffmpeg_name(text).ok_or_else(|| {
        format!("'{text}' is not known here; write it as ffmpeg does: yuv420p, yuv422p10le, rgb24")
    })
}

/// Options of `encode`.
#[derive(Debug, Args)]
pub struct EncodeArgs {
    /// Video or picture, or - for stdin (y4m, PNG, JPEG, or raw video with --raw).
    #[arg(allow_hyphen_values = true)]
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    #[command(flatten)]
    pub source: SourceArgs,

    #[command(flatten)]
    pub carry: CarryArgs,

    /// Bits to keep of each token, the most important ones; all by default.
    #[arg(long, value_name = "N", value_parser = bits)]
    pub bits: Option<u8>,

    #[command(flatten)]
    pub groups: GroupArgs,

    #[command(flatten)]
    pub coder: CoderArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

/// How to write a video.
#[derive(Debug, Args)]
pub struct SinkArgs {
    /// Write raw video in this pixel format (yuv420p, rgb24, ...) instead of what the name of the output says.
    #[arg(long, value_name = "PIXFMT", value_parser = pixel_layout)]
    pub raw: Option<PixelLayout>,

    /// Encoder of the output, by libav's name (libx264, libx265, libsvtav1, ...).
    #[arg(long, value_name = "NAME")]
    pub codec: Option<String>,

    /// Constant rate factor of that encoder.
    #[arg(long, value_name = "N")]
    pub crf: Option<f32>,

    /// Preset of that encoder.
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,

    /// Quality of JPEG pictures, 1 to 100.
    #[arg(long, value_name = "N", default_value_t = 95, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub quality: u8,
}

impl SinkArgs {
    /// What the writer is told of a video.
    pub fn options(&self, info: VideoInfo) -> OutputOptions {
        OutputOptions {
            raw: self.raw,
            codec: self.codec.clone(),
            crf: self.crf,
            preset: self.preset.clone(),
            quality: self.quality,
            ..OutputOptions::new(info)
        }
    }
}

/// What is done about lost chunks.
#[derive(Debug, Args)]
pub struct ConcealArgs {
    /// What to put in the place of lost chunks. `eval` takes a damaged file only with this, and then measures exact, affected
    /// and concealed frames apart. By default `decode` takes maskgit if there is a predictor for the model, else freeze.
    #[arg(long, value_name = "METHOD", value_enum)]
    pub conceal: Option<ConcealChoice>,

    /// Predictor for maskgit to use instead of the built-in one: a file that `training/` made for this model.
    #[arg(long, value_name = "FILE")]
    pub predictor: Option<PathBuf>,

    /// Passes of maskgit through the predictor for each lost chunk.
    #[arg(long, value_name = "N", default_value_t = FillOptions::default().steps, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub conceal_steps: u32,

    /// Conceal from the past alone, without waiting for the chunk after the lost ones.
    #[arg(long)]
    pub low_delay: bool,
}

/// Values of `--conceal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ConcealChoice {
    /// Tokens that the predictor finds likely between those before and after them, their frames mixed with those of blend.
    Maskgit,
    /// Copies of the last good frame before them.
    Freeze,
    /// Frames mixed of the good ones before and after them.
    Blend,
    /// Latents mixed of those before and after them, turned into frames by the model.
    Latent,
    /// Nothing: their frames are left out.
    Off,
}

/// Options of `decode`.
#[derive(Debug, Args)]
pub struct DecodeArgs {
    /// .lbit file, or - for stdin.
    #[arg(allow_hyphen_values = true)]
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    #[command(flatten)]
    pub sink: SinkArgs,

    #[command(flatten)]
    pub range: RangeArgs,

    #[command(flatten)]
    pub carry: CarryArgs,

    /// Bits to look at of each token, the most important ones; all by default.
    #[arg(long, value_name = "N", value_parser = bits)]
    pub bits: Option<u8>,

    #[command(flatten)]
    pub conceal: ConcealArgs,

    /// End with code 0 where frames were concealed and nothing else is wrong.
    #[arg(long)]
    pub allow_conceal: bool,

    /// Write to this file, as JSON, which frames are exact, affected, concealed and left out.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub loss_report: Option<String>,

    /// Stop at the first damage instead of concealing it.
    #[arg(long, conflicts_with_all = ["conceal", "low_delay", "allow_conceal"])]
    pub strict: bool,

    /// Join a running stream in the middle: begin at the first copy of the header and the first key chunk after it.
    #[arg(long, conflicts_with_all = ["strict", "start", "frames"])]
    pub join: bool,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

/// Options of `info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// .lbit file, or - for stdin.
    #[arg(allow_hyphen_values = true, required_unless_present = "device")]
    pub file: Option<String>,

    /// Tell what a device computes with, instead of what a file holds: auto, cpu, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", conflicts_with = "file")]
    pub device: Option<String>,

    /// List every chunk too.
    #[arg(long, conflicts_with = "device")]
    pub chunks: bool,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// The video that the file was made of, or - for stdin.
    #[arg(allow_hyphen_values = true)]
    pub reference: String,

    /// .lbit file, or - for one on stdin; or a video or picture that another codec made, to measure it in the same way.
    #[arg(allow_hyphen_values = true)]
    pub file: String,

    #[command(flatten)]
    pub source: SourceArgs,

    /// Bits to look at of each token, the most important ones; all by default.
    #[arg(long, value_name = "N", value_parser = bits)]
    pub bits: Option<u8>,

    /// Do not measure the VAE without quantization beside the tokens: twice as fast.
    #[arg(long)]
    pub no_vae: bool,

    #[command(flatten)]
    pub conceal: ConcealArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// .lbit files; - for stdin.
    #[arg(required = true)]
    pub files: Vec<String>,

    /// Print JSON: one line for each file.
    #[arg(long)]
    pub json: bool,
}

/// Options of `recover`.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// .lbit file, damaged or cut off.
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

/// Options of `index`.
#[derive(Debug, Args)]
pub struct IndexArgs {
    /// .lbit file.
    pub file: String,

    /// Write to this file instead; the input is changed if there is none.
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<String>,

    /// Overwrite that file if it exists.
    #[arg(short = 'y', long, requires = "output")]
    pub overwrite: bool,
}

/// Options of `trim`.
#[derive(Debug, Args)]
pub struct TrimArgs {
    /// .lbit file, or - for stdin.
    #[arg(allow_hyphen_values = true)]
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Bits to keep of each token, the most important ones.
    #[arg(long, value_name = "N", value_parser = bits)]
    pub bits: u8,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

/// Options of `cut`.
#[derive(Debug, Args)]
pub struct CutArgs {
    /// .lbit file.
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Where to begin: seconds (12.5), HH:MM:SS.ms or a number of frames (40f); the start by default.
    #[arg(long, value_name = "TIME")]
    pub from: Option<Start>,

    /// Where to end, the same way; the end by default.
    #[arg(long, value_name = "TIME")]
    pub to: Option<Start>,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

/// Options of `concat`.
#[derive(Debug, Args)]
pub struct ConcatArgs {
    /// .lbit files, in order.
    #[arg(required = true, num_args = 1..)]
    pub inputs: Vec<String>,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

/// Options of `degrade`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("chosen").required(true).args(["drop", "loss_rate"]))]
pub struct DegradeArgs {
    /// .lbit file, intact.
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Numbers of the chunks to lose, from 0: 3,7-9.
    #[arg(long, value_name = "CHUNKS", value_delimiter = ',')]
    pub drop: Vec<ChunkRun>,

    /// Lose chunks at random: this share of them in the long run, 0 to 1.
    #[arg(long, value_name = "RATE")]
    pub loss_rate: Option<f64>,

    /// Mean length of bursts, in chunks: within a burst every chunk is lost.
    #[arg(long, value_name = "CHUNKS", default_value_t = 1.0, conflicts_with = "drop")]
    pub burst: f64,

    /// What chance begins with: the same seed loses the same chunks on every machine.
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "drop")]
    pub seed: u64,

    /// Hold the places of lost chunks, as `recover` does, instead of leaving their records out of the file.
    #[arg(long, conflicts_with = "planes")]
    pub hold: bool,

    /// Keep this many of the most important bit-planes of the chunks instead of losing all.
    #[arg(long, value_name = "N", value_parser = bits)]
    pub planes: Option<u8>,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokensCommand {
    /// Write the tokens of a file as an array, with a JSON beside it that says what they are: geometry, order of tokens and
    /// bits, and for each chunk its frames, its steps in the array, and its segment.
    ///
    /// Of a damaged file it writes what is intact; a chunk that is lost has an entry without steps. Two files are written,
    /// so the output can be no pipe.
    #[command(after_help = EXIT_CODES)]
    Export(TokensExportArgs),
    /// Make a file of an array and its JSON, bit for bit. Sound and subtitles are not part of them.
    ///
    /// Chunks that are lost keep their places, as with `recover`. Ends with code 4 if the array is cut off.
    #[command(after_help = EXIT_CODES)]
    Import(TokensImportArgs),
}

/// Options of `tokens export`.
#[derive(Debug, Args)]
pub struct TokensExportArgs {
    /// .lbit file.
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Format of the array; the name of the output says it by default (.npy, .safetensors, .bin).
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Option<ArrayFormat>,

    /// Split each token into columns of 16 or 32 bits, a last axis of the array. Otherwise a token is one number, of the
    /// smallest of 16, 32 and 64 bits that holds it (raw: always 64).
    #[arg(long, value_name = "TYPE", value_enum)]
    pub columns: Option<Columns>,

    /// Bits to keep of each token, the most important ones; all by default.
    #[arg(long, value_name = "N", value_parser = bits)]
    pub bits: Option<u8>,

    /// Print a summary as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `tokens import`.
#[derive(Debug, Args)]
pub struct TokensImportArgs {
    /// Array of tokens, as `tokens export` writes it; - for stdin, with --format and --sidecar.
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Format of the array; its name says it by default (.npy, .safetensors, .bin).
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Option<ArrayFormat>,

    /// The JSON that belongs to the array; by default what safetensors say of themselves, or else its name with .json.
    #[arg(long, value_name = "FILE")]
    pub sidecar: Option<String>,

    #[command(flatten)]
    pub coder: CoderArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

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

/// Values of `archive --tokens`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShardTokens {
    /// numpy.
    Npy,
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

/// What to do with latents.
#[derive(Debug, Subcommand)]
pub enum LatentsCommand {
    /// Turn a video or a picture into latents: safetensors with `latents` [1, C, T, H, W] of f32.
    ///
    /// The video is one group: its first latent frame stands for one frame, each later one for four. What is missing to a
    /// whole latent frame at the end is padded with copies of the last frame, and left out again by `decode`.
    #[command(after_help = EXIT_CODES)]
    Encode(LatentsEncodeArgs),
    /// Turn latents back into a video or a picture; into a tensor `frames` [1, 3, T, H, W] of -1 to 1 if the name of the
    /// output ends in .safetensors.
    #[command(after_help = EXIT_CODES)]
    Decode(LatentsDecodeArgs),
    /// Tell how far two files of latents or frames are from each other.
    #[command(after_help = EXIT_CODES)]
    Compare(LatentsCompareArgs),
}

/// Options of `latents encode`.
#[derive(Debug, Args)]
pub struct LatentsEncodeArgs {
    /// Video or picture, or - for stdin (y4m, PNG, JPEG, or raw video with --raw).
    #[arg(allow_hyphen_values = true)]
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    #[command(flatten)]
    pub source: SourceArgs,

    /// Scale of the latents: raw, the mean of the VAE's posterior as it is; or normalised by the VAE's mean and standard
    /// deviation, as diffusion models take them.
    #[arg(long, value_name = "SCALE", value_enum, default_value_t = Scale::Raw)]
    pub scale: Scale,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

/// Options of `latents decode`.
#[derive(Debug, Args)]
pub struct LatentsDecodeArgs {
    /// File of safetensors with a tensor `latents` [1, C, T, H, W] of f32, f16 or bf16.
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    #[command(flatten)]
    pub sink: SinkArgs,

    /// Scale of the latents; what the file says of itself by default, or else raw.
    #[arg(long, value_name = "SCALE", value_enum)]
    pub scale: Option<Scale>,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

/// Options of `latents compare`.
#[derive(Debug, Args)]
pub struct LatentsCompareArgs {
    /// File of latents or frames.
    pub a: String,

    /// The file to measure it by.
    pub b: String,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What to do with models.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List the built-in model and those that are kept on this machine.
    #[command(after_help = EXIT_CODES)]
    List(ModelsListArgs),
    /// Keep a model that is on this machine already, under a name.
    ///
    /// PATH is a LatentBit bundle (.safetensors), an official VAE of Wan (.pth), or the folder of a diffusers VAE or
    /// pipeline.
    #[command(after_help = EXIT_CODES)]
    Add(ModelsAddArgs),
    /// Fetch a model from the Hugging Face hub.
    ///
    /// NAME is wan2.1-vae, wan2.1-vae-diffusers or wan2.2-vae; OWNER/REPO/FILE; or OWNER/REPO, if it is clear which file in
    /// it is the model. A pull that was interrupted goes on where it stopped, and what comes is checked against the SHA-256
    /// that the hub tells. HF_ENDPOINT names a mirror, HF_TOKEN a token, HTTPS_PROXY a proxy; with HF_HUB_OFFLINE=1
    /// nothing is fetched.
    #[command(after_help = EXIT_CODES)]
    Pull(ModelsPullArgs),
    /// Compute the SHA-256 of every file anew and compare. Ends with code 3 if one is damaged.
    #[command(after_help = EXIT_CODES)]
    Verify(ModelsVerifyArgs),
    /// Print the path of a model, for --model or other programs.
    #[command(after_help = EXIT_CODES)]
    Path(ModelsPathArgs),
}

/// Options of `models list`.
#[derive(Debug, Args)]
pub struct ModelsListArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What a new model is called.
#[derive(Debug, Args)]
pub struct ModelNameArgs {
    /// Name to keep it under, instead of one made of where it is from.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Replace a model that has this name.
    #[arg(short = 'y', long)]
    pub overwrite: bool,
}

/// Options of `models add`.
#[derive(Debug, Args)]
pub struct ModelsAddArgs {
    /// File or folder.
    pub path: PathBuf,

    #[command(flatten)]
    pub name: ModelNameArgs,

    /// Link to the files instead of copying them.
    #[arg(long)]
    pub link: bool,

    /// Print what was added as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `models pull`.
#[derive(Debug, Args)]
pub struct ModelsPullArgs {
    /// Known name, OWNER/REPO or OWNER/REPO/FILE.
    #[arg(value_name = "NAME")]
    pub model: String,

    /// Branch, tag or commit.
    #[arg(long, value_name = "REVISION", default_value = "main")]
    pub revision: String,

    #[command(flatten)]
    pub name: ModelNameArgs,

    /// Fetch nothing: end well if the model is there already.
    #[arg(long)]
    pub offline: bool,

    /// Print what was pulled as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `models verify`.
#[derive(Debug, Args)]
pub struct ModelsVerifyArgs {
    /// Model to check; all of them by default.
    pub name: Option<String>,

    /// Print JSON: one line for each model.
    #[arg(long)]
    pub json: bool,
}

/// Options of `models path`.
#[derive(Debug, Args)]
pub struct ModelsPathArgs {
    /// Name of the model.
    pub name: String,
}
