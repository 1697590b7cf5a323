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
use super::window;
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

    /// The time within which 99 of 100 requests of the last seconds were answered by these nodes, by their ids; `None`
    /// where there were none.
    pub fn p99<'a>(&self, nodes: impl Iterator<Item = &'a str>) -> Option<Duration> {
        let view = self.view();
        let windows = nodes.filter_map(|id| view.ledger.node(id)).map(|node| &node.window);
        let quantiles = window::merged(windows, view.now_ms / 1000)?;
        Some(Duration::from_micros(quantiles.p99_us))
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

#[cfg(test)]
mod tests {
    use std::thread;

    use crossbeam_channel::{Sender, unbounded};

    use super::*;
    use crate::shared::mailbox::{Inbox, mailbox};
    use crate::shared::report::Totals;
    use crate::shared::snapshot::Snapshot;

    /// A collector with workers that the test plays itself.
    fn collector(workers: usize) -> (Collector, Vec<Inbox>, Sender<Report>) {
        let (sender, reports) = unbounded();
        let (mailboxes, inboxes) = (0..workers).map(|_| mailbox().unwrap()).unzip();
        (
            Collector::start(reports, mailboxes, Published::new(Snapshot::of(Vec::new()))).unwrap(),
            inboxes,
            sender,
        )
    }

    /// The ticket of the next flush, waited for.
    fn next_flush(inbox: &Inbox) -> u64 {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match inbox.next() {
                Some(Command::Flush(ticket)) => return ticket,
                Some(other) => panic!("a collector only flushes: {other:?}"),
                None => assert!(Instant::now() < deadline, "no flush came"),
            }
            thread::yield_now();
        }
    }

    fn answer(worker: usize, ticket: u64, bytes_in: u64) -> Report {
        Report { worker, ticket, totals: Totals { bytes_in, ..Totals::default() }, ..Report::default() }
    }

    #[tokio::test]
    async fn a_flush_ends_when_every_answer_is_merged() {
        let (collector, inboxes, sender) = collector(2);
        let workers = thread::spawn(move || {
            let tickets: Vec<_> = inboxes.iter().map(next_flush).collect();
            // An ordinary report of the second worker comes first: it is merged, and is no answer.
            for report in [answer(1, 0, 4), answer(0, tickets[0], 1), answer(1, tickets[1], 2)] {
                sender.send(report).unwrap();
            }
        });
        assert!(collector.flush().await);
        assert_eq!(collector.view().ledger.totals().bytes_in, 7);
        workers.join().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_hangs_costs_the_timeout_and_is_told() {
        let (collector, inboxes, sender) = collector(2);
        sender.send(answer(0, 1, 1)).unwrap();
        let before = tokio::time::Instant::now();
        assert!(!collector.flush().await);
        assert!(before.elapsed() <= FLUSH_TIMEOUT + Duration::from_millis(5));
        drop((inboxes, sender));
    }

    #[tokio::test]
    async fn a_worker_that_left_is_not_waited_for() {
        let (collector, inboxes, _sender) = collector(3);
        drop(inboxes);
        assert!(collector.flush().await);
    }

    #[tokio::test]
    async fn calls_that_come_during_a_flush_share_the_next_one() {
        let (collector, inboxes, sender) = collector(1);
        let calls: Vec<_> = (0..50)
            .map(|_| {
                let collector = collector.clone();
                tokio::spawn(async move { collector.flush().await })
            })
            .collect();
        let worker = thread::spawn(move || {
            for _ in 0..2 {
                sender.send(answer(0, next_flush(&inboxes[0]), 0)).unwrap();
            }
            (inboxes, sender)
        });
        for call in calls {
            assert!(call.await.unwrap());
        }
        let (inboxes, _sender) = worker.join().unwrap();
        assert!(inboxes[0].next().is_none(), "fifty calls cost more than two flushes");
    }

    #[tokio::test]
    async fn a_flush_whose_caller_left_counts_for_nobody() {
        let (collector, inboxes, sender) = collector(1);
        let mut abandoned = Box::pin(collector.flush());
        assert!(is_pending_once(&mut abandoned).await);
        let second = collector.clone();
        let waiting = tokio::spawn(async move { second.flush().await });
        drop(abandoned);
        let worker = thread::spawn(move || {
            next_flush(&inboxes[0]);
            let ticket = next_flush(&inboxes[0]);
            sender.send(answer(0, ticket, 9)).unwrap();
        });
        assert!(waiting.await.unwrap());
        assert_eq!(collector.view().ledger.totals().bytes_in, 9);
        worker.join().unwrap();
    }

    /// Polls once; true where the future is not ready.
    async fn is_pending_once(future: &mut (impl Future + Unpin)) -> bool {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
        })
        .await
    }
}
