//! Latents and frames as files of safetensors: `latents` and `frames`, each [1, C, T, H, W].

use latentbit_media::path_of;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use clap::ValueEnum;
use half::{bf16, f16};
use latentbit_codec::Bundle;
use latentbit_codec::bundle::VaeConfig;
use latentbit_codec::pipeline::Geometry;
use latentbit_container::Rational;
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde::{Deserialize, Serialize};

use latentbit_media::{FRAMES, MediaError, MediaErrorKind};

/// The name of a tensor of latents.
pub const LATENTS: &str = "latents";

/// Longest header in bytes: the safetensors library refuses more.
const MAX_HEADER: u64 = 100_000_000;

/// A file of safetensors with latents or frames.
#[derive(Debug)]
pub struct TensorFile {
    place: String,
    file: File,
    start: u64,
    dtype: Dtype,
    /// The name of the tensor.
    pub key: String,
    pub channels: usize,
    pub frames: u64,
    pub height: usize,
    pub width: usize,
    /// Description of the latents, if this program wrote the file.
    pub about: Option<About>,
}

impl TensorFile {
    /// Opens the tensor `latents`, or `frames` if there is none.
    pub fn open(path: &str) -> anyhow::Result<Self> {
        let failed = |error| MediaError::io(path, "read", error);
        let invalid = |message: String| MediaError::new(MediaErrorKind::Invalid, path, message);
        let mut file = File::open(path_of(path)).map_err(|error| MediaError::io(path, "open", error))?;
        let len = file.metadata().map_err(failed)?.len();
        let mut size = [0; 8];
        file.read_exact(&mut size).map_err(failed)?;
        let header_len = u64::from_le_bytes(size);
        if header_len > MAX_HEADER.min(len.saturating_sub(8)) {
            return Err(invalid(format!(
                "expected a file of safetensors, found one whose header would take {header_len} bytes of {len}"
            ))
            .into());
        }
        let mut text = Vec::new();
        (&mut file)
            .take(header_len)
            .read_to_end(&mut text)
            .map_err(failed)?;
        let header: Metadata = serde_json::from_slice(&text)
            .map_err(|error| invalid(format!("expected a file of safetensors: {error}")))?;
        let found = [LATENTS, FRAMES]
            .iter()
            .find_map(|key| Some((*key, header.info(key)?)));
        let Some((key, info)) = found else {
            let mut names: Vec<String> = header.tensors().into_keys().collect();
            names.sort();
            names.truncate(8);
            return Err(invalid(format!(
                "expected a tensor '{LATENTS}' or '{FRAMES}', found {names:?}"
            ))
            .into());
        };
        let (&[1, channels, frames, height, width], Some(each)) = (&info.shape[..], bytes_of(info.dtype))
        else {
            return Err(invalid(format!(
                "{key}: expected f32, f16 or bf16 with the sides [1, C, T, H, W], found {:?} with {:?}",
                info.dtype, info.shape
            ))
            .into());
        };
        let count = [channels, frames, height, width]
            .iter()
            .try_fold(1u64, |count, &side| count.checked_mul(side as u64));
        let (from, to) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
        let bytes = count.and_then(|count| count.checked_mul(each));
        let start = 8 + header_len;
        if bytes.is_none_or(|bytes| from.checked_add(bytes) != Some(to)) || count == Some(0) {
            return Err(invalid(format!(
                "{key}: its {} to {} bytes do not fit its sides",
                from, to
            ))
            .into());
        }
        if to > len - start {
            let message = format!(
                "it is cut off: expected {} bytes, found {len}; fetch it again",
                start + to
            );
            return Err(MediaError::new(MediaErrorKind::Truncated { frames: 0 }, path, message).into());
        }
        let about = header.metadata().as_ref().and_then(|all| all.get(About::KEY));
        let about = about.and_then(|text| serde_json::from_str::<About>(text).ok());
        Ok(Self {
            place: path.to_owned(),
            start: start + from,
            dtype: info.dtype,
            key: key.to_owned(),
            channels,
            frames: frames as u64,
            height,
            width,
            about: about.filter(|about| about.schema == About::SCHEMA),
            file,
        })
    }

    /// The sides of the tensor.
    pub fn shape(&self) -> [u64; 5] {
        [
            1,
            self.channels as u64,
            self.frames,
            self.height as u64,
            self.width as u64,
        ]
    }

    /// Reads frame `frame` into (H, W, C) values.
    pub fn frame(&mut self, frame: u64, values: &mut Vec<f32>) -> anyhow::Result<()> {
        let positions = self.height * self.width;
        let each = bytes_of(self.dtype).unwrap_or(4);
        values.clear();
        values.resize(positions * self.channels, 0.0);
        let mut bytes = vec![0; positions * each as usize];
        for channel in 0..self.channels {
            let plane = (channel as u64 * self.frames + frame) * positions as u64;
            let at = self.start + plane * each;
            self.file
                .seek(SeekFrom::Start(at))
                .and_then(|_| self.file.read_exact(&mut bytes))
                .map_err(|error| MediaError::io(&self.place, "read", error))?;
            let into = values.iter_mut().skip(channel).step_by(self.channels);
            for (value, bytes) in into.zip(bytes.chunks_exact(each as usize)) {
                *value = match (self.dtype, bytes) {
                    (Dtype::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f32(),
                    (Dtype::BF16, &[a, b]) => bf16::from_le_bytes([a, b]).to_f32(),
                    (_, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
                    _ => 0.0,
                };
            }
        }
        Ok(())
    }
}

fn bytes_of(dtype: Dtype) -> Option<u64> {
    match dtype {
        Dtype::F32 => Some(4),
        Dtype::F16 | Dtype::BF16 => Some(2),
        _ => None,
    }
}

/// Description of latents, as JSON in the file's metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    pub schema: String,
    /// Whether values are those of the VAE or normalised by its mean and standard deviation.
    pub scale: Scale,
    /// Name of the VAE's model, for people.
    pub model: String,
    /// SHA-256 of its file, for programs.
    pub model_sha256: String,
    /// Width of a frame in pixels; the latent may stand for more.
    pub width: u32,
    pub height: u32,
    /// Frames of the video; the last latent frame may stand for more.
    pub frames: u64,
    /// Frames and pixels per latent position along time, height and width.
    pub strides: [usize; 3],
    /// Numerator and denominator of the frames per second; a numerator of 0 if they are not known.
    pub frame_rate: [u32; 2],
}

impl About {
    /// The schema that this version writes and reads.
    pub const SCHEMA: &str = "latentbit.latents/1";

    /// The key in the file's metadata.
    pub const KEY: &str = "latentbit.latents";

    /// Describes the latents of `frames` frames.
    pub fn new(bundle: &Bundle, geometry: &Geometry, scale: Scale, frames: u64, rate: Rational) -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            scale,
            model: bundle.id.name.clone(),
            model_sha256: bundle.id.sha256_hex(),
            width: geometry.width,
            height: geometry.height,
            frames,
            strides: geometry.strides,
            frame_rate: [rate.num, rate.den],
        }
    }
}

/// The scale of latents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// As the VAE's encoder gives them: the mean of the posterior.
    Raw,
    /// Less the VAE's mean, over its standard deviation, channel by channel: as diffusion models take them.
    Normalised,
}

/// Converts between a scale and that of pipelines, which is the normalised one.
#[derive(Clone, Debug)]
pub struct Scaling {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Scaling {
    pub fn new(config: &VaeConfig, scale: Scale) -> Self {
        let channels = config.latent_channels;
        let values = |values: &[f32], default| match (scale, values) {
            (Scale::Normalised, _) | (_, []) => vec![default; channels],
            (Scale::Raw, values) => values.to_vec(),
        };
        Self {
            mean: values(&config.latent_mean, 0.0),
            std: values(&config.latent_std, 1.0),
        }
    }

    /// From a pipeline; the channel is the last axis.
    pub fn outward(&self, values: &mut [f32]) {
        self.each(values, |value, mean, std| value * std + mean);
    }

    /// To a pipeline.
    pub fn inward(&self, values: &mut [f32]) {
        self.each(values, |value, mean, std| (value - mean) / std);
    }

    fn each(&self, values: &mut [f32], map: impl Fn(f32, f32, f32) -> f32) {
        for position in values.chunks_exact_mut(self.mean.len()) {
            for ((value, &mean), &std) in position.iter_mut().zip(&self.mean).zip(&self.std) {
                *value = map(*value, mean, std);
            }
        }
    }
}
