//! The tokens of a clip as an array of numpy.

use std::io::{BufReader, BufWriter, Read, Write};

use latentbit_container::{Limits, Reader};
use serde_json::Value;

use crate::tokens::{ArrayFormat, Layout, Listing, Reading, Sidecar};
use latentbit_media::{MediaError, MediaErrorKind};

/// Writes the tokens of a `.lbit`, which is read once, as `tokens export` does; gives the JSON that says what they are.
/// There must be `steps` steps of them, because an array begins with its length. `name` and `place` are those of the
/// `.lbit` and of the array in messages.
pub fn write(lbit: impl Read, name: &str, steps: u64, out: impl Write, place: &str) -> anyhow::Result<Value> {
    let invalid = |message: String| MediaError::new(MediaErrorKind::Invalid, name, message);
    let reader = Reader::new(BufReader::new(lbit), Limits::default())?;
    let Some((stream, video)) = reader.header().first_video() else {
        return Err(invalid("there is no video in this file".to_owned()).into());
    };
    let video = video.clone();
    let layout = Layout::new(video.bits, None);
    let failed = |error| MediaError::io(place, "write", error);
    let mut out = BufWriter::new(out);
    let begun = Sidecar::of_steps(&video, layout, steps);
    out.write_all(&ArrayFormat::Npy.header(&begun).map_err(failed)?)
        .map_err(failed)?;
    let mut buffer = Vec::new();
    let reading = Reading::new(reader, true);
    let listing = Listing::with_tokens(
        reading,
        stream,
        &video,
        video.bits,
        |tokens| -> anyhow::Result<()> {
            buffer.clear();
            layout.put_all(&mut buffer, &tokens);
            Ok(out.write_all(&buffer).map_err(failed)?)
        },
    )?;
    out.flush().map_err(failed)?;
    let found = listing.steps();
    if found != steps {
        return Err(invalid(format!("expected {steps} steps of tokens, found {found}")).into());
    }
    Ok(serde_json::to_value(Sidecar::of_listing(
        &video, layout, &listing,
    ))?)
}
