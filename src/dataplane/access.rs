//! Log lines on a worker: drafted while the request's bytes are at hand, written when its end is known.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use super::stats::Timing;
use super::tap::TapSink;
use super::worker::Worker;
use crate::logic::access::{AccessRecord, End, Hedged, LogFormat, write_line};
use crate::logic::limits::LOG_BATCH_BYTES;
use crate::logic::message::RequestHead;
use crate::shared::log_channel::LogSender;
use crate::shared::report::LogBatch;

/// One worker's lines on their way to the writer.
pub(crate) struct LogSink {
    sender: LogSender,
    lines: RefCell<Vec<u8>>,
    count: Cell<u64>,
    /// Buffers of drafts that ended, for the next ones.
    spare: RefCell<Vec<Vec<u8>>>,
    tap: TapSink,
}

impl LogSink {
    pub(crate) fn new(sender: LogSender) -> Self {
        let lines = RefCell::new(sender.buffer());
        let tap = TapSink::new(sender.tap().clone());
        Self { sender, lines, count: Cell::new(0), spare: RefCell::default(), tap }
    }

    /// Does a viewer want to see lines, whether a log is written or not?
    pub(crate) fn is_watched(&self) -> bool {
        self.tap.is_watched()
    }

    /// Hands over what was gathered. Returns how many lines had to be dropped.
    pub(crate) fn flush(&self) -> u64 {
        self.tap.flush();
        if self.lines.borrow().is_empty() {
            return 0;
        }
        let count = self.count.take();
        let full = self.lines.replace(Vec::new());
        match self.sender.send(LogBatch(full)) {
            Ok(()) => {
                self.lines.replace(self.sender.buffer());
                0
            }
            Err(LogBatch(mut back)) => {
                back.clear();
                self.lines.replace(back);
                count
            }
        }
    }

    fn write(&self, record: &AccessRecord<'_>, format: LogFormat) -> u64 {
        let mut lines = self.lines.borrow_mut();
        write_line(record, format, &mut lines);
        self.count.set(self.count.get() + 1);
        let full = lines.len() >= LOG_BATCH_BYTES;
        drop(lines);
        if full { self.flush() } else { 0 }
    }
}

/// What a line needs of a request whose bytes will be gone when it ends.
pub(crate) struct Draft {
    text: Vec<u8>,
    method: Range<usize>,
    authority: Range<usize>,
    target: Range<usize>,
    user_agent: Range<usize>,
    referer: Range<usize>,
    request_id: Range<usize>,
    traceparent: Range<usize>,
}

/// What is known of the exchange when it ends.
pub(crate) struct Ended<'a> {
    pub(crate) client: &'a str,
    pub(crate) listener: &'a str,
    pub(crate) route: &'a str,
    pub(crate) backend: &'a str,
    pub(crate) node: &'a str,
    pub(crate) protocol: &'a str,
    pub(crate) status: u16,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) retries: u32,
    pub(crate) hedged: Hedged,
    pub(crate) timing: Timing,
    pub(crate) end: End,
}

impl Draft {
    /// Keeps what the line needs.
    pub(crate) fn new(sink: &LogSink, head: &RequestHead<'_>, request_id: &[u8]) -> Self {
        let mut text = sink.spare.borrow_mut().pop().unwrap_or_default();
        let mut keep = |bytes: &[u8]| {
            let begin = text.len();
            text.extend_from_slice(bytes);
            begin..text.len()
        };
        let method = keep(head.method);
        let authority = keep(head.authority);
        let target = keep(head.target);
        let user_agent = keep(head.field("user-agent").unwrap_or_default());
        let referer = keep(head.field("referer").unwrap_or_default());
        let request_id = keep(request_id);
        let traceparent = keep(head.field("traceparent").unwrap_or_default());
        Self { text, method, authority, target, user_agent, referer, request_id, traceparent }
    }

    /// A line for a request that could not be read.
    pub(crate) fn unread(sink: &LogSink) -> Self {
        Self::new(sink, &RequestHead { method: b"", authority: b"", target: b"", fields: &[] }, b"")
    }

    /// Writes the line, or leaves it out where it is not an error and the sample does not have it; and shows it to
    /// viewers who follow.
    pub(crate) fn end(mut self, worker: &Worker, ended: &Ended<'_>) {
        let well = matches!(ended.end, End::Complete | End::Tunnel | End::Closed);
        let error = ended.status >= 500 || ended.status == 0 || !well;
        // 53 bits make a uniform number in 0..1.
        let drawn = (worker.draw() >> 11) as f64 / (1_u64 << 53) as f64;
        let now_ms = worker.wall_clock_ms();
        let record = self.record(ended, now_ms);
        let sink = &worker.log;
        let settings = worker.view().snapshot.access_log;
        if let Some(settings) = settings.filter(|settings| error || drawn < settings.sample) {
            let dropped = sink.write(&record, settings.format);
            if dropped > 0 {
                worker.stats.total(|totals| totals.log_lines_dropped += dropped);
            }
        }
        sink.tap.offer(&record, error, now_ms);
        self.text.clear();
        sink.spare.borrow_mut().push(self.text);
    }

    fn record<'a>(&'a self, ended: &Ended<'a>, now_ms: u64) -> AccessRecord<'a> {
        let at = |range: &Range<usize>| &self.text[range.clone()];
        let Timing { queue_us, connect_us, first_byte_us, total_us } = ended.timing;
        AccessRecord {
            time_ms: now_ms.saturating_sub(total_us / 1000),
            client: ended.client,
            protocol: ended.protocol,
            method: at(&self.method),
            authority: at(&self.authority),
            target: at(&self.target),
            user_agent: at(&self.user_agent),
            referer: at(&self.referer),
            request_id: at(&self.request_id),
            traceparent: at(&self.traceparent),
            listener: ended.listener,
            route: ended.route,
            backend: ended.backend,
            node: ended.node,
            status: ended.status,
            bytes_in: ended.bytes_in,
            bytes_out: ended.bytes_out,
            retries: ended.retries,
            hedged: ended.hedged,
            queue_us,
            connect_us,
            first_byte_us,
            total_us,
            end: ended.end,
        }
    }
}
