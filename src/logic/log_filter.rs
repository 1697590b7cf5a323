//! Which lines of the log a viewer wants: `status>=500 node=web-3 ms>100`.
//!
//! A filter is parsed once ([`Filter::parse`]), and asked by workers about every exchange while somebody follows the log, so
//! [`Filter::matches`] allocates nothing. `docs/monitor-protocol.md` describes the language.

mod parse;

use super::access::AccessRecord;

pub use parse::BadFilter;

/// Bytes of a filter's text.
pub const FILTER_BYTES_MAX: usize = 512;
/// Terms of a filter.
pub const FILTER_TERMS_MAX: usize = 16;

/// What a filter can compare as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// The status; 0 where the client got none.
    Status,
    /// The whole duration in microseconds.
    TotalUs,
    /// Microseconds in a queue.
    QueueUs,
    /// Microseconds to open a connection.
    ConnectUs,
    /// Microseconds to the response's head.
    FirstByteUs,
    /// Bytes of the request's body.
    BytesIn,
    /// Bytes of the response's body.
    BytesOut,
    /// Attempts beyond the first.
    Retries,
}

/// What a filter can compare as a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// The request's method.
    Method,
    /// The authority that was asked for.
    Host,
    /// Path and query.
    Path,
    /// The client's address.
    Client,
    /// Name of the listener.
    Listener,
    /// Name of the route.
    Route,
    /// Name of the backend.
    Backend,
    /// Id of the node: `backend/address`.
    Node,
    /// How it ended.
    End,
    /// Why the balancer answered by itself.
    Reason,
    /// The id that was sent on.
    RequestId,
    /// The trace that it is part of.
    Traceparent,
    /// The client's program.
    UserAgent,
    /// Where the client came from.
    Referer,
}

/// What a filter asks an exchange about.
pub trait Facts {
    /// A number.
    fn number(&self, of: Number) -> u64;
    /// A text, as the client sent it or as we named it.
    fn text(&self, of: Text) -> &[u8];
}

/// A finished filter: all terms must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    source: Box<str>,
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Number(Number, Comparison, f64),
    /// `status=5xx`; false is `!=`.
    Class(u64, bool),
    /// The value is in lower case; false is "not".
    Is(Text, Box<[u8]>, bool),
    /// The same, somewhere inside.
    Contains(Text, Box<[u8]>, bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Filter {
    /// Its text with single spaces: filters of the same text are the same.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Do all terms hold?
    pub fn matches(&self, facts: &impl Facts) -> bool {
        self.terms.iter().all(|term| term.holds(facts))
    }
}

impl Term {
    fn holds(&self, facts: &impl Facts) -> bool {
        match self {
            Self::Number(of, comparison, value) => comparison.holds(facts.number(*of) as f64, *value),
            Self::Class(class, wanted) => (facts.number(Number::Status) / 100 == *class) == *wanted,
            Self::Is(of, value, wanted) => is(*of, facts.text(*of), value) == *wanted,
            Self::Contains(of, value, wanted) => contains(facts.text(*of), value) == *wanted,
        }
    }
}

impl Comparison {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Equal => (left - right).abs() < f64::EPSILON,
            Self::Unequal => (left - right).abs() >= f64::EPSILON,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

/// A node is called by its id, by its address, or by its address without the port.
fn is(of: Text, text: &[u8], value: &[u8]) -> bool {
    let same = |text: &[u8]| text.eq_ignore_ascii_case(value);
    if of != Text::Node || same(text) {
        return same(text);
    }
    let address = text.iter().position(|&byte| byte == b'/').map_or(text, |slash| &text[slash + 1..]);
    let host = address.iter().rposition(|&byte| byte == b':').map_or(address, |colon| &address[..colon]);
    same(address) || same(host)
}

/// `value` is in lower case and not empty.
fn contains(text: &[u8], value: &[u8]) -> bool {
    text.windows(value.len()).any(|part| part.eq_ignore_ascii_case(value))
}

impl Facts for AccessRecord<'_> {
    fn number(&self, of: Number) -> u64 {
        match of {
            Number::Status => self.status.into(),
            Number::TotalUs => self.total_us,
            Number::QueueUs => self.queue_us,
            Number::ConnectUs => self.connect_us,
            Number::FirstByteUs => self.first_byte_us,
            Number::BytesIn => self.bytes_in,
            Number::BytesOut => self.bytes_out,
            Number::Retries => self.retries.into(),
        }
    }

    fn text(&self, of: Text) -> &[u8] {
        match of {
            Text::Method => self.method,
            Text::Host => self.authority,
            Text::Path => self.target,
            Text::Client => self.client.as_bytes(),
            Text::Listener => self.listener.as_bytes(),
            Text::Route => self.route.as_bytes(),
            Text::Backend => self.backend.as_bytes(),
            Text::Node => self.node.as_bytes(),
            Text::End => self.end.word().as_bytes(),
            Text::Reason => self.end.reason().as_bytes(),
            Text::RequestId => self.request_id,
            Text::Traceparent => self.traceparent,
            Text::UserAgent => self.user_agent,
            Text::Referer => self.referer,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::logic::access::tests::sample;

    fn holds(filter: &str) -> bool {
        Filter::parse(filter)
            .unwrap_or_else(|bad| panic!("{filter}: {bad:?}"))
            .matches(&AccessRecord { node: "api/127.0.0.1:9001", ..sample() })
    }

    /// The sample: GET example.com/api/users?page=2, 200, 1530 us, 1400 to the first byte, node api/127.0.0.1:9001.
    #[test]
    fn terms_hold_for_what_they_say() {
        for filter in [
            "",
            "  ",
            "status=200",
            "status=2xx",
            "status!=5xx",
            "status>=200 status<300",
            "ms>1.5 ms<1.6",
            "us>1131 us<=1600",
            "first_byte_ms=1.4",
            "connect_ms<1",
            "queue_ms=0",
            "bytes_out=128",
            "retries>0",
            "node=127.0.0.1",
            "node=127.0.0.1:9001",
            "node=API/127.0.0.1:9001",
            "node!=web-3",
            "route=/api/*",
            "backend=API",
            "path~users",
            "path~USERS?page=2",
            "users",
            "/api/users?page=2",
            "path!~admin",
            "method=get",
            "ua~\"curl/8\"",
            "ua~curl",
            "end=complete",
            "reason=\"\"",
            "referer=",
        ] {
            assert!(holds(filter), "{filter}");
        }
        for filter in [
            "status=404",
            "status=5xx",
            "status!=2xx",
            "ms>100",
            "node=127.0.0.2",
            "node=127",
            "node!=127.0.0.1",
            "users method=POST",
            "path!~users",
            "nothing-of-the-kind",
        ] {
            assert!(!holds(filter), "{filter}");
        }
    }

    proptest! {
        /// A filter that finds a part of a text is never one that the text does not match.
        #[test]
        fn a_quoted_text_finds_itself(text in "[ -~]{1,40}") {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            let target = format!("/x{text}y");
            let record = AccessRecord { target: target.as_bytes(), ..sample() };
            let found = Filter::parse(&format!("path~\"{quoted}\"")).unwrap().matches(&record);
            prop_assert!(found);
        }

        #[test]
        fn numbers_compare_as_numbers(value in 0_u64..10_000_000, bound in 0_u64..10_000_000) {
            let record = AccessRecord { total_us: value, ..sample() };
            let matches = |filter: String| Filter::parse(&filter).unwrap().matches(&record);
            prop_assert_eq!(matches(format!("us>{bound}")), value > bound);
            prop_assert_eq!(matches(format!("us<={bound}")), value <= bound);
            prop_assert_eq!(matches(format!("us={bound}")), value == bound);
            prop_assert_eq!(matches(format!("us!={bound}")), value != bound);
        }
    }
}
