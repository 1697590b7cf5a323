//! The engine: threads that send, and the coordinator that merges what they count.
//!
//! ```text
//!   coordinator --Job--> worker threads (monoio, one ring each)
//!        ^                  lanes -> connections (+ one pacer a lane in an open loop)
//!        +----- a Tally each 250 ms, given back empty -----+
//! ```

pub mod clock;
pub mod collector;
pub mod connection;
pub mod context;
pub mod crew;
pub mod job;
pub mod lane;
mod opening;
pub mod pacer;
pub mod runtime;
pub mod seat;
mod second;
pub mod socket;
pub mod tally;
pub mod upgrade;
pub mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use collector::Collector;
use job::Job;
use runtime::{Assignment, Crewman};
use worker::{ABANDON, FINISH, GO, Opened, Report, TICK_NS, Wires};

use crate::driver::Choice;
use crate::result::live::{Observer, Stage};

/// After the first signal, answers are awaited this long.
const FINISH_GRACE: Duration = Duration::from_secs(1);
/// How often the coordinator looks at signals when no thread reports.
const LOOK: Duration = Duration::from_millis(50);
/// Reports of a thread that may wait for the coordinator; with more, the thread goes on counting in the last.
const REPORTS_MAX: usize = 4;
/// The start lies this far ahead, so that all threads are there for it and have made their first report.
const HEAD_START: Duration = Duration::from_millis(5);

/// Threads that are ready to send; they serve any number of runs, one after another.
#[derive(Debug)]
pub struct Engine {
    crew: Vec<Crewman>,
}

/// Why a run could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// What a run left in the coordinator.
#[derive(Debug)]
pub struct Outcome {
    /// All that was counted.
    pub collector: Collector,
    /// Wall-clock start of the measured part.
    pub started_unix_ms: u64,
    /// The start of the clock.
    pub epoch: Instant,
    /// A signal ended it before its time.
    pub interrupted: bool,
}

impl Engine {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system refuses what they need.
    pub fn start(threads: usize, driver: Choice) -> Result<Self, Failure> {
        let crew = (0..threads).map(|index| Crewman::hire(index, driver)).collect::<Result<_, _>>()?;
        Ok(Self { crew })
    }

    /// `io_uring` or `epoll`.
    #[must_use]
    pub fn driver(&self) -> &'static str {
        self.crew.first().map_or("none", |man| man.driver)
    }

    /// Runs one job to its end. `signals`: how many times the user asked to stop.
    ///
    /// # Errors
    /// When nothing could be connected, or a thread broke.
    pub fn run(
        &self,
        job: &Arc<Job>,
        label: &str,
        signals: &AtomicU8,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, Failure> {
        let mut run = Coordination::begin(&self.crew, job)?;
        run.await_ready(self.crew.len(), signals)?;
        run.start(self.crew.len(), label);
        run.collect(self.crew.len(), signals, observer)?;
        Ok(run.into_outcome())
    }
}

/// The coordinator's side of one run.
struct Coordination<'a> {
    job: &'a Arc<Job>,
    reports: Receiver<Report>,
    start: Sender<Instant>,
    empty: Sender<Box<tally::Tally>>,
    stop: Arc<AtomicU8>,
    collector: Collector,
    epoch: Instant,
    started_unix_ms: u64,
    finish_by: Option<Instant>,
}

impl<'a> Coordination<'a> {
    fn begin(crew: &[Crewman], job: &'a Arc<Job>) -> Result<Self, Failure> {
        let (report_sender, reports) = bounded(crew.len() * REPORTS_MAX);
        let (start, start_receiver) = bounded(crew.len());
        let (empty, empty_receiver) = bounded(crew.len() * REPORTS_MAX);
        let stop = Arc::new(AtomicU8::new(GO));
        for man in crew {
            let wires = Wires {
                reports: report_sender.clone(),
                start: start_receiver.clone(),
                empty: empty_receiver.clone(),
                stop: Arc::clone(&stop),
            };
            man.assign(Assignment { job: Arc::clone(job), wires })?;
        }
        Ok(Self {
            job,
            reports,
            start,
            empty,
            stop,
            collector: Collector::new(job, crew.len()),
            epoch: Instant::now(),
            started_unix_ms: 0,
            finish_by: None,
        })
    }

    fn await_ready(&mut self, threads: usize, signals: &AtomicU8) -> Result<(), Failure> {
        let mut opened = Opened::default();
        for _ in 0..threads {
            let Report::Ready(part) = self.next(signals)? else {
                return Err(Failure("a sending thread reported before it was ready".to_owned()));
            };
            opened.open += part.open;
            opened.failed += part.failed;
            opened.fault = opened.fault.or(part.fault);
        }
        match opened.fault {
            Some(fault) if opened.open == 0 => Err(opening::failure(self.job, opened.failed, &fault)),
            fault => {
                self.collector.note_opening(opened.open, opened.failed, fault);
                Ok(())
            }
        }
    }

    /// The next report. A signal before the start ends the wait with an error.
    fn next(&self, signals: &AtomicU8) -> Result<Report, Failure> {
        loop {
            match self.reports.recv_timeout(LOOK) {
                Ok(Report::Broken(why)) => return Err(Failure(why)),
                Ok(report) => return Ok(report),
                Err(RecvTimeoutError::Disconnected) => return Err(died()),
                Err(RecvTimeoutError::Timeout) if signals.load(Ordering::Relaxed) > 0 => {
                    return Err(Failure("interrupted before the first request".to_owned()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn start(&mut self, threads: usize, label: &str) {
        self.epoch = Instant::now() + HEAD_START;
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + HEAD_START;
        self.started_unix_ms = unix.as_millis() as u64 + self.job.warmup_ns / 1_000_000;
        self.collector.set_label(label);
        for _ in 0..threads {
            // A thread that is gone shows when its reports end.
            let _ = self.start.send(self.epoch);
        }
    }

    fn collect(
        &mut self,
        threads: usize,
        signals: &AtomicU8,
        observer: &mut dyn Observer,
    ) -> Result<(), Failure> {
        let mut at_work = threads;
        while at_work > 0 {
            self.obey(signals.load(Ordering::Relaxed));
            match self.reports.recv_timeout(LOOK) {
                Ok(Report::Tally(tally)) => {
                    at_work -= usize::from(tally.thread.last);
                    self.take(tally, observer);
                }
                Ok(Report::Broken(why)) => return Err(Failure(why)),
                Ok(Report::Ready(_)) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(died()),
            }
        }
        Ok(())
    }

    fn take(&mut self, mut tally: Box<tally::Tally>, observer: &mut dyn Observer) {
        let round_over = tally.thread.index == 0 && tally.thread.at_ns >= TICK_NS / 2;
        self.collector.add(&tally);
        tally.clear();
        // One that finds no place is freed: the threads have enough.
        let _ = self.empty.try_send(tally);
        if round_over {
            observer.snapshot(&self.collector.snapshot(self.stage()));
            self.collector.turn_page();
        }
    }

    fn stage(&self) -> Stage {
        let now_ns = self.epoch.elapsed().as_nanos() as u64;
        match now_ns {
            _ if self.finish_by.is_some() || now_ns >= self.job.end_ns => Stage::Draining,
            _ if now_ns < self.job.warmup_ns => Stage::WarmUp,
            _ => Stage::Measuring,
        }
    }

    /// The first signal ends the load, the second (or too long a wait) the run.
    fn obey(&mut self, signals: u8) {
        if signals == 0 {
            return;
        }
        let finish_by = *self.finish_by.get_or_insert_with(|| Instant::now() + FINISH_GRACE);
        let level = if signals > 1 || Instant::now() >= finish_by { ABANDON } else { FINISH };
        self.stop.store(level, Ordering::Relaxed);
    }

    fn into_outcome(self) -> Outcome {
        Outcome {
            collector: self.collector,
            started_unix_ms: self.started_unix_ms,
            epoch: self.epoch,
            interrupted: self.finish_by.is_some(),
        }
    }
}

fn died() -> Failure {
    Failure("a sending thread died; what it said stands above".to_owned())
}
