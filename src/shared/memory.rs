//! The process's allocator.
#![allow(
    unsafe_code,
    reason = "mimalloc's collect is a C function; counting stands in front of an allocator"
)]

#[cfg(not(feature = "count-allocations"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(feature = "count-allocations")]
#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting(mimalloc::MiMalloc);

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

/// The allocator of the test that holds the steady state to no allocation a request; never of a release.
#[cfg(feature = "count-allocations")]
pub mod counting {
    use std::alloc::{GlobalAlloc, Layout};
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    static COUNT: AtomicU64 = AtomicU64::new(0);

    thread_local! {
        static COUNTED: Cell<bool> = const { Cell::new(false) };
    }

    /// Counts what this thread allocates from now on, until the thread ends.
    pub fn count_this_thread() {
        COUNTED.set(true);
    }

    /// Allocations and moves to larger memory so far, of all threads that are counted.
    pub fn allocations() -> u64 {
        COUNT.load(Relaxed)
    }

    fn count() {
        // The flag has no destructor, so it can be read for as long as its thread allocates.
        if COUNTED.get() {
            COUNT.fetch_add(1, Relaxed);
        }
    }

    pub(super) struct Counting(pub(super) mimalloc::MiMalloc);

    // SAFETY: every call is handed on as it came to an allocator that keeps the contract; counting allocates nothing.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            count();
            // SAFETY: as above.
            unsafe { self.0.alloc(layout) }
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            count();
            // SAFETY: as above.
            unsafe { self.0.alloc_zeroed(layout) }
        }

        unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            count();
            // SAFETY: as above.
            unsafe { self.0.realloc(memory, layout, size) }
        }

        unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
            // SAFETY: as above.
            unsafe { self.0.dealloc(memory, layout) }
        }
    }
}
