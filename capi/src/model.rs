//! Models.

use std::ffi::{CString, c_char, c_int};
use std::sync::Arc;

use latentbit_codec::bundle::Halves;
use latentbit_codec::{Bundle, Device};

use crate::failure::{Failure, LBIT_OK, run};
use crate::pointers::{self, borrowed, expect, give, take_back, text};

/// A model, which decodes the files that it made. Threads may share it.
pub struct Model {
    pub bundle: Arc<Bundle>,
    name: CString,
}

/// Loads the decoder of a model: the built-in one if `path` is null. `device` is "auto", "cpu", "cuda" or "cuda:N"; null is
/// "auto". It is freed with lbit_model_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lbit_model_open(
    path: *const c_char,
    device: *const c_char,
    model: *mut *mut Model,
) -> c_int {
    run(|| {
        // SAFETY: as the header asks of the caller.
        unsafe { expect(model, "model")? };
        let device = match device.is_null() {
            true => "auto",
            // SAFETY: as the header asks of the caller.
            false => unsafe { text(device, "device")? },
        };
        let device: Device = device.parse().map_err(|error| Failure::codec(&error, "device"))?;
        let place = |error, place: &str| Failure::codec(&error, place);
        let dtype = device.dtype().map_err(|error| place(error, "device"))?;
        let bundle = match path.is_null() {
            true => Bundle::embedded_with(Halves::Decoder, &device, dtype)
                .map_err(|error| place(error, "the built-in model"))?,
            false => {
                // SAFETY: as the header asks of the caller.
                let path = unsafe { pointers::path(path, "path")? };
                Bundle::open_with(&path, Halves::Decoder, &device, dtype)
                    .map_err(|error| place(error, &path.display().to_string()))?
            }
        };
        let name = CString::new(bundle.id.name.replace('\0', "\\0")).unwrap_or_default();
        let opened = Model {
            bundle: Arc::new(bundle),
            name,
        };
        // SAFETY: as the header asks of the caller.
        unsafe { give(model, opened, "model")? };
        Ok(LBIT_OK)
    })
}

/// The name of a model; null for null. It is valid until the model is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lbit_model_name(model: *const Model) -> *const c_char {
    // SAFETY: as the header asks of the caller.
    match unsafe { borrowed(model, "model") } {
        Ok(model) => model.name.as_ptr(),
        Err(_) => std::ptr::null(),
    }
}

/// The SHA-256 of a model, 32 bytes, which files name the model by; null for null. It is valid until the model is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lbit_model_sha256(model: *const Model) -> *const u8 {
    // SAFETY: as the header asks of the caller.
    match unsafe { borrowed(model, "model") } {
        Ok(model) => model.bundle.id.sha256.as_ptr(),
        Err(_) => std::ptr::null(),
    }
}

/// Frees a model; decoders that were made with it go on. Null is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lbit_model_free(model: *mut Model) {
    run(|| {
        // SAFETY: as the header asks of the caller.
        unsafe { take_back(model) };
        Ok(LBIT_OK)
    });
}
