//! Heads, written anew in canonical form: the only bytes of a head that ever leave the balancer.

use super::exchange::Reply;
use super::field::{Known, classify, elements, nominated};
use super::framing::Framing;
use super::request::{Request, Version};
use super::response::{Kind, Response};
use crate::logic::message::{Field, find};
use crate::logic::route::Edits;

/// Who we are in `via` (RFC 9110, 7.6.3).
const PSEUDONYM: &[u8] = b" plimsoll\r\n";

/// What a request gains on its way to a node.
#[derive(Debug, Clone, Copy)]
pub struct Onward<'a> {
    /// Path and query as the node shall see them.
    pub target: &'a [u8],
    /// The `Host` as the node shall see it; not empty.
    pub authority: &'a [u8],
    /// The address of the peer as text; empty for a peer on a unix socket.
    pub peer: &'a [u8],
    /// Is the peer a trusted proxy, whose word on earlier hops is kept?
    pub trusted: bool,
    /// An id for requests that bring none that is believed.
    pub request_id: &'a [u8],
    /// The route's edits.
    pub edits: &'a Edits,
}

/// Appends the head of `request` as a node gets it. Always HTTP/1.1, whatever the client speaks.
pub fn write_request(out: &mut Vec<u8>, request: &Request<'_>, onward: &Onward<'_>) {
    let head = &request.head;
    // An empty path before a query is written as origin-form has it (RFC 9112, 3.2.1).
    let root: &[u8] = if onward.target.first() == Some(&b'?') { b"/" } else { b"" };
    put(out, &[head.method, b" ", root, onward.target, b" HTTP/1.1\r\nhost: ", onward.authority, b"\r\n"]);
    let dropper = Dropper::new(head.fields, request.facts.nominates, onward.edits);
    for field in head.fields {
        let forwarded = match classify(field.name) {
            Known::Other | Known::Date => true,
            Known::MaxForwards => request.facts.hops_left.is_none(),
            Known::ForwardedOther => onward.trusted,
            _ => false,
        };
        if forwarded && !dropper.drops(field.name) {
            put_field(out, field.name, field.value);
        }
    }
    write_forwarded(out, request, onward);
    write_via(out, request.facts.version, onward.edits);
    match request.facts.framing {
        Framing::Chunked => put(out, &[b"transfer-encoding: chunked\r\n"]),
        Framing::Length(length) => put_length(out, length),
        // A method that defines a body says so even where it is empty (RFC 9110, 8.6).
        Framing::None if matches!(head.method, b"POST" | b"PUT" | b"PATCH") => put_length(out, 0),
        Framing::None | Framing::UntilClose => {}
    }
    if let Some(hops) = request.facts.hops_left {
        put(out, &[b"max-forwards: "]);
        put_number(out, u64::from(hops.saturating_sub(1)));
        put(out, &[b"\r\n"]);
    }
    if request.facts.expects_continue && request.facts.framing != Framing::None {
        put(out, &[b"expect: 100-continue\r\n"]);
    }
    write_request_connection(out, request);
    write_added(out, onward.edits);
    put(out, &[b"\r\n"]);
}

/// `x-forwarded-*` and `x-request-id`: kept and extended for trusted peers, made anew for all others. Not those that the route
/// removes or sets.
fn write_forwarded(out: &mut Vec<u8>, request: &Request<'_>, onward: &Onward<'_>) {
    let fields = request.head.fields;
    let stays = |name: &str| !onward.edits.replaces(name.as_bytes());
    let believed =
        |name: &str| if onward.trusted { find(fields, name).filter(|value| !value.is_empty()) } else { None };
    let earlier = fields.iter().filter(|field| onward.trusted && classify(field.name) == Known::ForwardedFor);
    let mut hops = earlier.map(|field| field.value).chain([onward.peer]).filter(|value| !value.is_empty());
    if let Some(first) = hops.next().filter(|_| stays("x-forwarded-for")) {
        put(out, &[b"x-forwarded-for: ", first]);
        hops.for_each(|hop| put(out, &[b", ", hop]));
        put(out, &[b"\r\n"]);
    }
    if stays("x-forwarded-proto") {
        put_field(out, b"x-forwarded-proto", believed("x-forwarded-proto").unwrap_or(b"http"));
    }
    let host = believed("x-forwarded-host").unwrap_or(request.head.authority);
    if !host.is_empty() && stays("x-forwarded-host") {
        put_field(out, b"x-forwarded-host", host);
    }
    if stays("x-request-id") {
        put_field(out, b"x-request-id", believed("x-request-id").unwrap_or(onward.request_id));
    }
}

fn write_via(out: &mut Vec<u8>, received: Version, edits: &Edits) {
    if edits.replaces(b"via") {
        return;
    }
    put(out, &[if received == Version::Http11 { b"via: 1.1" } else { b"via: 1.0" }, PSEUDONYM]);
}

/// What this hop asks of the next: the switch of protocols, and trailers.
fn write_request_connection(out: &mut Vec<u8>, request: &Request<'_>) {
    let trailers = request.head.fields.iter().any(|field| {
        classify(field.name) == Known::Te
            && elements(field.value).any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
    });
    match (request.facts.upgrade, trailers) {
        (true, _) => {
            put(out, &[b"connection: upgrade\r\n"]);
            write_upgrade(out, request.head.fields);
        }
        (false, true) => put(out, &[b"connection: te\r\nte: trailers\r\n"]),
        (false, false) => {}
    }
}

fn write_upgrade(out: &mut Vec<u8>, fields: &[Field<'_>]) {
    fields
        .iter()
        .filter(|field| classify(field.name) == Known::Upgrade)
        .for_each(|field| put_field(out, b"upgrade", field.value));
}

/// Appends the head of `response` as the client gets it. `date`: an IMF-fixdate, for a response that has none
/// (RFC 9110, 6.6.1).
pub fn write_response(out: &mut Vec<u8>, response: &Response<'_>, reply: &Reply, edits: &Edits, date: &[u8]) {
    put_status(out, response.head.status, response.reason);
    let dropper = Dropper::new(response.head.fields, response.nominates, edits);
    for field in response.head.fields {
        let hop = matches!(
            classify(field.name),
            Known::Connection
                | Known::ContentLength
                | Known::TransferEncoding
                | Known::HopByHop
                | Known::Upgrade
                | Known::Te
        );
        if !hop && !dropper.drops(field.name) {
            put_field(out, field.name, field.value);
        }
    }
    write_via(out, Version::Http11, edits);
    if !response.dated && response.kind == Kind::Final && !dropper.drops(b"date") {
        put_field(out, b"date", date);
    }
    match (response.framing, response.described_length) {
        _ if reply.chunked => put(out, &[b"transfer-encoding: chunked\r\n"]),
        (Framing::Length(length), _) | (_, Some(length)) => put_length(out, length),
        _ => {}
    }
    match response.kind {
        Kind::Interim => {}
        Kind::Switch => {
            put(out, &[b"connection: upgrade\r\n"]);
            write_upgrade(out, response.head.fields);
        }
        Kind::Final => put_connection(out, reply.keep_alive, reply.version),
    }
    // What a route says of a response it says of the one that counts, once.
    if response.kind != Kind::Interim {
        write_added(out, edits);
    }
    put(out, &[b"\r\n"]);
}

/// A status line; `reason` as the node gave it, or the registered one.
pub fn put_status(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    put(out, &[b"HTTP/1.1 "]);
    put_number(out, u64::from(status));
    put(out, &[b" ", reason, b"\r\n"]);
}

/// `connection`, where its absence would not say the same (RFC 9112, 9.3).
pub fn put_connection(out: &mut Vec<u8>, keep_alive: bool, version: Version) {
    match (keep_alive, version) {
        (false, _) => put(out, &[b"connection: close\r\n"]),
        (true, Version::Http10) => put(out, &[b"connection: keep-alive\r\n"]),
        (true, Version::Http11) => {}
    }
}

/// `content-length`.
pub fn put_length(out: &mut Vec<u8>, length: u64) {
    put(out, &[b"content-length: "]);
    put_number(out, length);
    put(out, &[b"\r\n"]);
}

/// One field line.
pub fn put_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    put(out, &[name, b": ", value, b"\r\n"]);
}

/// The fields that a route sets and adds.
pub fn write_added(out: &mut Vec<u8>, edits: &Edits) {
    for (name, value) in edits.set.iter().chain(&edits.add) {
        put_field(out, name.as_bytes(), value.as_bytes());
    }
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Decimal digits, without the formatting machinery: lengths and statuses are on the hot path.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Which of the ordinary fields stay behind: those that `Connection` nominates, and those that the route edits away.
struct Dropper<'a> {
    fields: &'a [Field<'a>],
    /// Most messages nominate nothing but `close` and `keep-alive`, and need no second look at `Connection`.
    nominates: bool,
    edits: &'a Edits,
}

impl<'a> Dropper<'a> {
    fn new(fields: &'a [Field<'a>], nominates: bool, edits: &'a Edits) -> Self {
        Self { fields, nominates, edits }
    }

    fn drops(&self, name: &[u8]) -> bool {
        let is = |other: &[u8]| other.eq_ignore_ascii_case(name);
        (self.nominates && nominated(self.fields).any(is)) || self.edits.replaces(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logic::http1::request;
    use crate::logic::limits::MessageLimits;

    fn onward(head: &str, trusted: bool, edits: &Edits) -> String {
        let head = head.replace('\n', "\r\n");
        let mut room = request::FieldRoom::new();
        let request = request::parse(head.as_bytes(), &MessageLimits::default(), &mut room).unwrap();
        let mut out = Vec::new();
        let onward = Onward {
            target: request.head.target,
            authority: request.head.authority,
            peer: b"192.0.2.1",
            trusted,
            request_id: b"0123",
            edits,
        };
        write_request(&mut out, &request, &onward);
        String::from_utf8(out).unwrap().replace("\r\n", "\n")
    }

    #[test]
    fn a_plain_request_gains_what_the_contract_says() {
        assert_eq!(
            onward(
                "GET /a HTTP/1.1\nHost: x\nAccept: */*\nConnection: keep-alive\n\n",
                false,
                &Edits::default()
            ),
            "GET /a HTTP/1.1\nhost: x\nAccept: */*\nx-forwarded-for: 192.0.2.1\nx-forwarded-proto: http\n\
             x-forwarded-host: x\nx-request-id: 0123\nvia: 1.1 plimsoll\n\n"
        );
    }

    #[test]
    fn hop_by_hop_fields_stay_behind_and_so_do_those_that_connection_names() {
        let sent = onward(
            "GET / HTTP/1.1\nHost: x\nConnection: close, X-Mine, te\nX-Mine: 1\nKeep-Alive: 5\nProxy-Connection: a\n\
             TE: gzip\nUpgrade: h2c\nContent_Length: 5\nProxy-Authorization: b\nKept: yes\n\n",
            false,
            &Edits::default(),
        );
        for gone in ["X-Mine", "Keep-Alive", "Proxy", "te:", "pgrade", "Content_Length"] {
            assert!(!sent.contains(gone), "{gone} in {sent}");
        }
        assert!(sent.contains("Kept: yes\n"));
    }

    #[test]
    fn earlier_hops_are_believed_from_trusted_peers_only() {
        let head = "GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 1.1.1.1\nX-Forwarded-For: 2.2.2.2\n\
                    X-Forwarded-Proto: https\nX-Request-Id: abc\nForwarded: for=1\n\n";
        let trusted = onward(head, true, &Edits::default());
        assert!(trusted.contains("x-forwarded-for: 1.1.1.1, 2.2.2.2, 192.0.2.1\nx-forwarded-proto: https\n"));
        assert!(trusted.contains("x-request-id: abc\n") && trusted.contains("Forwarded: for=1\n"));
        let stranger = onward(head, false, &Edits::default());
        assert!(stranger.contains("x-forwarded-for: 192.0.2.1\nx-forwarded-proto: http\n"));
        assert!(stranger.contains("x-request-id: 0123\n") && !stranger.contains("Forwarded:"));
    }

    #[test]
    fn edits_remove_set_and_add() {
        let edits = Edits {
            remove: vec!["cookie".into()],
            set: vec![("x-a".into(), "new".into())],
            add: vec![("x-b".into(), "second".into())],
        };
        let sent = onward("GET / HTTP/1.1\nHost: x\nCookie: c\nX-A: old\nX-B: first\n\n", false, &edits);
        assert!(!sent.contains("Cookie") && !sent.contains("old"));
        assert!(
            sent.contains("X-B: first\n") && sent.contains("x-a: new\n") && sent.contains("x-b: second\n")
        );
    }

    #[test]
    fn bodies_and_upgrades_are_announced() {
        assert!(
            onward("POST / HTTP/1.1\nHost: x\n\n", false, &Edits::default()).contains("content-length: 0\n")
        );
        let chunked = onward(
            "PUT / HTTP/1.1\nHost: x\nTransfer-Encoding: CHUNKED\nExpect: 100-continue\n\n",
            false,
            &Edits::default(),
        );
        assert!(chunked.contains("transfer-encoding: chunked\nexpect: 100-continue\n"));
        let upgrade = onward(
            "GET / HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\n\n",
            false,
            &Edits::default(),
        );
        assert!(upgrade.contains("connection: upgrade\nupgrade: websocket\n"));
        let trailers = onward("GET / HTTP/1.1\nHost: x\nTE: trailers, gzip\n\n", false, &Edits::default());
        assert!(trailers.contains("connection: te\nte: trailers\n"));
    }
}
