//! Events: what happened and why, for the operator: on the monitor, in `GET /api/v1/events`, on stderr.
//!
//! Any thread may send one and never waits: where the receiver does not keep up, the event is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::logic::limits::EVENTS_WAITING_MAX;

/// What an event is about. The names are those of the monitor's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A node changed its state: a probe, an ejection, an operator, a name that resolves otherwise.
    Node,
    /// The autoscaler decided, or was paused or overridden.
    Scale,
    /// An engine (Docker, local processes) started or stopped something, failed, or came back.
    Fleet,
    /// The configuration was read again, or was refused.
    Reload,
    /// Somebody changed something through the admin API: who, what, with which result.
    Audit,
    /// The balancer itself: start, drain, a limit that was met.
    Process,
}

impl Kind {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Scale => "scale",
            Self::Fleet => "fleet",
            Self::Reload => "reload",
            Self::Audit => "audit",
            Self::Process => "process",
        }
    }
}

/// How much it should worry a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Info,
    /// Works, with less than it should.
    Warning,
    /// Clients notice.
    Error,
}

impl Level {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The input of an event that says how many requests were cut: it is counted.
pub const CUT: &str = "cut";

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When, milliseconds since the epoch.
    pub at_ms: u64,
    /// What it is about.
    pub kind: Kind,
    /// How much it should worry a person.
    pub level: Level,
    /// The backend that it concerns.
    pub backend: Option<Arc<str>>,
    /// The node that it concerns.
    pub node: Option<Arc<str>>,
    /// The rule that fired, where one did: `in_flight`, `cpu`, `idle`, `operator`. A word of ours: it is a label in metrics.
    pub rule: Option<&'static str>,
    /// What happened and why, one sentence for a person. May hold strings that strangers made: never markup.
    pub text: String,
    /// The inputs of a decision, by name: for machines, and for those who ask why.
    pub inputs: Vec<(&'static str, f64)>,
}

impl Event {
    /// One that happened now.
    pub fn now(kind: Kind, level: Level, text: impl Into<String>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            at_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            kind,
            level,
            backend: None,
            node: None,
            rule: None,
            text: text.into(),
            inputs: Vec::new(),
        }
    }

    /// Of this backend.
    #[must_use]
    pub fn backend(mut self, name: &Arc<str>) -> Self {
        self.backend = Some(Arc::clone(name));
        self
    }

    /// Of this node, by its id.
    #[must_use]
    pub fn node(mut self, id: &Arc<str>) -> Self {
        self.node = Some(Arc::clone(id));
        self
    }

    /// By this rule.
    #[must_use]
    pub fn rule(mut self, rule: &'static str) -> Self {
        self.rule = Some(rule);
        self
    }

    /// With an input of the decision.
    #[must_use]
    pub fn input(mut self, name: &'static str, value: f64) -> Self {
        self.inputs.push((name, value));
        self
    }
}

/// The senders' end.
#[derive(Debug, Clone)]
pub struct EventSender {
    channel: Sender<Event>,
    dropped: Arc<AtomicU64>,
}

impl EventSender {
    /// Hands an event over; never waits.
    pub fn send(&self, event: Event) {
        if self.channel.try_send(event).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Events that nobody took in time.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

/// A connected pair.
pub fn events() -> (EventSender, Receiver<Event>) {
    let (channel, receiver) = bounded(EVENTS_WAITING_MAX);
    (EventSender { channel, dropped: Arc::default() }, receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_too_many_is_dropped_and_counted() {
        let (sender, receiver) = events();
        for _ in 0..=EVENTS_WAITING_MAX {
            sender.send(Event::now(Kind::Process, Level::Info, "x"));
        }
        assert_eq!(sender.dropped(), 1);
        assert_eq!(receiver.len(), EVENTS_WAITING_MAX);
    }
}
