//! `latentbit tokens import`.

use std::fs;
use std::io::{BufReader, Read};

use anyhow::{Context, ensure};
use latentbit_container::{Header, VideoStream};

use crate::args::TokensImportArgs;
use crate::copied::{self, Nothing};
use crate::exit::{Exit, usage};
use crate::lbit_output::Output;
use crate::media::{MediaError, MediaErrorKind};
use crate::overwrite::{self, Decision};
use crate::tokens::{Array, ArrayFormat, Layout, SCHEMA, Sidecar, sidecar_name};

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
    let beside = args.sidecar.clone().unwrap_or_else(|| sidecar_name(input));
    let text = fs::read(&beside).map_err(|error| MediaError::io(&beside, "read the sidecar", error))?;
    let sidecar: Sidecar = serde_json::from_slice(&text)
        .map_err(|error| invalid(&beside, format!("this is no sidecar of tokens: {error}")))?;
    let video = check(&sidecar).map_err(|error| invalid(&beside, error.to_string()))?;
    let layout = layout(&sidecar).map_err(|error| invalid(&beside, error.to_string()))?;

    let file = fs::File::open(input).map_err(|error| MediaError::io(input, "open", error))?;
    let mut file = BufReader::new(file);
    let array = format
        .read_header(&mut file)
        .map_err(|error| invalid(input, error.to_string()))?;
    let expected = Array {
        dtype: sidecar.dtype.clone(),
        shape: sidecar.shape.clone(),
    };
    if let Some(found) = array.filter(|found| *found != expected) {
        let message = format!(
            "expected an array of {} with the sides {:?}, as {beside} says, found one of {} with {:?}",
            expected.dtype, expected.shape, found.dtype, found.shape
        );
        return Err(invalid(input, message));
    }

    let header = Header::from(video.clone());
    let mut output = Output::create(&args.output.output, &header, args.coder.writer_options())?;
    for metadata in sidecar.metadata() {
        output.write(|writer| writer.write_metadata(&metadata))?;
    }
    if !sidecar.chapters.is_empty() {
        output.write(|writer| writer.write_chapters(&sidecar.chapters()))?;
    }
    let mut bytes = Vec::new();
    for entry in &sidecar.chunks {
        let tokens = video
            .grid(latentbit_container::LatentFrames(entry.latent_frames))
            .len();
        let len = tokens.saturating_mul(layout.token_bytes());
        bytes.clear();
        let read = (&mut file).take(len as u64).read_to_end(&mut bytes);
        let read = read.map_err(|error| MediaError::io(input, "read", error))?;
        if read < len {
            let number = entry.number;
            let message = format!("the array ends in chunk {number}: expected {len} bytes, found {read}");
            return Err(invalid(input, message));
        }
        let values = bytes
            .chunks_exact(layout.token_bytes())
            .map(|token| layout.get(token));
        let Some(values) = values.collect() else {
            return Err(invalid(
                input,
                format!("a token of chunk {} has more than 64 bits", entry.number),
            ));
        };
        let chunk = entry.chunk(&video, values);
        output
            .write(|writer| writer.write_chunk(&chunk))
            .with_context(|| format!("{input}, chunk {}", entry.number))?;
    }
    let more = file
        .read(&mut [0])
        .map_err(|error| MediaError::io(input, "read", error))?;
    if more > 0 {
        return Err(invalid(
            input,
            format!("the array goes on after the last chunk that {beside} names"),
        ));
    }
    let summary = output.finish()?;
    copied::tell(
        "tokens.import",
        &args.output.output,
        &summary,
        Nothing {},
        args.json,
    )
}

fn invalid(place: &str, message: String) -> anyhow::Error {
    MediaError::new(MediaErrorKind::Invalid, place, message).into()
}

/// Checks what a sidecar says against itself; gives the stream that it describes.
fn check(sidecar: &Sidecar) -> anyhow::Result<VideoStream> {
    ensure!(
        sidecar.schema == SCHEMA,
        "expected a sidecar of {SCHEMA}, found {}",
        sidecar.schema
    );
    let Some(video) = sidecar.video.stream() else {
        anyhow::bail!("expected a hash of 64 hexadecimal digits and known names of range and chroma");
    };
    Header::from(video.clone()).validate()?;
    let mut step = 0;
    for chunk in &sidecar.chunks {
        let number = chunk.number;
        ensure!(
            !chunk.lost,
            "chunk {number} is lost; there are no tokens to make a file of"
        );
        ensure!(
            (1..=u64::from(video.chunk_latent_frames)).contains(&chunk.latent_frames),
            "chunk {number}: expected 1 to {} latent frames, found {}",
            video.chunk_latent_frames,
            chunk.latent_frames
        );
        let grid = video.grid(latentbit_container::LatentFrames(chunk.latent_frames));
        let expected = [step, step + u64::from(grid.t)];
        ensure!(
            chunk.steps == expected,
            "chunk {number}: expected the steps {expected:?}, found {:?}",
            chunk.steps
        );
        step = expected[1];
    }
    let grid = video.grid(latentbit_container::LatentFrames(1));
    let mut shape = vec![step, u64::from(grid.h), u64::from(grid.w)];
    shape.extend(sidecar.columns.map(|columns| columns as u64));
    ensure!(
        sidecar.shape == shape,
        "expected an array with the sides {shape:?}, found {:?}",
        sidecar.shape
    );
    Ok(video)
}

/// How tokens lie in the array.
fn layout(sidecar: &Sidecar) -> anyhow::Result<Layout> {
    let bytes = match sidecar.dtype.as_str() {
        "u16" => 2,
        "u32" => 4,
        "u64" => 8,
        other => anyhow::bail!("expected numbers of type u16, u32 or u64, found {other}"),
    };
    let columns = sidecar.columns;
    ensure!(
        columns.is_none_or(|columns| (1..=4).contains(&columns)),
        "expected 1 to 4 columns, found {columns:?}"
    );
    Ok(Layout { bytes, columns })
}
