//! Who a request is from, as far as it is believed.

use std::net::{IpAddr, SocketAddr};

use super::message::Field;

/// The peer; or, where it is a trusted proxy, the last address of `X-Forwarded-For` that is no trusted one.
///
/// Read from right to left: each hop adds the one before it at the end, so the first entry that is none of ours is the
/// nearest to the truth, and all that stands to its left is hearsay. `None` for a peer on a unix socket that says nothing.
pub fn client_address(
    peer: Option<IpAddr>,
    peer_is_trusted: bool,
    fields: &[Field<'_>],
    trusts: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    if !peer_is_trusted {
        return peer;
    }
    let forwarded = fields.iter().rev().filter(|field| field.name.eq_ignore_ascii_case(b"x-forwarded-for"));
    let mut nearest = peer;
    for entry in forwarded.flat_map(|field| field.value.rsplit(|&byte| byte == b',')) {
        let Some(address) = read(entry) else { break };
        nearest = Some(address);
        if !trusts(address) {
            break;
        }
    }
    nearest
}

/// An address, as some proxies write it: also in brackets, and with its port.
fn read(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?.trim();
    let bracketed = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address: IpAddr = match bracketed.unwrap_or(entry).parse() {
        Ok(address) => address,
        Err(_) => entry.parse::<SocketAddr>().ok()?.ip(),
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(peer_is_trusted: bool, forwarded: &[&str]) -> String {
        let fields: Vec<_> = forwarded
            .iter()
            .map(|value| Field { name: b"X-Forwarded-For", value: value.as_bytes() })
            .collect();
        let peer = Some("10.0.0.1".parse().unwrap());
        let ours = |address: IpAddr| address.to_string().starts_with("10.");
        client_address(peer, peer_is_trusted, &fields, ours).unwrap().to_string()
    }

    #[test]
    fn ports_and_brackets_are_understood() {
        assert_eq!(client(true, &["1.2.3.4:5555"]), "1.2.3.4");
        assert_eq!(client(true, &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(client(true, &["9.9.9.9, [2001:db8::1]:443, 10.0.0.2:80"]), "2001:db8::1");
        assert_eq!(client(true, &["9.9.9.9, 1.2.3.4:port"]), "10.0.0.1");
    }

    #[test]
    fn strangers_are_not_believed() {
        assert_eq!(client(false, &["1.1.1.1"]), "10.0.0.1");
    }

    #[test]
    fn the_last_hop_that_is_not_ours_is_the_client() {
        assert_eq!(client(true, &["6.6.6.6, 1.1.1.1, 10.0.0.7"]), "1.1.1.1");
        assert_eq!(client(true, &["6.6.6.6", "1.1.1.1", "10.0.0.7"]), "1.1.1.1");
        assert_eq!(client(true, &["10.0.0.9"]), "10.0.0.9");
        assert_eq!(client(true, &["::ffff:1.1.1.1"]), "1.1.1.1");
    }

    #[test]
    fn what_is_no_address_ends_the_chain() {
        assert_eq!(client(true, &["1.1.1.1, unknown, 10.0.0.7"]), "10.0.0.7");
        assert_eq!(client(true, &[]), "10.0.0.1");
    }

    #[test]
    fn a_peer_on_a_unix_socket_that_says_nothing_is_nobody() {
        assert_eq!(client_address(None, false, &[], |_| true), None);
    }

    proptest! {
        #[test]
        fn fields_of_any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let fields = [Field { name: b"x-forwarded-for", value: &bytes }];
            client_address(None, true, &fields, |_| true);
        }
    }
}
