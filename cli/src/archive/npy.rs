//! The tokens of a clip as an array of numpy.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use latentbit_container::{Limits, Reader};
use serde_json::Value;

use crate::media::{MediaError, MediaErrorKind};
use crate::tokens::{ArrayFormat, Failed, Layout, Listing, Reading, Sidecar, write_values};

/// Writes the tokens of `lbit`, as `tokens export` does, and gives the JSON that says what they are.
pub fn write(lbit: &Path, out: impl Write, place: &str) -> anyhow::Result<Value> {
    let name = lbit.display().to_string();
    let open = || -> anyhow::Result<_> {
        let file = File::open(lbit).map_err(|error| MediaError::io(&name, "open", error))?;
        Ok(Reader::new(BufReader::new(file), Limits::default())?)
    };
    let reader = open()?;
    let Some((stream, video)) = reader.header().first_video() else {
        let message = "there is no video in this file";
        return Err(MediaError::new(MediaErrorKind::Invalid, &name, message).into());
    };
    let video = video.clone();
    let layout = Layout::new(video.bits, None);
    let listing = Listing::new(Reading::new(reader, false), stream, &video, video.bits)?;
    let sidecar = Sidecar::of_listing(&video, layout, &listing);
    let failed = |error| MediaError::io(place, "write", error);
    let mut out = BufWriter::new(out);
    out.write_all(&ArrayFormat::Npy.header(&sidecar).map_err(failed)?)
        .map_err(failed)?;
    let mut reading = Reading::new(open()?, true);
    write_values(&mut reading, stream, &listing, layout, video.bits, |bytes| {
        Ok(out.write_all(bytes).map_err(failed)?)
    })
    .map_err(|error| match error {
        Failed::Unpack(error) => error.into(),
        Failed::Other(error) => error,
    })?;
    out.flush().map_err(failed)?;
    Ok(serde_json::to_value(&sidecar)?)
}
