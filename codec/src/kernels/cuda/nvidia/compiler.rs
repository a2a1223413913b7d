//! Our kernels, compiled for the GPU at hand.

use std::ffi::{CString, c_char};

use cudarc::nvrtc::{result, sys};

use super::super::driver::Variant;
use super::super::source;
use crate::error::{Error, Result};

/// The machine code of a variant for a compute capability.
pub(super) fn compile(variant: Variant, (major, minor): (i32, i32)) -> Result<Vec<u8>> {
    let text =
        CString::new(source::text()).map_err(|_| Error::device("the kernels' text has a zero in it"))?;
    let program = result::create_program(&text, None).map_err(|error| failed("starts", error))?;
    let mut options = vec![
        format!("--gpu-architecture=sm_{major}{minor}"),
        "--std=c++17".to_owned(),
    ];
    options.extend(source::defines(variant));
    // SAFETY: the program was just made, and is destroyed below.
    let compiled = unsafe { result::compile_program(program, &options) };
    let image = match compiled {
        // SAFETY: as above.
        Ok(()) => unsafe { image(program) },
        Err(error) => Err(refused(program, error)),
    };
    // SAFETY: nothing uses the program any more. What it holds is lost to an error at worst.
    let _ = unsafe { result::destroy_program(program) };
    image
}

/// # Safety
/// The program must have been compiled, and not destroyed.
unsafe fn image(program: sys::nvrtcProgram) -> Result<Vec<u8>> {
    let mut len = 0;
    // SAFETY: by the contract of this function.
    let asked = unsafe { sys::nvrtcGetCUBINSize(program, &mut len) };
    asked.result().map_err(|error| failed("tells its size", error))?;
    let mut image = vec![0u8; len];
    // SAFETY: as above; the buffer has the size that was asked for.
    let got = unsafe { sys::nvrtcGetCUBIN(program, image.as_mut_ptr().cast::<c_char>()) };
    got.result().map_err(|error| failed("gives its result", error))?;
    Ok(image)
}

fn refused(program: sys::nvrtcProgram, error: result::NvrtcError) -> Error {
    // SAFETY: the program was made by the caller, who destroys it later.
    let log = unsafe { result::get_program_log(program) }.unwrap_or_default();
    let log: Vec<u8> = log.into_iter().map(|c| c.cast_unsigned()).collect();
    let log = String::from_utf8_lossy(&log);
    let log = log.trim_end_matches('\0').trim();
    Error::device(format!("the kernels do not compile: {error:?}: {log}"))
}

fn failed(what: &str, error: result::NvrtcError) -> Error {
    Error::device(format!("no compiler that {what}: {error:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::spec::Dtype;

    #[test]
    fn kernels_compile() {
        // SAFETY: loading the library has no effect beside that.
        if !unsafe { sys::is_culib_present() } {
            eprintln!(
                "skipped: there is no libnvrtc.so.13 to try; `pip install nvidia-cuda-nvrtc` brings one"
            );
            return;
        }
        for capability in [(8, 0), (9, 0)] {
            for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
                for head in [0, 10, 32, 64, 128] {
                    let image = compile(Variant { dtype, head }, capability).unwrap();
                    assert!(image.starts_with(b"\x7fELF"), "{dtype} {head} {capability:?}");
                }
            }
        }
    }
}
