//! What the description of a stream says of the bundle, and whether a bundle is the one that it asks for.

use latentbit_container::{Chroma, TokenLayout, VideoStream};

use crate::error::{Error, Result};
use crate::model::Bundle;

/// The description of a stream for `width` by `height` pixels and all bits of the bundle. Of the source it says nothing: rate, aspect and
/// color are unknown, chroma is RGB of 8 bits.
///
/// # Errors
/// [`Error::Bundle`] if the bundle has no tokenizer, or strides that the format cannot hold.
pub fn video_stream_for(bundle: &Bundle, width: u32, height: u32) -> Result<VideoStream> {
    let tokenizer = bundle.tokenizer()?;
    let layout = TokenLayout {
        bits: tokenizer.bits(),
        patch: bytes("patch", tokenizer.config().patch)?,
        strides: bytes("strides", bundle.vae.strides())?,
    };
    let chunk_latent_frames = u16::try_from(tokenizer.config().chunk_latent_frames)
        .map_err(|_| Error::bundle("its chunks are longer than the format can say"))?;
    Ok(VideoStream::new([width, height], bundle.id.clone(), layout)
        .with_samples(Chroma::Rgb, 0, 8)
        .with_chunk_latent_frames(chunk_latent_frames))
}

fn bytes(what: &str, sides: [usize; 3]) -> Result<[u8; 3]> {
    let mut out = [0; 3];
    for (out, side) in out.iter_mut().zip(sides) {
        *out = u8::try_from(side).map_err(|_| Error::bundle(format!("its {what} are {sides:?}")))?;
    }
    Ok(out)
}

/// Checks that a stream of this description was made with this bundle.
///
/// # Errors
/// [`Error::WrongBundle`] if the hashes differ; [`Error::Parameter`] if they agree and yet it describes other
/// tokens than the bundle makes.
pub fn check_bundle(bundle: &Bundle, stream: &VideoStream) -> Result<()> {
    if stream.bundle.sha256 != bundle.id.sha256 {
        return Err(Error::WrongBundle {
            needed: Box::new(stream.bundle.clone()),
            given: Box::new(bundle.id.clone()),
        });
    }
    stream.validate()?;
    let ours = video_stream_for(bundle, stream.width, stream.height)?;
    let same =
        (stream.bundle_bits, stream.patch, stream.strides) == (ours.bundle_bits, ours.patch, ours.strides);
    if same {
        return Ok(());
    }
    Err(Error::parameter(
        "stream",
        format!(
            "describes tokens of {} bits, patch {:?}, strides {:?}, but its bundle makes {}, {:?}, {:?}",
            stream.bundle_bits, stream.patch, stream.strides, ours.bundle_bits, ours.patch, ours.strides
        ),
    ))
}
