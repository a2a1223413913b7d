//! Checks whether a sidecar can be true, before anything is made from it.

use anyhow::{bail, ensure};
use latentbit_container::{
    Error, ErrorKind, Header, LatentFrames, Limits, Reader, Result as ContainerResult, VideoStream, Writer,
    WriterOptions,
};

use super::layout::{Columns, Layout};
use super::sidecar::{ChunkEntry, ELASTIC_SCHEMA, SCHEMA, Sidecar};

/// What a checked sidecar describes.
#[derive(Debug)]
pub struct Checked {
    pub video: VideoStream,
    pub layout: Layout,
}

/// A sidecar that may be true, but exceeds the limits of `.lbit` readers.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TooLarge(String);

/// Checks a sidecar for contradictions, and against the limits of readers of a file made from it.
pub fn check(sidecar: &Sidecar) -> anyhow::Result<Checked> {
    let expected = match sidecar.video.depth_step {
        None => SCHEMA,
        Some(_) => ELASTIC_SCHEMA,
    };
    ensure!(
        sidecar.schema == expected,
        "expected a sidecar of {expected}, found {}",
        sidecar.schema
    );
    let Some(video) = sidecar.video.stream() else {
        bail!("expected a hash of 64 hexadecimal digits and known names of range and chroma");
    };
    Header::from(video.clone()).validate()?;
    let layout = layout(sidecar, video.bits)?;
    for stream in sidecar.metadata.iter().filter_map(|metadata| metadata.stream) {
        ensure!(
            stream == 0,
            "expected metadata about the file or about stream 0, the video, found some about stream {stream}"
        );
    }
    trial(sidecar, &video).map_err(|error| match error.kind() {
        ErrorKind::Limits => TooLarge(format!("readers would refuse a file of it: {error}")).into(),
        _ => anyhow::Error::from(error),
    })?;
    chunks(sidecar, &video)?;
    Ok(Checked { video, layout })
}

/// How tokens lie in the array.
fn layout(sidecar: &Sidecar, bits: u8) -> anyhow::Result<Layout> {
    let dtype = sidecar.dtype.as_str();
    let (columns, wide) = match dtype {
        "u16" => (Some(Columns::U16), 16),
        "u32" => (Some(Columns::U32), 32),
        "u64" => (None, 64),
        other => bail!("expected numbers of type u16, u32 or u64, found {other}"),
    };
    let Some(found) = sidecar.columns else {
        ensure!(
            bits <= wide,
            "expected numbers that hold {bits} bits, or columns, found {dtype}"
        );
        return Ok(Layout {
            bytes: usize::from(wide / 8),
            columns: None,
        });
    };
    let expected = columns.map(|columns| Layout::new(bits, Some(columns)));
    match expected {
        Some(layout) if layout.columns == Some(found) => Ok(layout),
        Some(layout) => bail!(
            "expected {} columns of {dtype} for {bits} bits, found {found}",
            layout.columns.unwrap_or(1)
        ),
        None => bail!("expected columns of u16 or u32, found {found} of {dtype}"),
    }
}

/// Writes a file with everything but the chunks, and reads it.
fn trial(sidecar: &Sidecar, video: &VideoStream) -> ContainerResult<()> {
    // Without chunks the number of frames would be wrong.
    let header = Header::from(video.clone().with_frame_count(None));
    let mut writer = Writer::new(Vec::new(), &header, WriterOptions::default())?;
    for metadata in sidecar.metadata() {
        writer.write_metadata(&metadata)?;
    }
    writer.write_chapters(&sidecar.chapters())?;
    let (bytes, _) = writer.finish()?;
    let mut reader = Reader::new(&bytes[..], Limits::default())?;
    while reader.next_event()?.is_some() {}
    Ok(())
}

fn chunks(sidecar: &Sidecar, video: &VideoStream) -> anyhow::Result<()> {
    let (mut step, mut frames, mut lost) = (0u64, 0u64, 0u64);
    for (expected, chunk) in (0u64..).zip(&sidecar.chunks) {
        let number = chunk.number;
        ensure!(
            number == expected,
            "chunk {number}: expected chunk {expected} in its place"
        );
        ensure!(
            chunk.first_frame == frames,
            "chunk {number}: expected the first frame {frames}, found {}",
            chunk.first_frame
        );
        let next = frames.checked_add(chunk.frames);
        ensure!(
            next.is_some() && chunk.frames > 0,
            "chunk {number}: expected at least one frame, and less than 2^64 in all, found {}",
            chunk.frames
        );
        frames = next.unwrap_or(frames);
        ensure!(
            (1..=u64::from(video.chunk_latent_frames)).contains(&chunk.latent_frames),
            "chunk {number}: expected 1 to {} latent frames, found {}",
            video.chunk_latent_frames,
            chunk.latent_frames
        );
        let steps = match chunk.lost {
            true => 0,
            false => u64::from(video.grid(LatentFrames(chunk.latent_frames)).t),
        };
        ensure!(
            chunk.steps == [step, step + steps],
            "chunk {number}: expected the steps {:?}, found {:?}",
            [step, step + steps],
            chunk.steps
        );
        step += steps;
        match chunk.lost {
            true => lost = lost.saturating_add(chunk.frames),
            false => tokens(chunk, video)?,
        }
    }
    let limit = Limits::default().max_missing_frames.unwrap_or(u64::MAX);
    if lost > limit {
        let message = format!("expected at most {limit} frames of lost chunks, found {lost}");
        return Err(TooLarge(message).into());
    }
    if let Some(promised) = sidecar.video.frames {
        ensure!(
            promised == frames,
            "expected the {promised} frames of the video in chunks, found {frames}"
        );
    }
    let grid = video.grid(LatentFrames(1));
    let mut shape = vec![step, u64::from(grid.h), u64::from(grid.w)];
    shape.extend(sidecar.columns.map(|columns| columns as u64));
    ensure!(
        sidecar.shape == shape,
        "expected an array with the sides {shape:?}, found {:?}",
        sidecar.shape
    );
    Ok(())
}

/// Checks the number of tokens of a chunk and their bits.
fn tokens(chunk: &ChunkEntry, video: &VideoStream) -> anyhow::Result<()> {
    let number = chunk.number;
    let bits = chunk.bits.unwrap_or(video.bits);
    ensure!(
        (1..=video.bits).contains(&bits),
        "chunk {number}: expected 1 to {} bits per token, found {bits}",
        video.bits
    );
    let Limits {
        max_chunk_tokens,
        max_chunk_bytes,
        ..
    } = Limits::default();
    let grid = video.grid(LatentFrames(chunk.latent_frames));
    let tokens = grid.checked_len().unwrap_or(u64::MAX);
    let bytes = tokens.div_ceil(8).saturating_mul(u64::from(bits));
    for (what, found, limit) in [
        ("tokens", tokens, max_chunk_tokens),
        ("bytes", bytes, max_chunk_bytes),
    ] {
        if let Some(limit) = limit.filter(|&limit| found > limit) {
            let message = format!("chunk {number}: expected at most {limit} {what}, found {found}");
            return Err(TooLarge(message).into());
        }
    }
    Ok(())
}

/// Whether a writer failed because of what it was given.
pub fn is_given(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::Parameter { .. }))
}
