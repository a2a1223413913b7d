//! Versions.

use std::ffi::{c_char, c_int};

use latentbit_container::Version;

use crate::failure::{LBIT_OK, run};
use crate::pointers::put;

/// The version of this interface. It goes up when a function or a structure changes so that a program that was built for
/// an earlier one would not work; new functions, and new fields at the end of structures, do not count.
pub const LBIT_ABI_VERSION: u32 = 1;

/// LBIT_ABI_VERSION of the library that the program runs with: if it is another one than that of the header, stop.
#[unsafe(no_mangle)]
pub extern "C" fn lbit_abi_version() -> u32 {
    LBIT_ABI_VERSION
}

/// The version of the library, such as "0.2.0". Always valid.
#[unsafe(no_mangle)]
pub extern "C" fn lbit_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The newest version of the format that the library reads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lbit_format_version(major: *mut u16, minor: *mut u16) -> c_int {
    run(|| {
        // SAFETY: as the header asks of the caller.
        unsafe {
            put(major, Version::CURRENT.major, "major")?;
            put(minor, Version::CURRENT.minor, "minor")?;
        }
        Ok(LBIT_OK)
    })
}
