//! A sending thread: a runtime that is built once and takes part in run after run.

use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Failure;
use super::job::Job;
use super::worker::{Wires, take_part};
use crate::driver::{Choice, Runtime};

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
    pub fn hire(index: usize, choice: Choice) -> Result<Self, Failure> {
        let (assignments, receiver) = bounded(1);
        let (hello, greeting) = bounded(1);
        thread::Builder::new()
            .name(format!("loadgen-{index}"))
            .spawn(move || serve(index, choice, &receiver, &hello))
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

fn serve(index: usize, choice: Choice, assignments: &Receiver<Assignment>, hello: &Sender<Greeting>) {
    let mut runtime = match Runtime::new(choice) {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = hello.send(Err(error.to_string()));
            return;
        }
    };
    let _ = hello.send(Ok(runtime.driver().name()));
    for Assignment { job, wires } in assignments {
        runtime.block_on(take_part(job, index, wires));
    }
}
