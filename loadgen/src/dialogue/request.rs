//! An HTTP/1.1 request, put together once where it can be.

use crate::template::{Template, push_decimal};

/// A request: a head up to its length, and a body.
#[derive(Clone, Debug)]
pub struct Request {
    /// Request line and headers, without content-length and the empty line.
    head: Template,
    body: Template,
    /// Whether a content-length is sent: with a body, or where the method expects one.
    with_length: bool,
}

/// What a request is made of.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// The method, as POST.
    pub method: &'a str,
    /// Path and query; may hold the counter.
    pub path: &'a str,
    /// Value of the host header, unless `headers` has one.
    pub host: &'a str,
    /// Further headers.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: Template,
    /// Whether the connection is to be kept.
    pub keepalive: bool,
    /// Whether the counter is replaced in path and headers.
    pub counted: bool,
}

impl Request {
    /// Puts the fixed parts together.
    #[must_use]
    pub fn new(parts: Parts<'_>) -> Self {
        let has = |name: &str| parts.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        let mut head = format!("{} {} HTTP/1.1\r\n", parts.method, parts.path);
        if !has("host") {
            head.push_str(&format!("host: {}\r\n", parts.host));
        }
        if !has("user-agent") {
            head.push_str(concat!("user-agent: loadgen/", env!("CARGO_PKG_VERSION"), "\r\n"));
        }
        if !parts.keepalive && !has("connection") {
            head.push_str("connection: close\r\n");
        }
        for (name, value) in parts.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let expects_body = matches!(parts.method, "POST" | "PUT" | "PATCH");
        let with_length = !has("content-length") && (expects_body || !parts.body.is_empty());
        let template = if parts.counted { Template::with_counter } else { Template::fixed };
        Self { head: template(head.as_bytes()), body: parts.body, with_length }
    }

    /// Whether every request is the same.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.head.is_fixed() && self.body.is_fixed()
    }

    /// Appends request number `number`.
    pub fn render(&self, number: u64, out: &mut Vec<u8>) {
        self.head.render(number, out);
        if self.with_length {
            out.extend_from_slice(b"content-length: ");
            push_decimal(self.body.length(number) as u64, out);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        self.body.render(number, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(headers: &[(String, String)], method: &str, body: Template, counted: bool) -> String {
        let path = "/a?n={{counter}}";
        let parts = Parts { method, path, host: "h:1", headers, body, keepalive: true, counted };
        let mut out = Vec::new();
        Request::new(parts).render(12, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_get_has_no_length_and_a_post_always_has() {
        let get = rendered(&[], "GET", Template::default(), false);
        assert!(get.starts_with("GET /a?n={{counter}} HTTP/1.1\r\nhost: h:1\r\nuser-agent: loadgen/"));
        assert!(get.ends_with("\r\n\r\n") && !get.contains("content-length"));
        assert!(rendered(&[], "POST", Template::default(), false).contains("content-length: 0\r\n"));
    }

    #[test]
    fn the_length_follows_the_counter() {
        let request = rendered(&[], "PUT", Template::with_counter(b"id={{counter}}"), true);
        assert!(request.starts_with("PUT /a?n=12 HTTP/1.1\r\n"));
        assert!(request.ends_with("content-length: 5\r\n\r\nid=12"), "{request}");
    }

    #[test]
    fn own_headers_win() {
        let own = [("Host".into(), "x".into()), ("User-Agent".into(), "y".into())];
        let request = rendered(&own, "GET", Template::default(), false);
        assert_eq!(request.matches("ost: ").count(), 1);
        assert!(!request.contains("loadgen/"));
    }
}
