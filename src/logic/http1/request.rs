//! A request's head: parsed, and refused where it is malformed, ambiguous, or not for us.

use std::mem::MaybeUninit;

use arrayvec::ArrayVec;

use super::field::{Known, classify, elements, is_connection_option};
use super::framing::{Framing, FramingFields};
use crate::logic::fault::Fault;
use crate::logic::limits::{FIELDS_CEILING, MessageLimits};
use crate::logic::message::{Field, RequestHead, is_idempotent};

/// Room for the fields of one head, on the stack, and not written to before there are any.
pub type FieldRoom<'a> = ArrayVec<Field<'a>, FIELDS_CEILING>;

/// The two versions that are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// What the rest of the exchange must remember of a request once its bytes are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestFacts {
    /// The client's version.
    pub version: Version,
    /// Where its body ends.
    pub framing: Framing,
    /// Does the client want to go on with this connection (RFC 9112, 9.3)?
    pub keep_alive: bool,
    /// Is it a HEAD request, whose response has no body?
    pub is_head: bool,
    /// Is it CONNECT?
    pub is_connect: bool,
    /// May it be sent twice?
    pub idempotent: bool,
    /// Does it expect 100-continue?
    pub expects_continue: bool,
    /// Does it ask for another protocol (RFC 9110, 7.8)?
    pub upgrade: bool,
    /// How many more intermediaries an OPTIONS or TRACE request may pass (RFC 9110, 7.6.2).
    pub hops_left: Option<u32>,
    /// Does the client prefer JSON for what the balancer says itself?
    pub wants_json: bool,
    /// Does `Connection` nominate fields of the message?
    pub nominates: bool,
}

/// A request's head, and what its framing and connection fields mean.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What every protocol has.
    pub head: RequestHead<'a>,
    /// What HTTP/1 adds.
    pub facts: RequestFacts,
}

/// Parses a head that [`super::head::HeadScanner`] found to be complete.
///
/// # Errors
/// The fault that the client is answered with; the connection cannot be trusted after any of them.
pub fn parse<'r, 'a: 'r>(
    bytes: &'a [u8],
    limits: &MessageLimits,
    room: &'r mut FieldRoom<'a>,
) -> Result<Request<'r>, Fault> {
    let mut headers = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; FIELDS_CEILING];
    let headers = headers.get_mut(..limits.fields_max).ok_or(Fault::Internal)?;
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(bytes, headers) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err(Fault::BadRequest),
        Err(httparse::Error::TooManyHeaders) => return Err(Fault::HeadTooLarge),
        Err(httparse::Error::Version) => return Err(version_fault(bytes)),
        Err(_) => return Err(Fault::BadRequest),
    }
    let method = parsed.method.ok_or(Fault::BadRequest)?.as_bytes();
    let raw_target = parsed.path.ok_or(Fault::BadRequest)?.as_bytes();
    let version = if parsed.version == Some(1) { Version::Http11 } else { Version::Http10 };
    // There are no more than `headers` had places for.
    room.extend(
        parsed
            .headers
            .iter()
            .map(|header| Field { name: header.name.as_bytes(), value: header.value.trim_ascii() }),
    );
    let fields: &'r [Field<'r>] = room;
    if raw_target.len() > limits.uri_bytes_max {
        return Err(Fault::UriTooLong);
    }
    let target = Target::parse(method, raw_target)?;
    let seen = Seen::read(fields)?;
    let authority = seen.authority(version, &target)?;
    let facts = facts(method, version, fields, &seen, limits)?;
    Ok(Request { head: RequestHead { method, authority, target: target.origin, fields }, facts })
}

/// A version line that httparse does not know: another version of HTTP, or no HTTP at all.
fn version_fault(bytes: &[u8]) -> Fault {
    let line = bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some([_, ..]), Some([_, ..]), Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]))
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Fault::BadVersion
        }
        _ => Fault::BadRequest,
    }
}

/// The request target in the form that is routed and forwarded.
struct Target<'a> {
    /// From absolute-form or authority-form.
    authority: Option<&'a [u8]>,
    /// Path and query, `*`, or a query alone where the path is empty.
    origin: &'a [u8],
}

impl<'a> Target<'a> {
    /// The four forms of RFC 9112, 3.2.
    fn parse(method: &[u8], raw: &'a [u8]) -> Result<Self, Fault> {
        // No control byte, no space, nothing beyond ASCII (RFC 3986 has it percent-encoded), and no fragment.
        if !raw.iter().all(|&byte| (0x21..0x7f).contains(&byte) && byte != b'#') {
            return Err(Fault::BadRequest);
        }
        match raw {
            _ if method == b"CONNECT" => {
                let port = memchr::memrchr(b':', raw).map(|at| &raw[at + 1..]);
                let valid = is_authority(raw) && port.is_some_and(|port| !port.is_empty());
                if valid { Ok(Self { authority: Some(raw), origin: b"/" }) } else { Err(Fault::BadRequest) }
            }
            [b'/', ..] => Ok(Self { authority: None, origin: raw }),
            b"*" if method == b"OPTIONS" => Ok(Self { authority: None, origin: raw }),
            _ => Self::absolute(method, raw),
        }
    }

    fn absolute(method: &[u8], raw: &'a [u8]) -> Result<Self, Fault> {
        let rest = strip_scheme(raw).ok_or(Fault::BadRequest)?;
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if !is_authority(authority) {
            return Err(Fault::BadHost);
        }
        let origin: &[u8] = match path {
            // RFC 9112, 3.2.4: the last proxy turns an OPTIONS without a path into the asterisk-form.
            [] if method == b"OPTIONS" => b"*",
            [] => b"/",
            // Of an empty path with a query, the query: whoever writes it puts the slash before it (RFC 9112, 3.2.1).
            _ => path,
        };
        Ok(Self { authority: Some(authority), origin })
    }
}

fn strip_scheme(raw: &[u8]) -> Option<&[u8]> {
    let after = |scheme: &str| {
        let head = raw.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme.as_bytes()).then(|| &raw[scheme.len()..])
    };
    after("http://").or_else(|| after("https://"))
}

/// The fields that may appear once, found in one pass.
#[derive(Default)]
struct Seen<'a> {
    host: Option<&'a [u8]>,
    close: bool,
    keep_alive: bool,
    nominates_upgrade: bool,
    nominates: bool,
    upgrade: bool,
    h2c: bool,
    expect: Option<&'a [u8]>,
    accept: Option<&'a [u8]>,
    max_forwards: Option<&'a [u8]>,
}

impl<'a> Seen<'a> {
    fn read(fields: &'a [Field<'a>]) -> Result<Self, Fault> {
        let mut seen = Self::default();
        for field in fields {
            match classify(field.name) {
                Known::Host if seen.host.is_some() => return Err(Fault::BadHost),
                Known::Host => seen.host = Some(field.value),
                Known::Connection => seen.read_connection(field.value),
                Known::Upgrade => {
                    seen.upgrade = true;
                    seen.h2c |= elements(field.value).any(|protocol| protocol.eq_ignore_ascii_case(b"h2c"));
                }
                Known::Expect if seen.expect.is_some() => return Err(Fault::BadExpectation),
                Known::Expect => seen.expect = Some(field.value),
                Known::MaxForwards => seen.max_forwards = Some(field.value),
                Known::Other if field.name.eq_ignore_ascii_case(b"accept") => seen.accept = Some(field.value),
                _ => {}
            }
        }
        Ok(seen)
    }

    fn read_connection(&mut self, value: &[u8]) {
        for option in elements(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.nominates_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
            self.nominates |= !is_connection_option(option);
        }
    }

    /// `Host` is required, single and valid (RFC 9112, 3.2), and an absolute target wins over it.
    fn authority(&self, version: Version, target: &Target<'a>) -> Result<&'a [u8], Fault> {
        match (self.host, version) {
            (Some(host), _) if !is_authority(host) => Err(Fault::BadHost),
            (None, Version::Http11) => Err(Fault::BadHost),
            (host, _) => Ok(target.authority.or(host).unwrap_or_default()),
        }
    }
}

fn facts(
    method: &[u8],
    version: Version,
    fields: &[Field<'_>],
    seen: &Seen<'_>,
    limits: &MessageLimits,
) -> Result<RequestFacts, Fault> {
    let framing_fields = FramingFields::read(fields).map_err(|_| Fault::BadRequest)?;
    // RFC 9112, 6.1: a transfer coding in an HTTP/1.0 message is faulty framing.
    if framing_fields.chunked && version == Version::Http10 {
        return Err(Fault::BadRequest);
    }
    let framing = framing_fields.of_request();
    if let (Framing::Length(length), Some(max)) = (framing, limits.body_bytes_max)
        && length > max
    {
        return Err(Fault::BodyTooLarge);
    }
    let expects_continue = match seen.expect {
        // RFC 9110, 10.1.1: an HTTP/1.0 request's expectation is ignored.
        None => false,
        Some(_) if version == Version::Http10 => false,
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => true,
        Some(_) => return Err(Fault::BadExpectation),
    };
    Ok(RequestFacts {
        version,
        framing,
        keep_alive: !seen.close && (version == Version::Http11 || seen.keep_alive),
        is_head: method == b"HEAD",
        is_connect: method == b"CONNECT",
        idempotent: is_idempotent(method),
        expects_continue,
        // A request with a body cannot switch: where the body ends and the new protocol begins would be a guess.
        // A tunnel of cleartext HTTP/2 would carry requests past every route: h2c is never offered to a node.
        upgrade: seen.upgrade
            && !seen.h2c
            && seen.nominates_upgrade
            && version == Version::Http11
            && framing == Framing::None,
        hops_left: seen.max_forwards.filter(|_| matches!(method, b"OPTIONS" | b"TRACE")).and_then(parse_hops),
        wants_json: seen.accept.is_some_and(prefers_json),
        nominates: seen.nominates,
    })
}

/// Digits only; anything else is not understood, and passed on as it is.
fn parse_hops(value: &[u8]) -> Option<u32> {
    let digits = value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// Whether `Accept` ranks JSON above text (RFC 9110, 12.5.1); of equals, the first named counts. A client that names
/// JSON beside `*/*` means JSON: the wildcard is there for what is neither.
fn prefers_json(accept: &[u8]) -> bool {
    let mut best = (0, false);
    for range in elements(accept) {
        let mut parts = range.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let is_json = ends_with(name, b"/json") || ends_with(name, b"+json");
        let quality = parts.find_map(quality).unwrap_or(1000);
        if (is_json || starts_with(name, b"text/")) && quality > best.0 {
            best = (quality, is_json);
        }
    }
    best.1
}

/// A weight in thousandths; nonsense weighs nothing.
fn quality(parameter: &[u8]) -> Option<u32> {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let (whole, fraction) = value.split_at(value.len().min(1));
    let digits = fraction.strip_prefix(b".").unwrap_or_default();
    let thousandths = (0..3).fold(0, |sum, at| sum * 10 + u32::from(digits.get(at).map_or(0, |d| d & 0x0f)));
    Some(match whole {
        b"1" => 1000,
        b"0" if digits.iter().all(u8::is_ascii_digit) => thousandths,
        _ => 0,
    })
}

fn starts_with(name: &[u8], with: &[u8]) -> bool {
    name.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}

fn ends_with(name: &[u8], with: &[u8]) -> bool {
    name.len().checked_sub(with.len()).is_some_and(|at| name[at..].eq_ignore_ascii_case(with))
}

/// Is this `uri-host [ ":" port ]` (RFC 9110, 7.2), as narrow as real names and addresses are?
///
/// Narrower than RFC 3986's reg-name: no percent-encoding and no sub-delims, which no host name has, and which
/// two parsers could decode differently.
pub fn is_authority(value: &[u8]) -> bool {
    let (host, port) = match value {
        [b'[', ..] => match memchr::memchr(b']', value) {
            Some(end) => (&value[..=end], &value[end + 1..]),
            None => return false,
        },
        _ => value.split_at(memchr::memchr(b':', value).unwrap_or(value.len())),
    };
    is_host(host) && (port.is_empty() || is_port(&port[1..]) && port[0] == b':')
}

fn is_host(host: &[u8]) -> bool {
    match host {
        [b'[', address @ .., b']'] => {
            std::str::from_utf8(address).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
        }
        [] => false,
        _ => {
            host.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
        }
    }
}

fn is_port(port: &[u8]) -> bool {
    !port.is_empty()
        && port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
        && port.iter().fold(0_u32, |total, digit| total * 10 + u32::from(digit - b'0')) <= 65_535
}

#[cfg(test)]
impl RequestFacts {
    /// Those of a plain GET, for the tests of what follows from a request.
    pub(crate) const GET: Self = Self {
        version: Version::Http11,
        framing: Framing::None,
        keep_alive: true,
        is_head: false,
        is_connect: false,
        idempotent: true,
        expects_continue: false,
        upgrade: false,
        hops_left: None,
        wants_json: false,
        nominates: false,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<R>(head: &str, check: impl FnOnce(Result<Request<'_>, Fault>) -> R) -> R {
        let head = head.replace('\n', "\r\n");
        let mut room = FieldRoom::new();
        check(parse(head.as_bytes(), &MessageLimits::default(), &mut room))
    }

    fn fault(head: &str) -> Fault {
        with(head, |parsed| parsed.map(|_| ()).expect_err(head))
    }

    #[test]
    fn a_plain_request() {
        with("GET /a?b=c HTTP/1.1\nHost: x.example:80\nAccept: */*\n\n", |parsed| {
            let request = parsed.unwrap();
            assert_eq!(request.head.method, b"GET");
            assert_eq!(request.head.target, b"/a?b=c");
            assert_eq!(request.head.path(), b"/a");
            assert_eq!(request.head.host(), b"x.example");
            assert!(request.facts.keep_alive && request.facts.idempotent && !request.facts.wants_json);
            assert_eq!(request.facts.framing, Framing::None);
        });
    }

    #[test]
    fn targets() {
        with("GET http://a.example/x HTTP/1.1\nHost: b.example\n\n", |parsed| {
            let head = parsed.unwrap().head;
            assert_eq!((head.authority, head.target), (&b"a.example"[..], &b"/x"[..]));
        });
        with("OPTIONS * HTTP/1.1\nHost: a\n\n", |parsed| assert_eq!(parsed.unwrap().head.target, b"*"));
        with("OPTIONS http://a HTTP/1.1\nHost: a\n\n", |parsed| {
            assert_eq!(parsed.unwrap().head.target, b"*")
        });
        with("GET http://a?b HTTP/1.1\nHost: a\n\n", |parsed| {
            let head = parsed.unwrap().head;
            assert_eq!((head.target, head.path()), (&b"?b"[..], &b""[..]));
        });
        with("CONNECT a:443 HTTP/1.1\nHost: a:443\n\n", |parsed| assert!(parsed.unwrap().facts.is_connect));
        for bad in [
            "GET * HTTP/1.1\nHost: a\n\n",
            "GET a HTTP/1.1\nHost: a\n\n",
            "GET ftp://a/ HTTP/1.1\nHost: a\n\n",
            "GET /a#b HTTP/1.1\nHost: a\n\n",
            "GET /\u{e9} HTTP/1.1\nHost: a\n\n",
            "GET  / HTTP/1.1\nHost: a\n\n",
            "GET /\n\n",
            "GET / HTTP/1.1 \nHost: a\n\n",
            "GET / http/1.1\nHost: a\n\n",
            "CONNECT a HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\nHost : a\n\n",
            "GET / HTTP/1.1\nHost: a\n b\n\n",
            "GET / HTTP/1.1\nHost: a\n: b\n\n",
            "GET / HTTP/1.1\nHost: a\nA: \u{1}\n\n",
        ] {
            assert_eq!(fault(bad), Fault::BadRequest, "{bad}");
        }
    }

    #[test]
    fn hosts() {
        for bad in [
            "GET / HTTP/1.1\n\n",
            "GET / HTTP/1.1\nHost: a\nHost: a\n\n",
            "GET / HTTP/1.1\nHost:\n\n",
            "GET / HTTP/1.1\nHost: a b\n\n",
            "GET / HTTP/1.1\nHost: a,b\n\n",
            "GET / HTTP/1.1\nHost: a/b\n\n",
            "GET / HTTP/1.1\nHost: a@b\n\n",
            "GET / HTTP/1.1\nHost: a:b\n\n",
            "GET / HTTP/1.1\nHost: a:99999\n\n",
            "GET / HTTP/1.1\nHost: [::1\n\n",
            "GET / HTTP/1.1\nHost: [x]\n\n",
            "GET / HTTP/1.0\nHost: a b\n\n",
            "GET http://u@a/ HTTP/1.1\nHost: a\n\n",
        ] {
            assert_eq!(fault(bad), Fault::BadHost, "{bad}");
        }
        with("GET / HTTP/1.0\n\n", |parsed| assert_eq!(parsed.unwrap().head.authority, b""));
        with("GET / HTTP/1.1\nHost: [::1]:80\n\n", |parsed| {
            assert_eq!(parsed.unwrap().head.host(), b"[::1]")
        });
    }

    #[test]
    fn versions() {
        assert_eq!(fault("GET / HTTP/2.0\nHost: a\n\n"), Fault::BadVersion);
        assert_eq!(fault("PRI * HTTP/2.0\n\n"), Fault::BadVersion);
        assert_eq!(fault("GET / HTTP/1.2\nHost: a\n\n"), Fault::BadVersion);
        assert_eq!(fault("GET / HTTP/11\nHost: a\n\n"), Fault::BadRequest);
        assert_eq!(fault("GET /a b HTTP/1.1\nHost: a\n\n"), Fault::BadRequest);
        assert_eq!(fault("GET /  HTTP/1.1\nHost: a\n\n"), Fault::BadRequest);
    }

    #[test]
    fn connections_go_on_as_the_version_says() {
        let keeps = |head: &str| with(head, |parsed| parsed.unwrap().facts.keep_alive);
        assert!(keeps("GET / HTTP/1.1\nHost: a\n\n"));
        assert!(!keeps("GET / HTTP/1.1\nHost: a\nConnection: foo, Close\n\n"));
        assert!(!keeps("GET / HTTP/1.0\n\n"));
        assert!(keeps("GET / HTTP/1.0\nConnection: Keep-Alive\n\n"));
        assert!(!keeps("GET / HTTP/1.0\nConnection: keep-alive, close\n\n"));
    }

    #[test]
    fn bodies_and_expectations() {
        assert_eq!(fault("POST / HTTP/1.0\nTransfer-Encoding: chunked\n\n"), Fault::BadRequest);
        assert_eq!(fault("POST / HTTP/1.1\nHost: a\nExpect: 200-ok\n\n"), Fault::BadExpectation);
        with("POST / HTTP/1.1\nHost: a\nExpect: 100-Continue\nContent-Length: 5\n\n", |parsed| {
            let facts = parsed.unwrap().facts;
            assert!(facts.expects_continue && facts.framing == Framing::Length(5) && !facts.idempotent);
        });
        let limits = MessageLimits { body_bytes_max: Some(4), fields_max: 3, ..MessageLimits::default() };
        let mut room = FieldRoom::new();
        let long = parse(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", &limits, &mut room);
        assert_eq!(long.map(|_| ()), Err(Fault::BodyTooLarge));
        let mut room = FieldRoom::new();
        let many = parse(b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\nE: f\r\n\r\n", &limits, &mut room);
        assert_eq!(many.map(|_| ()), Err(Fault::HeadTooLarge));
    }

    #[test]
    fn cleartext_http_2_is_never_asked_for() {
        let asks = |protocols: &str| {
            let head = format!("GET / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: {protocols}\n\n");
            with(&head, |parsed| parsed.unwrap().facts.upgrade)
        };
        assert!(asks("websocket"));
        assert!(!asks("h2c") && !asks("websocket, H2C"));
    }

    #[test]
    fn json_is_for_those_who_prefer_it() {
        assert!(prefers_json(b"application/json"));
        assert!(prefers_json(b"application/problem+json;q=0.9, */*"));
        assert!(!prefers_json(b"text/html, application/json"));
        assert!(!prefers_json(b"*/*"));
        assert!(prefers_json(b"text/plain;q=0.1, Application/JSON;q=0.9"));
        assert!(!prefers_json(b"application/json; q=0.25, text/plain; q=0.5"));
        assert!(!prefers_json(b"application/json;q=0"));
        assert!(!prefers_json(b"application/json;q=x, json, "));
    }
}
