/// Makes the C library keep freed memory for the next tensor instead of returning it to the system.
///
/// On a CPU, half of the time of large elementwise operations is otherwise spent on pages that are
/// returned to the system after each operation and zeroed for the next one.
///
/// In a program that already has other threads, nothing is changed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_pages() {
    const KEEP: libc::c_int = 1 << 30;
    let threads = std::fs::read_dir("/proc/self/task").map(Iterator::count);
    if !matches!(threads, Ok(1)) {
        return;
    }
    #[expect(unsafe_code, reason = "the C library has no safe way to set this")]
    // SAFETY: `mallopt` only sets parameters of the allocator, and no other thread runs.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, KEEP);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEEP);
    }
}

/// Does nothing: the allocators of other systems keep freed memory.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_pages() {}
