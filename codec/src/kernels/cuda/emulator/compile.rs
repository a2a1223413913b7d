//! Our kernels as C++.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use super::super::driver::{Kernel, Variant};
use super::super::source;

/// A kernel's block: its argument, how many blocks there are, how many threads each has, and which block it is.
pub(super) type Function = unsafe extern "C" fn(*const c_void, *const u32, u32, u32);

/// The function that runs a block of a kernel; compiled when it is first asked for.
pub(super) fn function(variant: Variant, kernel: Kernel) -> Function {
    static LIBRARIES: OnceLock<Mutex<HashMap<Variant, usize>>> = OnceLock::new();
    let mut libraries = LIBRARIES
        .get_or_init(Mutex::default)
        .lock()
        .expect("a compiler that works");
    let library = *libraries.entry(variant).or_insert_with(|| compile(variant));
    let name = CString::new(format!("run_{}", kernel.name())).expect("a name");
    // SAFETY: the library was opened and is never closed, and the name ends with a zero.
    let function = unsafe { libc::dlsym(library as *mut c_void, name.as_ptr()) };
    assert!(!function.is_null(), "{name:?} is missing");
    // SAFETY: `host.h` declares all functions of this name so.
    unsafe { std::mem::transmute::<*mut c_void, Function>(function) }
}

fn compile(variant: Variant) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    let (text, library) = (
        folder.path().join("kernels.cpp"),
        folder.path().join("kernels.so"),
    );
    let host = include_str!("../source/host.h");
    std::fs::write(&text, [host, &source::text()].join("\n")).expect("room on disk");
    let output = Command::new("c++")
        .args(["-std=c++17", "-O2", "-shared", "-fPIC", "-Wall", "-Werror"])
        .args(["-Wno-unknown-pragmas", "-Wno-unused-function"])
        .args(source::defines(variant))
        .arg("-o")
        .args([&library, &text])
        .output()
        .expect("a C++ compiler (c++), which the tests need");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let path = CString::new(library.to_str().expect("a path")).expect("a path");
    // SAFETY: the library is ours and does nothing when it is opened.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!library.is_null(), "the library does not open");
    library as usize
}
