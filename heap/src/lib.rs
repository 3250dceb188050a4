//! What driftrun asks of its allocator. A crate of its own, as it is the one place with unsafe code.

/// Blocks of this size and above are given back to the system as soon as they are free.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 1 << 20;

/// Has large blocks given back to the system when they are free: the text of a report, what it was rendered to.
///
/// glibc does that by itself until the first one is free; then it takes blocks of that size for common, and keeps them among the small ones. 1,000,000
/// series that were all replaced leave it with 700 MiB instead of 410. Other allocators need no telling, and nothing is done.
pub fn give_large_blocks_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `mallopt` may be called at any time; an option that it doesn't take changes nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Gives pages back to the system in which nothing is in use any more, among others that are.
///
/// Threads of glibc have a heap each. What a run needs for a moment lies there between what stays of it, so that after ten thousand checks have run, one
/// after the other, most of a gigabyte is free and not given back. While it does so, who asks for memory of the same heap waits.
pub fn give_free_pages_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` may be called at any time, by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
