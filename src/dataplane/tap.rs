//! Which log lines a worker shows to the viewers of the monitor: those that they follow, up to a number a second, and
//! a few of each second that are worth remembering, so that every cell of the latency heat map has a line behind it.

use std::cell::RefCell;

use crate::logic::access::{AccessRecord, LogFormat, write_line};
use crate::logic::latency_scale::bucket;
use crate::logic::limits::{TAP_ERRORS_PER_SECOND, TAP_LINES_PER_SECOND};
use crate::shared::log_tap::{FilterReader, Tap, TapBatch};

/// One worker's end.
pub(crate) struct TapSink {
    tap: Tap,
    state: RefCell<State>,
}

struct State {
    filters: FilterReader,
    batch: TapBatch,
    second: Second,
}

/// What was shown in this second of the wall clock.
#[derive(Default)]
struct Second {
    at: u64,
    followed: u32,
    errors: u32,
    /// One bit for each latency bucket that has its line.
    buckets: u64,
}

impl TapSink {
    pub(crate) fn new(tap: Tap) -> Self {
        let state = State { filters: tap.filters(), batch: TapBatch::default(), second: Second::default() };
        Self { tap, state: RefCell::new(state) }
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.tap.is_watched()
    }

    /// Shows an exchange that has ended, if it is to be shown.
    pub(crate) fn offer(&self, record: &AccessRecord<'_>, error: bool, now_ms: u64) {
        let mut state = self.state.borrow_mut();
        let State { filters, batch, second } = &mut *state;
        let worth_remembering = second.remembers(record, error, now_ms / 1000);
        let followed = filters.load().iter().any(|filter| filter.matches(record));
        let in_budget = second.followed < TAP_LINES_PER_SECOND;
        second.followed += u32::from(followed && in_budget);
        if worth_remembering || (followed && in_budget) {
            write_line(record, LogFormat::Json, &mut batch.text);
            batch.text.pop();
            batch.ends.push((batch.text.len(), now_ms));
        } else if followed {
            batch.left_out += 1;
        }
    }

    /// Hands over what was gathered.
    pub(crate) fn flush(&self) {
        let mut state = self.state.borrow_mut();
        if !state.batch.ends.is_empty() || state.batch.left_out > 0 {
            self.tap.send(std::mem::take(&mut state.batch));
        }
    }
}

impl Second {
    /// Is it the first of its latency bucket, or among the first errors?
    fn remembers(&mut self, record: &AccessRecord<'_>, error: bool, now_s: u64) -> bool {
        if now_s != self.at {
            *self = Self { at: now_s, ..Self::default() };
        }
        let bit = 1 << bucket(record.total_us);
        let first = self.buckets & bit == 0;
        self.buckets |= bit;
        let early_error = error && self.errors < TAP_ERRORS_PER_SECOND;
        self.errors += u32::from(early_error);
        first || early_error
    }
}
