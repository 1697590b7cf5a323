//! What the process keeps of its memory. The allocator itself is the program's choice: `main.rs`.
#![allow(unsafe_code, reason = "mimalloc's collect is a C function")]

/// Keeps the process's memory in small pages. A connection is some hundred bytes to a few KiB, and comes and goes: a huge
/// page stays whole for the last of them, and the kernel makes new ones of what was given back. For a process without
/// clients this halves the resident memory (19 to 8 MiB). Programs that are started from here inherit it until
/// [`child::prepare`](super::child::prepare).
pub fn refuse_huge_pages() {
    // A kernel without huge pages has none to refuse.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Gives free pages of this thread's heap back to the system. Walks the heap: for quiet moments after a burst.
pub fn collect() {
    // SAFETY: mi_collect may be called at any time from any thread, and takes a plain flag.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
