//! What becomes of memory that is given back, and of a request for more than there is.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What runs before a program ends because there is no more memory.
static AT_THE_END: OnceLock<fn()> = OnceLock::new();

/// The system's allocator, for programs that end with a message and exit code 1 where memory runs out, and not by a signal.
///
/// `#[global_allocator]` makes it that of a program.
#[derive(Debug)]
pub struct EndingAllocator;

impl EndingAllocator {
    /// Has `run` run at the end: it must get by with little memory, and wait for nobody.
    pub fn at_the_end(run: fn()) {
        let _ = AT_THE_END.set(run);
    }

    fn end(layout: Layout) -> ! {
        static ENDING: AtomicBool = AtomicBool::new(false);
        // What follows may fail in the same way, or another thread at the same time.
        if !ENDING.swap(true, Ordering::Relaxed) {
            let mut text = [0u8; 96];
            let mut rest = &mut text[..];
            let _ = writeln!(
                rest,
                "ERROR out of memory: {} bytes more are not to be had",
                layout.size()
            );
            let left = rest.len();
            let _ = std::io::stderr().write_all(&text[..text.len() - left]);
            if let Some(run) = AT_THE_END.get() {
                run();
            }
        }
        // SAFETY: ends the process at once, from any state.
        unsafe { libc::_exit(1) }
    }
}

// SAFETY: hands everything to `System`, which keeps the contract, and never returns null.
unsafe impl GlobalAlloc for EndingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() {
            Self::end(layout);
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let block = unsafe { System.alloc_zeroed(layout) };
        if block.is_null() {
            Self::end(layout);
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises; the block came from `System`.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises; the block came from `System`.
        let block = unsafe { System.realloc(block, layout, size) };
        if block.is_null() {
            // The alignment of a layout is not zero, and the size was legal before.
            Self::end(Layout::from_size_align(size, layout.align()).unwrap_or(layout));
        }
        block
    }
}

/// Has the C library return blocks of at least a megabyte to the system as soon as they are freed.
///
/// For programs that do nothing else than what this crate is for, at their start. Frames are allocated by one thread and
/// freed by another, and glibc would keep many of them in the heaps of both: peaks would grow with the length of a video
/// for a while, and depend on luck. It does nothing where the C library is another one.
pub fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const LARGE: libc::c_int = 1 << 20;
        // SAFETY: sets a number of the allocator, which may be done at any time. By itself it would grow to 32 megabytes.
        // If it fails, memory is kept as it was before.
        let _ = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
    }
}
