//! Samples of pictures, from and to the bytes of PNG and JPEG files.

use crate::exif::Directory;
use crate::video::{MAX_SIDE, check_size};
use crate::{MediaError, MediaErrorKind};
use latentbit_codec::Frame;
use std::io::{Cursor, Write};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

/// A decoded picture as its file has it.
pub struct Picture {
    pub width: u32,
    pub height: u32,
    /// Samples of a pixel: gray or red, green, blue, and then opacity if [`alpha`](Self::alpha).
    pub gray: bool,
    pub alpha: bool,
    /// Whether samples have 16 bits, in the order of the network, rather than 8.
    pub wide: bool,
    samples: Vec<u8>,
    pub profile: Option<Vec<u8>>,
    /// As Exif has it: 1 to 8.
    orientation: u32,
}

/// No picture of at most [`MAX_SIDE`] squared needs more memory.
pub const MAX_BYTES: usize = 2 << 30;

fn orientation_of(exif: Option<&[u8]>) -> u32 {
    let read = |exif| Directory::read(Cursor::new(exif)).ok().flatten();
    exif.and_then(read).map_or(1, |directory| directory.orientation)
}

impl Picture {
    /// # Errors
    /// [`MediaErrorKind::Truncated`] if the file ends before the picture, [`MediaErrorKind::Invalid`] if it is damaged.
    pub fn from_png(place: &str, bytes: &[u8]) -> Result<Self, MediaError> {
        let failed = |error| png_error(place, error);
        let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: MAX_BYTES });
        decoder.set_transformations(png::Transformations::EXPAND);
        let header = decoder.read_header_info().map_err(failed)?;
        check_size(place, header.width.into(), header.height.into())?;
        let mut reader = decoder.read_info().map_err(failed)?;
        let size = reader.output_buffer_size().filter(|size| *size <= MAX_BYTES);
        let size = size.ok_or_else(|| failed(png::DecodingError::LimitsExceeded))?;
        let mut samples = vec![0; size];
        let found = reader.next_frame(&mut samples).map_err(failed)?;
        samples.truncate(found.buffer_size());
        // What stands after the pixels may say which way up they are; if it cannot be read, they are whole all the same.
        let _ = reader.finish();
        let info = reader.info();
        use png::ColorType::{Grayscale, GrayscaleAlpha, Rgba};
        Ok(Self {
            width: found.width,
            height: found.height,
            gray: matches!(found.color_type, Grayscale | GrayscaleAlpha),
            alpha: matches!(found.color_type, Rgba | GrayscaleAlpha),
            wide: found.bit_depth == png::BitDepth::Sixteen,
            samples,
            profile: info.icc_profile.as_deref().map(<[u8]>::to_vec),
            orientation: orientation_of(info.exif_metadata.as_deref()),
        })
    }

    /// # Errors
    /// [`MediaErrorKind::Unsupported`] for rare kinds of JPEG, [`MediaErrorKind::Invalid`] if it is damaged. Where it ends too
    /// early, the rest of the picture is gray.
    pub fn from_jpeg(place: &str, bytes: &[u8]) -> Result<Self, MediaError> {
        let failed = |error| jpeg_error(place, &error);
        let options = DecoderOptions::default()
            .set_strict_mode(false)
            .set_max_width(MAX_SIDE as usize)
            .set_max_height(MAX_SIDE as usize);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(failed)?;
        let (width, height) = decoder.dimensions().unwrap_or_default();
        check_size(place, width as u64, height as u64)?;
        let gray = decoder.input_colorspace() == Some(ColorSpace::Luma);
        let wanted = if gray { ColorSpace::Luma } else { ColorSpace::RGB };
        decoder.set_options(options.jpeg_set_out_colorspace(wanted));
        let samples = decoder.decode().map_err(failed)?;
        Ok(Self {
            width: width as u32,
            height: height as u32,
            gray,
            alpha: false,
            wide: false,
            samples,
            profile: decoder.icc_profile(),
            orientation: orientation_of(decoder.exif().map(Vec::as_slice)),
        })
    }

    /// The picture the right way up in red, green and blue of 0…1, laid over `background` where it is transparent.
    pub fn into_frame(self, background: [f32; 3]) -> Frame {
        let channels = if self.gray { 1 } else { 3 } + usize::from(self.alpha);
        let (width, height) = (self.width as usize, self.height as usize);
        let bytes = if self.wide { 2 } else { 1 };
        let value = |pixel: &[u8], channel: usize| match pixel.get(channel * bytes..(channel + 1) * bytes) {
            Some(&[byte]) => f32::from(byte) / 255.0,
            Some(&[high, low]) => f32::from(u16::from_be_bytes([high, low])) / 65535.0,
            _ => 0.0,
        };
        let rgb = |pixel: &[u8]| -> [f32; 3] {
            let opacity = match self.alpha {
                true => value(pixel, channels - 1),
                false => 1.0,
            };
            std::array::from_fn(|i| {
                let value = value(pixel, if self.gray { 0 } else { i });
                value * opacity + background[i] * (1.0 - opacity)
            })
        };
        // Rows and columns change places in the last four.
        let (out_width, out_height) = match self.orientation {
            5.. => (height, width),
            _ => (width, height),
        };
        let step = channels * bytes;
        let mut data = Vec::with_capacity(self.samples.len() / step * 3);
        for y in 0..out_height {
            for x in 0..out_width {
                let (from_x, from_y) = match self.orientation {
                    2 => (width - 1 - x, y),
                    3 => (width - 1 - x, height - 1 - y),
                    4 => (x, height - 1 - y),
                    5 => (y, x),
                    6 => (y, height - 1 - x),
                    7 => (width - 1 - y, height - 1 - x),
                    8 => (width - 1 - y, x),
                    _ => (x, y),
                };
                let at = (from_y * width + from_x) * step;
                data.extend(self.samples.get(at..at + step).map_or([0.0; 3], rgb));
            }
        }
        Frame {
            width: out_width,
            height: out_height,
            data,
        }
    }
}

fn picture_error(place: &str, kind: MediaErrorKind, why: &dyn std::fmt::Display) -> MediaError {
    MediaError::new(kind, place, format!("cannot decode the picture: {why}"))
}

fn png_error(place: &str, error: png::DecodingError) -> MediaError {
    let kind = match &error {
        png::DecodingError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
            MediaErrorKind::Truncated { frames: 0 }
        }
        _ => MediaErrorKind::Invalid,
    };
    picture_error(place, kind, &error)
}

fn jpeg_error(place: &str, error: &DecodeErrors) -> MediaError {
    let kind = match error {
        DecodeErrors::Unsupported(_) => MediaErrorKind::Unsupported,
        DecodeErrors::ExhaustedData => MediaErrorKind::Truncated { frames: 0 },
        _ => MediaErrorKind::Invalid,
    };
    picture_error(place, kind, &format!("{error:?}"))
}

/// What a frame becomes in a file.
#[derive(Debug, Clone, Default)]
pub struct Coding {
    /// Only the first of the three colours, which are the same.
    pub gray: bool,
    /// 16 bits for each sample of a PNG.
    pub wide: bool,
    /// 1 to 100, for JPEG.
    pub quality: u8,
    /// An ICC profile.
    pub profile: Option<Vec<u8>>,
}

impl Coding {
    /// The samples of a frame as they stand in a file.
    fn samples(&self, frame: &Frame, wide: bool) -> Vec<u8> {
        let values = frame.data.iter().step_by(if self.gray { 3 } else { 1 });
        let codes = |max: f32| move |value: &f32| value.clamp(0.0, 1.0) * max + 0.5;
        match wide {
            true => values
                .map(codes(65535.0))
                .flat_map(|code| (code as u16).to_be_bytes())
                .collect(),
            false => values.map(codes(255.0)).map(|code| code as u8).collect(),
        }
    }

    /// Writes a frame as PNG.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_png(&self, file: impl Write, frame: &Frame) -> std::io::Result<()> {
        let mut info = png::Info::with_size(frame.width as u32, frame.height as u32);
        info.color_type = match self.gray {
            true => png::ColorType::Grayscale,
            false => png::ColorType::Rgb,
        };
        info.bit_depth = match self.wide {
            true => png::BitDepth::Sixteen,
            false => png::BitDepth::Eight,
        };
        info.icc_profile = self.profile.as_deref().map(Into::into);
        let failed = |error| match error {
            png::EncodingError::IoError(error) => error,
            other => std::io::Error::other(other),
        };
        let encoder = png::Encoder::with_info(file, info).map_err(failed)?;
        let mut writer = encoder.write_header().map_err(failed)?;
        let written = writer.write_image_data(&self.samples(frame, self.wide));
        written.and_then(|()| writer.finish()).map_err(failed)
    }

    /// Writes a frame as JPEG.
    ///
    /// # Errors
    /// Those of writing, and [`std::io::ErrorKind::InvalidInput`] for a side above 65,535 pixels.
    pub fn write_jpeg(&self, file: impl Write, frame: &Frame) -> std::io::Result<()> {
        use jpeg_encoder::{ColorType, Encoder, EncodingError, SamplingFactor};
        let failed = |error| match error {
            EncodingError::IoError(error) => error,
            other => std::io::Error::other(other),
        };
        let side = |side: usize| {
            u16::try_from(side).map_err(|_| {
                std::io::Error::new(
                    std::io::ErrorKind::InvalidInput,
                    "a side of a JPEG has at most 65535 pixels",
                )
            })
        };
        let mut encoder = Encoder::new(file, self.quality.clamp(1, 100));
        // No colour is lost to coarser sampling.
        encoder.set_sampling_factor(SamplingFactor::F_1_1);
        if let Some(profile) = &self.profile {
            encoder.add_icc_profile(profile).map_err(failed)?;
        }
        let color = if self.gray {
            ColorType::Luma
        } else {
            ColorType::Rgb
        };
        let samples = self.samples(frame, false);
        let size = (side(frame.width)?, side(frame.height)?);
        encoder.encode(&samples, size.0, size.1, color).map_err(failed)
    }
}
