//! The process's allocator.
#![allow(unsafe_code, reason = "mimalloc's collect is a C function")]

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives free pages of this thread's heap back to the system. Walks the heap: for quiet moments after a burst.
pub fn collect() {
    // SAFETY: mi_collect may be called at any time from any thread, and takes a plain flag.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
