//! What becomes of memory that is given back.

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
