//! What the command line asks for.

use std::path::PathBuf;
use std::str::FromStr;

pub type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

pub const USAGE: &str = "\
usage: cargo bench --bench model -- --task TASK --input FILE --size WxH --frames N [OPTION...]

TASK      encode      frames to tokens, through the pipeline
          decode      tokens to frames, through the pipeline
          vae-encode  frames to the VAE's latent
          vae-decode  latent to frames
--input   rgb24 frames for the encoders; for a decoder, what its encoder wrote with --output
--output  where to write the result: tokens (u64 each), latent (f32) or rgb24 frames; little endian
--bundle  a bundle's file, or `embedded` (default)
--device  cpu (default), auto, cuda or cuda:N
--dtype   auto (default), bf16, f32 or, on GPUs, f16
--threads threads that compute; 0 (default) for one on each core
--warmup  runs before the ones that count; default 1
--repeats runs that count; default 5
--clips   the same clip so many times at once, each by a thread of its own; default 1
--operators  report how long each operator takes, in one more run (on GPUs)
--turns   run and report again for each line on stdin, until it ends
--json    report in JSON";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Encode,
    Decode,
    VaeEncode,
    VaeDecode,
}

impl Task {
    pub fn name(self) -> &'static str {
        match self {
            Self::Encode => "encode",
            Self::Decode => "decode",
            Self::VaeEncode => "vae-encode",
            Self::VaeDecode => "vae-decode",
        }
    }
}

impl FromStr for Task {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Encode, Self::Decode, Self::VaeEncode, Self::VaeDecode]
            .into_iter()
            .find(|task| task.name() == text)
            .ok_or_else(|| format!("there is no task {text:?}"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sides = text.split_once('x').map(|(w, h)| (w.parse(), h.parse()));
        match sides {
            Some((Ok(width), Ok(height))) => Ok(Self { width, height }),
            _ => Err(format!("{text:?} is not WIDTHxHEIGHT")),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Args {
    /// None: the embedded one.
    pub bundle: Option<PathBuf>,
    pub task: Task,
    pub input: PathBuf,
    pub output: Option<PathBuf>,
    pub size: Size,
    pub frames: usize,
    pub device: String,
    pub dtype: String,
    pub threads: usize,
    pub warmup: usize,
    pub repeats: usize,
    pub clips: usize,
    pub operators: bool,
    pub turns: bool,
    pub json: bool,
}

impl Args {
    /// None if nothing is asked for, as when `cargo bench` runs all benchmarks.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Option<Self>> {
        let (mut task, mut input, mut size, mut frames) = (None, None, None, None);
        let (mut bundle, mut output) = (None, None);
        let (mut device, mut dtype) = ("cpu".to_owned(), "auto".to_owned());
        let (mut threads, mut warmup, mut repeats) = (0, 1, 5);
        let (mut clips, mut operators) = (1, false);
        let (mut turns, mut json, mut any) = (false, false, false);
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            // cargo adds this one.
            if word == "--bench" {
                continue;
            }
            any = true;
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--task" => task = Some(value()?.parse()?),
                "--input" => input = Some(PathBuf::from(value()?)),
                "--output" => output = Some(PathBuf::from(value()?)),
                "--size" => size = Some(value()?.parse()?),
                "--frames" => frames = Some(number(&word, &value()?)?),
                "--bundle" => bundle = Some(value()?).filter(|b| b != "embedded").map(PathBuf::from),
                "--device" => device = value()?,
                "--dtype" => dtype = value()?,
                "--threads" => threads = number(&word, &value()?)?,
                "--warmup" => warmup = number(&word, &value()?)?,
                "--repeats" => repeats = number(&word, &value()?)?.max(1),
                "--clips" => clips = number(&word, &value()?)?.max(1),
                "--operators" => operators = true,
                "--turns" => turns = true,
                "--json" => json = true,
                _ => return Err(format!("what is {word:?}?\n\n{USAGE}").into()),
            }
        }
        if !any {
            return Ok(None);
        }
        let missing = |name| move || format!("{name} is missing\n\n{USAGE}");
        Ok(Some(Self {
            bundle,
            task: task.ok_or_else(missing("--task"))?,
            input: input.ok_or_else(missing("--input"))?,
            output,
            size: size.ok_or_else(missing("--size"))?,
            frames: frames.ok_or_else(missing("--frames"))?,
            device,
            dtype,
            threads,
            warmup,
            repeats,
            clips,
            operators,
            turns,
            json,
        }))
    }
}

fn number(name: &str, text: &str) -> Result<usize> {
    text.parse()
        .map_err(|_| format!("{name}: {text:?} is not a number").into())
}
