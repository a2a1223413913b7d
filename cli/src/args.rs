//! Options that several commands share, and how their values are parsed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use latentbit_codec::maskgit::{FillOptions, Schedule};
use latentbit_codec::pipeline::{DEFAULT_CHUNKS_PER_GROUP, KeyFrames, Options};
use latentbit_container::{Compression, PacketKind, WriterOptions};

use crate::streaming::lbit_input::WantedFrames;
use latentbit_media::{
    Crop, Filters, FpsMode, InputOptions, OutputOptions, PixelLayout, Rational, RawFormat, Resize, Start,
    VideoInfo, parse_rate, path_of,
};

/// Headings of `--help`, man pages and `docs/cli.md`: options are grouped by purpose. Those of all commands come last.
pub mod headings {
    pub const PART: &str = "Part of the video";
    pub const INPUT: &str = "Input";
    pub const FILTERS: &str = "Filters";
    pub const CARRY: &str = "Sound and subtitles";
    pub const MODEL: &str = "Model and machine";
    pub const STORAGE: &str = "Storage of tokens";
    pub const SINK: &str = "Form of the output";
    pub const LOSSES: &str = "Lost chunks";
    pub const PREDICTOR: &str = "Predictor";
    pub const RATE: &str = "Size and quality";
    pub const ARCHIVE: &str = "Form of the archive";
    pub const CLIPS: &str = "Choice of clips";
    pub const GENERAL: &str = "General";
}

/// Where the output goes.
#[derive(Clone, Debug, Args)]
pub struct OutputArgs {
    /// Output file, or - for stdout; of commands that take several inputs also a folder.
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
#[command(next_help_heading = headings::PART)]
pub struct RangeArgs {
    /// Where to begin: seconds (12.5), HH:MM:SS.ms or a number of frames (40f).
    #[arg(long, value_name = "TIME")]
    pub start: Option<Start>,

    /// How many frames to take.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub frames: Option<u64>,
}

impl RangeArgs {
    /// What is read of a `.lbit` stream.
    pub const fn wanted(&self) -> WantedFrames {
        WantedFrames {
            start: self.start,
            frames: self.frames,
        }
    }
}

/// How to read a video, and which part of it.
#[derive(Debug, Args)]
#[command(next_help_heading = headings::INPUT)]
pub struct SourceArgs {
    /// The video is raw: its size, frame rate and ffmpeg's name of its pixel format.
    #[arg(long, value_name = "WxH@FPS:PIXFMT")]
    pub raw: Option<RawFormat>,

    #[command(flatten)]
    pub range: RangeArgs,

    #[command(flatten)]
    pub input: InputArgs,
}

impl SourceArgs {
    /// Options for the reader, which decodes with `threads` threads.
    pub fn input_options(&self, threads: usize) -> InputOptions {
        let options = InputOptions::default()
            .with_raw(self.raw)
            .with_start(self.range.start)
            .with_frames(self.range.frames)
            .with_threads(threads);
        self.input.apply(options)
    }
}

/// What is done to frames.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = headings::FILTERS)]
pub struct FilterArgs {
    /// Bring the video to this frame rate: 12, 29.97, 30000/1001.
    #[arg(long, value_name = "R", value_parser = rate)]
    pub fps: Option<Rational>,

    /// Scale pictures: the pixels of the short side (256), or W:H, where -1 follows the other side.
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub scale: Option<Resize>,

    /// Keep a part of the pictures, after scaling: W:H for their middle, or W:H:X:Y.
    #[arg(long, value_name = "W:H[:X:Y]")]
    pub crop: Option<Crop>,

    /// Put frames through a filter graph of libavfilter, after --fps, --scale and --crop, as ffmpeg has it.
    #[arg(long, value_name = "GRAPH", allow_hyphen_values = true)]
    pub vf: Option<String>,
}

impl FilterArgs {
    /// The filters that they name.
    pub fn filters(&self) -> Filters {
        Filters::default()
            .with_rate(self.fps)
            .with_resize(self.scale)
            .with_crop(self.crop)
            .with_graph(self.vf.clone())
    }
}

/// How media files are taken.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = headings::INPUT)]
pub struct InputArgs {
    /// Leave pictures as they are coded, whatever way up their file says that they are shown.
    #[arg(long)]
    pub no_autorotate: bool,

    /// Leave interlaced video as it is.
    #[arg(long)]
    pub no_deinterlace: bool,

    /// Colour behind transparent pictures: black, white or #rrggbb.
    #[arg(long, value_name = "COLOR", value_parser = color, default_value = "black")]
    pub background: Background,

    /// Read inputs over the network, such as https://host/clip.mp4.
    #[arg(long)]
    pub allow_network: bool,
}

impl InputArgs {
    /// `options` with these.
    pub fn apply(&self, options: InputOptions) -> InputOptions {
        options
            .with_autorotate(!self.no_autorotate)
            .with_deinterlace(!self.no_deinterlace)
            .with_background(self.background.0)
            .with_network(self.allow_network)
    }
}

/// A colour: red, green and blue from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Background(pub [f32; 3]);

/// Reads a colour.
pub fn color(text: &str) -> Result<Background, String> {
    let wrong = || format!("'{text}' is no colour; write black, white, gray or #rrggbb");
    let byte = |at: usize| {
        let digits = text.strip_prefix('#')?.get(at..at + 2)?;
        Some(f32::from(u8::from_str_radix(digits, 16).ok()?) / 255.0)
    };
    match text.to_ascii_lowercase().as_str() {
        "black" => Ok(Background([0.0; 3])),
        "white" => Ok(Background([1.0; 3])),
        "gray" | "grey" => Ok(Background([128.0 / 255.0; 3])),
        _ if text.len() == 7 => match (byte(0), byte(2), byte(4)) {
            (Some(r), Some(g), Some(b)) => Ok(Background([r, g, b])),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

/// What is copied beside the pictures.
#[derive(Debug, Args)]
#[command(next_help_heading = headings::CARRY)]
pub struct CarryArgs {
    /// Leave sound out (also -an, as ffmpeg has it).
    #[arg(long)]
    pub no_audio: bool,

    /// Leave subtitles out (also -sn).
    #[arg(long)]
    pub no_subtitles: bool,
}

impl CarryArgs {
    /// Whether packets of a kind go along.
    pub const fn keeps(&self, kind: PacketKind) -> bool {
        match kind {
            PacketKind::Audio => !self.no_audio,
            PacketKind::Subtitles => !self.no_subtitles,
            _ => false,
        }
    }
}

/// The model and what it runs on.
#[derive(Debug, Args)]
#[command(next_help_heading = headings::MODEL)]
pub struct ModelArgs {
    /// Model to use instead of the built-in one: a path, or a name that `latentbit models list` prints.
    #[arg(long, value_name = "MODEL", value_parser = path)]
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
#[command(next_help_heading = headings::MODEL)]
pub struct MemoryArgs {
    /// Take at most so much memory (8GiB, 500MB): large frames are then computed in tiles. What will be taken is printed
    /// before the run.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub max_memory: Option<u64>,
}

/// Where random access points are.
#[derive(Debug, Args)]
#[command(next_help_heading = headings::STORAGE)]
pub struct GroupArgs {
    /// Chunks from one random access point to the next; 0 for a single one at the start.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_CHUNKS_PER_GROUP)]
    pub group: u32,

    /// Do not begin a random access point where the scene cuts.
    #[arg(long)]
    pub no_scene_cuts: bool,
}

impl GroupArgs {
    /// Options for the pipeline.
    pub fn options(&self) -> Options {
        Options::default()
            .chunks_per_group(self.group)
            .key_frames(match self.no_scene_cuts {
                true => KeyFrames::None,
                false => KeyFrames::AtCuts,
            })
    }
}

/// How tokens are stored.
#[derive(Debug, Args)]
#[command(next_help_heading = headings::STORAGE)]
pub struct CoderArgs {
    /// Payload coder of the bit-planes.
    #[arg(long, value_name = "CODER", value_enum, default_value_t = CoderChoice::Cm)]
    pub coder: CoderChoice,

    /// Level of zstd, if that is the coder.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=22))]
    pub level: i32,
}

impl CoderArgs {
    /// Options for the writer of the file.
    pub fn writer_options(&self) -> WriterOptions {
        let compression = match self.coder {
            CoderChoice::Raw => Compression::Raw,
            CoderChoice::Zstd => Compression::Zstd { level: self.level },
            CoderChoice::Cm => Compression::Cm,
        };
        WriterOptions::default().with_compression(compression)
    }
}

/// How to write a video.
#[derive(Debug, Args)]
#[command(next_help_heading = headings::SINK)]
pub struct SinkArgs {
    /// Write raw video in this pixel format (yuv420p, rgb24, ...) instead of what the name of the output says.
    #[arg(long, value_name = "PIXFMT", value_parser = pixel_layout)]
    pub raw: Option<PixelLayout>,

    /// Encoder of the output, or its codec: libx264, libsvtav1, hevc, vp9 (also -c:v, as ffmpeg has it).
    #[arg(long, value_name = "NAME")]
    pub codec: Option<String>,

    /// Constant rate factor of that encoder.
    #[arg(long, value_name = "N")]
    pub crf: Option<f32>,

    /// Preset of that encoder.
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,

    /// Another option of that encoder, by ffmpeg's name: tune=grain, g=48, b=2M, x264-params=... (also -x264-params and the
    /// like). May be given several times.
    #[arg(long = "encoder-option", value_name = "NAME=VALUE", value_parser = key_value, allow_hyphen_values = true)]
    pub encoder_options: Vec<(String, String)>,

    /// Quality of JPEG pictures, 1 to 100.
    #[arg(long, value_name = "N", default_value_t = 95, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub quality: u8,

    /// What to do about frames' times: keep them where the output has times, and repeat and drop frames to a constant rate
    /// elsewhere, as in y4m and numbered pictures (auto); always a constant rate (cfr); each frame once (vfr).
    #[arg(long, value_name = "MODE", value_enum, default_value_t = FpsModeChoice::Auto)]
    pub fps_mode: FpsModeChoice,
}

/// Values of `--fps-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FpsModeChoice {
    /// As the output needs it.
    Auto,
    /// A constant rate.
    Cfr,
    /// Each frame once.
    Vfr,
}

impl SinkArgs {
    /// Options for the writer of a video.
    pub fn options(&self, info: VideoInfo) -> OutputOptions {
        OutputOptions::new(info)
            .with_raw(self.raw)
            .with_codec(self.codec.clone())
            .with_crf(self.crf)
            .with_preset(self.preset.clone())
            .with_encoder_options(self.encoder_options.clone())
            .with_quality(self.quality)
            .with_fps_mode(match self.fps_mode {
                FpsModeChoice::Auto => FpsMode::Auto,
                FpsModeChoice::Cfr => FpsMode::Cfr,
                FpsModeChoice::Vfr => FpsMode::Vfr,
            })
    }
}

/// What is done about lost chunks.
#[derive(Debug, Args)]
#[command(next_help_heading = headings::LOSSES)]
pub struct ConcealArgs {
    /// What to put in the place of lost chunks. `eval` takes a damaged file only with this, and then measures exact, affected
    /// and concealed frames apart. By default `decode` takes maskgit if there is a predictor for the model, else freeze.
    #[arg(long, value_name = "METHOD", value_enum)]
    pub conceal: Option<ConcealChoice>,

    /// Predictor for maskgit to use instead of the built-in one: a file that `training/` made for this model.
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub predictor: Option<PathBuf>,

    /// Passes of maskgit through the predictor for each lost chunk.
    #[arg(long, value_name = "N", default_value_t = FillOptions::default().steps, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub conceal_steps: u32,

    /// Conceal from the past alone, without waiting for the chunk after the lost ones.
    #[arg(long)]
    pub low_delay: bool,
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

/// How tokens are filled.
#[derive(Debug, Args)]
#[command(next_help_heading = headings::PREDICTOR)]
pub struct FillArgs {
    /// Predictor to use instead of the built-in one: a file that `training/` made for this model.
    #[arg(long, value_name = "FILE", value_parser = path)]
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
    /// Options for the codec.
    pub fn options(&self) -> FillOptions {
        FillOptions::default()
            .schedule(match self.schedule {
                ScheduleChoice::Cosine => Schedule::Cosine,
                ScheduleChoice::Linear => Schedule::Linear,
            })
            .steps(self.steps)
            .temperature(self.temperature)
            .noise(self.noise)
            .seed(self.seed)
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

/// A path that is opened by others than `latentbit-media`.
pub fn path(text: &str) -> Result<PathBuf, String> {
    Ok(path_of(text))
}

pub fn bytes(text: &str) -> Result<u64, String> {
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

pub fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n <= 1024 => Ok(n),
        _ => Err("expected a number from 0 to 1024".to_owned()),
    }
}

pub fn bits(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(n) if (1..=64).contains(&n) => Ok(n),
        _ => Err("expected a number from 1 to 64".to_owned()),
    }
}

pub fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("'{text}' is no option; write NAME=VALUE")),
    }
}

pub fn rate(text: &str) -> Result<Rational, String> {
    parse_rate(text).ok_or_else(|| format!("'{text}' is no frame rate; write 25, 29.97 or 30000/1001"))
}

pub fn pixel_layout(text: &str) -> Result<PixelLayout, String> {
    PixelLayout::from_ffmpeg_name(text).ok_or_else(|| {
        format!("'{text}' is not known here; write it as ffmpeg does: yuv420p, yuv422p10le, rgb24")
    })
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

/// Values of `archive --tokens`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShardTokens {
    /// numpy.
    Npy,
}
