//! A request and a response as every protocol has them: what routing, picking, logging and counting look at.
//!
//! Nothing here knows how a message is framed on a wire. HTTP/1 parses into these types today; HTTP/2 would
//! fill the same ones, and nothing behind them would notice.

use std::net::IpAddr;

/// One field line: a name and a value without surrounding white space. Borrowed from the read buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Field<'a> {
    /// As received; names compare without regard to case (RFC 9110, 5.1).
    pub name: &'a [u8],
    /// As received, white space around it removed.
    pub value: &'a [u8],
}

/// A request's head. All parts are borrowed from the buffer that it was read into.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The method token; methods are case-sensitive (RFC 9110, 9.1).
    pub method: &'a [u8],
    /// The authority that the client asked for: absolute-form wins over `Host` (RFC 9112, 3.2.2). With a port if it had one.
    /// Empty where an HTTP/1.0 client gave none.
    pub authority: &'a [u8],
    /// Path and query as received, `*` for the asterisk-form; never empty. Of an absolute target with an empty path and a
    /// query (`http://a.example?q`) it is the query alone: the path means `/`, and is written so.
    pub target: &'a [u8],
    /// The fields in the order received.
    pub fields: &'a [Field<'a>],
}

impl<'a> RequestHead<'a> {
    /// The path without the query.
    pub fn path(&self) -> &'a [u8] {
        match memchr::memchr(b'?', self.target) {
            Some(at) => &self.target[..at],
            None => self.target,
        }
    }

    /// The authority without its port: a host name as received, or an address in brackets.
    pub fn host(&self) -> &'a [u8] {
        host_of(self.authority)
    }

    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        find(self.fields, name)
    }
}

/// A response's head.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    /// `100..=999`.
    pub status: u16,
    /// The fields in the order received.
    pub fields: &'a [Field<'a>],
}

/// The first value of the field `name` (given in lower case).
pub fn find<'a>(fields: &[Field<'a>], name: &str) -> Option<&'a [u8]> {
    fields.iter().find(|field| field.name.eq_ignore_ascii_case(name.as_bytes())).map(|field| field.value)
}

/// An authority without its port.
pub fn host_of(authority: &[u8]) -> &[u8] {
    match memchr::memrchr(b':', authority) {
        // A colon inside brackets belongs to an IPv6 address, not to a port.
        Some(at) if memchr::memchr(b']', &authority[at..]).is_none() => &authority[..at],
        _ => authority,
    }
}

/// Who sent a request, as far as it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The address that limits and hashes go by: the peer's, or what a trusted proxy said of it.
    /// `None` for a peer on a unix socket.
    pub address: Option<IpAddr>,
    /// True where the peer itself is in `trusted_proxies`: its X-Forwarded-* are kept and extended.
    pub trusted: bool,
}

/// May a request with this method be sent twice (RFC 9110, 9.2.2)?
pub fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_loses_its_port_and_keeps_its_brackets() {
        assert_eq!(host_of(b"example.com:80"), b"example.com");
        assert_eq!(host_of(b"example.com"), b"example.com");
        assert_eq!(host_of(b"[::1]:80"), b"[::1]");
        assert_eq!(host_of(b"[::1]"), b"[::1]");
        assert_eq!(host_of(b""), b"");
    }
}
