//! The header record: what a decoder must know before the first chunk (LBIT §4).

use crate::chunk::TokenGrid;
use crate::error::{Broken, Error, Result};
use crate::fields::Fields;
use crate::limits::{Limits, within};
use crate::units::{LatentFrames, PixelFrames};

/// Longest name of a bundle in bytes.
pub const MAX_BUNDLE_NAME: usize = 255;

/// On disk, a frame count that was not known when the stream began.
const UNKNOWN_COUNT: u64 = u64::MAX;

/// The version of the format that a stream is written in (LBIT §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// A reader refuses majors that it does not know. 0 is the development format.
    pub major: u16,
    /// Counts additions that older readers may ignore.
    pub minor: u16,
    /// The least minor version that a reader must know.
    pub min_reader_minor: u16,
}

impl Version {
    /// What this crate writes, and the newest it reads.
    pub const CURRENT: Self = Self {
        major: 0,
        minor: 0,
        min_reader_minor: 0,
    };
}

/// A fraction. `den` is at least 1; a `num` of 0 says that the value is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rational {
    /// Numerator.
    pub num: u32,
    /// Denominator.
    pub den: u32,
}

/// The range of the sample values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorRange {
    /// Not known.
    #[default]
    Unspecified,
    /// 16–235 for luma at 8 bits.
    Limited,
    /// 0–255 at 8 bits.
    Full,
}

/// The color of the source, in code points of ISO/IEC 23091-2 (H.273), where 2 is "unspecified" (LBIT §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color {
    /// Color primaries.
    pub primaries: u8,
    /// Transfer characteristics.
    pub transfer: u8,
    /// Matrix coefficients.
    pub matrix: u8,
    /// Range of the sample values.
    pub range: ColorRange,
}

impl Default for Color {
    /// Nothing is known.
    fn default() -> Self {
        Self {
            primaries: 2,
            transfer: 2,
            matrix: 2,
            range: ColorRange::Unspecified,
        }
    }
}

/// How the source sampled its color.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chroma {
    /// YUV, chroma halved both ways.
    C420,
    /// YUV, chroma halved in width.
    C422,
    /// YUV, full chroma.
    C444,
    /// Luma only.
    Gray,
    /// RGB.
    Rgb,
}

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

/// The header of a stream (LBIT §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Width of a frame in pixels.
    pub width: u32,
    /// Height of a frame in pixels.
    pub height: u32,
    /// Frames per second; 0/1 if there is no such thing, as with a still image.
    pub frame_rate: Rational,
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
}

impl Header {
    /// Checks every rule of LBIT §4.1.
    ///
    /// # Errors
    /// [`Error::Parameter`] names the first field that is out of range.
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

    fn check(&self) -> Result<(), Broken> {
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
        )
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, Broken> {
        self.check()?;
        let version = Version::CURRENT;
        let mut out = Vec::with_capacity(92 + self.bundle.name.len());
        for number in [version.major, version.minor, version.min_reader_minor, 0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [
            self.width,
            self.height,
            self.frame_rate.num,
            self.frame_rate.den,
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
        Ok(out)
    }

    /// Reads the payload of a header record that starts at `offset`.
    pub(crate) fn decode(payload: &[u8], offset: u64, limits: &Limits) -> Result<(Self, Version)> {
        let mut fields = Fields::new(payload, offset, None);
        let version = decode_version(&mut fields)?;
        fields.u16("reserved field")?;

        let sides_at = fields.offset();
        let width = fields.u32("frame width")?;
        let height = fields.u32("frame height")?;
        within(
            limits.max_frame_side,
            "max_frame_side",
            "frame width",
            u64::from(width),
            sides_at,
        )?;
        within(
            limits.max_frame_side,
            "max_frame_side",
            "frame height",
            u64::from(height),
            sides_at + 4,
        )?;
        let frame_rate = Rational {
            num: fields.u32("frame rate")?,
            den: fields.u32("frame rate")?,
        };
        let pixel_aspect = Rational {
            num: fields.u32("pixel aspect")?,
            den: fields.u32("pixel aspect")?,
        };
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
        let strides = fields.array("strides")?;
        let name_len = usize::from(fields.u8("length of the bundle name")?);
        let chunk_latent_frames = fields.u16("latent frames per chunk")?;
        fields.u16("reserved field")?;
        let sha256 = fields.array("bundle hash")?;
        let name_at = fields.offset();
        let name = std::str::from_utf8(fields.bytes(name_len, "bundle name")?)
            .map_err(|error| Broken::new("bundle name", "UTF-8", error).in_file(name_at, None))?;
        // No check for the end of the payload: later minor versions append fields here.
        let header = Self {
            width,
            height,
            frame_rate,
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
        };
        header.check().map_err(|broken| broken.in_file(offset, None))?;
        Ok((header, version))
    }
}

fn decode_version(fields: &mut Fields<'_>) -> Result<Version> {
    let offset = fields.offset();
    let version = Version {
        major: fields.u16("format version")?,
        minor: fields.u16("format version")?,
        min_reader_minor: fields.u16("format version")?,
    };
    let known = Version::CURRENT;
    if version.major != known.major {
        return Err(Error::Unsupported {
            offset,
            what: "major version of the format",
            expected: known.major.to_string(),
            found: version.major.to_string(),
        });
    }
    if version.min_reader_minor > version.minor {
        let expected = format!("a minimum reader version of at most {}", version.minor);
        return Err(Broken::new("format version", expected, version.min_reader_minor).in_file(offset, None));
    }
    if version.min_reader_minor > known.minor {
        return Err(Error::Unsupported {
            offset,
            what: "minor version of the format",
            expected: format!("{}.0 to {}.{}", known.major, known.major, known.minor),
            found: format!(
                "a stream for {}.{} and up",
                version.major, version.min_reader_minor
            ),
        });
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::testing::{any_header, header};
    use proptest::prelude::*;

    fn decode(payload: &[u8]) -> Result<Header> {
        Header::decode(payload, 36, &Limits::default()).map(|(header, _)| header)
    }

    #[test]
    fn grid_rounds_up() {
        let mut header = header();
        (header.width, header.height, header.patch) = (17, 16, [2, 1, 2]);
        assert_eq!(header.grid(LatentFrames(3)), TokenGrid { t: 2, h: 2, w: 2 });
        (header.width, header.strides, header.patch) = (u32::MAX, [0; 3], [0; 3]);
        assert_eq!(header.grid(LatentFrames(1)).w, u32::MAX);
    }

    #[test]
    fn each_rule_is_checked() {
        fn fails(change: impl Fn(&mut Header)) -> String {
            let mut header = header();
            change(&mut header);
            let error = header.validate().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Parameter);
            error.to_string()
        }
        assert!(fails(|h| h.width = 0).contains("frame width"));
        assert!(fails(|h| h.height = 0).contains("frame height"));
        assert!(fails(|h| h.frame_rate.den = 0).contains("frame rate"));
        assert!(fails(|h| h.pixel_aspect.den = 0).contains("pixel aspect"));
        assert!(fails(|h| h.chroma_location = 7).contains("chroma location"));
        assert!(fails(|h| h.bit_depth = 17).contains("bit depth"));
        assert!(fails(|h| h.bits = 0).contains("bits per token"));
        assert!(fails(|h| h.bits = h.bundle_bits + 1).contains("bits per token"));
        assert!(fails(|h| h.bundle_bits = 65).contains("bits of the bundle"));
        assert!(fails(|h| h.patch[1] = 0).contains("patch"));
        assert!(fails(|h| h.strides[2] = 0).contains("strides"));
        assert!(fails(|h| h.chunk_latent_frames = 0).contains("latent frames"));
        assert!(fails(|h| h.frame_count = Some(PixelFrames(u64::MAX))).contains("frame count"));
        assert!(fails(|h| h.bundle.name.clear()).contains("bundle name"));
        assert!(fails(|h| h.bundle.name = "x".repeat(256)).contains("256 bytes"));
        assert!(fails(|h| h.bundle.name = "a\u{1b}b".into()).contains("control"));
    }

    #[test]
    fn versions() {
        let payload = header().encode().unwrap();
        let with = |at: usize, value: u16| {
            let mut payload = payload.clone();
            payload[at..at + 2].copy_from_slice(&value.to_le_bytes());
            payload
        };
        assert_eq!(decode(&with(0, 1)).unwrap_err().kind(), ErrorKind::Unsupported);
        assert!(decode(&with(2, 9)).is_ok(), "a higher minor is read on");
        let mut newer = with(2, 9);
        newer[4] = 1;
        assert_eq!(decode(&newer).unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(decode(&with(4, 1)).unwrap_err().kind(), ErrorKind::Format);
    }

    #[test]
    fn later_fields_are_ignored() {
        let mut payload = header().encode().unwrap();
        payload.extend_from_slice(b"more");
        assert_eq!(decode(&payload).unwrap(), header());
    }

    #[test]
    fn short_payloads_fail() {
        let payload = header().encode().unwrap();
        for len in 0..payload.len() {
            let error = decode(&payload[..len]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Format, "{len}: {error}");
        }
    }

    #[test]
    fn sides_are_limited() {
        let mut big = header();
        big.width = 20000;
        let error = decode(&big.encode().unwrap()).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::Limits, Some(36 + 8)));
    }

    proptest! {
        #[test]
        fn round_trip(header in any_header()) {
            let payload = header.encode().unwrap();
            prop_assert_eq!(Header::decode(&payload, 0, &Limits::none()).unwrap().0, header);
        }
    }
}
