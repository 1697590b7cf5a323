//! The way of log lines from the workers to the viewers of the monitor, beside the one to the log's writer.
//!
//! Telemetry says whether anybody looks, and what they look for; a worker asks that about each exchange ([`Tap::is_watched`]
//! is one relaxed load), and hands matching lines over in batches. A full channel drops the batch and counts it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use arc_swap::{ArcSwap, Cache};
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::logic::limits::TAP_BATCHES_MAX;
use crate::logic::log_filter::Filter;

/// Lines of one worker, as JSON objects without newlines.
#[derive(Debug, Default)]
pub struct TapBatch {
    /// One after the other.
    pub text: Vec<u8>,
    /// Where each line ends in `text`, and when its exchange ended, milliseconds since the epoch.
    pub ends: Vec<(usize, u64)>,
    /// Lines that a viewer wanted beyond what a worker hands over in a second.
    pub left_out: u64,
}

impl TapBatch {
    /// The lines: when the exchange ended, and the object.
    pub fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let begins = std::iter::once(0).chain(self.ends.iter().map(|&(end, _)| end));
        self.ends.iter().zip(begins).map(|(&(end, at_ms), begin)| (at_ms, &self.text[begin..end]))
    }
}

/// Both ends; cheap to clone.
#[derive(Debug, Clone)]
pub struct Tap(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    watched: AtomicBool,
    filters: Arc<ArcSwap<Vec<Filter>>>,
    send: Sender<TapBatch>,
    receive: Receiver<TapBatch>,
    dropped: AtomicU64,
}

impl Default for Tap {
    fn default() -> Self {
        let (send, receive) = bounded(TAP_BATCHES_MAX);
        Self(Arc::new(Shared {
            watched: AtomicBool::new(false),
            filters: Arc::default(),
            send,
            receive,
            dropped: AtomicU64::new(0),
        }))
    }
}

impl Tap {
    /// Is there a viewer? Relaxed: it guards no other memory, and a worker that learns of it a request late has missed
    /// nothing.
    pub fn is_watched(&self) -> bool {
        self.0.watched.load(Relaxed)
    }

    /// Says whether there is.
    pub fn set_watched(&self, watched: bool) {
        self.0.watched.store(watched, Relaxed);
    }

    /// Says what viewers follow: a line that matches one of them is handed over.
    pub fn set_filters(&self, filters: Vec<Filter>) {
        self.0.filters.store(Arc::new(filters));
    }

    /// One worker's view of the filters.
    pub fn filters(&self) -> FilterReader {
        FilterReader(Cache::new(Arc::clone(&self.0.filters)))
    }

    /// Hands lines over; never waits.
    pub fn send(&self, batch: TapBatch) {
        let lines = batch.ends.len() as u64;
        if self.0.send.try_send(batch).is_err() {
            self.0.dropped.fetch_add(lines, Relaxed);
        }
    }

    /// The next batch, if there is one.
    pub fn take(&self) -> Option<TapBatch> {
        self.0.receive.try_recv().ok()
    }

    /// Lines that nobody took in time.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }
}

/// See [`Tap::filters`].
pub struct FilterReader(Cache<Arc<ArcSwap<Vec<Filter>>>, Arc<Vec<Filter>>>);

impl FilterReader {
    /// The filters of now: one atomic load where they did not change.
    pub fn load(&mut self) -> &[Filter] {
        self.0.load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lines: &[&str]) -> TapBatch {
        let mut batch = TapBatch::default();
        for line in lines {
            batch.text.extend_from_slice(line.as_bytes());
            batch.ends.push((batch.text.len(), 7));
        }
        batch
    }

    #[test]
    fn lines_come_out_as_they_went_in() {
        let tap = Tap::default();
        tap.send(batch(&["a", "", "bc"]));
        let taken = tap.take().unwrap();
        assert_eq!(taken.lines().collect::<Vec<_>>(), [(7, &b"a"[..]), (7, b""), (7, b"bc")]);
        assert!(tap.take().is_none());
    }

    #[test]
    fn a_batch_too_many_is_dropped_and_its_lines_are_counted() {
        let tap = Tap::default();
        for _ in 0..=TAP_BATCHES_MAX {
            tap.send(batch(&["a", "b"]));
        }
        assert_eq!(tap.dropped(), 2);
    }

    #[test]
    fn a_worker_sees_what_is_followed_now() {
        let tap = Tap::default();
        let mut reader = tap.filters();
        assert!(reader.load().is_empty() && !tap.is_watched());
        tap.set_filters(vec![Filter::parse("status=500").unwrap()]);
        tap.set_watched(true);
        assert_eq!(reader.load()[0].source(), "status=500");
        assert!(tap.is_watched());
    }
}
