//! What one worker counts. Plain numbers: nobody else reads them; once a second they are handed over whole.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crossbeam_channel::{Sender, TrySendError};

use super::queue::Queues;
use super::upstream::LocalNode;
use crate::shared::report::{
    Durations, ListenerCounts, NodeCounts, Report, RouteCounts, Totals, new_durations,
};

/// One worker's counters.
pub(crate) struct Stats {
    worker: usize,
    reports: Sender<Report>,
    series: RefCell<Vec<Series>>,
    listeners: Vec<Connections>,
    pub(crate) totals: Cell<Totals>,
}

/// Place of a series in its worker's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeriesKey(usize);

struct Series {
    labels: Labels,
    codes: Vec<(u16, u64)>,
    durations: Durations,
}

/// What tells one series from another. Names, not places: a series outlives a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Labels {
    pub(crate) listener: Arc<str>,
    pub(crate) route: Arc<str>,
    pub(crate) backend: Arc<str>,
}

#[derive(Debug)]
struct Connections {
    listener: Arc<str>,
    accepted: Cell<u64>,
    open: Cell<u64>,
}

impl Stats {
    pub(crate) fn new(worker: usize, reports: Sender<Report>, listeners: &[Arc<str>]) -> Self {
        let connections = |name: &Arc<str>| Connections {
            listener: Arc::clone(name),
            accepted: Cell::new(0),
            open: Cell::new(0),
        };
        Self {
            worker,
            reports,
            series: RefCell::default(),
            listeners: listeners.iter().map(connections).collect(),
            totals: Cell::default(),
        }
    }

    /// The series with these labels; made at the first request that needs it.
    pub(crate) fn series(&self, labels: Labels) -> SeriesKey {
        let mut all = self.series.borrow_mut();
        let found = all.iter().position(|series| series.labels == labels);
        SeriesKey(found.unwrap_or_else(|| {
            all.push(Series { labels, codes: Vec::new(), durations: new_durations() });
            all.len() - 1
        }))
    }

    /// One request has ended.
    pub(crate) fn request(&self, key: SeriesKey, code: u16, duration_us: u64) {
        let mut all = self.series.borrow_mut();
        let series = &mut all[key.0];
        match series.codes.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => series.codes.push((code, 1)),
        }
        series.durations.saturating_record(duration_us.max(1));
    }

    pub(crate) fn total(&self, change: impl FnOnce(&mut Totals)) {
        let mut totals = self.totals.get();
        change(&mut totals);
        self.totals.set(totals);
    }

    pub(crate) fn accepted(&self, listener: u16) {
        if let Some(connections) = self.listeners.get(usize::from(listener)) {
            connections.accepted.set(connections.accepted.get() + 1);
        }
    }

    pub(crate) fn opened(&self, listener: u16) {
        if let Some(connections) = self.listeners.get(usize::from(listener)) {
            connections.open.set(connections.open.get() + 1);
        }
    }

    pub(crate) fn closed(&self, listener: u16) {
        if let Some(connections) = self.listeners.get(usize::from(listener)) {
            connections.open.set(connections.open.get().saturating_sub(1));
        }
    }

    /// Hands everything over. Never waits: where the channel is full, the counts stay for the next time.
    pub(crate) fn report(&self, ticket: u64, nodes: &[std::rc::Rc<LocalNode>], queues: &Queues) {
        if self.reports.is_full() {
            self.total(|totals| totals.reports_dropped += 1);
            return;
        }
        let report = Report {
            worker: self.worker,
            ticket,
            routes: self.take_routes(),
            nodes: nodes.iter().filter_map(|node| take_node(node)).collect(),
            queues: queues.take_waits(),
            listeners: self.listeners.iter().map(take_connections).collect(),
            totals: self.totals.take(),
        };
        // Nobody else sends on this worker's channel slot often enough to fill it between the two lines; if telemetry is
        // gone, so is whoever would have read this.
        match self.reports.try_send(report) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => self.total(|totals| totals.reports_dropped += 1),
        }
    }

    fn take_routes(&self) -> Vec<RouteCounts> {
        let mut all = self.series.borrow_mut();
        let touched = all.iter_mut().filter(|series| !series.codes.is_empty());
        touched
            .map(|series| RouteCounts {
                listener: Arc::clone(&series.labels.listener),
                route: Arc::clone(&series.labels.route),
                backend: Arc::clone(&series.labels.backend),
                codes: std::mem::take(&mut series.codes),
                durations: std::mem::replace(&mut series.durations, new_durations()),
            })
            .collect()
    }
}

fn take_node(node: &LocalNode) -> Option<NodeCounts> {
    let (durations, connects) = node.take_durations()?;
    Some(NodeCounts { node: Arc::clone(&node.node), durations, connects })
}

fn take_connections(connections: &Connections) -> ListenerCounts {
    ListenerCounts {
        listener: Arc::clone(&connections.listener),
        accepted: connections.accepted.take(),
        open: connections.open.get(),
    }
}
