//! Options of the commands that run a model on video or files: `encode`, `decode`, `eval`.

use clap::Args;

use super::shared::{
    CarryArgs, CoderArgs, ConcealArgs, GroupArgs, MemoryArgs, ModelArgs, OutputArgs, RangeArgs, SinkArgs,
    SourceArgs,
};
use super::values::bits;

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
