//! What a run leaves behind: the one value that every report, gate and comparison is made of.
//!
//! The engine writes it, the reports only read it. As JSON it is a public format: [`FORMAT`] rises when
//! the meaning of a field changes; a new field has a default, so that older files stay readable.
//!
//! Units stand at the end of the names. All offsets (`*_ms`) count from the start of the measured part,
//! that is, from the end of the warm-up. All latencies are nanoseconds.

pub mod distribution;
pub mod live;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use distribution::Distribution;
pub use live::{Observer, Snapshot, Stage};

/// The version of the JSON format that this build writes.
pub const FORMAT: u32 = 1;

/// A whole run, as it is kept in JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// [`FORMAT`] of the program that wrote it. A reader refuses a higher one.
    pub format: u32,
    /// Name and version of the program that wrote it, as `loadgen 0.1.0`.
    pub program: String,
    /// What was asked for.
    pub settings: Settings,
    /// Whether the load followed a schedule or the answers.
    pub mode: Mode,
    /// Wall-clock start of the measured part, milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
    /// Length of the measured part: from its start to the planned end or the last answer, whichever is later.
    pub elapsed_ms: u64,
    /// The same to the nanosecond; 0 in files of versions that did not have it.
    #[serde(default)]
    pub elapsed_ns: u64,
    /// The run was ended by a signal before its time.
    #[serde(default)]
    pub interrupted: bool,
    /// Sums over the measured part.
    pub totals: Totals,
    /// Response time: from the *intended* send to the last byte of the answer. In a closed loop there is no
    /// intention other than the send itself, so it equals `service`. A request that timed out stands here
    /// with the time it had waited; one that was refused or reset does not (it got no answer).
    pub response: Distribution,
    /// Service time: from the actual send (or from the start of the connect that the request needed).
    pub service: Distribution,
    /// Time to connect, of every connection opened in the measured part or just before it.
    #[serde(default)]
    pub connect: Distribution,
    /// Answers by HTTP status code.
    pub statuses: BTreeMap<u16, u64>,
    /// Failures by cause, most frequent first.
    pub errors: Vec<ErrorGroup>,
    /// Answers by the value of the node header (`settings.node_header`); empty when no answer carried it.
    pub nodes: BTreeMap<String, u64>,
    /// The time axis: one entry a second, in order, without gaps. The last one may be up to a tenth longer, or shorter.
    pub seconds: Vec<Second>,
    /// What the generator knows about itself.
    pub client: ClientHealth,
    /// What happened on the side of the balancer (`--events`), in order of time.
    #[serde(default)]
    pub events: Vec<Event>,
    /// The search for the highest rate (`--find-max`). The rest of the result is then the best step.
    #[serde(default)]
    pub find_max: Option<FindMax>,
    /// One entry a condition of `--slo` or `--find-max`; empty without them.
    #[serde(default)]
    pub slo: Vec<SloOutcome>,
    /// Sentences for the reader: what limits these numbers, what to change. Already complete sentences.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Whether the load waits for the answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Every connection sends its next request when it has the answer to the last: a slow server is asked less.
    #[default]
    Closed,
    /// Requests follow a schedule, whatever the answers do: latency counts from the intended send.
    Open,
}

/// What was asked for, after all defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The command line, argument by argument, program first; secrets in it are masked.
    pub command: Vec<String>,
    /// What was asked.
    pub targets: Vec<Target>,
    /// `http`, `websocket` or `tcp`.
    pub protocol: String,
    /// Request method (HTTP only, else empty).
    pub method: String,
    /// Bytes of a body or message; `None` in files of versions that did not say. A template counts as it is.
    #[serde(default)]
    pub body_bytes: Option<u64>,
    /// Connections, over all threads.
    pub connections: u32,
    /// Threads that send.
    pub threads: u32,
    /// Planned length of the measured part; `None` when only a number of requests ends it.
    pub duration_ms: Option<u64>,
    /// Planned number of requests (`-n`).
    pub requests: Option<u64>,
    /// Length of the part before the measured one.
    pub warmup_ms: u64,
    /// Whether connections are used again.
    pub keepalive: bool,
    /// After this a request counts as a failure and its connection is closed.
    pub timeout_ms: u64,
    /// The plan in words, as `5000/s`, `1000/s to 50000/s in 60s`, `steps of 10s: 1000/s, 2000/s`; empty when closed.
    pub plan: String,
    /// Rate at the start of each part of the plan and at its end, for drawing it. Empty when closed.
    #[serde(default)]
    pub plan_points: Vec<PlanPoint>,
    /// `constant`, `uniform` or `poisson`; empty when closed.
    pub arrivals: String,
    /// Seed of the arrivals.
    pub seed: u64,
    /// Response header whose value names the node that answered, as `x-node`.
    pub node_header: String,
    /// `io_uring` or `epoll`: how the threads talk to the kernel.
    pub driver: String,
    /// Freely chosen name of the run (`--name`), for comparisons.
    #[serde(default)]
    pub name: String,
}

/// One URL of the command line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// As written, without the weight.
    pub url: String,
    /// Its share of the requests is `weight` over the sum of all weights.
    pub weight: u32,
}

/// A corner of the planned rate; between two corners it is a straight line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanPoint {
    /// Offset from the start of the measured part.
    pub at_ms: u64,
    /// Requests a second.
    pub rate: f64,
}

/// Sums over the measured part.
///
/// `scheduled = sent + dropped` in an open loop; `sent = completed + errors that followed a send`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Requests that the plan asked for. In a closed loop: equal to `sent`.
    pub scheduled: u64,
    /// Requests that were begun.
    pub sent: u64,
    /// Requests that got a whole answer, whatever its status.
    pub completed: u64,
    /// Answers with a status outside `--ok` (also counted in `completed`).
    pub bad_status: u64,
    /// Requests that got no whole answer: refused, reset, timed out, garbage.
    pub failed: u64,
    /// Requests sent more than 1 ms after their intended time.
    pub late: u64,
    /// Requests whose time came but that were never sent, because no connection was free until the end.
    pub dropped: u64,
    /// Bytes read from sockets, heads included.
    pub bytes_in: u64,
    /// Bytes written to sockets, heads included.
    pub bytes_out: u64,
    /// Connections opened, those before the measured part included.
    pub connects: u64,
}

impl Totals {
    /// Failures as the `errors` of an SLO counts them: no whole answer, a bad status, or never sent.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.failed + self.bad_status + self.dropped
    }

    /// Share of failures among all requests that the plan asked for, 0 to 1; 0 when there were none.
    #[must_use]
    pub fn error_ratio(&self) -> f64 {
        if self.scheduled == 0 { 0.0 } else { self.errors() as f64 / self.scheduled as f64 }
    }
}

impl RunResult {
    /// Whole answers a second over the measured part.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        let seconds = self.elapsed_s();
        if seconds > 0.0 { self.totals.completed as f64 / seconds } else { 0.0 }
    }

    /// Length of the measured part in seconds.
    #[must_use]
    pub fn elapsed_s(&self) -> f64 {
        if self.elapsed_ns > 0 { self.elapsed_ns as f64 / 1e9 } else { self.elapsed_ms as f64 / 1e3 }
    }
}

/// Failures of one cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorGroup {
    /// Stable words: `connection refused`, `no such socket file`, `connect timeout`, `connect failed`, `limit of the client`, `reset`,
    /// `closed early`, `timeout`, `bad response`, `unexpected answer`, `status 503`, `never sent`, `unfinished`.
    pub cause: String,
    /// How often.
    pub count: u64,
    /// Offset of the first.
    pub first_ms: u64,
    /// Offset of the last.
    pub last_ms: u64,
    /// One of them in full, as the system or the parser put it; may be empty. Comes from the network: escape it.
    #[serde(default)]
    pub example: String,
}

/// One second of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Offset of its start.
    pub start_ms: u64,
    /// Its length: 1000; 1 to 1100 for the last.
    pub length_ms: u64,
    /// Requests whose intended time fell into it (closed: sent).
    pub scheduled: u64,
    /// Requests begun in it.
    pub sent: u64,
    /// Whole answers that arrived in it.
    pub completed: u64,
    /// Failures in it: `failed` and `bad_status`.
    pub errors: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Requests under way at its end.
    pub in_flight: u64,
    /// CPU of all sending threads, 100 is one core.
    pub cpu_percent: f64,
    /// The generator's own worst lag in it (see [`ClientHealth`]).
    pub worst_lag_ns: u64,
    /// Response times of the answers (and timeouts) that arrived in it.
    pub response: Distribution,
}

/// What the generator knows about itself: can its numbers be believed?
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientHealth {
    /// CPU of all sending threads together, 100 is one core.
    pub cpu_percent: f64,
    /// CPU of the busiest sending thread, 0 to 100.
    pub busiest_thread_percent: f64,
    /// Share of the time that the worst-off thread was ready to run but had no core, 0 to 100.
    pub starved_percent: f64,
    /// Lag: how much later than it could have been a request was sent, through the generator's own fault:
    /// from the later of "intended" and "a connection was free" to the send. Open loop only, else 0.
    pub lag_p50_ns: u64,
    /// See `lag_p50_ns`.
    pub lag_p99_ns: u64,
    /// See `lag_p50_ns`.
    pub lag_max_ns: u64,
    /// The client was the bottleneck: these numbers are a lower bound of what the server can do.
    pub bottleneck: bool,
    /// Why, one sentence each; empty unless `bottleneck`.
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// Something that the balancer said through its monitor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Offset; may be negative for one that came in the warm-up.
    pub at_ms: i64,
    /// A short word, as `scale`, `node`, `reload`.
    pub kind: String,
    /// One line for people. Comes from the network: escape it.
    pub text: String,
}

/// The search for the highest rate that keeps its promise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FindMax {
    /// The promise, as given.
    pub goal: String,
    /// The highest rate that kept it; `None` when not even the lowest one tried did.
    pub best_rate: Option<f64>,
    /// Every rate tried, in the order tried.
    pub steps: Vec<FindStep>,
}

/// One rate that was tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FindStep {
    /// Requests a second asked for.
    pub rate: f64,
    /// Whole answers a second.
    pub achieved: f64,
    /// Median response time.
    pub p50_ns: u64,
    /// 99th percentile of the response time.
    pub p99_ns: u64,
    /// Share of failures, 0 to 1.
    pub error_ratio: f64,
    /// Whether the promise was kept.
    pub passed: bool,
    /// Why not, one phrase a broken condition, as `p99 31.2ms, wanted <20ms`.
    pub broken: Vec<String>,
}

/// One condition and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SloOutcome {
    /// As given: `p99<10ms`.
    pub condition: String,
    /// What was measured, with its unit: `8.31ms`, `0.02%`, `49 870/s`.
    pub measured: String,
    /// Whether it holds.
    pub passed: bool,
}
