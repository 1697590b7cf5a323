//! What requests are told apart by: `hash_key:` in the configuration.

use std::net::IpAddr;

use super::table::hash;
use crate::logic::message::{Field, RequestHead, find};

/// What `consistent_hash` goes by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HashKey {
    /// The client's address; of an IPv6 address the first half, as a client has the other half to itself.
    #[default]
    ClientIp,
    /// The path as received, without the query.
    Path,
    /// The first field of this name, in lower case.
    Header(Box<str>),
    /// The first cookie of this name.
    Cookie(Box<str>),
}

impl HashKey {
    /// The key of a request; `None` where it has no such field or cookie, or comes over a unix socket without an address.
    /// `client` is asked only where it is needed.
    pub fn of(&self, head: &RequestHead<'_>, client: impl FnOnce() -> Option<IpAddr>) -> Option<u64> {
        match self {
            Self::ClientIp => client().map(of_address),
            Self::Path => Some(hash(head.path())),
            Self::Header(name) => find(head.fields, name).map(hash),
            Self::Cookie(name) => cookie(head.fields, name).map(hash),
        }
    }
}

fn of_address(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => hash(&address.octets()),
        IpAddr::V6(address) => hash(&address.octets()[..8]),
    }
}

/// The value of the first cookie of this name (RFC 6265, 4.2.1). Names compare with regard to case.
pub fn cookie<'a>(fields: &[Field<'a>], name: &str) -> Option<&'a [u8]> {
    let lines = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(b"cookie"));
    let mut pairs = lines.flat_map(|line| line.value.split(|&byte| byte == b';'));
    pairs.find_map(|pair| {
        let value = pair.trim_ascii_start().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(value.trim_ascii_end())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &HashKey, fields: &[(&str, &str)]) -> Option<u64> {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        let head = RequestHead { method: b"GET", authority: b"x", target: b"/a?b", fields: &fields };
        key.of(&head, || "2001:db8::1".parse().ok())
    }

    #[test]
    fn each_key_is_what_it_says() {
        assert_eq!(key(&HashKey::Path, &[]), Some(hash(b"/a")));
        assert_eq!(key(&HashKey::Header("x-user".into()), &[("X-User", "eve")]), Some(hash(b"eve")));
        assert_eq!(key(&HashKey::Header("x-user".into()), &[]), None);
        assert_eq!(key(&HashKey::Cookie("id".into()), &[("Cookie", "a=1; id=7")]), Some(hash(b"7")));
        assert_eq!(key(&HashKey::ClientIp, &[]), Some(of_address("2001:db8::2".parse().unwrap())));
        assert_ne!(key(&HashKey::ClientIp, &[]), Some(of_address("2001:db9::1".parse().unwrap())));
        assert_eq!(of_address("::ffff:1.2.3.4".parse().unwrap()), of_address("1.2.3.4".parse().unwrap()));
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let field = |value| Field { name: b"cookie", value };
        assert_eq!(cookie(&[field(b"xlb=1; lb=2; lb=3")], "lb"), Some(&b"2"[..]));
        assert_eq!(cookie(&[field(b"a=1"), field(b"lb=4")], "lb"), Some(&b"4"[..]));
        assert_eq!(cookie(&[field(b"lbx=1; lb")], "lb"), None);
        assert_eq!(cookie(&[field(b";;=;lb=")], "lb"), Some(&b""[..]));
    }

    #[test]
    fn hashes_never_change() {
        // Other processes, and other versions, must send a client to the same node.
        assert_eq!(hash(b"192.0.2.1"), HASH_OF_AN_ADDRESS);
    }

    const HASH_OF_AN_ADDRESS: u64 = 16_355_775_772_071_226_681;
}
