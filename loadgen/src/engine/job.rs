//! What the coordinator hands to the threads: everything is decided, nothing is left to parse.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::socket::Address;
use crate::dialogue::Question;
use crate::schedule::Load;

/// A host that is asked.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub address: Address,
    /// For each target of the run: whether it lives here.
    pub mine: Vec<bool>,
    /// Connections to it, thread by thread.
    pub connections: Vec<u32>,
    /// What is sent on a fresh WebSocket connection before the first message; empty otherwise.
    pub handshake: Vec<u8>,
    /// The key that the WebSocket server must prove to have read.
    pub accept: String,
}

/// One run, for all threads.
#[derive(Debug)]
pub struct Job {
    /// What is asked.
    pub question: Arc<Question>,
    /// Where.
    pub endpoints: Vec<Endpoint>,
    /// The order of the targets.
    pub cycle: Vec<u32>,
    /// How many threads take part.
    pub threads: u64,
    /// The schedule of an open loop; `None` in a closed one.
    pub load: Option<Load>,
    /// End of the warm-up, from the start of the run.
    pub warmup_ns: u64,
    /// End of the plan; `u64::MAX` when only a number of requests ends it.
    pub end_ns: u64,
    /// How much longer requests that are due may wait for a free connection.
    pub grace_ns: u64,
    /// Measured requests left to be sent in a closed loop.
    pub left: Option<AtomicU64>,
    /// The number of the next request of a closed loop; `None` where all requests are the same.
    pub numbers: Option<AtomicU64>,
    /// A request's time.
    pub timeout_ns: u64,
    /// Whether connections are used again.
    pub keepalive: bool,
    /// Statuses that are no failures: inclusive ranges.
    pub ok: Vec<(u16, u16)>,
    /// Local addresses, taken in turn.
    pub sources: Vec<IpAddr>,
}

impl Job {
    /// Whether a status is no failure.
    #[must_use]
    pub fn is_ok(&self, status: u16) -> bool {
        self.ok.iter().any(|&(low, high)| (low..=high).contains(&status))
    }

    /// The number of the next request of a closed loop. Relaxed: it orders nothing else.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.numbers.as_ref().map_or(0, |numbers| numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// The local address of a connection.
    #[must_use]
    pub fn source(&self, connection: usize) -> Option<IpAddr> {
        let count = self.sources.len();
        (count > 0).then(|| self.sources[connection % count])
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::dialogue::websocket::Message;

    /// A closed loop of two seconds that asks nobody.
    pub(crate) fn closed_job(warmup_ns: u64) -> Job {
        Job {
            question: Arc::new(Question::WebSocket(Message { text: Arc::default() })),
            endpoints: Vec::new(),
            cycle: vec![0],
            threads: 1,
            load: None,
            warmup_ns,
            end_ns: warmup_ns + 2_000_000_000,
            grace_ns: 0,
            left: None,
            numbers: None,
            timeout_ns: 1_000_000_000,
            keepalive: true,
            ok: Vec::new(),
            sources: Vec::new(),
        }
    }
}
