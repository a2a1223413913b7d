//! The command line, and the subcommands, one file each.

pub mod archive;
pub mod concat;
pub mod cut;
pub mod decode;
pub mod degrade;
pub mod encode;
pub mod eval;
pub mod generate;
pub mod index;
pub mod info;
pub mod inpaint;
pub mod latents;
pub mod manual;
pub mod models;
pub mod play;
pub mod recover;
pub mod score;
pub mod thumbnail;
pub mod tokens;
pub mod trim;
pub mod verify;

use latentbit_media::text_of;
use std::ffi::OsString;

use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::args::headings::GENERAL;
use crate::exit::Exit;
use crate::hints;
use crate::manual::afterword;

use archive::ArchiveArgs;
use concat::ConcatArgs;
use cut::CutArgs;
use decode::DecodeArgs;
use degrade::DegradeArgs;
use encode::EncodeArgs;
use eval::EvalArgs;
use generate::GenerateArgs;
use index::IndexArgs;
use info::InfoArgs;
use inpaint::InpaintArgs;
use latents::LatentsCommand;
use manual::ManualCommand;
use models::ModelsCommand;
use play::PlayArgs;
use recover::RecoverArgs;
use score::ScoreArgs;
use thumbnail::ThumbnailArgs;
use tokens::TokensCommand;
use trim::TrimArgs;
use verify::VerifyArgs;

/// Streaming neural video codec: video to .lbit tokens and back.
#[derive(Debug, Parser)]
#[command(name = "latentbit", version, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Print errors only, and no progress bar.
    #[arg(short, long, global = true, help_heading = GENERAL, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Print more; twice for debugging.
    #[arg(short, long, global = true, help_heading = GENERAL, action = ArgAction::Count)]
    pub verbose: u8,

    /// Lift the limits on what files may ask for, such as memory and work. Only for files from people you trust.
    #[arg(long, global = true, help_heading = GENERAL)]
    pub trusted: bool,

    /// Do not wait until outputs are on the disk. A loss of power may then cost them, and those that they replace.
    #[arg(long, global = true, help_heading = GENERAL)]
    pub no_fsync: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Turn a video or a picture into tokens.
    Encode(EncodeArgs),
    /// Turn tokens back into a video or a picture.
    Decode(DecodeArgs),
    /// Play a .lbit file in a player that is installed, ffplay or mpv.
    ///
    /// Frames are decoded as they are played: faster machines than the video needs wait, slower ones stutter. A build with
    /// libav plays sound and subtitles too.
    Play(PlayArgs),
    /// Make a small PNG of a .lbit file, as file managers show it.
    Thumbnail(ThumbnailArgs),
    /// Tell what a .lbit file holds, and whether it is whole.
    Info(InfoArgs),
    /// Compare a .lbit file with the video that it was made of: PSNR, SSIM, MS-SSIM, bits per pixel.
    ///
    /// The same figures are given for the model's VAE without quantization, the upper bound of what tokens can reach.
    Eval(EvalArgs),
    /// Check .lbit files in every byte: checksums, lengths, order, tokens, totals, digests and index.
    Verify(VerifyArgs),
    /// Make a whole file of what is left of a damaged or truncated one.
    ///
    /// Every intact chunk, packet and other record is copied as it is. Chunks that are lost between others are marked as
    /// lost, so that all frames keep their numbers and times. Ends with code 3 or 4 if anything was lost.
    Recover(RecoverArgs),
    /// Write a new index to a file whose own is missing or damaged.
    Index(IndexArgs),
    /// Leave the least important bits of all tokens out: a smaller file of lower quality, without encoding again.
    Trim(TrimArgs),
    /// Copy a part of a file, without encoding again: it begins and ends on chunk borders.
    ///
    /// It begins at the last key chunk that is not after --from, because decoding cannot begin elsewhere, and ends with
    /// the chunk that holds the last frame before --to. What was kept is printed.
    Cut(CutArgs),
    /// Join files one after the other, without encoding again.
    ///
    /// They must have the same model, size and kinds of streams. Each begins a new segment, so that nobody who trains on
    /// the tokens joins across.
    Concat(ConcatArgs),
    /// Lose chunks of a file on purpose, for tests and research: by number or at random.
    ///
    /// Their records are left out, as a channel does that loses packets; nothing else of the file changes. With --hold the
    /// places of lost chunks are held, as `recover` does; with --planes their most important planes stay.
    Degrade(DegradeArgs),
    /// Tokens out of a file as arrays for other programs (npy, safetensors, raw), and back into one.
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// The VAE alone: a video to the latents that diffusion models take, and back. It needs no tokenizer.
    #[command(subcommand)]
    Latents(LatentsCommand),
    /// Make a video from nothing, or go on from a file: tokens that the predictor holds likely.
    Generate(GenerateArgs),
    /// Make a rectangle or a span of time of a file anew, from what is around it.
    ///
    /// All other tokens stay as they are, to the bit.
    Inpaint(InpaintArgs),
    /// Tell how likely the tokens of a file are: bits per token under the predictor, for each chunk. Much more than other
    /// files have means that this one is unlike what the predictor was trained on.
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
    Archive(ArchiveArgs),
    /// Models that are kept on this machine: list, add, pull, verify, path.
    ///
    /// They are in the folder for caches of your system, or in that of LATENTBIT_MODELS. `--model NAME` uses one.
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Write this manual: man pages, completions for shells, or one page of Markdown.
    #[command(subcommand)]
    Manual(ManualCommand),
}

impl Command {
    /// Runs the command; `quiet` says whether to print errors only.
    pub fn run(&self, quiet: bool) -> anyhow::Result<Exit> {
        match self {
            Self::Encode(args) => encode::run(args, quiet),
            Self::Decode(args) => decode::run(args, quiet),
            Self::Play(args) => play::run(args, quiet),
            Self::Thumbnail(args) => thumbnail::run(args),
            Self::Info(args) => info::run(args),
            Self::Eval(args) => eval::run(args, quiet),
            Self::Verify(args) => verify::run(args),
            Self::Recover(args) => recover::run(args),
            Self::Index(args) => index::run(args),
            Self::Trim(args) => trim::run(args),
            Self::Cut(args) => cut::run(args),
            Self::Concat(args) => concat::run(args),
            Self::Degrade(args) => degrade::run(args),
            Self::Archive(args) => archive::run(args, quiet),
            Self::Tokens(command) => tokens::run(command),
            Self::Latents(command) => latents::run(command, quiet),
            Self::Generate(args) => generate::run(args, quiet),
            Self::Inpaint(args) => inpaint::run(args),
            Self::Score(args) => score::run(args),
            Self::Models(command) => models::run(command, quiet),
            Self::Manual(command) => manual::run(command, definition()),
        }
    }
}

/// All commands and options, with examples and exit codes after them.
pub fn definition() -> clap::Command {
    afterword::add(Arguments::command())
}

/// Reads the command line.
///
/// # Errors
/// What is wrong with it, or the help.
pub fn parse() -> Result<Arguments, clap::Error> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let mut definition = definition();
    if let Some(error) = hints::before(&mut definition, &words) {
        return Err(error);
    }
    let matches = definition.try_get_matches_from(as_ffmpeg_has_it(words.clone()));
    let arguments = matches.and_then(|matches| Arguments::from_arg_matches(&matches));
    arguments.map_err(|error| hints::after(error, &words))
}

/// The options that ffmpeg writes with one dash, in the form that others have here: `-an`, `-c:v libx264`, `-crf 20`,
/// `-x264-params keyint=30`. Names of files become text that stands for them, whatever bytes they have.
pub fn as_ffmpeg_has_it(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut all = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let known = argument.to_str().and_then(|text| {
            Some(match text {
                "-an" => "--no-audio",
                "-sn" => "--no-subtitles",
                "-c:v" | "-codec:v" | "-vcodec" => "--codec",
                "-crf" => "--crf",
                "-preset" => "--preset",
                "-vf" | "-filter:v" => "--vf",
                "-fps_mode" | "-vsync" => "--fps-mode",
                _ => return None,
            })
        });
        let encoders_own = argument.to_str().and_then(|text| {
            let name = text.strip_prefix('-')?;
            let known = matches!(
                name,
                "tune" | "b:v" | "g" | "bf" | "qp" | "profile:v" | "level" | "maxrate" | "bufsize"
            );
            // A value that is one of ours has two dashes.
            (known || (name.ends_with("-params") && !name.starts_with('-')))
                .then(|| name.trim_end_matches(":v"))
        });
        match (known, encoders_own) {
            (Some(known), _) => all.push(known.into()),
            (None, Some(name)) => {
                let mut option = OsString::from(format!("{name}="));
                option.push(arguments.next().unwrap_or_default());
                all.extend(["--encoder-option".into(), option]);
            }
            (None, None) => all.push(text_of(&argument).into()),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_ffmpeg() {
        let words = |line: &str| line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        for (given, taken) in [
            ("decode a -an -o b", "decode a --no-audio -o b"),
            (
                "-c:v hevc -crf 20 -preset slow",
                "--codec hevc --crf 20 --preset slow",
            ),
            (
                "-x264-params keyint=30:b=2 -tune grain",
                "--encoder-option x264-params=keyint=30:b=2 --encoder-option tune=grain",
            ),
            ("-b:v 2M -o -", "--encoder-option b=2M -o -"),
            ("--start -5 - -y -v", "--start -5 - -y -v"),
        ] {
            assert_eq!(as_ffmpeg_has_it(words(given)), words(taken), "{given}");
        }
    }
}
