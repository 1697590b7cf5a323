//! A thread's runtime: io_uring where the kernel allows it, epoll where it does not (most containers).

use std::str::FromStr;
use std::{fmt, io};

use io_uring::IoUring;
use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

/// Entries of a ring: more operations than that at once go to the kernel in several calls.
const ENTRIES: u32 = 4096;

/// How to talk to the kernel, as asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// io_uring where it is allowed, else epoll.
    #[default]
    Auto,
    /// io_uring or nothing.
    IoUring,
    /// epoll.
    Epoll,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "io_uring" | "io-uring" | "uring" => Ok(Self::IoUring),
            "epoll" => Ok(Self::Epoll),
            _ => Err(format!("`{text}` is none of auto, io_uring, epoll")),
        }
    }
}

/// What a thread ended up with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// io_uring.
    IoUring,
    /// epoll, because it was asked for.
    Epoll,
    /// epoll, because io_uring failed with this.
    Fallback(String),
}

impl Driver {
    /// `io_uring` or `epoll`.
    #[must_use]
    pub fn name(&self) -> &'static str {
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

/// The runtime of the thread that made it, which must be the one that uses it.
pub enum Runtime {
    /// On io_uring.
    Ring(Box<Ring>),
    /// On epoll.
    Epoll(Box<monoio::Runtime<TimeDriver<LegacyDriver>>>, Driver),
}

type Ring = monoio::Runtime<TimeDriver<IoUringDriver>>;

impl Runtime {
    /// The runtime of a choice.
    ///
    /// # Errors
    /// The chosen driver cannot be had; says what would help.
    pub fn new(choice: Choice) -> io::Result<Self> {
        let driver = match choice {
            Choice::Epoll => Driver::Epoll,
            Choice::IoUring | Choice::Auto => match ring() {
                Ok(ring) => return Ok(Self::Ring(Box::new(ring))),
                Err(error) if choice == Choice::Auto => Driver::Fallback(error.to_string()),
                Err(error) => return Err(refused(&error)),
            },
        };
        let epoll = RuntimeBuilder::<LegacyDriver>::new().with_entries(ENTRIES).enable_timer().build()?;
        Ok(Self::Epoll(Box::new(epoll), driver))
    }

    /// What it talks to the kernel with.
    #[must_use]
    pub fn driver(&self) -> Driver {
        match self {
            Self::Ring(_) => Driver::IoUring,
            Self::Epoll(_, driver) => driver.clone(),
        }
    }

    /// Runs a future to its end.
    pub fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        match self {
            Self::Ring(runtime) => runtime.block_on(future),
            Self::Epoll(runtime, _) => runtime.block_on(future),
        }
    }
}

fn refused(error: &io::Error) -> io::Error {
    let advice = "use `--driver epoll`, or allow io_uring (seccomp profile, `ulimit -l`)";
    io::Error::new(error.kind(), format!("io_uring is refused ({error}): {advice}"))
}

/// The two sets of flags save interrupts and locks; older kernels know neither, so a plain ring comes last.
fn ring() -> io::Result<Ring> {
    let mut single = IoUring::builder();
    single.setup_single_issuer().setup_defer_taskrun();
    let mut cooperative = IoUring::builder();
    cooperative.setup_coop_taskrun();
    build(single).or_else(|_| build(cooperative)).or_else(|_| build(IoUring::builder()))
}

fn build(flags: io_uring::Builder) -> io::Result<Ring> {
    RuntimeBuilder::<IoUringDriver>::new().with_entries(ENTRIES).uring_builder(flags).enable_timer().build()
}
