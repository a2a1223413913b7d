//! Products of matrices by cuBLAS.

use std::ffi::c_void;

use cudarc::cublas::{result, sys};
use cudarc::driver::sys::CUstream;

use super::super::driver::Product;
use super::failed;
use crate::error::{Error, Result};
use crate::kernels::spec::Dtype;

/// Bytes that cuBLAS works in: what it recommends for Hopper.
const WORKSPACE: usize = 32 << 20;

/// A handle, whose work goes to one stream.
pub(super) struct Blas {
    handle: sys::cublasHandle_t,
}

fn refused(error: result::CublasError) -> Error {
    Error::device(format!("cuBLAS: {:?}", error.0))
}

fn int(value: usize) -> Result<i32> {
    i32::try_from(value).map_err(|_| Error::device("frames are too large for cuBLAS; compute them in tiles"))
}

impl Blas {
    pub(super) fn new(stream: CUstream) -> Result<Self> {
        let handle = result::create_handle().map_err(refused)?;
        // SAFETY: the handle was just made, and the stream lives as long as the process.
        unsafe { result::set_stream(handle, stream.cast()) }.map_err(refused)?;
        // SAFETY: the memory is never given back.
        let workspace = unsafe { cudarc::driver::result::malloc_sync(WORKSPACE) }
            .map_err(failed("taking memory for cuBLAS"))?;
        // SAFETY: as above.
        let set = unsafe { sys::cublasSetWorkspace_v2(handle, workspace as *mut c_void, WORKSPACE) };
        set.result().map_err(refused)?;
        Ok(Self { handle })
    }

    pub(super) fn multiply(&self, product: &Product, a: u64, b: u64, c: u64) -> Result<()> {
        use sys::cublasOperation_t::{CUBLAS_OP_N, CUBLAS_OP_T};
        let number = match product.dtype {
            Dtype::F32 => sys::cudaDataType::CUDA_R_32F,
            Dtype::Bf16 => sys::cudaDataType::CUDA_R_16BF,
            Dtype::F16 => sys::cudaDataType::CUDA_R_16F,
        };
        let (one, old) = (1.0f32, if product.add { 1.0f32 } else { 0.0 });
        let step = |values: usize| values as i64;
        // For cuBLAS columns lie side by side, so it is told the transpose of everything: C' = B' · A'.
        // SAFETY: the caller vouches for the matrices; the scalars are read before the call returns.
        let done = unsafe {
            result::gemm_strided_batched_ex(
                self.handle,
                if product.transposed {
                    CUBLAS_OP_T
                } else {
                    CUBLAS_OP_N
                },
                CUBLAS_OP_N,
                int(product.columns)?,
                int(product.rows)?,
                int(product.depth)?,
                (&raw const one).cast(),
                b as *const c_void,
                number,
                int(product.b_stride)?,
                0,
                a as *const c_void,
                number,
                int(product.a_stride)?,
                step(product.a_step),
                (&raw const old).cast(),
                c as *mut c_void,
                sys::cudaDataType::CUDA_R_32F,
                int(product.c_stride)?,
                step(product.c_step),
                int(product.count)?,
                sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        };
        done.map_err(refused)
    }
}
