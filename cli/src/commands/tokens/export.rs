//! `latentbit tokens export`.

use latentbit_media::path_of;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, IntoInnerError, Read, Seek, Write};
use std::path::Path;

use anyhow::Context;
use clap::Args;
use latentbit_container::{Error as ContainerError, Reader, StreamId, Tokens, VideoStream};
use serde::Serialize;

use crate::args::headings;
use crate::args::{OutputArgs, bits};
use crate::exit::{Exit, usage};
use crate::limits::limits;
use crate::overwrite::{self, Decision};
use crate::report;
use crate::streaming::lbit_input;
use crate::tokens::{
    ArrayFormat, Columns, Damage, Failed, Layout, Listing, Reading, Sidecar, depths_name, npy_header,
    sidecar_name, write_values,
};
use latentbit_media::{MediaError, MediaErrorKind, Target};

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
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct ExportReport<'a> {
    schema: &'static str,
    output: &'a str,
    sidecar: &'a str,
    dtype: &'a str,
    shape: &'a [u64],
    chunks: usize,
    lost_chunks: usize,
}

/// Runs the command.
pub fn run(args: &TokensExportArgs) -> anyhow::Result<Exit> {
    let output = &args.output.output;
    let beside = sidecar_name(output);
    for output in [output, &beside] {
        check_is_file(output)?;
    }
    for output in [output.clone(), beside.clone()] {
        let args = OutputArgs {
            output,
            ..args.output
        };
        if overwrite::check(&args)? == Decision::Skip {
            return Ok(Exit::Success);
        }
    }
    let Some(format) = args.format.or_else(|| ArrayFormat::of_name(output)) else {
        return usage(format!(
            "{output}: the name tells no format; name it .npy, .safetensors or .bin, or give --format"
        ));
    };
    let mut export = Export {
        args,
        beside: &beside,
        format,
        file: lbit_input::open_file(&args.input)?,
    };
    let place = &args.input;
    let written = match export.write(false).with_context(|| place.clone())? {
        Ok(written) => written,
        // Its checksums are right, so only a listing that unpacks takes it for lost.
        Err(_) => export
            .write(true)
            .and_then(|written| Ok(written?))
            .with_context(|| place.clone())?,
    };
    match written {
        Some(written) => written.tell(args, &beside),
        None => Ok(Exit::Success),
    }
}

/// Fails unless `output` can be a file: two files are written, and both get their names at the end.
fn check_is_file(output: &str) -> anyhow::Result<()> {
    if output == "-" {
        return usage(
            "-: tokens are written to two files, the array and its sidecar; give the name of a file",
        );
    }
    let metadata = path_of(output).metadata();
    if metadata.is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        return usage(format!(
            "{output}: this is a device or a pipe, and tokens are written to two files, the array and its sidecar; \
             give the name of a file"
        ));
    }
    Ok(())
}

struct Export<'a> {
    args: &'a TokensExportArgs,
    beside: &'a str,
    format: ArrayFormat,
    file: BufReader<File>,
}

impl Export<'_> {
    /// Reads the file twice: first to know how much there is, because an array begins with its length. The first reading
    /// unpacks chunks only if `unpack` says so; returns the reason if it should have. Writes nothing if the user wants to keep
    /// what is there.
    fn write(&mut self, unpack: bool) -> anyhow::Result<Result<Option<Written>, ContainerError>> {
        let args = self.args;
        let reader = Reader::salvaging(&mut self.file, limits())?;
        let (stream, video) = video(&reader, args)?;
        let layout = match (self.format, args.columns) {
            (ArrayFormat::Raw, None) => Layout::WIDE,
            (_, columns) => Layout::new(video.bits, columns),
        };
        let listing = Listing::new(Reading::new(reader, unpack), stream, &video, video.bits)?;
        let mut sidecar = listing.sidecar(&video, layout);
        let Some(mut depths) = Depths::create(self, &video, &mut sidecar)? else {
            return Ok(Ok(None));
        };
        let about = sidecar.to_json()?;

        let (target, mut file) = Target::open(&args.output.output)?;
        let failed = |error| MediaError::io(&args.output.output, "write", error);
        let header = self.format.header(&sidecar).map_err(failed)?;
        file.write_all(&header).map_err(failed)?;
        let mut reading = Reading::new(Reader::salvaging(&mut self.file, limits())?, true);
        let mut buffer = Vec::new();
        let values = write_values(&mut reading, stream, &listing, video.bits, |tokens| {
            buffer.clear();
            layout.put_all(&mut buffer, tokens);
            file.write_all(&buffer).map_err(failed)?;
            depths.write(tokens)
        });
        match values {
            Ok(()) => {}
            Err(Failed::Unpack(reason)) => return Ok(Err(reason)),
            Err(Failed::Other(error)) => return Err(error),
        }
        let depths_target = depths.finish(&mut file, &args.output.output)?;
        file.flush().map_err(failed)?;
        let (beside_target, mut beside_file) = Target::open(self.beside)?;
        let written = beside_file
            .write_all(about.as_bytes())
            .and_then(|()| beside_file.flush());
        written.map_err(|error| MediaError::io(self.beside, "write", error))?;
        target.commit()?;
        if let Some(target) = depths_target {
            target.commit()?;
        }
        beside_target.commit()?;
        Ok(Ok(Some(Written {
            // This one includes what only unpacking shows.
            damage: reading.damage,
            listing,
            sidecar,
        })))
    }
}

/// Where the depths of tokens go.
enum Depths {
    /// The tokens have none.
    None,
    /// A file of their own, of this name.
    File(String, Target, Box<dyn Write>),
    /// After the tokens; kept in a file without a name until then.
    Behind(BufWriter<File>),
}

impl Depths {
    /// Names them in the sidecar. None if their file is there already and is to be kept.
    fn create(
        export: &Export<'_>,
        video: &VideoStream,
        sidecar: &mut Sidecar,
    ) -> anyhow::Result<Option<Self>> {
        if video.depth_step.is_none() {
            return Ok(Some(Self::None));
        }
        let output = &export.args.output.output;
        if export.format == ArrayFormat::Safetensors {
            let spool = tempfile::tempfile().context("the temporary file of the depths")?;
            return Ok(Some(Self::Behind(BufWriter::new(spool))));
        }
        let name = depths_name(output);
        check_is_file(&name)?;
        let args = OutputArgs {
            output: name.clone(),
            ..export.args.output
        };
        if overwrite::check(&args)? == Decision::Skip {
            return Ok(None);
        }
        sidecar.depths = Path::new(&name)
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let failed = |error| MediaError::io(&name, "write", error);
        let header = match export.format {
            ArrayFormat::Npy => npy_header(&sidecar.depths_array()).map_err(failed)?,
            _ => Vec::new(),
        };
        let (target, mut file) = Target::open(&name)?;
        file.write_all(&header).map_err(failed)?;
        Ok(Some(Self::File(name, target, Box::new(file))))
    }

    fn write(&mut self, tokens: &Tokens) -> anyhow::Result<()> {
        let values = tokens.depth_values();
        match self {
            Self::None => Ok(()),
            Self::File(name, _, file) => {
                let written = file.write_all(&values);
                Ok(written.map_err(|error| MediaError::io(&*name, "write", error))?)
            }
            Self::Behind(spool) => spool
                .write_all(&values)
                .context("the temporary file of the depths"),
        }
    }

    /// Completes the output `place`, or returns the file that is left to commit.
    fn finish(self, output: &mut impl Write, place: &str) -> anyhow::Result<Option<Target>> {
        match self {
            Self::None => Ok(None),
            Self::File(name, target, mut file) => {
                file.flush()
                    .map_err(|error| MediaError::io(&name, "write", error))?;
                Ok(Some(target))
            }
            Self::Behind(spool) => {
                let mut spool = spool.into_inner().map_err(IntoInnerError::into_error)?;
                spool.rewind()?;
                io::copy(&mut spool, output).map_err(|error| MediaError::io(place, "write", error))?;
                Ok(None)
            }
        }
    }
}

/// The stream of tokens to export, with the bits that are wanted.
fn video<R: Read>(reader: &Reader<R>, args: &TokensExportArgs) -> anyhow::Result<(StreamId, VideoStream)> {
    let Some((stream, video)) = reader.header().first_video() else {
        let message = "there is no video in this file";
        return Err(MediaError::new(MediaErrorKind::Invalid, &args.input, message).into());
    };
    lbit_input::check_bits(args.bits, video)?;
    let bits = args.bits.unwrap_or(video.bits);
    Ok((stream, video.clone().with_bits(bits)))
}

/// What was written.
struct Written {
    listing: Listing,
    sidecar: Sidecar,
    damage: Damage,
}

impl Written {
    /// Reports what is not in the array; returns how the command ends.
    fn tell(&self, args: &TokensExportArgs, beside: &str) -> anyhow::Result<Exit> {
        let place = &args.input;
        if !self.listing.others.is_empty() {
            let others: Vec<String> = self.listing.others.iter().map(ToString::to_string).collect();
            tracing::warn!(
                "{place}: metadata about other streams is left out, as they are not part of the array: stream {}",
                others.join(", ")
            );
        }
        if self.listing.attachments > 0 {
            tracing::warn!(
                "{place}: {} attached files are left out, as they are not part of the array",
                self.listing.attachments
            );
        }
        let Damage { found, cut_off } = &self.damage;
        for reason in found {
            tracing::error!("{place}: {reason}");
        }
        let all = &self.sidecar.chunks;
        for lost in all.chunk_by(|a, b| a.lost == b.lost) {
            if let [first, ..] = lost
                && let Some(last) = lost.last().filter(|last| last.lost)
            {
                let end = last.first_frame.saturating_add(last.frames);
                tracing::error!(
                    "{place}: chunks {} to {} are lost, and with them the frames {} to {}; the sidecar holds their places",
                    first.number,
                    last.number,
                    first.first_frame,
                    end.saturating_sub(1)
                );
            }
        }
        if let Some(reason) = cut_off {
            tracing::error!("{place}: {reason}");
        }
        let lost_chunks = all.iter().filter(|chunk| chunk.lost).count();
        if args.json {
            let report = ExportReport {
                schema: "latentbit.tokens.export/1",
                output: &args.output.output,
                sidecar: beside,
                dtype: &self.sidecar.dtype,
                shape: &self.sidecar.shape,
                chunks: all.len(),
                lost_chunks,
            };
            report::print(&report, false)?;
        }
        Ok(match (found.is_empty() && lost_chunks == 0, cut_off) {
            (true, None) => Exit::Success,
            (true, Some(_)) => Exit::Truncated,
            (false, _) => Exit::Damaged,
        })
    }
}
