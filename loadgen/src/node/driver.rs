//! Starts a thread's runtime: io_uring where the kernel allows it, epoll where it does not (most containers).

use std::{fmt, future::Future, io};

use io_uring::IoUring;
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

use super::args::DriverChoice;

/// Submission entries of a ring.
const ENTRIES: u32 = 4096;

/// What a thread ended up with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// io_uring.
    IoUring,
    /// epoll, because it was asked for.
    Epoll,
    /// epoll, because io_uring failed with this.
    Fallback(String),
}

impl Driver {
    /// `io_uring` or `epoll`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Epoll | Self::Fallback(_) => "epoll",
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fallback(why) => write!(out, "epoll, as io_uring is not to be had: {why}"),
            _ => out.write_str(self.name()),
        }
    }
}

/// Runs the future that `make` gives on a runtime of this thread.
///
/// # Errors
/// The chosen driver cannot be had.
pub(crate) fn run<F: Future>(choice: DriverChoice, make: impl FnOnce(Driver) -> F) -> io::Result<F::Output> {
    let why = match choice {
        DriverChoice::Epoll => None,
        DriverChoice::IoUring | DriverChoice::Auto => match ring() {
            Ok(mut runtime) => return Ok(runtime.block_on(make(Driver::IoUring))),
            Err(error) if choice == DriverChoice::Auto => Some(error.to_string()),
            Err(error) => return Err(error),
        },
    };
    let driver = why.map_or(Driver::Epoll, Driver::Fallback);
    let mut runtime = RuntimeBuilder::<LegacyDriver>::new().with_entries(ENTRIES).enable_timer().build()?;
    Ok(runtime.block_on(make(driver)))
}

type Ring = monoio::Runtime<monoio::time::TimeDriver<IoUringDriver>>;

/// Task work without interrupts first, which spares wake-ups; older kernels refuse the flag, and get a plain ring.
fn ring() -> io::Result<Ring> {
    let mut quiet = IoUring::builder();
    quiet.setup_coop_taskrun();
    build(quiet).or_else(|_| build(IoUring::builder()))
}

fn build(builder: io_uring::Builder) -> io::Result<Ring> {
    RuntimeBuilder::<IoUringDriver>::new().with_entries(ENTRIES).uring_builder(builder).enable_timer().build()
}
