//! The head of a request, read with `httparse` alone: a witness must not use the balancer's parser.
//!
//! It keeps offsets into the connection's buffer, so that the plain path copies nothing.

use std::{mem::MaybeUninit, ops::Range};

/// The longest head that a node reads, in bytes.
pub(crate) const HEAD_MAX: usize = 64 << 10;
/// The most header fields that a head may hold.
const FIELDS_MAX: usize = 128;

/// What the node needs to know of a head; the rest stays in the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The head's bytes, with the empty line.
    pub(crate) len: usize,
    /// Where the method stands, from the head's first byte.
    pub(crate) method: Range<usize>,
    /// Where the request target stands.
    pub(crate) target: Range<usize>,
    /// HTTP/1.x: the x.
    pub(crate) minor: u8,
    /// Whether the connection may carry another request (RFC 9112 section 9.3).
    pub(crate) keep_alive: bool,
    /// What follows the head.
    pub(crate) body: Body,
    /// The client waits for `100 Continue` (RFC 9110 section 10.1.1).
    pub(crate) expects_continue: bool,
    /// The key of a WebSocket handshake, where this is one (RFC 6455 section 4.2.1).
    pub(crate) websocket_key: Option<Range<usize>>,
}

/// The framing of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// This many bytes; 0 where there is none.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
}

/// Why a head was refused; each becomes one response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not HTTP/1, or framing that could be read in two ways: 400.
    Malformed,
    /// Too long or too many fields: 431.
    TooLarge,
    /// A transfer coding other than chunked: 501.
    UnknownCoding,
}

impl Refusal {
    /// The status that answers it.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::TooLarge => 431,
            Self::UnknownCoding => 501,
        }
    }
}

impl Head {
    /// Reads the head at the start of `bytes`; `None` when it has not arrived whole.
    ///
    /// # Errors
    /// [`Refusal`] when these bytes cannot become a request that a node answers.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, Refusal> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut []);
        let len = match request.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete(len)) if len <= HEAD_MAX => len,
            Ok(httparse::Status::Partial) if bytes.len() < HEAD_MAX => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLarge),
            Err(_) => return Err(Refusal::Malformed),
        };
        let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
        else {
            return Err(Refusal::Malformed);
        };
        let mut head = Self {
            len,
            method: place(bytes, method.as_bytes()),
            target: place(bytes, target.as_bytes()),
            minor,
            keep_alive: minor == 1,
            body: Body::Length(0),
            expects_continue: false,
            websocket_key: None,
        };
        head.read_fields(bytes, request.headers)?;
        Ok(Some(head))
    }

    /// The method's bytes in the buffer that the head was read from.
    pub(crate) fn method<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.method.clone()]
    }

    /// The target's text in the buffer that the head was read from.
    pub(crate) fn target<'a>(&self, bytes: &'a [u8]) -> &'a str {
        std::str::from_utf8(&bytes[self.target.clone()]).unwrap_or_default()
    }

    fn read_fields(&mut self, bytes: &[u8], fields: &[httparse::Header<'_>]) -> Result<(), Refusal> {
        let mut length = None;
        let (mut chunked, mut upgrade, mut key) = (false, false, None);
        for field in fields {
            let value = field.value;
            // The length tells most names apart without a comparison of bytes.
            match field.name.len() {
                6 if is(field, "expect") => {
                    self.expects_continue = value.eq_ignore_ascii_case(b"100-continue")
                }
                7 if is(field, "upgrade") => upgrade |= value.eq_ignore_ascii_case(b"websocket"),
                10 if is(field, "connection") => self.read_connection(value),
                14 if is(field, "content-length") => {
                    let found = decimal(value).ok_or(Refusal::Malformed)?;
                    if length.replace(found).is_some_and(|before| before != found) {
                        return Err(Refusal::Malformed);
                    }
                }
                17 if is(field, "transfer-encoding") => {
                    if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                        return Err(Refusal::UnknownCoding);
                    }
                    chunked = true;
                }
                17 if is(field, "sec-websocket-key") => key = Some(place(bytes, value)),
                _ => {}
            }
        }
        self.body = match (chunked, length) {
            (true, Some(_)) => return Err(Refusal::Malformed),
            (true, None) => Body::Chunked,
            (false, length) => Body::Length(length.unwrap_or(0)),
        };
        self.websocket_key = key.filter(|_| upgrade);
        Ok(())
    }

    fn read_connection(&mut self, value: &[u8]) {
        for option in value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.keep_alive = false;
            } else if self.minor == 0 && option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            }
        }
    }
}

/// Every field of a head that was already read, for the echo: names as they came, values byte for byte.
pub(crate) fn fields(head: &[u8]) -> Vec<(String, String)> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    if request.parse(head).is_err() {
        return Vec::new();
    }
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    request.headers.iter().map(|field| (field.name.to_owned(), text(field.value))).collect()
}

fn is(field: &httparse::Header<'_>, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(name)
}

/// Where `part` stands in `bytes`, which it is a part of.
fn place(bytes: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr() as usize - bytes.as_ptr() as usize;
    start..start + part.len()
}

/// A number in decimal digits and nothing else (RFC 9110 section 8.6).
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u64::from(b - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<Head>, Refusal> {
        Head::parse(text.as_bytes())
    }

    #[test]
    fn a_head_is_read_in_place() {
        let text =
            "POST /a?b=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello";
        let head = parse(text).unwrap().unwrap();
        assert_eq!(head.method(text.as_bytes()), b"POST");
        assert_eq!(head.target(text.as_bytes()), "/a?b=1");
        assert_eq!((head.body, head.keep_alive, head.expects_continue), (Body::Length(5), true, true));
        assert_eq!(&text[head.len..], "hello");
    }

    #[test]
    fn every_prefix_of_a_head_is_partial() {
        let text = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(parse(&text[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn connections_persist_as_the_version_and_the_field_say() {
        let keeps = |version: &str, field: &str| {
            parse(&format!("GET / HTTP/{version}\r\nConnection: {field}\r\n\r\n"))
                .unwrap()
                .unwrap()
                .keep_alive
        };
        assert!(keeps("1.1", "x") && keeps("1.0", "Keep-Alive"));
        assert!(!keeps("1.1", "x, CLOSE") && !keeps("1.0", "x"));
    }

    #[test]
    fn framing_that_can_be_read_in_two_ways_is_refused() {
        let refused = |fields: &str| parse(&format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n")).unwrap_err();
        assert_eq!(refused("Content-Length: 1\r\nContent-Length: 2"), Refusal::Malformed);
        assert_eq!(refused("Content-Length: +1"), Refusal::Malformed);
        assert_eq!(refused("Content-Length: 99999999999999999999"), Refusal::Malformed);
        assert_eq!(refused("Content-Length: 1\r\nTransfer-Encoding: chunked"), Refusal::Malformed);
        assert_eq!(refused("Transfer-Encoding: gzip, chunked"), Refusal::UnknownCoding);
        assert_eq!(parse(&"x".repeat(HEAD_MAX)), Err(Refusal::TooLarge));
        assert_eq!(refused(&"a: b\r\n".repeat(FIELDS_MAX + 1)), Refusal::TooLarge);
        assert_eq!(parse("\u{1}\u{2} / HTTP/1.1\r\n\r\n"), Err(Refusal::Malformed));
    }
}
