//! Sizes of videos and latents, the description of a stream, and whether it is one of a bundle.

use latentbit_container::{Chroma, TokenLayout, VideoStream};

use crate::error::{Error, Result};
use crate::model::Bundle;

/// Sizes of a video, of its latent, and of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Geometry {
    /// Width of a frame in pixels, above 0.
    pub width: u32,
    /// Height of a frame in pixels, above 0.
    pub height: u32,
    /// Frames and pixels per latent position along time, height and width.
    pub strides: [usize; 3],
    /// Latent frames of a full chunk, above 0.
    pub chunk_latent_frames: u16,
}

impl Geometry {
    /// Latent frames of a chunk of a bundle that has no tokenizer to say it.
    pub const CHUNK_LATENT_FRAMES: u16 = 4;

    /// For frames of this size and the VAE of a bundle.
    #[must_use]
    pub fn new(bundle: &Bundle, width: u32, height: u32) -> Self {
        let frames = bundle.tokenizer.as_ref().and_then(|tokenizer| {
            // A longer one cannot be written to a file either.
            tokenizer.config().chunk_latent_frames.try_into().ok()
        });
        Self {
            width,
            height,
            strides: bundle.vae.strides(),
            chunk_latent_frames: frames.unwrap_or(Self::CHUNK_LATENT_FRAMES),
        }
    }

    /// The same for frames of another size.
    #[must_use]
    pub fn with_size(self, width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            ..self
        }
    }

    /// Height and width of the latent of a frame.
    #[must_use]
    pub fn latent_size(&self) -> [usize; 2] {
        let [_, rows, columns] = self.strides;
        [
            (self.height as usize).div_ceil(rows),
            (self.width as usize).div_ceil(columns),
        ]
    }

    /// # Errors
    /// [`Error::Parameter`] if it is not one of the bundle's VAE.
    pub(super) fn check(&self, bundle: &Bundle) -> Result<()> {
        let strides = bundle.vae.strides();
        if self.strides != strides {
            let reason = format!(
                "has strides {:?}, but those of the bundle are {strides:?}",
                self.strides
            );
            return Err(Error::parameter("geometry", reason));
        }
        if self.width == 0 || self.height == 0 || self.chunk_latent_frames == 0 {
            let reason = format!(
                "has frames of {}x{} pixels and chunks of {} latent frames, but must have some of each",
                self.width, self.height, self.chunk_latent_frames
            );
            return Err(Error::parameter("geometry", reason));
        }
        Ok(())
    }
}

impl From<&VideoStream> for Geometry {
    fn from(stream: &VideoStream) -> Self {
        Self {
            width: stream.width,
            height: stream.height,
            strides: stream.strides.map(usize::from),
            chunk_latent_frames: stream.chunk_latent_frames,
        }
    }
}

/// The description of a stream for `width` by `height` pixels and all bits of the bundle. It says nothing of the source:
/// rate, aspect and color are unknown, chroma is RGB of 8 bits.
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
/// tokens than the bundle makes; [`Error::Limits`] for chunks longer than those of the bundle, because memory grows with
/// them.
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
        let (limit, found) = (ours.chunk_latent_frames.into(), stream.chunk_latent_frames.into());
        return match found > limit {
            true => Err(Error::Limits {
                what: "number of latent frames in a chunk",
                limit,
                found,
            }),
            false => Ok(()),
        };
    }
    Err(Error::parameter(
        "stream",
        format!(
            "describes tokens of {} bits, patch {:?}, strides {:?}, but its bundle makes {}, {:?}, {:?}",
            stream.bundle_bits, stream.patch, stream.strides, ours.bundle_bits, ours.patch, ours.strides
        ),
    ))
}
