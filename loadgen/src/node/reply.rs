//! A response before it is sent: its head as bytes, and a body that is either at hand or a pattern of any length.

use std::io::Write;

use super::behaviour::Framing;

/// The body's pattern: byte `k` of every body is `PATTERN[k % 64]`, so that a client can check what it got
/// wherever it starts reading.
const LINE: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n";
/// The pattern's length in memory: what is appended at once.
const PATTERN_LEN: usize = 4096;
static PATTERN: [u8; PATTERN_LEN] = pattern();

/// A response that is ready to go.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Content,
}

/// What a body consists of.
#[derive(Debug)]
pub(crate) enum Content {
    /// This many bytes of the pattern.
    Pattern(u64),
    /// These bytes.
    Bytes(Vec<u8>),
}

impl Reply {
    /// Plain text of the node's own, such as an error.
    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.push('\n');
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            headers: Vec::new(),
            body: Content::Bytes(text.into_bytes()),
        }
    }

    /// A JSON value.
    pub(crate) fn json(status: u16, value: &impl serde::Serialize) -> Self {
        let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
        bytes.push(b'\n');
        Self { status, content_type: "application/json", headers: Vec::new(), body: Content::Bytes(bytes) }
    }

    /// Appends the head to `out`. `keep_alive` says whether the connection goes on; `with_body` whether this status
    /// and method allow one.
    pub(crate) fn write_head(
        &self,
        out: &mut Vec<u8>,
        node: &str,
        framing: Framing,
        keep_alive: bool,
        with_body: bool,
    ) {
        write_status(out, self.status);
        put(
            out,
            &format!("server: loadgen-node\r\nx-node: {node}\r\ncontent-type: {}\r\n", self.content_type),
        );
        for (name, value) in &self.headers {
            put(out, &format!("{name}: {value}\r\n"));
        }
        match framing {
            // RFC 9110 section 8.6 forbids a length in a 204, and a 304 describes another body.
            Framing::Length if with_body => put(out, &format!("content-length: {}\r\n", self.body.len())),
            Framing::Chunked if with_body => put(out, "transfer-encoding: chunked\r\n"),
            _ => {}
        }
        if !keep_alive {
            put(out, "connection: close\r\n");
        }
        put(out, "\r\n");
    }
}

impl Content {
    /// The body's bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Pattern(len) => *len,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Appends `len` bytes from `at` on to `out`.
    pub(crate) fn append(&self, out: &mut Vec<u8>, at: u64, len: usize) {
        match self {
            Self::Bytes(bytes) => {
                let start = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                out.extend_from_slice(&bytes[start..(start + len).min(bytes.len())]);
            }
            Self::Pattern(_) => append_pattern(out, at, len),
        }
    }
}

/// A whole small response in one piece, for the plain path.
pub(crate) fn canned(
    status: u16,
    size: u64,
    node: &str,
    headers: &[(String, String)],
    has_body: bool,
) -> Box<[u8]> {
    let reply =
        Reply { status, content_type: "text/plain", headers: headers.to_vec(), body: Content::Pattern(size) };
    let mut out = Vec::new();
    reply.write_head(&mut out, node, Framing::Length, true, has_body);
    if has_body {
        reply.body.append(&mut out, 0, usize::try_from(size).unwrap_or(0));
    }
    out.into_boxed_slice()
}

fn append_pattern(out: &mut Vec<u8>, at: u64, mut len: usize) {
    let mut start = usize::try_from(at % LINE.len() as u64).unwrap_or(0);
    while len > 0 {
        let piece = len.min(PATTERN_LEN - start);
        out.extend_from_slice(&PATTERN[start..start + piece]);
        len -= piece;
        // The pattern's length is a multiple of a line's, so what follows its end is its start.
        start = 0;
    }
}

fn write_status(out: &mut Vec<u8>, status: u16) {
    put(out, &format!("HTTP/1.1 {status} {}\r\n", reason(status)));
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.write_all(text.as_bytes()).expect("writing to memory does not fail");
}

/// The phrase beside the code; clients ignore it, people do not.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "As Ordered",
    }
}

const fn pattern() -> [u8; PATTERN_LEN] {
    let mut bytes = [0; PATTERN_LEN];
    let mut at = 0;
    while at < PATTERN_LEN {
        bytes[at] = LINE[at % LINE.len()];
        at += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let body = Content::Pattern(10_000);
        let mut whole = Vec::new();
        body.append(&mut whole, 0, 10_000);
        for step in [1, 7, 63, 64, 65, 4095, 4097] {
            let mut pieces = Vec::new();
            while pieces.len() < whole.len() {
                let at = pieces.len();
                body.append(&mut pieces, at as u64, step.min(whole.len() - at));
            }
            assert_eq!(pieces, whole, "in pieces of {step}");
        }
        assert!((0..whole.len()).all(|k| whole[k] == LINE[k % 64]));
    }

    #[test]
    fn the_canned_response_is_a_whole_one() {
        let text = String::from_utf8(canned(200, 3, "n1", &[("a".into(), "b".into())], true).into()).unwrap();
        assert_eq!(
            text,
            "HTTP/1.1 200 OK\r\nserver: loadgen-node\r\nx-node: n1\r\ncontent-type: text/plain\r\na: b\r\ncontent-length: 3\r\n\r\n012"
        );
        let empty = String::from_utf8(canned(204, 3, "n1", &[], false).into()).unwrap();
        assert!(!empty.contains("content-length") && empty.ends_with("\r\n\r\n"));
    }
}
