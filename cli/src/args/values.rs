//! Values of options, and how they are read.

use clap::ValueEnum;

use latentbit_media::{PixelLayout, Rational, parse_rate};

/// Values of `--coder`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CoderChoice {
    /// As they are: the fastest.
    Raw,
    /// As zstd frames.
    Zstd,
    /// By context mixing: the smallest.
    Cm,
}

/// Values of `--dtype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DtypeChoice {
    /// The faster one.
    Auto,
    /// bfloat16 operands, f32 sums.
    Bf16,
    /// 32-bit floats.
    F32,
    /// IEEE half precision operands, f32 sums; on GPUs only.
    F16,
}

pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "k" | "kib" => 1 << 10,
        "mb" => 1_000_000,
        "m" | "mib" => 1 << 20,
        "gb" => 1_000_000_000,
        "g" | "gib" => 1 << 30,
        _ => return Err("expected a size such as 8GiB, 8GB or 500MB".to_owned()),
    };
    match number.parse::<f64>() {
        Ok(number) if number > 0.0 => Ok((number * unit as f64) as u64),
        _ => Err("expected a size such as 8GiB, 8GB or 500MB".to_owned()),
    }
}

pub(super) fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n <= 1024 => Ok(n),
        _ => Err("expected a number from 0 to 1024".to_owned()),
    }
}

pub(super) fn bits(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(n) if (1..=64).contains(&n) => Ok(n),
        _ => Err("expected a number from 1 to 64".to_owned()),
    }
}

pub(super) fn rate(text: &str) -> Result<Rational, String> {
    parse_rate(text).ok_or_else(|| format!("'{text}' is no frame rate; write 25, 29.97 or 30000/1001"))
}

pub(super) fn pixel_layout(text: &str) -> Result<PixelLayout, String> {
    PixelLayout::from_ffmpeg_name(text).ok_or_else(|| {
        format!("'{text}' is not known here; write it as ffmpeg does: yuv420p, yuv422p10le, rgb24")
    })
}

/// Values of `--conceal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ConcealChoice {
    /// Tokens that the predictor finds likely between those before and after them, their frames mixed with those of blend.
    Maskgit,
    /// Copies of the last good frame before them.
    Freeze,
    /// Frames mixed of the good ones before and after them.
    Blend,
    /// Latents mixed of those before and after them, turned into frames by the model.
    Latent,
    /// Nothing: their frames are left out.
    Off,
}

/// Values of `archive --tokens`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShardTokens {
    /// numpy.
    Npy,
}
