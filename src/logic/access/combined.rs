//! A log line as Apache's and nginx's `combined`, with our own columns behind it.

use super::{AccessRecord, clock, hex, number};

/// Appends the line, without the newline.
pub(super) fn write(record: &AccessRecord<'_>, out: &mut Vec<u8>) {
    escape(out, record.client.as_bytes());
    out.extend_from_slice(b" - - [");
    clock::apache(out, record.time_ms);
    out.extend_from_slice(b"] \"");
    escape(out, record.method);
    out.push(b' ');
    escape(out, record.target);
    out.push(b' ');
    escape(out, record.protocol.as_bytes());
    out.extend_from_slice(b"\" ");
    out.extend_from_slice(&clock::digits::<3>(record.status.into()));
    integer(out, record.bytes_out);
    quoted(out, record.referer);
    quoted(out, record.user_agent);
    own_columns(record, out);
}

fn own_columns(record: &AccessRecord<'_>, out: &mut Vec<u8>) {
    word(out, record.end.word());
    word(out, record.end.reason());
    integer(out, record.retries.into());
    integer(out, record.queue_us);
    integer(out, record.connect_us);
    integer(out, record.first_byte_us);
    integer(out, record.total_us);
    quoted(out, record.listener.as_bytes());
    quoted(out, record.route.as_bytes());
    quoted(out, record.backend.as_bytes());
    quoted(out, record.node.as_bytes());
    quoted(out, record.request_id);
    quoted(out, record.traceparent);
    word(out, record.hedged.word());
}

fn integer(out: &mut Vec<u8>, value: u64) {
    out.push(b' ');
    number(out, value);
}

fn word(out: &mut Vec<u8>, value: &str) {
    out.push(b' ');
    out.extend_from_slice(or_dash(value.as_bytes()));
}

fn quoted(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(b" \"");
    escape(out, or_dash(value));
    out.push(b'"');
}

fn or_dash(value: &[u8]) -> &[u8] {
    if value.is_empty() { b"-" } else { value }
}

/// Byte by byte: this format has no encoding, so everything beyond ASCII is a number.
fn escape(out: &mut Vec<u8>, value: &[u8]) {
    for &byte in value {
        if matches!(byte, 0x20..0x7f) && byte != b'"' && byte != b'\\' {
            out.push(byte);
        } else {
            out.extend_from_slice(b"\\x");
            hex(out, byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{line, sample};
    use super::super::{AccessRecord, End, LogFormat};

    #[test]
    fn a_line_is_combined_with_our_columns_behind_it() {
        assert_eq!(
            line(&sample(), LogFormat::Combined),
            "192.0.2.7 - - [24/Nov/2026:05:36:46 +0000] \"GET /api/users?page=2 HTTP/1.1\" 200 128 \"-\" \
             \"curl/8.5.0\" complete - 1 0 210 1400 1530 \"web\" \"/api/*\" \"api\" \"127.0.0.1:9001\" \"0193-af\" \"-\" -\n"
        );
    }

    #[test]
    fn quotes_backslashes_and_bytes_beyond_ascii_are_numbers() {
        let record =
            AccessRecord { user_agent: b"a\"b\\c\n\x1b\xff", status: 0, end: End::ClientGone, ..sample() };
        let line = line(&record, LogFormat::Combined);
        assert!(line.contains(r#" 000 128 "-" "a\x22b\x5cc\x0a\x1b\xff" client_gone - "#), "{line}");
    }
}
