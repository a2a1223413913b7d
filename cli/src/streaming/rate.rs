//! What the user asks of the size and quality of a file, and chunks that are shaped to it.

use clap::Args;
use latentbit_codec::Bundle;
use latentbit_codec::pipeline::Work;
use latentbit_codec::rate::{
    Bitrate, DEFAULT_CRF, Effort, KeptFile, MAX_CRF, Measure, Shaped, Target, depth_step,
};
use latentbit_container::{Tokens, VideoStream, WriterOptions};

use crate::args::headings;
use crate::exit::usage;

/// How many bits to spend.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = headings::RATE)]
pub struct RateArgs {
    /// Constant quality: 0 (best) to 63 (smallest). Each part of a picture gets the bits that it is worth. `encode` takes 12
    /// where nothing else is asked for.
    #[arg(long, value_name = "N", value_parser = crf, group = "rate", allow_negative_numbers = true)]
    pub crf: Option<f64>,

    /// Mean rate of the video in bits per second: 300k, 1.5M.
    #[arg(long, value_name = "RATE", value_parser = bit_count, group = "rate")]
    pub bitrate: Option<f64>,

    /// Mean bits per pixel of the video.
    #[arg(long, value_name = "BITS", value_parser = positive, group = "rate")]
    pub bpp: Option<f64>,

    /// Size of the whole file, never above it: 5M, 800kB, 4MiB. The input must end; its tokens are kept in memory until then.
    #[arg(long, value_name = "SIZE", value_parser = file_size, group = "rate")]
    pub size: Option<u64>,

    /// PSNR of each chunk in dB, in as few bits as reach it. Where the model cannot reach it, all bits are kept and that is
    /// said.
    #[arg(long, value_name = "DB", value_parser = positive, group = "rate")]
    pub psnr: Option<f64>,

    /// With --bitrate or --bpp: rate of the channel that the file goes through; the mean rate by default.
    #[arg(long, value_name = "RATE", value_parser = bit_count)]
    pub maxrate: Option<f64>,

    /// With --bitrate or --bpp: bits that a reader of the channel holds; 1.5 seconds of the mean rate by default.
    #[arg(long, value_name = "BITS", value_parser = bit_count)]
    pub bufsize: Option<f64>,

    /// How closely the worth of a bit is measured: 1 in the latent (the default), 2 with a look at the pixels (the default with
    /// --psnr), 3 in pixels (slow).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=3))]
    pub effort: Option<u8>,
}

fn crf(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(n) if (0.0..=MAX_CRF).contains(&n) => Ok(n),
        _ => Err(format!("expected a number from 0 to {MAX_CRF}")),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(n) if n > 0.0 && n.is_finite() => Ok(n),
        _ => Err("expected a number above 0".to_owned()),
    }
}

/// As ffmpeg writes numbers of bits: k, M and G are powers of 1000.
fn bit_count(text: &str) -> Result<f64, String> {
    let (number, factor) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 1e3),
        Some((at, 'M')) => (&text[..at], 1e6),
        Some((at, 'G')) => (&text[..at], 1e9),
        _ => (text, 1.0),
    };
    match positive(number) {
        Ok(n) => Ok(n * factor),
        Err(_) => Err("expected a number of bits such as 300k or 1.5M".to_owned()),
    }
}

/// As a number of bits, in bytes; with KiB, MiB and GiB as powers of 1024.
fn file_size(text: &str) -> Result<u64, String> {
    let wrong = || "expected a size such as 5M, 800kB or 4MiB".to_owned();
    let binary = [("KiB", 1u64 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let unit = binary
        .iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let bytes = match unit {
        Some((number, unit)) => positive(number).map_err(|_| wrong())? * unit as f64,
        None => bit_count(text.strip_suffix(['B', 'b']).unwrap_or(text)).map_err(|_| wrong())?,
    };
    match bytes {
        1.0..1e18 => Ok(bytes as u64),
        _ => Err(wrong()),
    }
}

/// Shapes a file to `size` bytes.
///
/// # Errors
/// If even the smallest chunks make a larger file.
pub fn fit(file: &KeptFile, size: u64, options: WriterOptions) -> anyhow::Result<Vec<Shaped>> {
    let (shaped, bytes) = file.fit(size, options)?;
    if bytes > size {
        anyhow::bail!("--size: the smallest file takes {bytes} bytes, more than the {size} asked for");
    }
    Ok(shaped)
}

/// What a file is to be like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// All tokens have the same planes.
    Plain,
    /// Chunks are shaped as they come.
    Live(Target, Effort),
    /// All chunks are shaped to a size of the file in bytes, once they are there.
    Size(u64, Effort),
}

impl RateArgs {
    /// With the default quality, if neither a rate nor `bits` were asked for.
    pub fn or_default(mut self, bits: Option<u8>) -> Self {
        let channel = self.maxrate.is_some() || self.bufsize.is_some();
        if !self.is_given() && bits.is_none() && !channel {
            self.crf = Some(DEFAULT_CRF);
        }
        self
    }

    /// Whether tokens get depths.
    pub const fn is_given(&self) -> bool {
        self.crf.is_some()
            || self.bitrate.is_some()
            || self.bpp.is_some()
            || self.size.is_some()
            || self.psnr.is_some()
    }

    /// Checks what can be told without a video; `bits` is what `--bits` says.
    ///
    /// # Errors
    /// A wrong usage for options that contradict each other.
    pub fn check(&self, bits: Option<u8>) -> anyhow::Result<()> {
        let channel = [("--maxrate", self.maxrate), ("--bufsize", self.bufsize)];
        let given: Vec<&str> = channel
            .iter()
            .filter_map(|(name, value)| value.map(|_| *name))
            .collect();
        if !given.is_empty() && self.bitrate.is_none() && self.bpp.is_none() {
            return usage(format!(
                "{}: without --bitrate or --bpp; drop it or give one of them",
                given.join(" and ")
            ));
        }
        if self.effort.is_some() && !self.is_given() {
            return usage(
                "--effort: without --crf, --bitrate, --bpp, --size or --psnr; drop it or give one of them",
            );
        }
        if self.is_given() && bits.is_some() {
            return usage(
                "--bits: the same depth for all tokens contradicts --crf, --bitrate, --bpp, --size and --psnr; drop one",
            );
        }
        Ok(())
    }

    /// What was asked for and what came of it, for people: `bytes` is the whole file, `video_bits` what its `pixels` in
    /// `seconds` take; 0 seconds are not known.
    pub fn reached(&self, bytes: u64, video_bits: f64, pixels: f64, seconds: f64) -> Option<String> {
        if let Some(crf) = self.crf {
            return Some(format!("crf {crf}"));
        }
        if let Some(asked) = self.size {
            return Some(format!("asked for {asked} bytes, reached {bytes}"));
        }
        if let Some(asked) = self.bpp {
            let reached = video_bits / pixels.max(1.0);
            return Some(format!("asked for {asked} bits per pixel, reached {reached:.4}"));
        }
        let asked = self.bitrate.filter(|_| seconds > 0.0)?;
        let [asked, reached] = [asked, video_bits / seconds].map(|rate| rate / 1e3);
        Some(format!("asked for {asked:.1} kbit/s, reached {reached:.1}"))
    }

    /// What was asked for, of video of a size and rate.
    ///
    /// # Errors
    /// As for [`check`](Self::check), and a wrong usage for rates that this video cannot have.
    pub fn rate(&self, video: &VideoStream, bits: Option<u8>) -> anyhow::Result<Rate> {
        self.check(bits)?;
        let effort = self.effort.and_then(Effort::of_level);
        let live = |target| Ok(Rate::Live(target, effort.unwrap_or_default()));
        if let Some(crf) = self.crf {
            return live(Target::Crf(crf));
        }
        if let Some(psnr) = self.psnr {
            return Ok(Rate::Live(Target::Psnr(psnr), effort.unwrap_or(Effort::Scaled)));
        }
        if let Some(size) = self.size {
            return Ok(Rate::Size(size, effort.unwrap_or_default()));
        }
        let Some(mean) = self.mean_rate(video)? else {
            return Ok(Rate::Plain);
        };
        let rate = Bitrate::new(mean).with_channel(self.maxrate, self.bufsize);
        if rate.max < mean {
            return usage("--maxrate: below the mean rate; raise it or lower --bitrate");
        }
        live(Target::Bitrate(rate))
    }

    /// Bits for each second of a video, if they are asked for.
    fn mean_rate(&self, video: &VideoStream) -> anyhow::Result<Option<f64>> {
        let Some(bpp) = self.bpp else {
            return Ok(self.bitrate);
        };
        let pixels = f64::from(video.width) * f64::from(video.height);
        let frames = f64::from(video.frame_rate.num) / f64::from(video.frame_rate.den.max(1));
        match frames > 0.0 {
            true => Ok(Some(bpp * pixels * frames)),
            false => usage("--bpp: the input has no frame rate; give --crf or --size instead"),
        }
    }
}

/// The mean depth of tokens.
#[derive(Debug, Default)]
pub struct MeanDepth {
    tokens: usize,
    /// The sum of all depths.
    depths: f64,
}

impl MeanDepth {
    /// Counts the tokens of a chunk.
    pub fn add(&mut self, tokens: &Tokens) {
        self.tokens += tokens.values.len();
        self.depths += tokens.mean_depth() * tokens.values.len() as f64;
    }

    /// In planes; 0 without tokens.
    pub fn value(&self) -> f64 {
        self.depths / self.tokens.max(1) as f64
    }
}

impl Rate {
    /// Makes a stream of tokens of `bundle` elastic if that is needed.
    pub fn describe(self, video: VideoStream, bundle: &Bundle) -> VideoStream {
        let step = (self != Self::Plain).then(|| depth_step(bundle));
        video.with_depth_step(step)
    }

    /// How errors are measured, if they are.
    pub const fn measure(self) -> Option<Measure> {
        match self {
            Self::Plain => None,
            Self::Live(Target::Psnr(_), effort) => Some(Measure::tokens(effort).with_source()),
            Self::Live(_, effort) | Self::Size(_, effort) => Some(Measure::tokens(effort)),
        }
    }

    /// What a pipeline does for it, with this step of depths.
    pub const fn work(self, step: u8) -> Work {
        match self.measure() {
            None => Work::Encode,
            Some(measure) => Work::EncodeElastic {
                measure,
                step,
                keeps_all: matches!(self, Self::Size(..)),
            },
        }
    }

    /// The PSNR that is asked for.
    pub const fn psnr(self) -> Option<f64> {
        match self {
            Self::Live(Target::Psnr(psnr), _) => Some(psnr),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_files() {
        for (text, bytes) in [
            ("5M", 5_000_000),
            ("800kB", 800_000),
            ("4MiB", 4 << 20),
            ("1234", 1234),
        ] {
            assert_eq!(file_size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "0", "-1", "M", "5X", "1e40"] {
            assert!(file_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_of_bits() {
        assert_eq!(bit_count("300k"), Ok(300e3));
        assert_eq!(bit_count("1.5M"), Ok(1.5e6));
        assert_eq!(bit_count("96000"), Ok(96e3));
        for wrong in ["", "k", "-3", "1x", "nan", "inf"] {
            assert!(bit_count(wrong).is_err(), "{wrong}");
        }
    }
}
