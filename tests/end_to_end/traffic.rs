//! Clients that ask again and again, each as soon as it has its answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::client::Client;
use crate::rig::{get, wait_for};

/// What one request came to.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) status: u16,
    /// `x-plimsoll-reason`; empty where a node answered.
    pub(crate) reason: String,
    pub(crate) body: String,
    pub(crate) took: Duration,
}

/// Clients at work.
pub(crate) struct Traffic {
    over: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Vec<Outcome>>>,
}

impl Traffic {
    /// Starts so many clients, with one connection each that they keep as long as the balancer does.
    pub(crate) fn start(address: SocketAddr, clients: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicU64::new(0));
        let clients = (0..clients)
            .map(|_| {
                let (over, asked) = (over.clone(), asked.clone());
                std::thread::spawn(move || ask_until(address, &over, &asked))
            })
            .collect();
        Self { over, asked, clients }
    }

    /// Requests that were answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.asked.load(SeqCst)
    }

    /// Waits until so many more were answered.
    #[track_caller]
    pub(crate) fn wait_for_more(&self, count: u64) {
        let target = self.answered() + count;
        wait_for("more answers", || (self.answered() >= target).then_some(()));
    }

    /// Lets every client finish what it asked for; everything that they were told.
    #[track_caller]
    pub(crate) fn stop(self) -> Vec<Outcome> {
        self.over.store(true, SeqCst);
        self.clients.into_iter().flat_map(|client| client.join().expect("a client had its answers")).collect()
    }
}

fn ask_until(address: SocketAddr, over: &AtomicBool, asked: &AtomicU64) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut client = Client::connect(address, "traffic.test");
    while !over.load(SeqCst) {
        let began = Instant::now();
        let answer = client.send(get("/")).response();
        outcomes.push(Outcome {
            status: answer.status(),
            reason: answer.field("x-plimsoll-reason").unwrap_or("").to_owned(),
            body: answer.text(),
            took: began.elapsed(),
        });
        asked.fetch_add(1, SeqCst);
        if answer.lists("connection", "close") {
            client = Client::connect(address, "traffic.test");
        }
    }
    outcomes
}

/// The time that 99 of 100 took at most.
pub(crate) fn p99(outcomes: &[Outcome]) -> Duration {
    let mut times: Vec<_> = outcomes.iter().map(|outcome| outcome.took).collect();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// All were answered with 200; else what some of the others were told.
#[track_caller]
pub(crate) fn assert_all_ok(outcomes: &[Outcome]) {
    let wrong: Vec<_> = outcomes.iter().filter(|outcome| outcome.status != 200).collect();
    let some = &wrong[..wrong.len().min(5)];
    assert!(wrong.is_empty(), "{} of {} were not answered with 200: {some:?}", wrong.len(), outcomes.len());
}
