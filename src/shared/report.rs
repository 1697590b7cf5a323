//! What a worker hands to telemetry: once a second, and when somebody asks for exact numbers.

use std::sync::Arc;

use hdrhistogram::Histogram;

use super::node::Node;

/// Durations in microseconds, 2 significant digits, 1 us to 1 h: about 10 KB.
pub type Durations = Histogram<u32>;

/// An empty histogram of the kind that workers record into.
pub fn new_durations() -> Durations {
    // The bounds are constants that the library accepts: the only error it has is for impossible ones.
    Histogram::new_with_bounds(1, 3_600_000_000, 2).expect("bounds of the histogram are valid")
}

/// What one worker counted since its last report. All counts are deltas but those called `open`.
#[derive(Debug, Default)]
pub struct Report {
    /// Which worker.
    pub worker: usize,
    /// The `Flush` command that asked for it; 0 for the ordinary one of each second.
    pub ticket: u64,
    /// One entry for each pair of listener and route that saw a request.
    pub routes: Vec<RouteCounts>,
    /// One entry for each node that saw a request.
    pub nodes: Vec<NodeCounts>,
    /// One entry for each queue that a request has left.
    pub queues: Vec<QueueCounts>,
    /// One entry for each listener.
    pub listeners: Vec<ListenerCounts>,
    /// The rest.
    pub totals: Totals,
}

/// Requests of one listener and route.
#[derive(Debug)]
pub struct RouteCounts {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// Name of the route; empty where none matched.
    pub route: Arc<str>,
    /// Name of the backend; empty where the balancer answered itself.
    pub backend: Arc<str>,
    /// Status and how many; status 0 where the client left before it got one.
    pub codes: Vec<(u16, u64)>,
    /// From the request's head to the end of the response.
    pub durations: Durations,
    /// The parts of it.
    pub phases: Phases,
}

/// Requests of one node.
#[derive(Debug)]
pub struct NodeCounts {
    /// The node.
    pub node: Arc<Node>,
    /// From the request sent to the end of the response.
    pub durations: Durations,
    /// Opening connections.
    pub connects: Durations,
    /// The parts of the durations; connecting is in `connects`, with attempts that came to nothing.
    pub phases: Phases,
}

/// The phases of requests, each made when the first request has it: most never queue, and few connect.
#[derive(Debug, Default)]
pub struct Phases {
    /// Waiting for a node to have room.
    pub queue: Option<Durations>,
    /// Opening a connection, where none was open.
    pub connect: Option<Durations>,
    /// From the request's head to the response's.
    pub first_byte: Option<Durations>,
}

impl Phases {
    /// One request, in microseconds; 0 is a phase that it did not have.
    pub fn record(&mut self, queue_us: u64, connect_us: u64, first_byte_us: u64) {
        record(&mut self.queue, queue_us);
        record(&mut self.connect, connect_us);
        record(&mut self.first_byte, first_byte_us);
    }
}

fn record(durations: &mut Option<Durations>, duration_us: u64) {
    if duration_us > 0 {
        durations.get_or_insert_with(new_durations).saturating_record(duration_us);
    }
}

/// Requests that waited for a node of one backend.
#[derive(Debug)]
pub struct QueueCounts {
    /// Name of the backend.
    pub backend: Arc<str>,
    /// How long they waited, those too that were not served.
    pub waits: Durations,
}

/// Connections of one listener.
#[derive(Debug)]
pub struct ListenerCounts {
    /// Its name.
    pub listener: Arc<str>,
    /// Accepted since the last report.
    pub accepted: u64,
    /// Open now, parked ones too.
    pub open: u64,
}

/// Counts that belong to the worker as a whole.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of request bodies and heads read from clients.
    pub bytes_in: u64,
    /// Bytes written to clients.
    pub bytes_out: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Requests that were sent to a second node as well.
    pub hedges: u64,
    /// Those of them that the second node answered first.
    pub hedges_won: u64,
    /// Requests that a rate limit refused.
    pub rate_limited: u64,
    /// Log lines that were dropped because the writer did not keep up.
    pub log_lines_dropped: u64,
    /// Reports that were dropped because telemetry did not keep up. Their counts are in the next one.
    pub reports_dropped: u64,
    /// Connections lost to a panic.
    pub panics: u64,
    /// Times that accepting failed for want of file descriptors or memory.
    pub accept_errors: u64,
    /// Datagrams that went nowhere: no node, no room for a session, or the kernel did not take them.
    pub datagrams_dropped: u64,
}

/// Lines of the access log, each ended by a newline, on their way to the writer.
#[derive(Debug)]
pub struct LogBatch(pub Vec<u8>);
