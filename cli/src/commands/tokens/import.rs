//! `latentbit tokens import`.

use std::fs::File;
use std::io::{self, BufReader, Read};

use clap::Args;
use latentbit_container::{Header, LatentFrames};

use crate::args::{CoderArgs, OutputArgs};
use crate::exit::{Exit, usage};
use crate::overwrite::{self, Decision};
use crate::streaming::lbit_input;
use crate::streaming::lbit_output::{self, LbitOutput, Nothing};
use crate::tokens::{ArrayFormat, Checked, Sidecar, TooLarge, check, is_given, sidecar_name};
use latentbit_media::{MediaError, MediaErrorKind};

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

/// Runs the command.
pub fn run(args: &TokensImportArgs) -> anyhow::Result<Exit> {
    if overwrite::check(&args.output)? == Decision::Skip {
        return Ok(Exit::Success);
    }
    let input = &args.input;
    let Some(format) = args.format.or_else(|| ArrayFormat::of_name(input)) else {
        return usage(format!(
            "{input}: the name tells no format; name it .npy, .safetensors or .bin, or give --format"
        ));
    };
    if input == "-" && args.sidecar.is_none() && format != ArrayFormat::Safetensors {
        return usage("-: an array that comes by a pipe needs its JSON: give it with --sidecar");
    }
    let (place, file) = lbit_input::open_bytes(input)?;
    let mut file = BufReader::new(file);
    let found = format
        .read_header(&mut file)
        .map_err(|error| explain(&place, error))?;
    // A sidecar in the file is certainly its own, unlike one beside it.
    let (beside, sidecar) = match (&args.sidecar, found.about()) {
        (None, Some(about)) => (place.clone(), Sidecar::parse(about.as_bytes(), &place)?),
        (None, None) if input == "-" => {
            let message = "there is no JSON in this file; give it with --sidecar";
            return Err(invalid(&place, message.to_owned()));
        }
        (sidecar, _) => {
            let beside = sidecar.clone().unwrap_or_else(|| sidecar_name(input));
            let sidecar = read_sidecar(&beside)?;
            (beside, sidecar)
        }
    };
    let checked = check(&sidecar).map_err(|error| match error.downcast_ref::<TooLarge>() {
        Some(_) => MediaError::new(MediaErrorKind::Unsupported, &beside, error.to_string()).into(),
        None => invalid(&beside, error.to_string()),
    })?;
    found.check(&sidecar).map_err(|error| explain(&place, error))?;
    let import = Import {
        args,
        place: &place,
        beside: &beside,
        sidecar: &sidecar,
        checked: &checked,
    };
    import.write(&mut file)
}

fn invalid(place: &str, message: String) -> anyhow::Error {
    MediaError::new(MediaErrorKind::Invalid, place, message).into()
}

fn cut_off(place: &str, frames: u64, message: String) -> anyhow::Error {
    let message = format!("it is cut off: {message}; fetch it again");
    MediaError::new(MediaErrorKind::Truncated { frames }, place, message).into()
}

/// Distinguishes wrong contents from a failed read.
fn explain(place: &str, error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::InvalidData => invalid(place, error.to_string()),
        io::ErrorKind::UnexpectedEof => cut_off(place, 0, error.to_string()),
        _ => MediaError::io(place, "read", error).into(),
    }
}

fn read_sidecar(place: &str) -> anyhow::Result<Sidecar> {
    let failed = |error| MediaError::io(place, "read the sidecar", error);
    let file = File::open(place).map_err(failed)?;
    let mut text = Vec::new();
    file.take(Sidecar::MAX_LEN + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    Ok(Sidecar::parse(&text, place)?)
}

struct Import<'a> {
    args: &'a TokensImportArgs,
    place: &'a str,
    /// Where the sidecar is.
    beside: &'a str,
    sidecar: &'a Sidecar,
    checked: &'a Checked,
}

impl Import<'_> {
    fn write(&self, file: &mut impl Read) -> anyhow::Result<Exit> {
        let args = self.args;
        let header = Header::from(self.checked.video.clone());
        let mut output = LbitOutput::create(&args.output.output, &header, args.coder.writer_options())?;
        for metadata in self.sidecar.metadata() {
            output.write(|writer| writer.write_metadata(&metadata))?;
        }
        if !self.sidecar.chapters.is_empty() {
            output.write(|writer| writer.write_chapters(&self.sidecar.chapters()))?;
        }
        self.write_chunks(file, &mut output)?;
        let more = file
            .read(&mut [0])
            .map_err(|error| MediaError::io(self.place, "read", error))?;
        if more > 0 {
            let message = format!(
                "the array goes on after the last chunk that {} names",
                self.beside
            );
            return Err(invalid(self.place, message));
        }
        let summary = output.finish()?;
        lbit_output::print_summary(
            "tokens.import",
            &args.output.output,
            &summary,
            Nothing {},
            args.json,
        )
    }

    fn write_chunks(&self, file: &mut impl Read, output: &mut LbitOutput) -> anyhow::Result<()> {
        let Checked { video, layout } = self.checked;
        let mut bytes = Vec::new();
        for entry in &self.sidecar.chunks {
            let number = entry.number;
            let written = if entry.lost {
                output.write(|writer| writer.write_stored(&entry.place(video)))
            } else {
                let tokens = video.grid(LatentFrames(entry.latent_frames)).len();
                let len = tokens.saturating_mul(layout.token_bytes());
                bytes.clear();
                let read = file.take(len as u64).read_to_end(&mut bytes);
                let read = read.map_err(|error| {
                    anyhow::Error::from(MediaError::io(self.place, "read", error))
                        .context(format!("chunk {number}"))
                })?;
                if read < len {
                    let message =
                        format!("the array ends in chunk {number}: expected {len} bytes, found {read}");
                    return Err(cut_off(self.place, entry.first_frame, message));
                }
                let values = bytes
                    .chunks_exact(layout.token_bytes())
                    .map(|token| layout.get(token));
                let Some(values) = values.collect() else {
                    let message = format!(
                        "chunk {number}: bad token: expected {} bits, found over 64",
                        video.bits
                    );
                    return Err(invalid(self.place, message));
                };
                let chunk = entry.chunk(video, values);
                let valid = chunk.tokens.validate();
                valid.map_err(|error| invalid(self.place, format!("chunk {number}: {error}")))?;
                output.write(|writer| writer.write_chunk(&chunk))
            };
            written.map_err(|error| match is_given(&error) {
                true => invalid(self.beside, format!("chunk {number}: {}", error.root_cause())),
                false => error.context(format!("chunk {number}")),
            })?;
        }
        Ok(())
    }
}
