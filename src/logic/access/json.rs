//! A log line as one JSON object (RFC 8259).

use super::{AccessRecord, clock, hex, number};

/// Appends the object, without the newline. The names of its keys are a public contract.
pub(super) fn write(record: &AccessRecord<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    clock::rfc3339(out, record.time_ms);
    out.push(b'"');
    text(out, "client", record.client.as_bytes());
    text(out, "method", record.method);
    text(out, "host", record.authority);
    text(out, "target", record.target);
    text(out, "protocol", record.protocol.as_bytes());
    integer(out, "status", record.status.into());
    integer(out, "bytes_in", record.bytes_in);
    integer(out, "bytes_out", record.bytes_out);
    text(out, "listener", record.listener.as_bytes());
    text(out, "route", record.route.as_bytes());
    text(out, "backend", record.backend.as_bytes());
    text(out, "node", record.node.as_bytes());
    integer(out, "retries", record.retries.into());
    text(out, "hedge", record.hedged.word().as_bytes());
    integer(out, "queue_us", record.queue_us);
    integer(out, "connect_us", record.connect_us);
    integer(out, "first_byte_us", record.first_byte_us);
    integer(out, "total_us", record.total_us);
    text(out, "end", record.end.word().as_bytes());
    text(out, "reason", record.end.reason().as_bytes());
    text(out, "request_id", record.request_id);
    text(out, "traceparent", record.traceparent);
    text(out, "user_agent", record.user_agent);
    text(out, "referer", record.referer);
    out.push(b'}');
}

/// `,"key":123`
fn integer(out: &mut Vec<u8>, key: &str, value: u64) {
    name(out, key);
    number(out, value);
}

/// `,"key":"escaped"`
fn text(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    name(out, key);
    out.push(b'"');
    escape(out, value);
    out.push(b'"');
}

fn name(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Nearly every value is plain: one look finds that out, and one copy writes it.
fn escape(out: &mut Vec<u8>, value: &[u8]) {
    if value.iter().all(|&byte| is_plain(byte)) {
        out.extend_from_slice(value);
        return;
    }
    for chunk in value.utf8_chunks() {
        chunk.valid().chars().for_each(|character| escape_character(out, character));
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..0x7f) && byte != b'"' && byte != b'\\'
}

fn escape_character(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        _ if misleads(character) => escape_by_number(out, character),
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Characters that a terminal or a pager obeys instead of showing: C0 and C1 controls (U+009B begins an escape
/// sequence), line and paragraph separators, and those that reverse the direction of the text around them.
fn misleads(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `\u1234`; all characters that come here are in the first plane.
fn escape_by_number(out: &mut Vec<u8>, character: char) {
    let [_, _, high, low] = u32::from(character).to_be_bytes();
    out.extend_from_slice(b"\\u");
    hex(out, high);
    hex(out, low);
}

#[cfg(test)]
mod tests {
    use super::super::tests::{line, sample};
    use super::super::{AccessRecord, End, LogFormat};
    use crate::logic::fault::Fault;

    #[test]
    fn a_line_has_every_field_in_a_fixed_order() {
        assert_eq!(
            line(&sample(), LogFormat::Json),
            "{\"time\":\"2026-11-24T05:36:46.045Z\",\"client\":\"192.0.2.7\",\"method\":\"GET\",\
             \"host\":\"example.com\",\"target\":\"/api/users?page=2\",\"protocol\":\"HTTP/1.1\",\"status\":200,\
             \"bytes_in\":0,\"bytes_out\":128,\"listener\":\"web\",\"route\":\"/api/*\",\"backend\":\"api\",\
             \"node\":\"127.0.0.1:9001\",\"retries\":1,\"hedge\":\"\",\"queue_us\":0,\"connect_us\":210,\"first_byte_us\":1400,\
             \"total_us\":1530,\"end\":\"complete\",\"reason\":\"\",\"request_id\":\"0193-af\",\
             \"traceparent\":\"\",\"user_agent\":\"curl/8.5.0\",\"referer\":\"\"}\n"
        );
    }

    #[test]
    fn a_fault_gives_its_reason() {
        let record = AccessRecord { end: End::Fault(Fault::NoHealthyNode), status: 503, ..sample() };
        assert!(line(&record, LogFormat::Json).contains("\"end\":\"fault\",\"reason\":\"no_healthy_node\""));
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let target = "/a\u{1b}[2J\u{9b}\u{202e}\u{7f}\n\"\\é".as_bytes();
        let line = line(&AccessRecord { target, ..sample() }, LogFormat::Json);
        assert!(line.contains(r#""target":"/a\u001b[2J\u009b\u202e\u007f\n\"\\é""#), "{line}");
    }

    #[test]
    fn bytes_that_are_not_utf8_become_replacement_characters() {
        let line = line(&AccessRecord { target: b"/\xff\xc3(\x80", ..sample() }, LogFormat::Json);
        assert!(line.contains("\"target\":\"/\u{fffd}\u{fffd}(\u{fffd}\""), "{line}");
    }
}
