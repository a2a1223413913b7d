//! How functions fail: a code, and a message for the thread.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use latentbit_codec::Error as CodecError;
use latentbit_container::{Error, ErrorKind};

/// Done.
pub const LBIT_OK: c_int = 0;
/// There is no more; not a failure.
pub const LBIT_END: c_int = 1;
/// A null pointer, a value that is out of range, or a structure of the wrong size.
pub const LBIT_ERROR_ARGUMENT: c_int = 2;
/// Reading failed in the operating system.
pub const LBIT_ERROR_IO: c_int = 3;
/// The bytes are damaged, or are no .lbit file.
pub const LBIT_ERROR_FORMAT: c_int = 4;
/// The file stops before its end.
pub const LBIT_ERROR_TRUNCATED: c_int = 5;
/// The file is made for a newer reader.
pub const LBIT_ERROR_UNSUPPORTED: c_int = 6;
/// The file asks for more memory or work than a reader allows; see LBIT_TRUSTED.
pub const LBIT_ERROR_LIMITS: c_int = 7;
/// The tokens of a chunk are lost.
pub const LBIT_ERROR_LOST: c_int = 8;
/// The model cannot be used, or the file needs another one.
pub const LBIT_ERROR_MODEL: c_int = 9;
/// It takes more memory than there is, or than the limit that was given.
pub const LBIT_ERROR_MEMORY: c_int = 10;
/// Something else, such as a GPU that failed.
pub const LBIT_ERROR_OTHER: c_int = 11;
/// A fault in this library. The handle that was used must only be freed from now on.
pub const LBIT_ERROR_BUG: c_int = 12;

thread_local! {
    static MESSAGE: RefCell<CString> = RefCell::default();
}

/// Why a function did not do what it should.
#[derive(Debug)]
pub struct Failure {
    code: c_int,
    message: String,
}

impl Failure {
    pub fn new(code: c_int, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }

    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(LBIT_ERROR_ARGUMENT, message)
    }

    /// What reading a file of this name failed with.
    pub fn container(error: &Error, place: &str) -> Self {
        let code = match error.kind() {
            ErrorKind::Io => LBIT_ERROR_IO,
            ErrorKind::Truncated => LBIT_ERROR_TRUNCATED,
            ErrorKind::Unsupported => LBIT_ERROR_UNSUPPORTED,
            ErrorKind::Limits => LBIT_ERROR_LIMITS,
            ErrorKind::Parameter => LBIT_ERROR_ARGUMENT,
            ErrorKind::Format => LBIT_ERROR_FORMAT,
            _ => LBIT_ERROR_OTHER,
        };
        Self::new(code, format!("{place}: {error}"))
    }

    /// What the codec failed with, over a file or a model of this name.
    pub fn codec(error: &CodecError, place: &str) -> Self {
        let code = match error {
            CodecError::Container(error) => return Self::container(error, place),
            CodecError::Io { .. } => LBIT_ERROR_IO,
            CodecError::Bundle { .. } | CodecError::Predictor { .. } | CodecError::WrongBundle { .. } => {
                LBIT_ERROR_MODEL
            }
            CodecError::Shape { .. } | CodecError::Parameter { .. } => LBIT_ERROR_ARGUMENT,
            CodecError::Limits { .. } => LBIT_ERROR_LIMITS,
            CodecError::Memory { .. } => LBIT_ERROR_MEMORY,
            CodecError::Chunk { .. } => LBIT_ERROR_FORMAT,
            CodecError::Stopped => LBIT_ERROR_BUG,
            _ => LBIT_ERROR_OTHER,
        };
        Self::new(code, format!("{place}: {error}"))
    }
}

/// Runs a function of the interface: no panic leaves it, and what fails leaves a message.
pub fn run(work: impl FnOnce() -> Result<c_int, Failure>) -> c_int {
    // Handles are not used any more after a panic, as the description of the code says.
    let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let why = format!("this is a bug, please report it: {}", text_of(&*panic));
        Err(Failure::new(LBIT_ERROR_BUG, why))
    });
    match done {
        Ok(code) => code,
        Err(Failure { code, message }) => {
            let message = CString::new(message.replace('\0', "\\0")).unwrap_or_default();
            MESSAGE.with(|last| *last.borrow_mut() = message);
            code
        }
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic")
}

/// What the last function that failed on this thread failed with, in words: which file, where, what was expected. Never
/// null; empty if none failed. It is valid until another function fails on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn lbit_error_message() -> *const c_char {
    MESSAGE.with(|last| last.borrow().as_ptr())
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    fn message() -> String {
        // SAFETY: it is never null, and nothing fails on this thread before it is copied.
        let text = unsafe { CStr::from_ptr(lbit_error_message()) };
        text.to_str().unwrap().to_owned()
    }

    #[test]
    fn panics_become_codes() {
        assert_eq!(message(), "");
        assert_eq!(run(|| panic!("at {}", 7)), LBIT_ERROR_BUG);
        assert!(message().ends_with("at 7"), "{}", message());
        assert_eq!(run(|| Err(Failure::argument("a\0b"))), LBIT_ERROR_ARGUMENT);
        assert_eq!(message(), "a\\0b");
        // What goes well leaves the message, and other threads have their own.
        assert_eq!(run(|| Ok(LBIT_END)), LBIT_END);
        assert_eq!(message(), "a\\0b");
        std::thread::spawn(|| assert_eq!(message(), "")).join().unwrap();
    }
}
