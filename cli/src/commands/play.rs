//! `latentbit play`.

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::Context;
use clap::Args;
use latentbit_codec::bundle::Halves;
use latentbit_codec::pipeline::Options;
use latentbit_container::ReadMode;

use crate::args::{CarryArgs, ConcealArgs, MemoryArgs, ModelArgs, RangeArgs, bits, path};
use crate::commands::decode::{exit, no_frames, output_info, skipped};
use crate::exit::Exit;
use crate::streaming::decoding::{Decoding, Shown, concealment};
use crate::streaming::depth_view::DepthView;
use crate::streaming::lbit_input;
use crate::streaming::presentation::packet_streams;
use crate::{interrupt, model};
use latentbit_media::{MediaError, MediaErrorKind, MediaKind, OutputOptions, open_player, text_of};

/// Players that are looked for, the first one first.
const PLAYERS: [&str; 2] = ["ffplay", "mpv"];

/// Options of `play`.
#[derive(Debug, Args)]
pub struct PlayArgs {
    /// .lbit file, or - for stdin.
    #[arg(allow_hyphen_values = true)]
    pub input: String,

    /// Player to use instead of ffplay or mpv, whichever is found on PATH first: a name or a path. It gets the video on its
    /// stdin, and - as its last argument.
    #[arg(long, value_name = "PROGRAM", value_parser = path)]
    pub player: Option<PathBuf>,

    #[command(flatten)]
    pub range: RangeArgs,

    #[command(flatten)]
    pub carry: CarryArgs,

    /// Bits to look at of each token, the most important ones; all by default.
    #[arg(long, value_name = "N", value_parser = bits)]
    pub bits: Option<u8>,

    /// Colour the pictures by the depths of their tokens: dark where few bits are kept, bright where many are.
    #[arg(long)]
    pub show_depth: bool,

    #[command(flatten)]
    pub conceal: ConcealArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,
}

/// Runs the command.
pub fn run(args: &PlayArgs, quiet: bool) -> anyhow::Result<Exit> {
    let mut input = lbit_input::open(&args.input, ReadMode::Resync)?;
    let notes = input.notes();
    let video = input.video.clone();
    let bundle = model::load_for(&args.model, Halves::Decoder, &video, &input.place)?;
    lbit_input::check_bits(args.bits, &video)?;
    let title = input.place.clone();
    let streams = packet_streams(input.source.header(), |stream| args.carry.keeps(stream.kind));
    let mut info = output_info(&video);
    info.along = notes.along(input.stream, &streams, skipped(args.range.start, &video));
    let still = info.kind == MediaKind::StillImage;
    let mut options = OutputOptions::new(info).with_times(video.time_base, video.frame_duration);
    options.packet_streams = streams.iter().map(|(_, stream)| stream.clone()).collect();
    let mut decoding = Decoding::new(&bundle, input, args.range.wanted(), streams)?;
    decoding.keep_going = true;
    decoding.depth_view = args.show_depth.then(|| DepthView::new(&video));
    decoding.options = Options::default()
        .threads(args.model.threads)
        .kept_bits(args.bits)
        .conceal(concealment(&args.conceal, &bundle)?)
        .low_delay(args.conceal.low_delay);
    decoding.plan_memory(&args.memory, quiet)?;

    let (name, mut player, pipe) = start(args.player.as_deref(), &title, still)?;
    // Taken before anything can go wrong, so that the player never outlives this program.
    player.stdin = None;
    interrupt::accompany(player);
    let played = play(decoding, &name, pipe, &options);
    let status = interrupt::part().with_context(|| format!("cannot wait for {name}"));
    let exit = match played {
        Err(error) if !is_closed(&error, &name) => return Err(error),
        // The player was closed early: whoever looked has seen enough.
        Err(_) => Exit::Success,
        Ok(exit) => exit,
    };
    let status = status?;
    if !status.success() {
        anyhow::bail!("{name}: ended with {status}; what it says stands above");
    }
    Ok(exit)
}

/// Decodes into the pipe, and closes it.
fn play(decoding: Decoding, name: &str, pipe: ChildStdin, options: &OutputOptions) -> anyhow::Result<Exit> {
    let mut sink = open_player(name, pipe, options)?;
    let decoded = decoding.run(|shown| {
        match shown {
            Shown::Packet(stream, packet) => sink.write_packet(stream, packet)?,
            Shown::Frame { frame, time, .. } => sink.write_frame(frame, time)?,
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let totals = decoded.losses.totals();
    if totals.written() == 0 {
        return no_frames(decoded.from_start);
    }
    sink.end_at(decoded.end)?;
    sink.finish()?;
    let damage = &decoded.feed.damage;
    damage.iter().for_each(|damage| tracing::error!("{damage}"));
    Ok(exit(decoded.feed.exit, totals, false))
}

/// Whether the player closed its end of the pipe.
fn is_closed(error: &anyhow::Error, name: &str) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<MediaError>())
        .any(|error| error.kind() == MediaErrorKind::BrokenPipe && error.place() == name)
}

/// Starts the wanted player, or the first one that is there. Gives its name too, and the pipe that it reads from.
fn start(wanted: Option<&Path>, title: &str, still: bool) -> anyhow::Result<(String, Child, ChildStdin)> {
    let players = match wanted {
        Some(player) => vec![player.to_owned()],
        None => PLAYERS.iter().map(PathBuf::from).collect(),
    };
    for player in &players {
        let name = text_of(player);
        let mut command = Command::new(player);
        command.args(arguments(player, title, still)).arg("-");
        match command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn() {
            Ok(mut child) => {
                let pipe = child.stdin.take().context("the player has no stdin")?;
                tracing::info!("playing with {name}");
                return Ok((name, child, pipe));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot start {name}")),
        }
    }
    match wanted {
        Some(player) => anyhow::bail!("{}: there is no such program", text_of(player)),
        None => anyhow::bail!(
            "there is neither {} on PATH; install one of them (they come with ffmpeg and mpv), name another player with \
             --player, or write a file that yours opens: latentbit decode FILE -o OUT.mp4",
            PLAYERS.join(" nor ")
        ),
    }
}

/// What a player is told besides where the video is. A picture stays until its window is closed.
fn arguments(player: &Path, title: &str, still: bool) -> Vec<OsString> {
    let stem = player.file_stem().unwrap_or_default();
    let words: &[&str] = match stem.to_str() {
        Some("ffplay") if still => &["-loglevel", "error"],
        Some("ffplay") => &["-loglevel", "error", "-autoexit"],
        Some("mpv") if still => &["--no-terminal", "--keep-open=yes"],
        Some("mpv") => &["--no-terminal"],
        _ => return Vec::new(),
    };
    let mut arguments: Vec<OsString> = words.iter().map(Into::into).collect();
    match stem == "mpv" {
        true => arguments.push(format!("--force-media-title={title}").into()),
        false => arguments.extend(["-window_title".into(), title.into()]),
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn players_are_told_what_they_understand() {
        let told = |player: &str, still| {
            let arguments = arguments(Path::new(player), "a b.lbit", still);
            let words = arguments.iter().map(|word| word.to_str().unwrap_or_default());
            words.collect::<Vec<_>>().join("|")
        };
        assert_eq!(
            told("/usr/bin/ffplay", false),
            "-loglevel|error|-autoexit|-window_title|a b.lbit"
        );
        assert_eq!(told("ffplay", true), "-loglevel|error|-window_title|a b.lbit");
        assert_eq!(told("mpv", false), "--no-terminal|--force-media-title=a b.lbit");
        assert_eq!(
            told("mpv", true),
            "--no-terminal|--keep-open=yes|--force-media-title=a b.lbit"
        );
        assert_eq!(told("vlc", false), "");
    }
}
