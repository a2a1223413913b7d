//! The four tasks: each is set up once and run many times.

use std::sync::Arc;
use std::thread;

use latentbit_codec::pipeline::{self, Coded, Options};
use latentbit_codec::vae::{DecoderState, EncoderState};
use latentbit_codec::{Bundle, Frame, Volume};
use latentbit_container::{Chunk, ChunkPlan, PixelFrames, VideoStream};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::args::{Args, Result, Task};

/// Something to measure.
pub trait Work: Sync {
    /// Does it once. The result is in memory: rgb24 frames, tokens (u64) or latent (f32).
    fn run(&self) -> Result<Output>;
}

/// What a run gives.
pub enum Output {
    Chunks(Vec<Chunk>),
    Latent(Vec<f32>),
    Pixels(Vec<u8>),
}

impl Output {
    /// Its bytes, little endian.
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::Chunks(chunks) => {
                let tokens = chunks.iter().flat_map(|chunk| &chunk.tokens.values);
                tokens.flat_map(|token| token.to_le_bytes()).collect()
            }
            Self::Latent(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Pixels(pixels) => pixels,
        }
    }
}

/// Sets up what is asked for; `input` is what the input file holds.
pub fn work(args: &Args, bundle: Arc<Bundle>, input: Vec<u8>) -> Result<Box<dyn Work>> {
    Ok(match args.task {
        Task::Encode => Box::new(Encode {
            stream: stream(args, &bundle)?,
            pixels: frames_of(args, input)?,
            options: options(args),
            bundle,
        }),
        Task::Decode => Box::new(Decode::new(args, bundle, &input)?),
        Task::VaeEncode => Box::new(VaeEncode {
            pixels: frames_of(args, input)?,
            size: sides(args),
            pool: pool(args)?,
            bundle,
        }),
        Task::VaeDecode => Box::new(VaeDecode::new(args, bundle, &input)?),
    })
}

/// Frames to tokens.
struct Encode {
    bundle: Arc<Bundle>,
    stream: VideoStream,
    options: Options,
    pixels: Vec<u8>,
}

impl Work for Encode {
    fn run(&self) -> Result<Output> {
        let (mut input, output) = pipeline::encoder(&self.bundle, &self.stream, &self.options)?;
        let (width, height) = (self.stream.width as usize, self.stream.height as usize);
        let frames = self.pixels.chunks_exact(width * height * 3);
        let chunks: latentbit_codec::Result<Vec<_>> = thread::scope(|scope| {
            // If a push fails, the other half says why.
            scope.spawn(move || {
                for rgb in frames {
                    let data = rgb.iter().map(|&v| f32::from(v) / 255.0).collect();
                    input.push(&Frame { width, height, data })?;
                }
                input.flush()
            });
            output.collect()
        });
        Ok(Output::Chunks(chunks?))
    }
}

/// Tokens to frames.
struct Decode {
    bundle: Arc<Bundle>,
    stream: VideoStream,
    options: Options,
    chunks: Vec<Chunk>,
}

impl Decode {
    fn new(args: &Args, bundle: Arc<Bundle>, input: &[u8]) -> Result<Self> {
        let stream = stream(args, &bundle)?;
        let options = options(args);
        let plan = ChunkPlan::new(
            PixelFrames(args.frames as u64),
            stream.chunk_latent_frames,
            options.chunks_per_group,
            stream.strides[0],
        );
        let mut tokens = words::<8>(input).map(u64::from_le_bytes);
        let mut chunks = Vec::new();
        for planned in plan {
            let grid = stream.grid(planned.latent_frames);
            let values: Vec<u64> = tokens.by_ref().take(grid.len()).collect();
            chunks.push(planned.with_tokens(&stream, values));
        }
        if tokens.next().is_some()
            || chunks
                .iter()
                .any(|c| c.tokens.values.len() != c.tokens.grid.len())
        {
            return Err("--input does not hold the tokens of so many frames of this size".into());
        }
        Ok(Self {
            bundle,
            stream,
            options,
            chunks,
        })
    }
}

impl Work for Decode {
    fn run(&self) -> Result<Output> {
        let (mut input, output) = pipeline::decoder(&self.bundle, &self.stream, &self.options)?;
        let pixels: latentbit_codec::Result<Vec<u8>> = thread::scope(|scope| {
            scope.spawn(move || {
                for chunk in &self.chunks {
                    input.push(Coded::Chunk(chunk.clone()))?;
                }
                input.flush()
            });
            let mut pixels = Vec::new();
            for frame in output {
                pixels.extend(frame?.frame.data.iter().map(|v| (v * 255.0).round() as u8));
            }
            Ok(pixels)
        });
        Ok(Output::Pixels(pixels?))
    }
}

/// Frames to latent, a latent frame at a time as the pipeline does it.
struct VaeEncode {
    bundle: Arc<Bundle>,
    pool: ThreadPool,
    /// Height and width.
    size: [usize; 2],
    pixels: Vec<u8>,
}

impl Work for VaeEncode {
    fn run(&self) -> Result<Output> {
        let [height, width] = self.size;
        let (vae, mut state) = (&self.bundle.vae, EncoderState::default());
        let (mut latent, mut rest) = (Vec::new(), &self.pixels[..]);
        while !rest.is_empty() {
            let wanted = if state.is_fresh() { 1 } else { vae.strides()[0] };
            let time = wanted.min(rest.len() / (height * width * 3));
            let (step, later) = rest.split_at(time * height * width * 3);
            rest = later;
            let values = step.iter().map(|&v| f32::from(v) / 127.5 - 1.0).collect();
            let frames = Volume::new(&[time, height, width, 3], values)?;
            let part = self.pool.install(|| vae.encode(&frames, &mut state))?;
            latent.extend(part.into_data());
        }
        Ok(Output::Latent(latent))
    }
}

/// Latent to frames, likewise.
struct VaeDecode {
    bundle: Arc<Bundle>,
    pool: ThreadPool,
    latent: Volume,
}

impl VaeDecode {
    fn new(args: &Args, bundle: Arc<Bundle>, input: &[u8]) -> Result<Self> {
        let [time, rows, columns] = bundle.vae.strides();
        let shape = [
            args.frames.div_ceil(time),
            args.size.height as usize / rows,
            args.size.width as usize / columns,
            bundle.vae.latent_channels(),
        ];
        let values: Vec<f32> = words::<4>(input).map(f32::from_le_bytes).collect();
        Ok(Self {
            latent: Volume::new(&shape, values)?,
            pool: pool(args)?,
            bundle,
        })
    }
}

impl Work for VaeDecode {
    fn run(&self) -> Result<Output> {
        let (mut state, mut pixels) = (DecoderState::default(), Vec::new());
        for step in 0..self.latent.count() {
            let latent = self.latent.part(step..step + 1)?;
            let frames = self
                .pool
                .install(|| self.bundle.vae.decode(&latent, &mut state))?;
            // The conversion saturates.
            pixels.extend(frames.data().iter().map(|v| ((v + 1.0) * 127.5).round() as u8));
        }
        Ok(Output::Pixels(pixels))
    }
}

fn stream(args: &Args, bundle: &Bundle) -> Result<VideoStream> {
    Ok(pipeline::video_stream_for(
        bundle,
        args.size.width,
        args.size.height,
    )?)
}

fn options(args: &Args) -> Options {
    Options::default().threads(args.threads)
}

fn pool(args: &Args) -> Result<ThreadPool> {
    Ok(ThreadPoolBuilder::new().num_threads(args.threads).build()?)
}

/// Height and width.
fn sides(args: &Args) -> [usize; 2] {
    [args.size.height as usize, args.size.width as usize]
}

/// The frames that are wanted of a file of rgb24.
fn frames_of(args: &Args, mut pixels: Vec<u8>) -> Result<Vec<u8>> {
    let bytes = sides(args).iter().product::<usize>() * 3 * args.frames;
    if bytes == 0 || pixels.len() < bytes {
        let found = pixels.len();
        return Err(format!("--input has {found} bytes, but so many frames of this size are {bytes}").into());
    }
    pixels.truncate(bytes);
    Ok(pixels)
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}
