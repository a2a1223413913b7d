//! `latentbit tokens import`.

use latentbit_media::path_of;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use clap::Args;
use latentbit_container::{DepthMap, Header, LatentFrames};

use crate::args::headings;
use crate::args::{CoderArgs, OutputArgs};
use crate::exit::{Exit, usage};
use crate::overwrite::{self, Decision};
use crate::streaming::lbit_input;
use crate::streaming::lbit_output::{self, LbitOutput, Nothing};
use crate::tokens::{
    ArrayFormat, Checked, ChunkEntry, Found, Sidecar, TooLarge, check, is_given, read_npy_header,
    sidecar_name,
};
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

    /// The array of depths, if tokens have depths; by default the file that the JSON names, beside the JSON.
    #[arg(long, value_name = "FILE")]
    pub depths: Option<String>,

    #[command(flatten)]
    pub coder: CoderArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long, help_heading = headings::GENERAL)]
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
    let depths = open_depths(args, (format, &found), (&sidecar, &beside))?;
    let import = Import {
        args,
        place: &place,
        beside: &beside,
        sidecar: &sidecar,
        checked: &checked,
    };
    import.write(&mut file, depths)
}

/// The depths of the tokens, from their first one on; none if tokens have none.
fn open_depths(
    args: &TokensImportArgs,
    (format, found): (ArrayFormat, &Found),
    (sidecar, beside): (&Sidecar, &str),
) -> anyhow::Result<Option<DepthSource>> {
    if sidecar.video.depth_step.is_none() {
        return match &args.depths {
            Some(depths) => usage(format!(
                "--depths {depths}: by {beside}, these tokens have no depths; drop it"
            )),
            None => Ok(None),
        };
    }
    let open = |place: &str| -> anyhow::Result<DepthSource> {
        let file =
            File::open(path_of(place)).map_err(|error| MediaError::io(place, "read the depths", error))?;
        Ok(DepthSource {
            place: place.to_owned(),
            file: BufReader::new(file),
        })
    };
    let place = match (&args.depths, &sidecar.depths, found.depths_at(sidecar)) {
        (Some(place), ..) => place.clone(),
        (None, _, Some(_)) if args.input == "-" => {
            return usage(
                "-: safetensors with depths are read in two places at once; give the name of a file",
            );
        }
        (None, _, Some(start)) => {
            let mut source = open(&args.input)?;
            source
                .file
                .seek(SeekFrom::Start(start))
                .map_err(|error| MediaError::io(&args.input, "read the depths", error))?;
            return Ok(Some(source));
        }
        (None, Some(name), None) => {
            // The name comes from a file: it must not lead out of the folder.
            if Path::new(name).file_name() != Some(name.as_ref()) {
                let message = format!("expected the name of a file of depths beside it, found {name:?}");
                return Err(invalid(beside, message));
            }
            Path::new(beside)
                .with_file_name(name)
                .to_string_lossy()
                .into_owned()
        }
        (None, None, None) => {
            let message = "its tokens have depths, but it names no file of depths; give it with --depths";
            return Err(invalid(beside, message.to_owned()));
        }
    };
    let mut source = open(&place)?;
    if format == ArrayFormat::Npy {
        let found = read_npy_header(&mut source.file);
        let checked = found.and_then(|found| found.expect(&sidecar.depths_array()));
        checked.map_err(|error| explain(&place, error))?;
    }
    Ok(Some(source))
}

/// Where depths come from.
struct DepthSource {
    place: String,
    file: BufReader<File>,
}

impl DepthSource {
    /// The next `tokens` depths, those of a chunk.
    fn read(&mut self, tokens: usize, entry: &ChunkEntry) -> anyhow::Result<Vec<u8>> {
        let number = entry.number;
        let mut values = Vec::new();
        let read = self.file.by_ref().take(tokens as u64).read_to_end(&mut values);
        let read = read.map_err(|error| {
            anyhow::Error::from(MediaError::io(&self.place, "read", error)).context(format!("chunk {number}"))
        })?;
        if read < tokens {
            let message = format!("the depths end in chunk {number}: expected {tokens} bytes, found {read}");
            return Err(cut_off(&self.place, entry.first_frame, message));
        }
        Ok(values)
    }
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
    let file = File::open(path_of(place)).map_err(failed)?;
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
    fn write(&self, file: &mut impl Read, mut depths: Option<DepthSource>) -> anyhow::Result<Exit> {
        let args = self.args;
        let header = Header::from(self.checked.video.clone());
        let mut output = LbitOutput::create(&args.output.output, &header, args.coder.writer_options())?;
        for metadata in self.sidecar.metadata() {
            output.write(|writer| writer.write_metadata(&metadata))?;
        }
        if !self.sidecar.chapters.is_empty() {
            output.write(|writer| writer.write_chapters(&self.sidecar.chapters()))?;
        }
        // In safetensors they follow the tokens.
        let inside = depths
            .as_ref()
            .is_some_and(|depths| depths.place == self.args.input);
        self.write_chunks(file, depths.as_mut(), &mut output)?;
        if !inside {
            self.check_end(file, self.place, "array")?;
        }
        if let Some(depths) = &mut depths {
            self.check_end(&mut depths.file, &depths.place, "array of depths")?;
        }
        let (summary, _) = output.finish()?;
        lbit_output::print_summary(
            "tokens.import",
            &args.output.output,
            &summary,
            Nothing {},
            args.json,
        )
    }

    /// Fails if there is more than the chunks take.
    fn check_end(&self, file: &mut impl Read, place: &str, what: &str) -> anyhow::Result<()> {
        let more = file
            .read(&mut [0])
            .map_err(|error| MediaError::io(place, "read", error))?;
        match more {
            0 => Ok(()),
            _ => Err(invalid(
                place,
                format!(
                    "the {what} goes on after the last chunk that {} names",
                    self.beside
                ),
            )),
        }
    }

    fn write_chunks(
        &self,
        file: &mut impl Read,
        mut depths: Option<&mut DepthSource>,
        output: &mut LbitOutput,
    ) -> anyhow::Result<()> {
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
                let depths = match (&mut depths, video.depth_step) {
                    (Some(depths), Some(step)) => {
                        let read = depths.read(tokens, entry)?;
                        let bits = entry.bits.unwrap_or(video.bits);
                        if entry.even && read.iter().any(|&depth| depth != bits) {
                            let message =
                                format!("chunk {number}: expected the depth {bits} of all its tokens");
                            return Err(invalid(&depths.place, message));
                        }
                        (!entry.even).then_some(DepthMap { step, values: read })
                    }
                    _ => None,
                };
                let chunk = entry.chunk(video, values, depths);
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
