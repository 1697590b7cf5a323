//! A node's response head: parsed as strictly as a request's.

use std::mem::MaybeUninit;

use super::field::{Known, classify, elements, is_connection_option};
use super::framing::{Framing, FramingFields};
use super::request::{FieldRoom, RequestFacts, Version};
use crate::logic::limits::{FIELDS_CEILING, MessageLimits};
use crate::logic::message::{Field, ResponseHead};

/// The response must not be forwarded: the client gets a 502, and the node's connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadResponse;

/// What kind of response it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 1xx but 101: another head follows (RFC 9110, 15.2).
    Interim,
    /// 101: the connection becomes a tunnel.
    Switch,
    /// Everything else.
    Final,
}

/// A response's head and what it means for the connection it came on.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    /// What every protocol has.
    pub head: ResponseHead<'a>,
    /// The reason phrase as received; may be empty.
    pub reason: &'a [u8],
    /// What kind.
    pub kind: Kind,
    /// Where its body ends.
    pub framing: Framing,
    /// `Content-Length` of a response without a body (HEAD, 304): what the body would have been, sent on as it is.
    pub described_length: Option<u64>,
    /// May the node's connection carry another request, if this one ends cleanly?
    pub node_keeps: bool,
    /// Has it a `Date`?
    pub dated: bool,
    /// Seconds of `Keep-Alive: timeout=`.
    pub keep_alive_s: Option<u32>,
    /// Does `Connection` nominate fields of the message?
    pub nominates: bool,
}

/// Parses a head that [`super::head::HeadScanner`] found to be complete.
///
/// # Errors
/// [`BadResponse`] for what breaks the grammar, contradicts itself, or answers something that was not asked.
pub fn parse<'r, 'a: 'r>(
    bytes: &'a [u8],
    request: &RequestFacts,
    limits: &MessageLimits,
    room: &'r mut FieldRoom<'a>,
) -> Result<Response<'r>, BadResponse> {
    let mut headers = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; FIELDS_CEILING];
    let headers = headers.get_mut(..limits.fields_max).ok_or(BadResponse)?;
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut parsed, bytes, headers) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        _ => return Err(BadResponse),
    }
    let status = parsed.code.filter(|code| (100..=999).contains(code)).ok_or(BadResponse)?;
    let reason = parsed.reason.unwrap_or_default().as_bytes();
    let version = if parsed.version == Some(1) { Version::Http11 } else { Version::Http10 };
    room.extend(
        parsed
            .headers
            .iter()
            .map(|header| Field { name: header.name.as_bytes(), value: header.value.trim_ascii() }),
    );
    let fields: &'r [Field<'r>] = room;
    let framing_fields = FramingFields::read(fields).map_err(|_| BadResponse)?;
    if framing_fields.chunked && version == Version::Http10 {
        return Err(BadResponse);
    }
    let kind = kind(status, version, request, framing_fields)?;
    let bodiless = request.is_head || kind != Kind::Final || matches!(status, 204 | 304);
    let framing = if bodiless { Framing::None } else { framing_fields.of_response() };
    let seen = Seen::read(fields);
    // A 204 that announces a body may well send one: its bytes would be taken for the next response.
    let clean = status != 204 || (!framing_fields.chunked && framing_fields.length.unwrap_or(0) == 0);
    Ok(Response {
        head: ResponseHead { status, fields },
        reason,
        kind,
        framing,
        described_length: framing_fields.length.filter(|_| request.is_head || status == 304),
        node_keeps: clean
            && framing != Framing::UntilClose
            && !seen.close
            && (version == Version::Http11 || seen.keep_alive),
        dated: seen.dated,
        keep_alive_s: seen.keep_alive_s,
        nominates: seen.nominates,
    })
}

fn kind(
    status: u16,
    version: Version,
    request: &RequestFacts,
    framing: FramingFields,
) -> Result<Kind, BadResponse> {
    match status {
        // RFC 9110, 15.2: HTTP/1.0 has no 1xx; and none of them may have a body.
        100..=199 if version == Version::Http10 || framing.chunked || framing.length.unwrap_or(0) > 0 => {
            Err(BadResponse)
        }
        101 if request.upgrade => Ok(Kind::Switch),
        101 => Err(BadResponse),
        100..=199 => Ok(Kind::Interim),
        _ => Ok(Kind::Final),
    }
}

#[derive(Default)]
struct Seen {
    close: bool,
    keep_alive: bool,
    nominates: bool,
    dated: bool,
    keep_alive_s: Option<u32>,
}

impl Seen {
    fn read(fields: &[Field<'_>]) -> Self {
        let mut seen = Self::default();
        for field in fields {
            match classify(field.name) {
                Known::Connection => {
                    for option in elements(field.value) {
                        seen.close |= option.eq_ignore_ascii_case(b"close");
                        seen.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                        seen.nominates |= !is_connection_option(option);
                    }
                }
                Known::Date => seen.dated = true,
                Known::HopByHop if field.name.eq_ignore_ascii_case(b"keep-alive") => {
                    seen.keep_alive_s = timeout_of(field.value);
                }
                _ => {}
            }
        }
        seen
    }
}

/// `timeout=5` in a list of parameters.
fn timeout_of(value: &[u8]) -> Option<u32> {
    let seconds = elements(value).find_map(|element| element.strip_prefix(b"timeout="))?;
    std::str::from_utf8(seconds).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: RequestFacts = RequestFacts::GET;

    fn with<R>(
        head: &str,
        request: &RequestFacts,
        check: impl FnOnce(Result<Response<'_>, BadResponse>) -> R,
    ) -> R {
        let head = head.replace('\n', "\r\n");
        let mut room = FieldRoom::new();
        check(parse(head.as_bytes(), request, &MessageLimits::default(), &mut room))
    }

    #[test]
    fn framings() {
        let framing = |head: &str| with(head, &GET, |parsed| parsed.unwrap().framing);
        assert_eq!(framing("HTTP/1.1 200 OK\nContent-Length: 5\n\n"), Framing::Length(5));
        assert_eq!(framing("HTTP/1.1 200\nTransfer-Encoding: chunked\n\n"), Framing::Chunked);
        assert_eq!(framing("HTTP/1.1 200 OK\n\n"), Framing::UntilClose);
        assert_eq!(framing("HTTP/1.1 204 No Content\n\n"), Framing::None);
        assert_eq!(framing("HTTP/1.1 304 Not Modified\nContent-Length: 5\n\n"), Framing::None);
        let head_request = RequestFacts { is_head: true, ..GET };
        with("HTTP/1.1 200 OK\nContent-Length: 5\n\n", &head_request, |parsed| {
            let response = parsed.unwrap();
            assert_eq!((response.framing, response.described_length), (Framing::None, Some(5)));
            assert!(response.node_keeps);
        });
    }

    #[test]
    fn connections_are_kept_only_where_nothing_is_left_on_them() {
        let keeps = |head: &str| with(head, &GET, |parsed| parsed.unwrap().node_keeps);
        assert!(keeps("HTTP/1.1 200 OK\nContent-Length: 5\n\n"));
        assert!(!keeps("HTTP/1.1 200 OK\nContent-Length: 5\nConnection: close\n\n"));
        assert!(!keeps("HTTP/1.0 200 OK\nContent-Length: 5\n\n"));
        assert!(keeps("HTTP/1.0 200 OK\nContent-Length: 5\nConnection: keep-alive\n\n"));
        assert!(!keeps("HTTP/1.1 200 OK\n\n"));
        assert!(!keeps("HTTP/1.1 204 No Content\nContent-Length: 5\n\n"));
        assert!(keeps("HTTP/1.1 204 No Content\nContent-Length: 0\n\n"));
    }

    #[test]
    fn what_was_not_asked_or_is_ambiguous_is_refused() {
        for bad in [
            "HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 5\n\n",
            "HTTP/1.1 200 OK\nContent-Length: 5\nTransfer-Encoding: chunked\n\n",
            "HTTP/1.1 200 OK\nTransfer-Encoding: gzip\n\n",
            "HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n",
            "HTTP/1.1 101 Switching Protocols\nUpgrade: x\nConnection: upgrade\n\n",
            "HTTP/1.0 100 Continue\n\n",
            "HTTP/1.1 100 Continue\nContent-Length: 5\n\n",
            "HTTP/1.1 99 Low\n\n",
            "HTTP/1.1 2000 High\n\n",
            "HTTP/2.0 200 OK\n\n",
            "HTTP/1.1 200 OK\nA : b\n\n",
            "HTTP/1.1 200 OK\nA: b\n folded\n\n",
            "ICY 200 OK\n\n",
        ] {
            assert!(with(bad, &GET, |parsed| parsed.is_err()), "{bad}");
        }
    }

    #[test]
    fn a_switch_needs_a_request_for_it() {
        let asked = RequestFacts { upgrade: true, ..GET };
        with("HTTP/1.1 101 Switching Protocols\nUpgrade: x\n\n", &asked, |parsed| {
            assert_eq!(parsed.unwrap().kind, Kind::Switch);
        });
    }

    #[test]
    fn keep_alive_timeouts_are_read() {
        with("HTTP/1.1 200 OK\nContent-Length: 0\nKeep-Alive: timeout=5, max=100\n\n", &GET, |parsed| {
            assert_eq!(parsed.unwrap().keep_alive_s, Some(5));
        });
    }
}
