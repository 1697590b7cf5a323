//! The fields that an intermediary must know, and the lists inside their values.

use crate::logic::message::Field;

/// A field that means something to an intermediary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// RFC 9110, 7.2.
    Host,
    /// RFC 9110, 7.6.1.
    Connection,
    /// RFC 9110, 8.6.
    ContentLength,
    /// RFC 9112, 6.1.
    TransferEncoding,
    /// RFC 9110, 10.1.4.
    Te,
    /// RFC 9110, 7.8.
    Upgrade,
    /// RFC 9110, 10.1.1.
    Expect,
    /// RFC 9110, 6.6.1.
    Date,
    /// RFC 9110, 7.6.2.
    MaxForwards,
    /// Hop-by-hop by name, whether or not `Connection` says so: `Keep-Alive`, `Proxy-Connection`, `HTTP2-Settings`,
    /// `Proxy-Authenticate`, `Proxy-Authorization`, `Proxy-Authentication-Info`.
    HopByHop,
    /// What says where a request came from: `X-Forwarded-For`.
    ForwardedFor,
    /// `X-Forwarded-Proto`.
    ForwardedProto,
    /// `X-Forwarded-Host`.
    ForwardedHost,
    /// What else claims an origin, and is believed from trusted proxies only: `Forwarded`, `X-Real-IP`, `X-Forwarded-Port`, ...
    ForwardedOther,
    /// `X-Request-Id`.
    RequestId,
    /// A name that turns into one of the above where a gateway maps `_` to `-` (CGI, WSGI, PHP do): never forwarded.
    Lookalike,
    /// Everything else.
    Other,
}

/// What a field name means. Names compare without regard to case.
pub fn classify(name: &[u8]) -> Known {
    let known = exact(name);
    if known == Known::Other && memchr::memchr(b'_', name).is_some() && resembles(name) {
        return Known::Lookalike;
    }
    known
}

/// By length first: most fields of most requests are told apart without comparing a byte.
fn exact(name: &[u8]) -> Known {
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    match name.len() {
        2 if is("te") => Known::Te,
        4 if is("host") => Known::Host,
        4 if is("date") => Known::Date,
        6 if is("expect") => Known::Expect,
        7 if is("upgrade") => Known::Upgrade,
        9 if is("forwarded") || is("x-real-ip") => Known::ForwardedOther,
        10 if is("connection") => Known::Connection,
        10 if is("keep-alive") => Known::HopByHop,
        12 if is("x-request-id") => Known::RequestId,
        12 if is("max-forwards") => Known::MaxForwards,
        14 if is("content-length") => Known::ContentLength,
        14 if is("http2-settings") => Known::HopByHop,
        15 if is("x-forwarded-for") => Known::ForwardedFor,
        15 if is("x-forwarded-ssl") => Known::ForwardedOther,
        16 if is("proxy-connection") => Known::HopByHop,
        16 if is("x-forwarded-host") => Known::ForwardedHost,
        16 if is("x-forwarded-port") => Known::ForwardedOther,
        17 if is("transfer-encoding") => Known::TransferEncoding,
        17 if is("x-forwarded-proto") => Known::ForwardedProto,
        18 if is("proxy-authenticate") || is("x-forwarded-prefix") || is("x-forwarded-scheme") => {
            match name[0] | 0x20 {
                b'p' => Known::HopByHop,
                _ => Known::ForwardedOther,
            }
        }
        18 if is("x-forwarded-server") => Known::ForwardedOther,
        19 if is("proxy-authorization") => Known::HopByHop,
        25 if is("proxy-authentication-info") => Known::HopByHop,
        _ => Known::Other,
    }
}

/// Would the name be one of the known ones if its underscores were dashes?
fn resembles(name: &[u8]) -> bool {
    let mut dashed = [0; 32];
    let Some(dashed) = dashed.get_mut(..name.len()) else { return false };
    for (to, from) in dashed.iter_mut().zip(name) {
        *to = if *from == b'_' { b'-' } else { *from };
    }
    exact(dashed) != Known::Other
}

/// The elements of a comma-separated list (RFC 9110, 5.6.1), white space removed, empty ones skipped.
pub fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// The names that `Connection` fields nominate as hop-by-hop.
pub fn nominated<'a>(fields: &'a [Field<'a>]) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(|field| classify(field.name) == Known::Connection)
        .flat_map(|field| elements(field.value))
}

/// Says this element of `Connection` something of the connection itself? All others nominate fields that stay on this hop.
pub fn is_connection_option(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"close")
        || name.eq_ignore_ascii_case(b"keep-alive")
        || name.eq_ignore_ascii_case(b"upgrade")
}

/// Is this byte allowed in a token (RFC 9110, 5.6.2)?
pub fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Is this byte allowed in a field value (RFC 9110, 5.5)? Control bytes but the tab are not.
pub fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case() {
        assert_eq!(classify(b"Transfer-Encoding"), Known::TransferEncoding);
        assert_eq!(classify(b"CONTENT-LENGTH"), Known::ContentLength);
        assert_eq!(classify(b"x-custom"), Known::Other);
        assert_eq!(classify(b"proxy-authenticate"), Known::HopByHop);
        assert_eq!(classify(b"X-Forwarded-Prefix"), Known::ForwardedOther);
    }

    #[test]
    fn underscores_do_not_smuggle_a_known_name() {
        assert_eq!(classify(b"Content_Length"), Known::Lookalike);
        assert_eq!(classify(b"x_forwarded-for"), Known::Lookalike);
        assert_eq!(classify(b"Transfer_Encoding"), Known::Lookalike);
        assert_eq!(classify(b"my_header"), Known::Other);
        assert_eq!(classify(&[b'_'; 100]), Known::Other);
    }

    #[test]
    fn lists_skip_empty_elements() {
        let elements: Vec<_> = elements(b" a, ,b ,,\tc").collect();
        assert_eq!(elements, [b"a", b"b", b"c"]);
    }
}
