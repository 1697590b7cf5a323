//! Takes the workers' reports, and asks for them when somebody wants the numbers of this very moment.
//!
//! A thread of its own waits for reports and merges them. The tokio thread cannot wait on a crossbeam channel
//! without polling it, and polling would cost a wake-up each few milliseconds for the whole life of the
//! process, or make every scrape late; a thread that sleeps in `recv` costs neither, and keeps merging (some
//! microseconds a report) off the thread that answers scrapes.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use tokio::sync::Notify;

use super::ledger::Ledger;
use crate::logic::limits::FLUSH_TIMEOUT;
use crate::shared::mailbox::{Command, Mailbox};
use crate::shared::report::Report;
use crate::shared::snapshot::Published;

/// How often nodes' counters are sampled for their rates.
const TICK: Duration = Duration::from_secs(1);

/// The owner of all numbers; cheap to clone.
#[derive(Debug, Clone)]
pub struct Collector(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ledger: Mutex<Ledger>,
    /// Rung after each merged report that carries a ticket.
    answered: Notify,
    workers: Vec<Mailbox>,
    /// The ticket of the newest flush that was begun.
    begun: AtomicU64,
    /// Held by the one flush that is under way; says how the last one that came to its end did.
    turn: tokio::sync::Mutex<Finished>,
    started: Instant,
    published: Published,
}

/// A flush that was waited for to its end: one whose caller left in the middle leaves no trace here.
#[derive(Debug, Clone, Copy, Default)]
struct Finished {
    ticket: u64,
    /// Every worker answered in time.
    exact: bool,
}

/// A look at the numbers. Nothing is merged while it is held: use it and let it go, and never across an await.
#[derive(Debug)]
pub struct View<'a> {
    /// The numbers.
    pub ledger: MutexGuard<'a, Ledger>,
    /// The time at which they are looked at, on the ledger's clock.
    pub now_ms: u64,
}

impl Collector {
    /// Starts merging. The thread ends when the last sender of `reports` is gone. Fails where the process may
    /// not have another thread.
    pub fn start(reports: Receiver<Report>, workers: Vec<Mailbox>, published: Published) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            ledger: Mutex::new(Ledger::new(workers.len())),
            answered: Notify::new(),
            workers,
            begun: AtomicU64::new(0),
            turn: tokio::sync::Mutex::default(),
            started: Instant::now(),
            published,
        });
        let collector = Self(Arc::clone(&shared));
        std::thread::Builder::new().name("collector".to_owned()).spawn(move || shared.merge_all(&reports))?;
        Ok(collector)
    }

    /// Makes the numbers those of this moment: all that workers counted before the call is merged after it.
    /// True unless a worker did not answer within [`FLUSH_TIMEOUT`].
    ///
    /// Callers that come while a flush is under way share the next one, so that a hundred scrapers cost the
    /// workers no more than one.
    pub async fn flush(&self) -> bool {
        let begun_before = self.0.begun.load(SeqCst);
        let mut turn = self.0.turn.lock().await;
        // A flush that began after this call and was finished while we waited has all that we came for.
        if turn.ticket <= begun_before {
            let ticket = self.0.begun.fetch_add(1, SeqCst) + 1;
            *turn = Finished { ticket, exact: self.0.flush(ticket).await };
        }
        turn.exact
    }

    /// A look at the numbers as they are.
    pub fn view(&self) -> View<'_> {
        View { ledger: self.0.ledger(), now_ms: self.0.now_ms() }
    }

    /// How long it has been collecting.
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }
}

impl Shared {
    async fn flush(&self, ticket: u64) -> bool {
        let mut asked = Vec::with_capacity(self.workers.len());
        for (worker, mailbox) in self.workers.iter().enumerate() {
            // A worker that is gone sent its last report before it went: there is nothing to wait for.
            if mailbox.send(Command::Flush(ticket)).is_ok() {
                asked.push(worker);
            }
        }
        tokio::time::timeout(FLUSH_TIMEOUT, self.all_answered(&asked, ticket)).await.is_ok()
    }

    async fn all_answered(&self, asked: &[usize], ticket: u64) {
        loop {
            let mut bell = std::pin::pin!(self.answered.notified());
            // Listening before looking: a report that is merged in between rings all the same.
            bell.as_mut().enable();
            if self.have_answered(asked, ticket) {
                return;
            }
            bell.await;
        }
    }

    fn have_answered(&self, asked: &[usize], ticket: u64) -> bool {
        let ledger = self.ledger();
        asked.iter().all(|&worker| ledger.answered(worker) >= ticket)
    }

    fn merge_all(&self, reports: &Receiver<Report>) {
        let mut next_tick = Instant::now();
        loop {
            match reports.recv_deadline(next_tick) {
                Ok(report) => self.merge(report),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            // Checked after every report too: a channel that is never empty must not stop the clock.
            if Instant::now() >= next_tick {
                self.tick();
                next_tick = Instant::now() + TICK;
            }
        }
    }

    fn merge(&self, report: Report) {
        let is_answer = report.ticket != 0;
        self.ledger().merge(report, self.now_ms());
        if is_answer {
            self.answered.notify_waiters();
        }
    }

    fn tick(&self) {
        let snapshot = self.published.current();
        let nodes = snapshot.backends.iter().flat_map(|backend| &backend.nodes).map(|entry| &entry.node);
        self.ledger().tick(nodes, self.now_ms());
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A panic while merging leaves whole counts behind, if not all of them: better those than none.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
