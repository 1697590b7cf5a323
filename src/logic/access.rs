//! One line of the access log: what is in it, and how it is written.

mod clock;
mod combined;
mod json;

use super::fault::Fault;

/// How the lines look; `access_log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object a line, with every field of [`AccessRecord`] in it, whatever its value.
    #[default]
    Json,
    /// The combined format that Apache and nginx write, with our own words and times appended:
    /// how it ended, the reason, retries, microseconds in a queue, to connect, to the first byte and in all, then in
    /// quotes the listener, route, backend, node, request id and traceparent, and whether a hedge `won` or `lost`. `-` stands for what is not there, and for a status
    /// that the client never got `000`.
    Combined,
}

/// How an exchange ended, in one word for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The whole response was handed to the client's socket.
    Complete,
    /// The balancer answered in place of a node, by its own fault table.
    Fault(Fault),
    /// The client left before the end.
    ClientGone,
    /// The node broke off in the middle of a response that had begun.
    NodeBroke,
    /// The node or the client was silent for longer than `timeouts.body` in the middle of a response.
    BodyTimeout,
    /// A tunnel (`Upgrade`) that was closed.
    Tunnel,
    /// A connection of a tcp listener that both sides have closed; a session of a udp listener that was silent for
    /// `timeouts.udp_idle`, as every one is in the end.
    Closed,
    /// One on which nothing came for longer than `timeouts.tunnel_idle`.
    Idle,
    /// A session of a udp listener that gave way to another one: there were as many as may be.
    Evicted,
}

/// Was a request sent to a second node as well?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hedged {
    /// No.
    #[default]
    No,
    /// It was, and the first one answered all the same, or nobody did.
    Lost,
    /// It was, and the second one answered first.
    Won,
}

impl Hedged {
    /// The word that the log has for it; empty for a request that was on one node alone.
    pub fn word(self) -> &'static str {
        match self {
            Self::No => "",
            Self::Lost => "lost",
            Self::Won => "won",
        }
    }
}

/// What is known of one exchange when it ends. Strings are as the client sent them: hostile until escaped.
#[derive(Debug, Clone, Copy)]
pub struct AccessRecord<'a> {
    /// Wall-clock time of the request's first byte, milliseconds since the epoch.
    pub time_ms: u64,
    /// The client's address as text; `unix` for a unix socket.
    pub client: &'a str,
    /// `HTTP/1.1`.
    pub protocol: &'a str,
    /// The method.
    pub method: &'a [u8],
    /// The authority that was asked for.
    pub authority: &'a [u8],
    /// Path and query.
    pub target: &'a [u8],
    /// `User-Agent`.
    pub user_agent: &'a [u8],
    /// `Referer`.
    pub referer: &'a [u8],
    /// The id that was sent on as `x-request-id`.
    pub request_id: &'a [u8],
    /// `traceparent` (W3C Trace Context), which goes on to the node as it came.
    pub traceparent: &'a [u8],
    /// Name of the listener.
    pub listener: &'a str,
    /// Name of the route; empty where none matched.
    pub route: &'a str,
    /// Name of the backend; empty where none was chosen.
    pub backend: &'a str,
    /// Address of the last node tried; empty where none was.
    pub node: &'a str,
    /// The status that the client got; 0 where it got none.
    pub status: u16,
    /// Bytes of the request's body that were forwarded.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// Attempts beyond the first.
    pub retries: u32,
    /// Was it sent to a second node as well?
    pub hedged: Hedged,
    /// Microseconds that it waited for a node to have room.
    pub queue_us: u64,
    /// Microseconds spent opening a connection to the node; 0 for a pooled one.
    pub connect_us: u64,
    /// Microseconds from the request's head to the response's head; 0 without a response.
    pub first_byte_us: u64,
    /// Microseconds from the request's head to the end.
    pub total_us: u64,
    /// How it ended.
    pub end: End,
}

impl End {
    /// The word that the log has for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Fault(_) => "fault",
            Self::ClientGone => "client_gone",
            Self::NodeBroke => "node_broke",
            Self::BodyTimeout => "body_timeout",
            Self::Tunnel => "tunnel",
            Self::Closed => "closed",
            Self::Idle => "idle",
            Self::Evicted => "evicted",
        }
    }

    /// The value of `x-plimsoll-reason` where the balancer answered; else empty.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.reason(),
            _ => "",
        }
    }
}

/// Appends one line, its newline included, and allocates nothing but room in `out`.
///
/// Whatever a client sent stays on its line and stays text: JSON escapes quotes, control characters (C1 and the
/// invisible ones that turn text around too) and writes U+FFFD for bytes that are not UTF-8; combined writes
/// quotes, backslashes and every byte beyond printable ASCII as `\xHH`, as nginx does.
pub fn write_line(record: &AccessRecord<'_>, format: LogFormat, out: &mut Vec<u8>) {
    match format {
        LogFormat::Json => json::write(record, out),
        LogFormat::Combined => combined::write(record, out),
    }
    out.push(b'\n');
}

/// A number in decimal.
fn number(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Two hexadecimal digits in lower case.
fn hex(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn sample() -> AccessRecord<'static> {
        AccessRecord {
            time_ms: 1_795_498_606_045,
            client: "192.0.2.7",
            protocol: "HTTP/1.1",
            method: b"GET",
            authority: b"example.com",
            target: b"/api/users?page=2",
            user_agent: b"curl/8.5.0",
            referer: b"",
            request_id: b"0193-af",
            traceparent: b"",
            listener: "web",
            route: "/api/*",
            backend: "api",
            node: "127.0.0.1:9001",
            status: 200,
            bytes_in: 0,
            bytes_out: 128,
            retries: 1,
            hedged: Hedged::No,
            queue_us: 0,
            connect_us: 210,
            first_byte_us: 1400,
            total_us: 1530,
            end: End::Complete,
        }
    }

    pub(super) fn line(record: &AccessRecord<'_>, format: LogFormat) -> String {
        let mut out = Vec::new();
        write_line(record, format, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// A record whose every hostile string is `bytes`.
    fn hostile(bytes: &[u8]) -> AccessRecord<'_> {
        AccessRecord {
            method: bytes,
            authority: bytes,
            target: bytes,
            user_agent: bytes,
            referer: bytes,
            request_id: bytes,
            traceparent: bytes,
            ..sample()
        }
    }

    proptest! {
        #[test]
        fn a_json_line_parses_back_to_what_was_sent(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let line = line(&hostile(&bytes), LogFormat::Json);
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            let sent = String::from_utf8_lossy(&bytes);
            for key in ["method", "host", "target", "user_agent", "referer", "request_id", "traceparent"] {
                prop_assert_eq!(value[key].as_str().unwrap(), &*sent);
            }
            prop_assert_eq!(line.find(char::is_control), Some(line.len() - 1));
        }

        #[test]
        fn a_json_line_keeps_every_character(text in "\\PC*|[\\x00-\\x{2fff}]*") {
            let line = line(&hostile(text.as_bytes()), LogFormat::Json);
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(value["target"].as_str().unwrap(), &text);
            prop_assert_eq!(line.find(char::is_control), Some(line.len() - 1));
        }

        #[test]
        fn a_combined_line_is_printable_ascii_with_balanced_quotes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let line = line(&hostile(&bytes), LogFormat::Combined);
            prop_assert!(line[..line.len() - 1].bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{}", line);
            prop_assert_eq!(line.matches('"').count(), 2 * 9);
            prop_assert!(!line.contains("\\\""), "{}", line);
        }

        #[test]
        fn neither_format_moves_the_memory_that_was_enough(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            for format in [LogFormat::Json, LogFormat::Combined] {
                let mut out = Vec::with_capacity(8192);
                let memory = out.as_ptr();
                write_line(&hostile(&bytes), format, &mut out);
                prop_assert_eq!(out.as_ptr(), memory);
            }
        }
    }
}
