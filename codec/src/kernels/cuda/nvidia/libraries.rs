//! Which libraries are there. The binding panics where one is missing, so they are looked for first.

use crate::error::{Error, Result};

/// Checks that the driver and all libraries can be loaded.
///
/// # Errors
/// [`Error::Device`] that names those that are missing, and where they are looked for.
pub(super) fn check() -> Result<()> {
    // SAFETY: loading these libraries has no effect beside that.
    let driver = unsafe { cudarc::driver::sys::is_culib_present() };
    if !driver {
        return Err(Error::device(
            "the NVIDIA driver is missing: libcuda.so.1 cannot be loaded; install the driver (580 or newer), or use \
             --device cpu",
        ));
    }
    // SAFETY: as above.
    let present = unsafe {
        [
            ("libcudnn.so.9", cudarc::cudnn::sys::is_culib_present()),
            ("libcublas.so.13", cudarc::cublas::sys::is_culib_present()),
            ("libnvrtc.so.13", cudarc::nvrtc::sys::is_culib_present()),
        ]
    };
    let missing: Vec<&str> = present
        .iter()
        .filter(|(_, present)| !present)
        .map(|&(name, _)| name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::device(format!(
        "{} cannot be loaded; put the folders that hold CUDA 13's libraries and cuDNN 9 on LD_LIBRARY_PATH (Python's \
         nvidia packages have them in nvidia/cu13/lib and nvidia/cudnn/lib)",
        missing.join(", ")
    )))
}
