//! Rows of one name: a ring of seconds and one of minutes.

use std::collections::VecDeque;

use super::row::{Row, Sample};
use crate::logic::limits::{HISTORY_MINUTES, HISTORY_SECONDS};

/// How long one row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Of the last 15 minutes.
    Second,
    /// Of the last 24 hours.
    Minute,
}

impl Step {
    /// In milliseconds.
    pub fn ms(self) -> u64 {
        match self {
            Self::Second => 1000,
            Self::Minute => 60_000,
        }
    }
}

/// The rows of one name.
#[derive(Debug, Default)]
pub struct Series {
    seconds: VecDeque<Row>,
    minutes: VecDeque<Row>,
    /// The minute that has begun, and how many of its seconds are in it.
    minute: (Sample, u64),
    /// When the newest row of each ended.
    second_ms: u64,
    minute_ms: u64,
    busy_ms: u64,
}

impl Series {
    pub(super) fn push(&mut self, at_ms: u64, sample: &Sample) {
        keep(&mut self.seconds, Row::of(sample), HISTORY_SECONDS);
        self.second_ms = at_ms;
        if sample.requests() > 0 {
            self.busy_ms = at_ms;
        }
        self.minute.0.join(sample);
        self.minute.1 += 1;
        if self.minute.1 == 60 {
            let (whole, _) = std::mem::take(&mut self.minute);
            keep(&mut self.minutes, Row::of(&whole), HISTORY_MINUTES);
            self.minute_ms = at_ms;
        }
    }

    /// When it last saw a request.
    pub(super) fn busy_ms(&self) -> u64 {
        self.busy_ms
    }

    /// The newest rows, at most so many, oldest first; and when the first of them began.
    pub fn rows(&self, step: Step, most: usize) -> (u64, Vec<&Row>) {
        let (rows, end_ms) = match step {
            Step::Second => (&self.seconds, self.second_ms),
            Step::Minute => (&self.minutes, self.minute_ms),
        };
        let skipped = rows.len().saturating_sub(most);
        let newest: Vec<_> = rows.iter().skip(skipped).collect();
        (end_ms.saturating_sub(newest.len() as u64 * step.ms()), newest)
    }
}

fn keep(rows: &mut VecDeque<Row>, row: Row, most: usize) {
    while rows.len() >= most {
        rows.pop_front();
    }
    rows.push_back(row);
}
