//! Single operators on the CPU, for `benches/operators`. Not part of the interface of this library: it changes without notice.

use crate::error::Result;
use crate::kernels::cpu::{AttentionBuffers, Conv, Format, Operand, Sink, Stream, Target, attention, fill};
use crate::kernels::{Activation, AttentionSpec, Backend, ConvSpec, Dtype, Epsilon, RmsNorm, RotaryTables};

/// What a convolution or linear layer does, on top of its extents.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConvOptions {
    /// 2 for halving in space.
    pub stride_space: usize,
    /// 2 for halving in time.
    pub stride_time: usize,
    /// Whether the input is doubled in space first.
    pub upsample: bool,
    /// 2 for doubling in time.
    pub phases: usize,
    /// Whether GELU follows.
    pub gelu: bool,
    /// Whether a residual is added and kept, and norm and SiLU make the next operand.
    pub fused: bool,
}

/// A convolution with operands of its own.
pub struct ConvBench {
    conv: Conv,
    input: [usize; 3],
    operand: Operand,
    values: Vec<f32>,
    norm: RmsNorm,
    reader: Conv,
    target: Operand,
    fused: bool,
}

fn format(dtype: Dtype) -> Result<Format> {
    match Backend::cpu(dtype)? {
        Backend::Cpu(format) => Ok(format),
        Backend::Gpu(_) => unreachable!("the CPU is none"),
    }
}

/// Numbers that are neither zero nor denormal.
fn values(count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0)
        .collect()
}

impl ConvBench {
    /// A convolution of an input of (T, H, W).
    ///
    /// # Errors
    /// If `LATENTBIT_CPU` asks for what this machine lacks.
    pub fn new(
        dtype: Dtype,
        [inputs, outputs]: [usize; 2],
        kernel: [usize; 3],
        input: [usize; 3],
        options: ConvOptions,
    ) -> Result<Self> {
        let format = format(dtype)?;
        let spec = ConvSpec {
            stride_space: options.stride_space.max(1),
            stride_time: options.stride_time.max(1),
            upsample: options.upsample,
            phases: options.phases.max(1),
            activation: if options.gelu {
                Activation::Gelu
            } else {
                Activation::None
            },
            ..ConvSpec::new(inputs, outputs, kernel)
        };
        let taps: usize = kernel.iter().product();
        let weight = values(spec.phases * outputs * inputs * taps);
        let conv = Conv::new(format, spec, &weight, values(spec.phases * outputs));
        let mut operand = Operand::default();
        conv.shape(&mut operand, input);
        let frames = input[0] + spec.lead();
        fill(
            format,
            &values(frames * input[1] * input[2] * inputs),
            &mut operand,
        );
        let output = spec.output(input);
        let reader = ConvSpec::new(outputs, 1, [1, kernel[1], kernel[2]]);
        let reader = Conv::new(
            format,
            reader,
            &values(outputs * kernel[1] * kernel[2]),
            vec![0.0],
        );
        Ok(Self {
            values: values(output.iter().product::<usize>() * outputs),
            norm: RmsNorm {
                gain: values(outputs),
                epsilon: Epsilon::Clamp,
                silu: true,
            },
            conv,
            input,
            operand,
            reader,
            target: Operand::default(),
            fused: options.fused,
        })
    }

    /// Operations of the definition: two for each weight, input position that it meets, and output.
    #[must_use]
    pub fn flops(&self) -> f64 {
        let spec = self.conv.spec();
        let positions: usize = spec.output(self.input).iter().product();
        let taps: usize = spec.kernel.iter().product();
        2.0 * (positions * spec.outputs * spec.inputs * taps) as f64
    }

    /// Runs it once, in the pool of the caller.
    pub fn run(&mut self) {
        let spec = self.conv.spec();
        self.reader.shape(&mut self.target, spec.output(self.input));
        let sink = Sink {
            stream: (self.fused || spec.activation == Activation::None).then_some(Stream {
                values: &mut self.values,
                add: self.fused,
                store: true,
            }),
            targets: [
                (self.fused || spec.activation == Activation::Gelu).then_some(Target {
                    norm: self.fused.then_some(&self.norm),
                    operand: &mut self.target,
                }),
                None,
                None,
            ],
            tokens: None,
        };
        self.conv.run(&self.operand, spec.lead(), self.input, sink);
    }
}

/// Windowed attention.
pub struct AttentionBench {
    format: Format,
    grid: [usize; 3],
    window: [usize; 3],
    heads: usize,
    rotary: RotaryTables,
    qkv: Operand,
    width: usize,
    reader: Conv,
    out: Operand,
    buffers: AttentionBuffers,
}

impl AttentionBench {
    /// Attention of (T, H, W) positions of `width` channels.
    ///
    /// # Errors
    /// If `LATENTBIT_CPU` asks for what this machine lacks.
    pub fn new(
        dtype: Dtype,
        grid: [usize; 3],
        window: [usize; 3],
        heads: usize,
        width: usize,
    ) -> Result<Self> {
        let format = format(dtype)?;
        let positions: usize = grid.iter().product();
        let mut qkv = Operand::default();
        let extent = AttentionSpec::windowed(grid, window, [0; 3]).extent(width);
        qkv.reshape(format, extent, 0);
        fill(format, &values(positions * 3 * width), &mut qkv);
        Ok(Self {
            format,
            grid,
            window,
            heads,
            width,
            rotary: RotaryTables::new(grid, width / heads, 100.0),
            qkv,
            reader: Conv::new(format, ConvSpec::new(width, 1, [1; 3]), &values(width), vec![0.0]),
            out: Operand::default(),
            buffers: AttentionBuffers::default(),
        })
    }

    /// Operations of the two products.
    #[must_use]
    pub fn flops(&self) -> f64 {
        let positions: usize = self.grid.iter().product();
        let seen: usize = self
            .window
            .iter()
            .zip(self.grid)
            .map(|(&w, n)| w.min(n))
            .product();
        4.0 * (positions * seen * self.width) as f64
    }

    /// Runs it once, in the pool of the caller.
    pub fn run(&mut self) {
        let positions = self.grid.iter().product();
        self.reader.shape(&mut self.out, [1, 1, positions]);
        let mut op = AttentionSpec::windowed(self.grid, self.window, [0; 3]);
        op.heads = self.heads;
        attention::run(
            &op,
            Some(&self.rotary),
            self.format,
            &self.qkv,
            &mut self.buffers,
            &mut self.out,
        );
    }
}
