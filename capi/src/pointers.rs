//! Pointers from outside, looked at before they are followed.

use std::ffi::{CStr, c_char};
use std::path::PathBuf;

use crate::failure::Failure;

/// What a pointer points at.
///
/// # Safety
/// Unless it is null, it must be valid for reading for as long as the result lives.
pub unsafe fn borrowed<'a, T>(pointer: *const T, name: &str) -> Result<&'a T, Failure> {
    // SAFETY: as the caller promises.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(name))
}

/// What a pointer points at, to change it.
///
/// # Safety
/// Unless it is null, it must be valid for reading and writing for as long as the result lives, and nobody else may use it.
pub unsafe fn borrowed_mut<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut T, Failure> {
    // SAFETY: as the caller promises.
    unsafe { pointer.as_mut() }.ok_or_else(|| null(name))
}

/// Fails for a null pointer.
pub fn not_null<T>(pointer: *const T, name: &str) -> Result<(), Failure> {
    match pointer.is_null() {
        true => Err(null(name)),
        false => Ok(()),
    }
}

/// Writes a number to where the caller wants it.
///
/// # Safety
/// Unless it is null, `out` must be valid for writing.
pub unsafe fn put<T>(out: *mut T, value: T, name: &str) -> Result<(), Failure> {
    not_null(out, name)?;
    // SAFETY: not null, and as the caller promises.
    unsafe { out.write(value) };
    Ok(())
}

/// Gives a handle away.
///
/// # Safety
/// Unless it is null, `out` must be valid for writing.
pub unsafe fn give<T>(out: *mut *mut T, handle: T, name: &str) -> Result<(), Failure> {
    not_null(out, name)?;
    // SAFETY: as the caller promises.
    unsafe { put(out, Box::into_raw(Box::new(handle)), name) }
}

/// Fails for a null pointer before any work is done for it; otherwise makes the handle null, for the case that it fails.
///
/// # Safety
/// As for [`give`].
pub unsafe fn expect<T>(out: *mut *mut T, name: &str) -> Result<(), Failure> {
    // SAFETY: as the caller promises.
    unsafe { put(out, std::ptr::null_mut(), name) }
}

/// Takes a handle back and drops it; null is nothing.
///
/// # Safety
/// The handle must come from [`give`], and not be used any more.
pub unsafe fn take_back<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: it was made of a box in `give`.
        drop(unsafe { Box::from_raw(handle) });
    }
}

/// A text.
///
/// # Safety
/// Unless it is null, it must end with a zero byte and be valid for as long as the result lives.
pub unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str, Failure> {
    not_null(pointer, name)?;
    // SAFETY: not null, and as the caller promises.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str()
        .map_err(|_| Failure::argument(format!("{name}: expected UTF-8, found {text:?}")))
}

/// A path: any bytes where the system takes any, else UTF-8.
///
/// # Safety
/// As for [`text`].
pub unsafe fn path(pointer: *const c_char, name: &str) -> Result<PathBuf, Failure> {
    #[cfg(unix)]
    {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        not_null(pointer, name)?;
        // SAFETY: not null, and as the caller promises.
        let bytes = unsafe { CStr::from_ptr(pointer) }.to_bytes();
        Ok(OsStr::from_bytes(bytes).into())
    }
    #[cfg(not(unix))]
    // SAFETY: as the caller promises.
    unsafe { text(pointer, name) }.map(PathBuf::from)
}

/// A structure that starts with its size, so that it can grow.
///
/// # Safety
/// Only plain numbers and pointers, of which every value is legal, in C's order, with `size: usize` in front.
pub unsafe trait Sized {
    /// Bytes of its first version, which callers have at least.
    const LEAST: usize;
}

/// Reads a structure of the caller, of any version: what its version lacks is zero, and what it has beyond ours must be zero.
///
/// # Safety
/// Unless it is null, `pointer` must be valid for reading as many bytes as its `size` says.
pub unsafe fn read<T: Sized + Copy>(pointer: *const T, name: &str) -> Result<T, Failure> {
    // SAFETY: as the caller promises.
    let size = unsafe { size_of_caller::<T>(pointer.cast(), name)? };
    let mut ours = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: the caller has `size` bytes there, and no more are read than ours has.
    unsafe {
        let bytes = size.min(size_of::<T>());
        std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), ours.as_mut_ptr().cast::<u8>(), bytes);
    }
    let beyond = size.saturating_sub(size_of::<T>());
    // SAFETY: these bytes are within `size`.
    let rest = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>().add(size - beyond), beyond) };
    if rest.iter().any(|&byte| byte != 0) {
        return Err(Failure::argument(format!(
            "{name}: it has fields of a newer version that this library does not know"
        )));
    }
    // SAFETY: zeroed, and every value of `T` is legal.
    Ok(unsafe { ours.assume_init() })
}

/// Writes a structure of the caller, as much of it as its version has; its size stays.
///
/// # Safety
/// Unless it is null, `pointer` must be valid for reading and writing as many bytes as its `size` says.
pub unsafe fn fill<T: Sized + Copy>(pointer: *mut T, value: &T, name: &str) -> Result<(), Failure> {
    // SAFETY: as the caller promises.
    let size = unsafe { size_of_caller::<T>(pointer.cast_const().cast(), name)? };
    let front = size_of::<usize>();
    let bytes = size.min(size_of::<T>()) - front;
    // SAFETY: the caller has `size` bytes there, ours has at least as many as are copied, and a new value cannot overlap.
    unsafe {
        let from = std::ptr::from_ref(value).cast::<u8>().add(front);
        std::ptr::copy_nonoverlapping(from, pointer.cast::<u8>().add(front), bytes);
    }
    Ok(())
}

/// # Safety
/// Unless it is null, a number must be readable there.
unsafe fn size_of_caller<T: Sized>(pointer: *const usize, name: &str) -> Result<usize, Failure> {
    // Sizes beyond this are no structures of any version.
    const MOST: usize = 1 << 16;
    // SAFETY: as the caller promises.
    let size = *unsafe { borrowed(pointer, name)? };
    match (T::LEAST..=MOST).contains(&size) {
        true => Ok(size),
        false => Err(Failure::argument(format!(
            "{name}: its size is {size}, expected at least {}; set it to sizeof *{name}",
            T::LEAST
        ))),
    }
}

fn null(name: &str) -> Failure {
    Failure::argument(format!("{name}: it is null"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a structure of a library looks like; `Newer` is what a program has that was built for a later one.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Ours {
        size: usize,
        first: u32,
        second: u32,
    }

    #[repr(C)]
    struct Newer {
        ours: Ours,
        third: u64,
    }

    // SAFETY: plain numbers in C's order.
    unsafe impl Sized for Ours {
        const LEAST: usize = size_of::<usize>() + 4;
    }

    #[test]
    fn older_and_newer_programs_are_understood() {
        let mut newer = Newer {
            ours: Ours {
                size: size_of::<Newer>(),
                first: 1,
                second: 2,
            },
            third: 0,
        };
        let pointer = std::ptr::from_mut(&mut newer).cast::<Ours>();
        // SAFETY: the structures are as large as their sizes say.
        unsafe {
            assert_eq!(read(pointer, "a").unwrap().second, 2);
            (*pointer.cast::<Newer>()).third = 5;
            assert!(read(pointer, "a").is_err());
            let value = Ours {
                size: 0,
                first: 7,
                second: 8,
            };
            fill(pointer, &value, "a").unwrap();
            let newer = &mut *pointer.cast::<Newer>();
            assert_eq!(
                (newer.ours.size, newer.ours.second, newer.third),
                (size_of::<Newer>(), 8, 5)
            );
            // One that was built before the second field came.
            newer.ours.size = Ours::LEAST;
            assert_eq!(read(pointer, "a").unwrap().second, 0);
            (*pointer).second = 9;
            fill(pointer, &value, "a").unwrap();
            assert_eq!(((*pointer).first, (*pointer).second), (7, 9));
            (*pointer).size = Ours::LEAST - 1;
            assert!(read(pointer, "a").is_err() && fill(pointer, &value, "a").is_err());
            assert!(read::<Ours>(std::ptr::null(), "a").is_err());
        }
    }
}
