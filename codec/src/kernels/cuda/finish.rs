//! What follows a product, in one kernel: see `source/finish.cu`.

use super::arguments;
use super::driver::{Kernel, THREADS};
use super::folded::Folded;
use super::memory::Memory;
use super::{Gpu, Sink, Target, Values, lanes};
use crate::error::{Error, Result};
use crate::kernels::spec::{Activation, ConvSpec, Epsilon, RmsNorm};

/// A norm on a device.
#[derive(Debug)]
pub(crate) struct Norm {
    gain: Memory,
    channels: usize,
    epsilon: Epsilon,
    silu: bool,
}

impl Norm {
    pub(crate) fn new(gpu: &Gpu, rms: &RmsNorm) -> Result<Self> {
        Ok(Self {
            gain: gpu.exact(&rms.gain)?,
            channels: rms.gain.len(),
            epsilon: rms.epsilon,
            silu: rms.silu,
        })
    }
}

/// Where sums are.
pub(super) enum Sums {
    /// Positions one after the other, f32. A bias of 0 is none.
    Rows { address: u64, bias: u64, stride: usize },
    /// The output of a convolution, in the number type of operands. Distances are in values.
    Convolution {
        address: u64,
        bias: u64,
        /// Whether they are f32 instead.
        wide: bool,
        clips: usize,
        /// Of all clips.
        step: usize,
        clip: usize,
        row: usize,
        folded: Folded,
    },
}

/// A sink on a device.
pub(super) struct Finisher<'a> {
    gpu: &'a Gpu,
    arguments: arguments::Finish,
    /// Where tokens are made, and where they are wanted.
    tokens: Option<(Memory, &'a mut [u64])>,
}

impl<'a> Finisher<'a> {
    /// For (T, H, W) outputs of a convolution.
    ///
    /// # Panics
    /// If something of the sink has another extent: a mistake of the caller.
    pub(super) fn new(gpu: &'a Gpu, spec: &ConvSpec, output: [usize; 3], sink: Sink<'a>) -> Result<Self> {
        let mut finisher = Self::plain(gpu, spec.outputs, output, sink)?;
        let arguments = &mut finisher.arguments;
        arguments.gelu = u64::from(spec.activation == Activation::Gelu);
        arguments.phases = spec.phases as u64;
        arguments.zoom = spec.zoom() as u64;
        Ok(finisher)
    }

    /// For (T, H, W) outputs of so many channels.
    ///
    /// # Panics
    /// As for [`new`](Self::new).
    pub(super) fn plain(gpu: &'a Gpu, channels: usize, output: [usize; 3], sink: Sink<'a>) -> Result<Self> {
        let [_, height, width] = output;
        let positions: usize = output.iter().product();
        let vector = if channels.is_multiple_of(4) { 4 } else { 1 };
        let mut arguments = arguments::Finish {
            height: height as u64,
            width: width as u64,
            clips: 1,
            phases: 1,
            zoom: 1,
            channels: channels as u64,
            lanes: lanes(channels / vector) as u64,
            vector: vector as u64,
            ..arguments::Finish::default()
        };
        if u32::try_from(positions).is_err() {
            return Err(Error::device(
                "frames are too large for it; compute them in tiles",
            ));
        }
        if let Some(stream) = sink.stream {
            arguments.stream = stream.values.address()?;
            arguments.add = u64::from(stream.add);
            arguments.store = u64::from(stream.store);
        }
        for (into, target) in arguments.targets.iter_mut().zip(sink.targets) {
            if let Some(target) = target {
                *into = write_target(target, channels, output)?;
            }
        }
        let mut tokens = None;
        if let Some(wanted) = sink.tokens {
            assert!(wanted.len() == positions && channels <= 64);
            let made = Memory::new(gpu.driver(), 8 * positions)?;
            arguments.tokens = made.address();
            tokens = Some((made, wanted));
        }
        Ok(Self {
            gpu,
            arguments,
            tokens,
        })
    }

    /// Queues the end of `count` outputs from `first` on.
    pub(super) fn run(&self, sums: &Sums, first: usize, count: usize) -> Result<()> {
        let mut arguments = arguments::Finish {
            count: count as u64,
            first: first as u64,
            ..self.arguments
        };
        match *sums {
            Sums::Rows {
                address,
                bias,
                stride,
            } => {
                arguments.sums = address;
                arguments.bias = bias;
                arguments.linear = 1;
                arguments.wide_sums = 1;
                arguments.sums_position = stride as u64;
            }
            Sums::Convolution {
                address,
                bias,
                wide,
                clips,
                step,
                clip,
                row,
                folded,
            } => {
                arguments.sums = address;
                arguments.bias = bias;
                arguments.wide_sums = u64::from(wide);
                arguments.clips = clips as u64;
                arguments.sums_step = step as u64;
                arguments.sums_clip = clip as u64;
                arguments.sums_row = row as u64;
                arguments.sums_position = (folded.blocks * folded.block) as u64;
                arguments.block = folded.block as u64;
                let [rows, columns] = folded.first.map(|places| places.map(|place| place as u64));
                [arguments.first_row, arguments.second_row] = rows;
                [arguments.first_column, arguments.second_column] = columns;
            }
        }
        let groups = THREADS as usize / arguments.lanes as usize;
        self.gpu.each(
            Kernel::Finish,
            &arguments,
            count.div_ceil(groups) * THREADS as usize,
        )
    }

    /// Waits for the tokens, if there are to be any.
    pub(super) fn end(self) -> Result<()> {
        let Some((made, wanted)) = self.tokens else {
            return Ok(());
        };
        let (driver, bytes) = (self.gpu.driver(), 8 * wanted.len());
        let download = driver.download(bytes, &mut |to| driver.copy(made.address(), to, bytes))?;
        download.wait(&mut |found| bytemuck::cast_slice_mut(wanted).copy_from_slice(found))
    }
}

fn write_target(target: Target<'_>, channels: usize, output: [usize; 3]) -> Result<arguments::Target> {
    let operand = target.operand;
    let [frames, height, width] = output;
    let mut layout = operand.layout();
    let mut lead = 0;
    if let Some(extent) = operand.extent() {
        assert_eq!(extent.channels, channels);
        let positions = extent.frames * extent.height * extent.width;
        // Without a border, positions follow each other whatever the extents.
        if extent.border == [0; 4] && positions == output.iter().product::<usize>() {
            layout = layout.flat(height, width);
        } else {
            assert_eq!([extent.height, extent.width], [height, width]);
            lead = extent.frames - frames;
        }
    }
    let (mut gain, mut kind, mut silu) = (0, 0, 0);
    if let Some(norm) = target.norm {
        assert_eq!(norm.channels, channels);
        gain = norm.gain.address();
        kind = match norm.epsilon {
            Epsilon::Clamp => 1,
            Epsilon::Add => 2,
        };
        silu = u64::from(norm.silu);
    }
    Ok(arguments::Target {
        at: operand.at(lead * layout.frame + layout.inner(0, 0))?,
        gain,
        norm: kind,
        silu,
        frame: layout.frame as u64,
        row: layout.row as u64,
        position: layout.position as u64,
    })
}

/// Gives (T, H, W, C) values to a sink.
pub(crate) fn add(
    gpu: &Gpu,
    values: &Values,
    start: usize,
    size: [usize; 3],
    channels: usize,
    sink: Sink<'_>,
) -> Result<()> {
    let finisher = Finisher::plain(gpu, channels, size, sink)?;
    let sums = Sums::Rows {
        address: values.address()? + 4 * start as u64,
        bias: 0,
        stride: channels,
    };
    finisher.run(&sums, 0, size.iter().product())?;
    finisher.end()
}
