//! What the files of this run may ask for.

use std::sync::atomic::{AtomicBool, Ordering};

use latentbit_container::Limits;

static TRUSTED: AtomicBool = AtomicBool::new(false);

/// Lifts all limits: the user trusts whoever made the files.
pub fn trust() {
    TRUSTED.store(true, Ordering::Relaxed);
}

/// Whether there are no limits.
pub fn trusted() -> bool {
    TRUSTED.load(Ordering::Relaxed)
}

/// The limits that every reading in this run has.
pub fn limits() -> Limits {
    match trusted() {
        true => Limits::none(),
        false => Limits::default(),
    }
}
