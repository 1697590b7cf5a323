//! What a node saw: counters that every thread adds to, and the time that it took to answer.
//! This is the truth that a load generator's report is held against.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest service time that is told apart, in nanoseconds: two minutes, above every delay of a node.
const SERVICE_MAX_NS: u64 = 120_000_000_000;

/// One thread's counters. Each is written by its thread and read by whoever asks for the report: no order between
/// two of them is promised, so every access is relaxed.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) accepted: AtomicU64,
    pub(crate) closed: AtomicU64,
    pub(crate) open_max: AtomicU64,
    pub(crate) idle_closed: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) answered: AtomicU64,
    pub(crate) in_flight_max: AtomicU64,
    pub(crate) malformed: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) resets: AtomicU64,
    pub(crate) half_closes: AtomicU64,
    pub(crate) drops: AtomicU64,
    pub(crate) aborted: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) body_bytes_received: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) websockets: AtomicU64,
    pub(crate) websocket_frames: AtomicU64,
    pub(crate) tcp_echo_bytes: AtomicU64,
    pub(crate) udp_echo_packets: AtomicU64,
    statuses: [AtomicU64; 600],
    service: Mutex<Histogram<u64>>,
}

impl Ledger {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            accepted: zero(),
            closed: zero(),
            open_max: zero(),
            idle_closed: zero(),
            requests: zero(),
            answered: zero(),
            in_flight_max: zero(),
            malformed: zero(),
            refused: zero(),
            resets: zero(),
            half_closes: zero(),
            drops: zero(),
            aborted: zero(),
            panics: zero(),
            body_bytes_received: zero(),
            bytes_sent: zero(),
            websockets: zero(),
            websocket_frames: zero(),
            tcp_echo_bytes: zero(),
            udp_echo_packets: zero(),
            statuses: [const { AtomicU64::new(0) }; 600],
            service: Mutex::new(
                Histogram::new_with_max(SERVICE_MAX_NS, 3).expect("bounds that hdrhistogram takes"),
            ),
        }
    }

    /// Notes a connection that came.
    pub(crate) fn open(&self) {
        let accepted = self.accepted.fetch_add(1, Relaxed) + 1;
        self.open_max.fetch_max(accepted - self.closed.load(Relaxed), Relaxed);
    }

    /// Notes a request whose head was read.
    pub(crate) fn begin(&self) {
        let requests = self.requests.fetch_add(1, Relaxed) + 1;
        self.in_flight_max.fetch_max(requests.saturating_sub(self.finished()), Relaxed);
    }

    /// Notes a request that was answered to the last byte, `took` after its head was read.
    pub(crate) fn answer(&self, status: u16, took: Duration) {
        add(&self.answered, 1);
        if let Some(count) = self.statuses.get(usize::from(status)) {
            add(count, 1);
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(SERVICE_MAX_NS);
        self.service.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(nanos);
    }

    /// Forgets the requests and times, not the connections: a test's warm-up should not count.
    pub(crate) fn clear(&self) {
        let in_flight = self.in_flight();
        self.requests.store(in_flight, Relaxed);
        for counter in
            [&self.answered, &self.aborted, &self.resets, &self.in_flight_max, &self.refused, &self.malformed]
        {
            counter.store(0, Relaxed);
        }
        for counter in [&self.half_closes, &self.drops, &self.body_bytes_received, &self.bytes_sent] {
            counter.store(0, Relaxed);
        }
        self.statuses.iter().for_each(|counter| counter.store(0, Relaxed));
        self.service.lock().unwrap_or_else(PoisonError::into_inner).reset();
    }

    /// Requests that are being answered.
    pub(crate) fn in_flight(&self) -> u64 {
        self.requests.load(Relaxed).saturating_sub(self.finished())
    }

    /// Requests whose answer ended, well or badly.
    fn finished(&self) -> u64 {
        self.answered.load(Relaxed) + self.aborted.load(Relaxed) + self.resets.load(Relaxed)
    }
}

/// Adds to a counter of this module.
pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Relaxed);
}

/// The report, as `GET /__node/report` gives it. Times are in microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Account {
    node: String,
    version: &'static str,
    driver: &'static str,
    threads: usize,
    uptime_ms: u64,
    connections: Connections,
    requests: Requests,
    statuses: BTreeMap<u16, u64>,
    faults: Faults,
    bytes: Bytes,
    websocket: WebSocket,
    echo: Echo,
    service_us: Service,
}

#[derive(Debug, Serialize)]
struct Connections {
    accepted: u64,
    open: u64,
    open_max: u64,
    idle_closed: u64,
}

#[derive(Debug, Serialize)]
struct Requests {
    total: u64,
    answered: u64,
    in_flight: u64,
    in_flight_max: u64,
    malformed: u64,
    refused: u64,
    aborted: u64,
}

#[derive(Debug, Serialize)]
struct Faults {
    resets: u64,
    half_closes: u64,
    drops: u64,
    panics: u64,
}

#[derive(Debug, Serialize)]
struct Bytes {
    body_received: u64,
    sent: u64,
}

#[derive(Debug, Serialize)]
struct WebSocket {
    sessions: u64,
    frames: u64,
}

#[derive(Debug, Serialize)]
struct Echo {
    tcp_bytes: u64,
    udp_packets: u64,
}

#[derive(Debug, Serialize)]
struct Service {
    count: u64,
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Account {
    /// Adds up the threads' ledgers.
    pub(crate) fn of(node: &str, driver: &'static str, since: Instant, ledgers: &[Ledger]) -> Self {
        let sum =
            |field: fn(&Ledger) -> &AtomicU64| ledgers.iter().map(|ledger| field(ledger).load(Relaxed)).sum();
        let total: u64 = sum(|l| &l.requests);
        let finished: u64 = ledgers.iter().map(Ledger::finished).sum();
        let accepted: u64 = sum(|l| &l.accepted);
        let closed: u64 = sum(|l| &l.closed);
        Self {
            node: node.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            driver,
            threads: ledgers.len(),
            uptime_ms: since.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
            connections: Connections {
                accepted,
                open: accepted.saturating_sub(closed),
                open_max: sum(|l| &l.open_max),
                idle_closed: sum(|l| &l.idle_closed),
            },
            requests: Requests {
                total,
                answered: sum(|l| &l.answered),
                in_flight: total.saturating_sub(finished),
                in_flight_max: sum(|l| &l.in_flight_max),
                malformed: sum(|l| &l.malformed),
                refused: sum(|l| &l.refused),
                aborted: sum(|l| &l.aborted),
            },
            statuses: statuses(ledgers),
            faults: Faults {
                resets: sum(|l| &l.resets),
                half_closes: sum(|l| &l.half_closes),
                drops: sum(|l| &l.drops),
                panics: sum(|l| &l.panics),
            },
            bytes: Bytes { body_received: sum(|l| &l.body_bytes_received), sent: sum(|l| &l.bytes_sent) },
            websocket: WebSocket { sessions: sum(|l| &l.websockets), frames: sum(|l| &l.websocket_frames) },
            echo: Echo { tcp_bytes: sum(|l| &l.tcp_echo_bytes), udp_packets: sum(|l| &l.udp_echo_packets) },
            service_us: Service::of(ledgers),
        }
    }

    /// One line for a person, at the end of the process.
    pub(crate) fn summary(&self) -> String {
        let requests = &self.requests;
        format!(
            "node {} saw {} requests on {} connections ({} answered, {} aborted, {} malformed, {} resets); \
             service time p50 {:.0} us, p99 {:.0} us, max {:.0} us",
            self.node,
            requests.total,
            self.connections.accepted,
            requests.answered,
            requests.aborted,
            requests.malformed,
            self.faults.resets,
            self.service_us.p50,
            self.service_us.p99,
            self.service_us.max,
        )
    }
}

impl Service {
    fn of(ledgers: &[Ledger]) -> Self {
        let mut all =
            Histogram::<u64>::new_with_max(SERVICE_MAX_NS, 3).expect("bounds that hdrhistogram takes");
        for ledger in ledgers {
            let own = ledger.service.lock().unwrap_or_else(PoisonError::into_inner);
            all.add(&*own).expect("histograms of the same bounds");
        }
        let quantile = |q| all.value_at_quantile(q) as f64 / 1e3;
        Self {
            count: all.len(),
            mean: all.mean() / 1e3,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: all.max() as f64 / 1e3,
        }
    }
}

fn statuses(ledgers: &[Ledger]) -> BTreeMap<u16, u64> {
    let mut found = BTreeMap::new();
    for ledger in ledgers {
        for (status, count) in (0..).zip(&ledger.statuses) {
            match count.load(Relaxed) {
                0 => {}
                count => *found.entry(status).or_insert(0) += count,
            }
        }
    }
    found
}
