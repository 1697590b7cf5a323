//! Log lines: those that just came, and those that are remembered.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use serde::Deserialize;

use crate::logic::limits::{LINES_KEPT_BYTES_MAX, LINES_KEPT_MAX};
use crate::logic::log_filter::{Facts, Number, Text};
use crate::shared::log_tap::TapBatch;

/// One line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// When the exchange ended.
    pub(super) at_ms: u64,
    /// A JSON object.
    pub(super) text: Arc<str>,
}

/// What came since the last look.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    pub(super) lines: Vec<Line>,
    /// Lines that viewers wanted and workers had no room for.
    pub(super) left_out: u64,
}

/// What is remembered: oldest first.
#[derive(Debug, Default)]
pub(super) struct LineRing {
    lines: VecDeque<Line>,
    bytes: usize,
}

impl Fresh {
    pub(super) fn add(&mut self, batch: &TapBatch) {
        self.left_out += batch.left_out;
        // Our own writer makes them: they are UTF-8.
        let text = |line| String::from_utf8_lossy(line).into();
        self.lines.extend(batch.lines().map(|(at_ms, line)| Line { at_ms, text: text(line) }));
    }
}

impl LineRing {
    pub(super) fn keep(&mut self, fresh: Fresh) {
        for line in fresh.lines {
            self.bytes += line.text.len();
            self.lines.push_back(line);
            while self.lines.len() > LINES_KEPT_MAX || self.bytes > LINES_KEPT_BYTES_MAX {
                self.bytes -= self.lines.pop_front().map_or(0, |oldest| oldest.text.len());
            }
        }
    }

    /// Those of exchanges that ended in this time.
    pub(super) fn between(&self, since_ms: u64, until_ms: u64) -> Vec<Line> {
        let inside = |line: &&Line| (since_ms..=until_ms).contains(&line.at_ms);
        self.lines.iter().filter(inside).cloned().collect()
    }
}

/// A line, read to be filtered.
#[derive(Debug, Deserialize)]
pub(super) struct LineFacts<'a> {
    status: u64,
    total_us: u64,
    queue_us: u64,
    connect_us: u64,
    first_byte_us: u64,
    bytes_in: u64,
    bytes_out: u64,
    retries: u64,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    host: Cow<'a, str>,
    #[serde(borrow)]
    target: Cow<'a, str>,
    #[serde(borrow)]
    client: Cow<'a, str>,
    #[serde(borrow)]
    listener: Cow<'a, str>,
    #[serde(borrow)]
    route: Cow<'a, str>,
    #[serde(borrow)]
    backend: Cow<'a, str>,
    #[serde(borrow)]
    node: Cow<'a, str>,
    #[serde(borrow)]
    end: Cow<'a, str>,
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    #[serde(borrow)]
    traceparent: Cow<'a, str>,
    #[serde(borrow)]
    user_agent: Cow<'a, str>,
    #[serde(borrow)]
    referer: Cow<'a, str>,
}

impl<'a> LineFacts<'a> {
    /// `None` for what is no line of ours.
    pub(super) fn read(line: &'a str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

impl Facts for LineFacts<'_> {
    fn number(&self, of: Number) -> u64 {
        match of {
            Number::Status => self.status,
            Number::TotalUs => self.total_us,
            Number::QueueUs => self.queue_us,
            Number::ConnectUs => self.connect_us,
            Number::FirstByteUs => self.first_byte_us,
            Number::BytesIn => self.bytes_in,
            Number::BytesOut => self.bytes_out,
            Number::Retries => self.retries,
        }
    }

    fn text(&self, of: Text) -> &[u8] {
        let text = match of {
            Text::Method => &self.method,
            Text::Host => &self.host,
            Text::Path => &self.target,
            Text::Client => &self.client,
            Text::Listener => &self.listener,
            Text::Route => &self.route,
            Text::Backend => &self.backend,
            Text::Node => &self.node,
            Text::End => &self.end,
            Text::Reason => &self.reason,
            Text::RequestId => &self.request_id,
            Text::Traceparent => &self.traceparent,
            Text::UserAgent => &self.user_agent,
            Text::Referer => &self.referer,
        };
        text.as_bytes()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::logic::access::tests::sample;
    use crate::logic::access::{AccessRecord, LogFormat, write_line};
    use crate::logic::log_filter::Filter;

    fn written(record: &AccessRecord<'_>) -> String {
        let mut out = Vec::new();
        write_line(record, LogFormat::Json, &mut out);
        String::from_utf8(out).unwrap()
    }

    pub(in crate::telemetry::monitor) fn fresh(records: &[(u64, AccessRecord<'_>)]) -> Fresh {
        let line = |(at_ms, record): &(u64, AccessRecord<'_>)| Line {
            at_ms: *at_ms,
            text: written(record).trim_end().into(),
        };
        Fresh { lines: records.iter().map(line).collect(), left_out: 0 }
    }

    #[test]
    fn lines_are_remembered_to_a_number_and_to_a_size() {
        let mut ring = LineRing::default();
        for at_ms in 0..LINES_KEPT_MAX as u64 + 5 {
            ring.keep(fresh(&[(at_ms, sample())]));
        }
        assert_eq!(ring.lines.len(), LINES_KEPT_MAX);
        assert_eq!(ring.between(0, 6).iter().map(|line| line.at_ms).collect::<Vec<_>>(), [5, 6]);
        let target = vec![b'x'; 1024 * 1024];
        for at_ms in 0..20 {
            ring.keep(fresh(&[(at_ms, AccessRecord { target: &target, ..sample() })]));
        }
        assert!(ring.bytes <= LINES_KEPT_BYTES_MAX);
        assert_eq!(ring.bytes, ring.lines.iter().map(|line| line.text.len()).sum::<usize>());
    }

    proptest! {
        /// A worker filters what it has at hand, and telemetry what was written of it: they agree.
        #[test]
        fn a_written_line_matches_as_the_exchange_did(
            target in "[ -~]{0,30}", status in 0_u16..600, total_us in 0_u64..1_000_000, word in "[a-z/]{1,3}",
        ) {
            let record = AccessRecord { target: target.as_bytes(), status, total_us, ..sample() };
            let line = written(&record);
            let facts = LineFacts::read(&line).unwrap();
            for filter in [format!("path~{word}"), "status>=300".into(), "ms>500".into(), format!("path!~{word} status=5xx")] {
                let filter = Filter::parse(&filter).unwrap();
                prop_assert_eq!(filter.matches(&facts), filter.matches(&record));
            }
        }
    }
}
