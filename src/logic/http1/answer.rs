//! Responses that the balancer makes itself.

use super::request::{RequestFacts, Version};
use super::rewrite::{put_connection, put_field, put_length, put_status, write_added};
use crate::logic::fault::Fault;
use crate::logic::route::Edits;

/// What every answer needs to know of its request, if there was one that could be read.
#[derive(Debug, Clone, Copy)]
pub struct Answering<'a> {
    /// The client's version.
    pub version: Version,
    /// Is the body left out (HEAD)?
    pub is_head: bool,
    /// JSON instead of plain text?
    pub json: bool,
    /// May the connection go on?
    pub keep_alive: bool,
    /// An IMF-fixdate.
    pub date: &'a [u8],
    /// Seconds for `retry-after`, where more is known than what a fault says by itself.
    pub retry_after_s: Option<u32>,
}

impl<'a> Answering<'a> {
    /// An answer to a request that could not be read.
    pub fn unread(date: &'a [u8]) -> Self {
        Self {
            version: Version::Http11,
            is_head: false,
            json: false,
            keep_alive: false,
            date,
            retry_after_s: None,
        }
    }

    /// An answer to `request`.
    pub fn to(request: &RequestFacts, keep_alive: bool, date: &'a [u8]) -> Self {
        Self {
            version: request.version,
            is_head: request.is_head,
            json: request.wants_json,
            keep_alive,
            date,
            retry_after_s: None,
        }
    }
}

/// Appends the answer for a fault: what happened, whose fault it is, what to do. `allow`: the methods of a 405.
pub fn write_fault(out: &mut Vec<u8>, fault: Fault, allow: Option<&str>, answering: &Answering<'_>) {
    put_status(out, fault.status(), reason_phrase(fault.status()).as_bytes());
    put_field(out, b"x-plimsoll-reason", fault.reason().as_bytes());
    if let Some(methods) = allow {
        put_field(out, b"allow", methods.as_bytes());
    }
    if let Some(seconds) = answering.retry_after_s.or(fault.retry_after_s()) {
        put_field(out, b"retry-after", seconds.to_string().as_bytes());
    }
    let body = if answering.json {
        // Reasons and texts are ours and hold nothing that JSON would have to escape.
        format!("{{\"error\":{{\"code\":\"{}\",\"message\":\"{}\"}}}}\n", fault.reason(), fault.text())
    } else {
        format!("{} {}: {}\n", fault.status(), reason_phrase(fault.status()), fault.text())
    };
    let kind: &[u8] = if answering.json { b"application/json" } else { b"text/plain; charset=utf-8" };
    write_rest(out, Some(kind), body.as_bytes(), &Edits::default(), answering);
}

/// Appends a redirect. `location` was checked to hold no control byte.
pub fn write_redirect(
    out: &mut Vec<u8>,
    status: u16,
    location: &[u8],
    edits: &Edits,
    answering: &Answering<'_>,
) {
    put_status(out, status, reason_phrase(status).as_bytes());
    put_field(out, b"location", location);
    write_added(out, edits);
    write_rest(out, None, b"", edits, answering);
}

/// Appends the fixed response of a route.
pub fn write_fixed(out: &mut Vec<u8>, status: u16, body: &[u8], edits: &Edits, answering: &Answering<'_>) {
    put_status(out, status, reason_phrase(status).as_bytes());
    write_added(out, edits);
    let typed = edits.add.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let kind: Option<&[u8]> = (!typed && !body.is_empty()).then_some(b"text/plain; charset=utf-8");
    if matches!(status, 204 | 304) {
        // No body, and for 204 no length either (RFC 9110, 8.6).
        put_own(out, edits, answering.date);
        put_connection(out, answering.keep_alive, answering.version);
        out.extend_from_slice(b"\r\n");
    } else {
        write_rest(out, kind, body, edits, answering);
    }
}

/// `server` and `date`, unless the route removes or sets them.
fn put_own(out: &mut Vec<u8>, edits: &Edits, date: &[u8]) {
    for (name, value) in [(b"server".as_slice(), b"plimsoll".as_slice()), (b"date", date)] {
        if !edits.replaces(name) {
            put_field(out, name, value);
        }
    }
}

fn write_rest(out: &mut Vec<u8>, kind: Option<&[u8]>, body: &[u8], edits: &Edits, answering: &Answering<'_>) {
    put_own(out, edits, answering.date);
    if let Some(kind) = kind.filter(|_| !edits.replaces(b"content-type")) {
        put_field(out, b"content-type", kind);
    }
    put_length(out, body.len() as u64);
    put_connection(out, answering.keep_alive, answering.version);
    out.extend_from_slice(b"\r\n");
    if !answering.is_head {
        out.extend_from_slice(body);
    }
}

/// The registered reason phrase; a status that has none gets an empty one, which the grammar allows (RFC 9112, 4).
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(fault: Fault, answering: &Answering<'_>) -> String {
        let mut out = Vec::new();
        write_fault(&mut out, fault, None, answering);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_fault_says_what_and_why() {
        for &fault in Fault::ALL {
            let answer = text(fault, &Answering::unread(b"now"));
            assert!(answer.starts_with(&format!("HTTP/1.1 {} ", fault.status())), "{answer}");
            assert!(answer.contains(&format!("x-plimsoll-reason: {}\r\n", fault.reason())));
            assert!(answer.contains("server: plimsoll\r\n") && answer.contains("connection: close\r\n"));
            assert!(answer.ends_with(&format!("{}\n", fault.text())));
            assert_eq!(answer.contains("retry-after: "), matches!(fault.status(), 429 | 503));
            assert!(!reason_phrase(fault.status()).is_empty());
        }
    }

    #[test]
    fn json_parses_for_every_fault() {
        for &fault in Fault::ALL {
            let answer = text(fault, &Answering { json: true, ..Answering::unread(b"now") });
            let body = answer.split("\r\n\r\n").nth(1).unwrap();
            let parsed: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(parsed["error"]["code"], fault.reason());
        }
    }

    #[test]
    fn head_gets_the_length_and_no_body() {
        let answer =
            text(Fault::NoRoute, &Answering { is_head: true, keep_alive: true, ..Answering::unread(b"now") });
        assert!(answer.ends_with("\r\n\r\n") && !answer.contains("content-length: 0"));
        assert!(!answer.contains("connection:"));
    }

    #[test]
    fn fixed_responses() {
        let mut out = Vec::new();
        write_fixed(&mut out, 200, b"ok", &Edits::default(), &Answering::unread(b"now"));
        assert!(out.ends_with(
            b"content-type: text/plain; charset=utf-8\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
        ));
        let mut out = Vec::new();
        write_fixed(&mut out, 204, b"", &Edits::default(), &Answering::unread(b"now"));
        assert!(!out.windows(14).any(|window| window == b"content-length"));
    }
}
