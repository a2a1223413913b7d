//! What became of the standard streams before the program began.

use std::sync::atomic::{AtomicBool, Ordering};

static STDOUT_IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether the program was started with a stdout that is closed, or open for reading only.
///
/// The standard library opens `/dev/null` in the place of a closed one, and holds writing to one that cannot be written for
/// done: outputs would be lost without a word. Known on Linux; false elsewhere.
pub fn stdout_is_closed() -> bool {
    STDOUT_IS_CLOSED.load(Ordering::Relaxed)
}

#[cfg(target_os = "linux")]
extern "C" fn look() {
    // SAFETY: asks about a descriptor, which need not exist.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFL) };
    let closed = flags == -1 || flags & libc::O_ACCMODE == libc::O_RDONLY;
    STDOUT_IS_CLOSED.store(closed, Ordering::Relaxed);
}

// SAFETY: the C library calls what this section lists, once, before `main`. The function takes no arguments, which callers of C
// functions need not know, does not unwind, and uses nothing that `main` would have to set up.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = look;
