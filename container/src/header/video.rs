//! What the header says of a stream of tokens (LBIT §4.3).

use crate::depths::check_step;
use crate::error::{Broken, Result};
use crate::fields::Fields;
use crate::ground::{Chroma, Color, ColorRange, Rational, TokenGrid};
use crate::limits::{Limits, within};
use crate::times::Times;
use crate::units::{LatentFrames, PixelFrames};

/// Longest name of a bundle in bytes.
pub const MAX_BUNDLE_NAME: usize = 255;

/// On disk, a frame count that was not known when the stream began.
const UNKNOWN_COUNT: u64 = u64::MAX;

/// Which bundle the tokens were made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleId {
    /// For people: 1 to [`MAX_BUNDLE_NAME`] bytes without control characters.
    pub name: String,
    /// For programs: the SHA-256 of the bundle.
    pub sha256: [u8; 32],
}

impl BundleId {
    /// The hash as people and files write it: 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn sha256_hex(&self) -> String {
        self.sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// How a bundle's tokenizer cuts video into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLayout {
    /// Bits per token (D), 1 to 64.
    pub bits: u8,
    /// Latent positions per token: time, height, width.
    pub patch: [u8; 3],
    /// Frames and pixels per latent position: time, height, width.
    pub strides: [u8; 3],
}

/// A stream of tokens: the video that it stands for and how it is cut into tokens (LBIT §4.3).
///
/// [`new`](Self::new) describes a still image of unknown color; the `with_` functions and the fields say more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VideoStream {
    /// Width of a frame in pixels.
    pub width: u32,
    /// Height of a frame in pixels.
    pub height: u32,
    /// Frames per second; 0/1 if there is no such thing, as with a still image. The average, if the rate varies.
    pub frame_rate: Rational,
    /// Seconds per tick of timestamps; both numbers at least 1.
    pub time_base: Rational,
    /// Ticks from one frame to the next in chunks that do not say otherwise; see [`Times`](crate::Times).
    pub frame_duration: u32,
    /// Width over height of a pixel; 0/1 if not known.
    pub pixel_aspect: Rational,
    /// Color of the source.
    pub color: Color,
    /// Chroma sampling of the source.
    pub chroma: Chroma,
    /// Where chroma samples lie: 0 unspecified, else 1 + the H.273 `ChromaLocType`, so 1 left, 2 center, 3 top left,
    /// 4 top, 5 bottom left, 6 bottom.
    pub chroma_location: u8,
    /// Bits per sample of the source, 1 to 16.
    pub bit_depth: u8,
    /// The bundle that made the tokens.
    pub bundle: BundleId,
    /// The most bits that a token of this stream has (D′), 1 to `bundle_bits`.
    pub bits: u8,
    /// Bits per token of the bundle's tokenizer (D), 1 to 64.
    pub bundle_bits: u8,
    /// Latent positions per token: time, height, width.
    pub patch: [u8; 3],
    /// Frames and pixels per latent position: time, height, width.
    pub strides: [u8; 3],
    /// Latent frames in a full chunk.
    pub chunk_latent_frames: u16,
    /// Frames of the stream, if they were known when it began. Give a number only if it is certain: a stream that
    /// ends with another count is not valid.
    pub frame_count: Option<PixelFrames>,
    /// Planes from one depth to the next, 1 to 64, if the stream is elastic: if its tokens may have depths (LBIT §5.8).
    pub depth_step: Option<u8>,
}

impl VideoStream {
    /// A stream of frames of `width` by `height` pixels, with tokens of `bundle` in all their bits.
    ///
    /// Of the source it says nothing: rate, pixel aspect, color and number of frames are unknown, a tick is a second,
    /// chroma is 4:2:0 of 8 bits. A full chunk has 4 latent frames.
    #[must_use]
    pub const fn new([width, height]: [u32; 2], bundle: BundleId, layout: TokenLayout) -> Self {
        Self {
            width,
            height,
            frame_rate: Rational { num: 0, den: 1 },
            time_base: Rational { num: 1, den: 1 },
            frame_duration: 1,
            pixel_aspect: Rational { num: 0, den: 1 },
            color: Color::UNKNOWN,
            chroma: Chroma::C420,
            chroma_location: 0,
            bit_depth: 8,
            bundle,
            bits: layout.bits,
            bundle_bits: layout.bits,
            patch: layout.patch,
            strides: layout.strides,
            chunk_latent_frames: 4,
            frame_count: None,
            depth_step: None,
        }
    }

    /// Sets the average rate, the time base and the ticks from one frame to the next.
    #[must_use]
    pub const fn with_times(mut self, rate: Rational, time_base: Rational, frame_duration: u32) -> Self {
        (self.frame_rate, self.time_base) = (rate, time_base);
        self.frame_duration = frame_duration;
        self
    }

    /// Checks every rule of LBIT §4.3.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) names the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        self.check().map_err(Broken::by_caller)
    }

    /// The token grid of a chunk of `latent` latent frames (LBIT §5.2): every side is rounded up to whole tokens.
    ///
    /// Sides of 0 in `patch` or `strides` are not valid and count as 1; a grid too large for `u32` saturates.
    #[must_use]
    pub fn grid(&self, latent: LatentFrames) -> TokenGrid {
        let [k_t, k_h, k_w] = self.patch.map(|side| u64::from(side).max(1));
        let [_, s_h, s_w] = self.strides.map(|stride| u64::from(stride).max(1));
        let side = |length: u64, step: u64| u32::try_from(length.div_ceil(step)).unwrap_or(u32::MAX);
        TokenGrid {
            t: side(latent.0, k_t),
            h: side(u64::from(self.height), s_h * k_h),
            w: side(u64::from(self.width), s_w * k_w),
        }
    }

    /// Frames in a chunk of `latent` latent frames with this header's time stride; see
    /// [`frames_held`](crate::units::frames_held).
    #[must_use]
    pub const fn frames_held(&self, latent: LatentFrames, key: bool) -> PixelFrames {
        crate::units::frames_held(latent, self.strides[0], key)
    }

    /// Sets the rate to a constant one: a tick is the time of a frame.
    ///
    /// Without a rate a tick is a second, which is as good as any other for a still image.
    #[must_use]
    pub const fn with_constant_rate(mut self, rate: Rational) -> Self {
        self.frame_rate = rate;
        self.time_base = Rational {
            num: if rate.num == 0 { 1 } else { rate.den },
            den: if rate.num == 0 { 1 } else { rate.num },
        };
        self.frame_duration = 1;
        self
    }

    /// Sets how the source codes its color.
    #[must_use]
    pub const fn with_color(mut self, color: Color) -> Self {
        self.color = color;
        self
    }

    /// Sets how the source samples its color: chroma format, place of the chroma samples, and bits per sample.
    #[must_use]
    pub const fn with_samples(mut self, chroma: Chroma, chroma_location: u8, bit_depth: u8) -> Self {
        self.chroma = chroma;
        (self.chroma_location, self.bit_depth) = (chroma_location, bit_depth);
        self
    }

    /// Sets width over height of a pixel.
    #[must_use]
    pub const fn with_pixel_aspect(mut self, pixel_aspect: Rational) -> Self {
        self.pixel_aspect = pixel_aspect;
        self
    }

    /// Sets the most bits that a token has, at most those of the bundle.
    #[must_use]
    pub const fn with_bits(mut self, bits: u8) -> Self {
        self.bits = bits;
        self
    }

    /// Sets the latent frames of a full chunk.
    #[must_use]
    pub const fn with_chunk_latent_frames(mut self, chunk_latent_frames: u16) -> Self {
        self.chunk_latent_frames = chunk_latent_frames;
        self
    }

    /// Sets the number of frames, if it is certain.
    #[must_use]
    pub const fn with_frame_count(mut self, frame_count: Option<PixelFrames>) -> Self {
        self.frame_count = frame_count;
        self
    }

    /// Makes the stream elastic: its tokens may have depths, in steps of this many planes. None makes it plain.
    #[must_use]
    pub const fn with_depth_step(mut self, depth_step: Option<u8>) -> Self {
        self.depth_step = depth_step;
        self
    }

    /// When the frames of a chunk are shown if the whole stream has a constant rate and starts at 0. Saturates.
    #[must_use]
    pub fn constant_times(&self, first_frame: PixelFrames) -> Times {
        let start = first_frame.0.saturating_mul(u64::from(self.frame_duration));
        Times {
            start: i64::try_from(start).unwrap_or(i64::MAX),
            durations: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), Broken> {
        let rule = |fine: bool, what, expected: &str, found: &dyn ToString| {
            if fine {
                Ok(())
            } else {
                Err(Broken::new(what, expected, found.to_string()))
            }
        };
        rule(self.width > 0, "frame width", "at least 1", &self.width)?;
        rule(self.height > 0, "frame height", "at least 1", &self.height)?;
        rule(
            self.frame_rate.den > 0,
            "frame rate",
            "a denominator of at least 1",
            &self.frame_rate.den,
        )?;
        rule(
            self.time_base.num > 0 && self.time_base.den > 0,
            "time base",
            "two numbers of at least 1",
            &format!("{}/{}", self.time_base.num, self.time_base.den),
        )?;
        rule(
            self.pixel_aspect.den > 0,
            "pixel aspect",
            "a denominator of at least 1",
            &self.pixel_aspect.den,
        )?;
        rule(
            self.chroma_location <= 6,
            "chroma location",
            "0 to 6",
            &self.chroma_location,
        )?;
        rule(
            (1..=16).contains(&self.bit_depth),
            "bit depth",
            "1 to 16",
            &self.bit_depth,
        )?;
        rule(
            (1..=64).contains(&self.bundle_bits),
            "bits of the bundle",
            "1 to 64",
            &self.bundle_bits,
        )?;
        rule(
            (1..=self.bundle_bits).contains(&self.bits),
            "bits per token",
            &format!("1 to the bundle's {}", self.bundle_bits),
            &self.bits,
        )?;
        rule(
            !self.patch.contains(&0),
            "patch",
            "three sizes of at least 1",
            &format!("{:?}", self.patch),
        )?;
        rule(
            !self.strides.contains(&0),
            "strides",
            "three of at least 1",
            &format!("{:?}", self.strides),
        )?;
        rule(
            self.chunk_latent_frames > 0,
            "latent frames per chunk",
            "at least 1",
            &0,
        )?;
        rule(
            self.frame_count != Some(PixelFrames(UNKNOWN_COUNT)),
            "frame count",
            "less than 2^64 - 1, or none",
            &UNKNOWN_COUNT,
        )?;
        let name = &self.bundle.name;
        rule(
            (1..=MAX_BUNDLE_NAME).contains(&name.len()),
            "bundle name",
            "1 to 255 bytes",
            &format!("{} bytes", name.len()),
        )?;
        rule(
            !name.contains(char::is_control),
            "bundle name",
            "no control characters",
            &format!("\"{}\"", name.escape_debug()),
        )?;
        self.depth_step.map_or(Ok(()), check_step)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96 + self.bundle.name.len());
        for number in [
            self.width,
            self.height,
            self.frame_rate.num,
            self.frame_rate.den,
            self.time_base.num,
            self.time_base.den,
            self.frame_duration,
            self.pixel_aspect.num,
            self.pixel_aspect.den,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.frame_count.map_or(UNKNOWN_COUNT, u64::from).to_le_bytes());
        out.extend_from_slice(&[
            self.color.primaries,
            self.color.transfer,
            self.color.matrix,
            match self.color.range {
                ColorRange::Unspecified => 0,
                ColorRange::Limited => 1,
                ColorRange::Full => 2,
            },
            match self.chroma {
                Chroma::C420 => 0,
                Chroma::C422 => 1,
                Chroma::C444 => 2,
                Chroma::Gray => 3,
                Chroma::Rgb => 4,
            },
            self.chroma_location,
            self.bit_depth,
            self.bits,
            self.bundle_bits,
        ]);
        out.extend_from_slice(&self.patch);
        out.extend_from_slice(&self.strides);
        // `check` bounds the name, so its length fits in a byte.
        out.push(self.bundle.name.len() as u8);
        out.extend_from_slice(&self.chunk_latent_frames.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.bundle.sha256);
        out.extend_from_slice(self.bundle.name.as_bytes());
        out.extend(self.depth_step);
        out
    }

    /// Reads a description; `elastic` tells whether a reader of the file must know of depths.
    pub(super) fn decode(body: &[u8], offset: u64, elastic: bool, limits: &Limits) -> Result<Self> {
        let mut fields = Fields::new(body, offset, None);
        let mut side = |what| -> Result<u32> {
            let at = fields.offset();
            let side = fields.u32(what)?;
            within(
                limits.max_frame_side,
                "max_frame_side",
                what,
                u64::from(side),
                at,
                None,
            )?;
            Ok(side)
        };
        let (width, height) = (side("frame width")?, side("frame height")?);
        let frame_rate = rational(&mut fields, "frame rate")?;
        let time_base = rational(&mut fields, "time base")?;
        let frame_duration = fields.u32("duration of a frame")?;
        let pixel_aspect = rational(&mut fields, "pixel aspect")?;
        let frame_count = match fields.u64("frame count")? {
            UNKNOWN_COUNT => None,
            frames => Some(PixelFrames(frames)),
        };
        let [primaries, transfer, matrix] = fields.array("color")?;
        let at = fields.offset();
        let range = match fields.u8("color range")? {
            0 => ColorRange::Unspecified,
            1 => ColorRange::Limited,
            2 => ColorRange::Full,
            other => return Err(Broken::new("color range", "0 to 2", other).in_file(at, None)),
        };
        let at = fields.offset();
        let chroma = match fields.u8("chroma format")? {
            0 => Chroma::C420,
            1 => Chroma::C422,
            2 => Chroma::C444,
            3 => Chroma::Gray,
            4 => Chroma::Rgb,
            other => return Err(Broken::new("chroma format", "0 to 4", other).in_file(at, None)),
        };
        let chroma_location = fields.u8("chroma location")?;
        let bit_depth = fields.u8("bit depth")?;
        let bits = fields.u8("bits per token")?;
        let bundle_bits = fields.u8("bits of the bundle")?;
        let patch = fields.array("patch")?;
        let strides: [u8; 3] = fields.array("strides")?;
        let name_len = usize::from(fields.u8("length of the bundle name")?);
        let at = fields.offset();
        let chunk_latent_frames = fields.u16("latent frames per chunk")?;
        let what = "frames per chunk";
        let held = u64::from(chunk_latent_frames) * u64::from(strides[0]);
        within(limits.max_chunk_frames, "max_chunk_frames", what, held, at, None)?;
        fields.u16("reserved field")?;
        let sha256 = fields.array("bundle hash")?;
        let name_at = fields.offset();
        let name = std::str::from_utf8(fields.bytes(name_len, "bundle name")?)
            .map_err(|error| Broken::new("bundle name", "UTF-8", error).in_file(name_at, None))?;
        let depth_step = match elastic && fields.remaining() > 0 {
            true => Some(fields.u8("step of depths")?).filter(|&step| step > 0),
            false => None,
        };
        // No check for the end of the body: later minor versions append fields here.
        Ok(Self {
            width,
            height,
            frame_rate,
            time_base,
            frame_duration,
            pixel_aspect,
            color: Color {
                primaries,
                transfer,
                matrix,
                range,
            },
            chroma,
            chroma_location,
            bit_depth,
            bundle: BundleId {
                name: name.to_owned(),
                sha256,
            },
            bits,
            bundle_bits,
            patch,
            strides,
            chunk_latent_frames,
            frame_count,
            depth_step,
        })
    }
}

fn rational(fields: &mut Fields<'_>, what: &'static str) -> Result<Rational> {
    Ok(Rational {
        num: fields.u32(what)?,
        den: fields.u32(what)?,
    })
}
