//! Ctrl-C: the first one ends the input, so that the output is still finished; the second one ends the program.

use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// What shells expect of a program that SIGINT ended.
const KILLED: i32 = 130;

/// Listens from now on.
pub fn listen() {
    let handler = || {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(KILLED);
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        tracing::debug!("Ctrl-C will end the program at once: {error}");
    }
}

/// Ends the input as Ctrl-C does.
pub fn stop() {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Whether to take no more input.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
