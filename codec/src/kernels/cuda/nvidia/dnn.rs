//! Convolutions by cuDNN. The algorithm for a shape is the one that was fastest when the shape was first met.

use std::collections::HashMap;
use std::ffi::c_void;

use cudarc::cudnn::{result, sys};
use cudarc::driver::sys::CUstream;

use super::super::driver::Convolution;
use super::failed;
use crate::error::{Error, Result};
use crate::kernels::spec::Dtype;

/// Bytes that all convolutions work in, one after the other.
const WORKSPACE: usize = 512 << 20;
/// Algorithms that are tried for a shape.
const TRIED: usize = 8;

/// A handle, whose work goes to one stream, and what was prepared for each shape.
pub(super) struct Dnn {
    handle: sys::cudnnHandle_t,
    workspace: u64,
    /// None, where there is no way to do it.
    plans: HashMap<Convolution, Option<Plan>>,
}

#[derive(Clone, Copy)]
struct Plan {
    input: sys::cudnnTensorDescriptor_t,
    weight: sys::cudnnFilterDescriptor_t,
    output: sys::cudnnTensorDescriptor_t,
    convolution: sys::cudnnConvolutionDescriptor_t,
    algorithm: sys::cudnnConvolutionFwdAlgo_t,
}

fn refused(error: result::CudnnError) -> Error {
    Error::device(format!("cuDNN: {:?}", error.0))
}

/// Sides as cuDNN counts them, batch and channels first, and the strides of them with channels last. Without a depth there
/// are four of each.
fn sides([n, d, h, w, c]: [usize; 5], flat: bool) -> Result<(Vec<i32>, Vec<i32>)> {
    let int = |value: usize| {
        i32::try_from(value).map_err(|_| {
            Error::device("frames are too large for cuDNN; compute them in tiles (--max-memory)")
        })
    };
    // All offsets must fit, not only the strides.
    int(n * d * h * w * c)?;
    let (dims, strides) = match flat {
        true => (vec![n, c, h, w], vec![h * w * c, 1, w * c, c]),
        false => (vec![n, c, d, h, w], vec![d * h * w * c, 1, h * w * c, w * c, c]),
    };
    let all = |values: Vec<usize>| values.into_iter().map(int).collect::<Result<Vec<i32>>>();
    Ok((all(dims)?, all(strides)?))
}

impl Dnn {
    pub(super) fn new(stream: CUstream) -> Result<Self> {
        let handle = result::create_handle().map_err(refused)?;
        // SAFETY: the handle was just made, and the stream lives as long as the process.
        unsafe { result::set_stream(handle, stream.cast()) }.map_err(refused)?;
        // SAFETY: the memory is never given back.
        let workspace = unsafe { cudarc::driver::result::malloc_sync(WORKSPACE) };
        Ok(Self {
            handle,
            workspace: workspace.map_err(failed("taking memory for cuDNN"))?,
            plans: HashMap::new(),
        })
    }

    /// For people: 9.13.0.
    pub(super) fn version(&self) -> String {
        let version = result::get_version();
        format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
    }

    pub(super) fn convolve(
        &mut self,
        convolution: &Convolution,
        input: u64,
        weight: u64,
        output: u64,
    ) -> Result<bool> {
        let plan = match self.plans.get(convolution) {
            Some(&plan) => plan,
            None => {
                let plan = self.plan(convolution, input, weight, output);
                let plan = plan
                    .inspect_err(|error| {
                        tracing::warn!("{convolution:?}: {error}: it is computed as products of matrices");
                    })
                    .ok();
                self.plans.insert(*convolution, plan);
                plan
            }
        };
        let Some(plan) = plan else {
            return Ok(false);
        };
        let (one, zero) = (1.0f32, 0.0f32);
        // SAFETY: the descriptors live as long as the process, and the caller vouches for the tensors.
        let done = unsafe {
            result::convolution_forward(
                self.handle,
                (&raw const one).cast(),
                plan.input,
                input as *const c_void,
                plan.weight,
                weight as *const c_void,
                plan.convolution,
                plan.algorithm,
                self.workspace as *mut c_void,
                WORKSPACE,
                (&raw const zero).cast(),
                plan.output,
                output as *mut c_void,
            )
        };
        done.map_err(refused).map(|()| true)
    }

    /// Tries the algorithms on the tensors themselves: what is written to the output is written again.
    fn plan(&self, convolution: &Convolution, input: u64, weight: u64, output: u64) -> Result<Plan> {
        let mut plan = describe(convolution)?;
        // SAFETY: all zeros are valid for numbers and for enums that have a zero, as all of these have.
        let mut found: [sys::cudnnConvolutionFwdAlgoPerf_t; TRIED] = unsafe { std::mem::zeroed() };
        let mut count = 0;
        // SAFETY: the descriptors were just made, the caller vouches for the tensors, and there is room for so many.
        let tried = unsafe {
            sys::cudnnFindConvolutionForwardAlgorithmEx(
                self.handle,
                plan.input,
                input as *const c_void,
                plan.weight,
                weight as *const c_void,
                plan.convolution,
                plan.output,
                output as *mut c_void,
                TRIED as i32,
                &mut count,
                found.as_mut_ptr(),
                self.workspace as *mut c_void,
                WORKSPACE,
            )
        };
        tried.result().map_err(refused)?;
        let found = found.iter().take(usize::try_from(count).unwrap_or(0));
        let usable = found.filter(|found| found.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS);
        let best = usable
            .filter(|found| found.memory <= WORKSPACE && exact(convolution.dtype, found.mathType))
            .min_by(|a, b| a.time.total_cmp(&b.time))
            .ok_or_else(|| Error::device(format!("cuDNN has no algorithm for {convolution:?}")))?;
        tracing::debug!("{convolution:?}: {:?}, {:.3} ms", best.algo, best.time);
        plan.algorithm = best.algo;
        // SAFETY: the descriptor was just made.
        unsafe { result::set_convolution_math_type(plan.convolution, best.mathType) }.map_err(refused)?;
        Ok(plan)
    }
}

/// Whether products are as exact as the number type: those of f32 must not be rounded to TF32.
fn exact(dtype: Dtype, math: sys::cudnnMathType_t) -> bool {
    dtype != Dtype::F32 || math == sys::cudnnMathType_t::CUDNN_FMA_MATH
}

fn describe(convolution: &Convolution) -> Result<Plan> {
    let number = match convolution.dtype {
        Dtype::F32 => sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
        Dtype::Bf16 => sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16,
        Dtype::F16 => sys::cudnnDataType_t::CUDNN_DATA_HALF,
    };
    let math = match convolution.dtype {
        Dtype::F32 => sys::cudnnMathType_t::CUDNN_FMA_MATH,
        Dtype::Bf16 | Dtype::F16 => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
    };
    let flat = convolution.input[1] == 1 && convolution.kernel[0] == 1;
    let axes = |values: [usize; 3]| {
        values[usize::from(flat)..]
            .iter()
            .map(|&v| v as i32)
            .collect::<Vec<_>>()
    };
    let (kernel, stride) = (axes(convolution.kernel), axes(convolution.stride));
    let (zeros, ones) = (vec![0; kernel.len()], vec![1; kernel.len()]);
    let filter: Vec<i32> = [convolution.outputs as i32, convolution.input[4] as i32]
        .into_iter()
        .chain(kernel)
        .collect();
    let tensor = |sides_of| -> Result<_> {
        let (dims, strides) = sides(sides_of, flat)?;
        let descriptor = result::create_tensor_descriptor().map_err(refused)?;
        // SAFETY: the descriptor was just made, and the lists have as many numbers as is said.
        let set = unsafe {
            result::set_tensornd_descriptor(
                descriptor,
                number,
                dims.len() as i32,
                dims.as_ptr(),
                strides.as_ptr(),
            )
        };
        set.map_err(refused)?;
        Ok(descriptor)
    };
    let weight = result::create_filter_descriptor().map_err(refused)?;
    let format = sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;
    // SAFETY: as above.
    let set = unsafe {
        result::set_filternd_descriptor(weight, number, format, filter.len() as i32, filter.as_ptr())
    };
    set.map_err(refused)?;
    let descriptor = result::create_convolution_descriptor().map_err(refused)?;
    // SAFETY: as above.
    let set = unsafe {
        result::set_convolutionnd_descriptor(
            descriptor,
            zeros.len() as i32,
            zeros.as_ptr(),
            stride.as_ptr(),
            ones.as_ptr(),
            sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION,
            sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
        )
    };
    set.map_err(refused)?;
    // SAFETY: as above.
    unsafe { result::set_convolution_math_type(descriptor, math) }.map_err(refused)?;
    Ok(Plan {
        input: tensor(convolution.input)?,
        weight,
        output: tensor(convolution.output())?,
        convolution: descriptor,
        algorithm: sys::cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
    })
}
