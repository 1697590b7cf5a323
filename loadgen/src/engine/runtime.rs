//! A sending thread: a runtime that is built once and takes part in run after run.

use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};

use super::Failure;
use super::job::Job;
use super::worker::{Wires, take_part};

/// Entries of a ring: more operations than that at once go to the kernel in several calls.
const ENTRIES: u32 = 4096;

/// How to talk to the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// io_uring where it is allowed, else epoll.
    #[default]
    Auto,
    /// io_uring or nothing.
    IoUring,
    /// epoll.
    Epoll,
}

impl FromStr for Driver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "io_uring" => Ok(Self::IoUring),
            "epoll" => Ok(Self::Epoll),
            _ => Err(format!("`{text}` is none of auto, io_uring, epoll")),
        }
    }
}

/// A thread's part in a run.
#[derive(Debug)]
pub struct Assignment {
    /// The run.
    pub job: Arc<Job>,
    /// The way back.
    pub wires: Wires,
}

/// One thread.
#[derive(Debug)]
pub struct Crewman {
    assignments: Sender<Assignment>,
    /// `io_uring` or `epoll`.
    pub driver: &'static str,
}

impl Crewman {
    /// Starts a thread.
    ///
    /// # Errors
    /// When the system gives no thread or no ring.
    pub fn hire(index: usize, driver: Driver) -> Result<Self, Failure> {
        let (assignments, receiver) = bounded(1);
        let (hello, greeting) = bounded(1);
        thread::Builder::new()
            .name(format!("loadgen-{index}"))
            .spawn(move || serve(index, driver, &receiver, &hello))
            .map_err(|error| Failure(format!("no thread to send from: {error}")))?;
        let driver = greeting.recv().unwrap_or_else(|_| Err("it died at its start".to_owned()));
        driver.map(|driver| Self { assignments, driver }).map_err(Failure)
    }

    /// Gives it a part.
    ///
    /// # Errors
    /// When the thread is gone.
    pub fn assign(&self, assignment: Assignment) -> Result<(), Failure> {
        self.assignments.send(assignment).map_err(|_| super::died())
    }
}

type Greeting = Result<&'static str, String>;

fn serve(index: usize, driver: Driver, assignments: &Receiver<Assignment>, hello: &Sender<Greeting>) {
    let uring = if driver == Driver::Epoll { None } else { Some(build_uring()) };
    match uring {
        Some(Ok(runtime)) => {
            let _ = hello.send(Ok("io_uring"));
            obey(runtime, index, assignments);
        }
        Some(Err(error)) if driver == Driver::IoUring => {
            let advice = "use `--driver epoll`, or allow io_uring (seccomp profile, `ulimit -l`)";
            let _ = hello.send(Err(format!("io_uring is refused ({error}): {advice}")));
        }
        _ => match build_epoll() {
            Ok(runtime) => {
                let _ = hello.send(Ok("epoll"));
                obey(runtime, index, assignments);
            }
            Err(error) => {
                let _ = hello.send(Err(format!("epoll is refused: {error}")));
            }
        },
    }
}

fn obey<D: monoio::Driver>(mut runtime: Runtime<D>, index: usize, assignments: &Receiver<Assignment>) {
    for Assignment { job, wires } in assignments {
        runtime.block_on(take_part(job, index, wires));
    }
}

/// The two sets of flags save interrupts and locks; older kernels know neither, so a plain ring comes last.
fn build_uring() -> io::Result<Runtime<TimeDriver<IoUringDriver>>> {
    let mut single = io_uring::IoUring::builder();
    single.setup_single_issuer().setup_defer_taskrun();
    let mut cooperative = io_uring::IoUring::builder();
    cooperative.setup_coop_taskrun();
    let plain = io_uring::IoUring::builder();
    let build = |flags| {
        RuntimeBuilder::<IoUringDriver>::new()
            .with_entries(ENTRIES)
            .uring_builder(flags)
            .enable_timer()
            .build()
    };
    build(single).or_else(|_| build(cooperative)).or_else(|_| build(plain))
}

fn build_epoll() -> io::Result<Runtime<TimeDriver<LegacyDriver>>> {
    RuntimeBuilder::<LegacyDriver>::new().enable_timer().build()
}
