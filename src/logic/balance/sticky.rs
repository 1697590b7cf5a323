//! Sticky sessions: a cookie that names the node which a client was given, signed, over any strategy.
//!
//! The cookie's value is the HMAC-SHA-256 (RFC 2104) of the node's id: it tells nothing of the node's address, and a client
//! cannot make one up for a node that it was never given. All values are computed once for a set of nodes: a request costs
//! a look into a sorted list, and no cryptography.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::key::cookie;
use crate::logic::message::Field;

/// Bytes of the signature that a cookie carries: eight to find the node by, sixteen to prove it.
const TOKEN_BYTES: usize = 24;
const FOUND_BY: usize = 8;
/// As hexadecimal digits.
const TOKEN_DIGITS: usize = TOKEN_BYTES * 2;

/// The cookies of one backend's nodes.
pub struct Sticky {
    cookie: Box<str>,
    /// By the place of the node.
    tokens: Vec<Token>,
    /// Places of nodes, sorted by their tokens.
    sorted: Vec<u16>,
}

type Token = [u8; TOKEN_BYTES];

/// The tokens are as good as the secret for who wants to choose a node.
impl std::fmt::Debug for Sticky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sticky").field("cookie", &self.cookie).field("nodes", &self.tokens.len()).finish()
    }
}

impl Sticky {
    /// Cookies of this name for nodes with these ids, at most `NODES_MAX` of them.
    pub fn new<'a>(cookie: &str, secret: &[u8], ids: impl Iterator<Item = &'a str>) -> Self {
        let tokens: Vec<_> = ids.map(|id| sign(secret, id)).collect();
        let mut sorted: Vec<_> = (0..tokens.len()).filter_map(|at| u16::try_from(at).ok()).collect();
        sorted.sort_by_key(|&at| tokens[usize::from(at)]);
        Self { cookie: cookie.into(), tokens, sorted }
    }

    /// The place of the node that the request's cookie names; `None` without a cookie, or with one that nobody signed.
    pub fn node(&self, fields: &[Field<'_>]) -> Option<u16> {
        let token = read(cookie(fields, &self.cookie)?)?;
        let found_by = |at: &u16| self.tokens[usize::from(*at)].first_chunk::<FOUND_BY>().copied();
        let place =
            self.sorted.binary_search_by_key(&token.first_chunk::<FOUND_BY>().copied(), found_by).ok()?;
        let at = self.sorted[place];
        is_same(&self.tokens[usize::from(at)], &token).then_some(at)
    }

    /// Adds the `set-cookie` of node `at` to a head that ends with its empty line.
    pub fn give(&self, at: u16, head: &mut Vec<u8>) {
        let Some(token) = self.tokens.get(usize::from(at)) else { return };
        if !head.ends_with(b"\r\n\r\n") {
            return;
        }
        head.truncate(head.len() - 2);
        head.extend_from_slice(b"set-cookie: ");
        head.extend_from_slice(self.cookie.as_bytes());
        head.push(b'=');
        token.iter().for_each(|byte| head.extend([byte >> 4, byte & 15].map(digit)));
        head.extend_from_slice(b"; Path=/; HttpOnly; SameSite=Lax\r\n\r\n");
    }
}

fn sign(secret: &[u8], id: &str) -> Token {
    let mut token = [0; TOKEN_BYTES];
    // HMAC takes keys of every length.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) {
        mac.update(id.as_bytes());
        token.copy_from_slice(&mac.finalize().into_bytes()[..TOKEN_BYTES]);
    }
    token
}

fn read(text: &[u8]) -> Option<Token> {
    if text.len() != TOKEN_DIGITS {
        return None;
    }
    let mut token = [0; TOKEN_BYTES];
    for (byte, digits) in token.iter_mut().zip(text.chunks_exact(2)) {
        *byte = value(digits[0])? << 4 | value(digits[1])?;
    }
    Some(token)
}

fn digit(half: u8) -> u8 {
    b"0123456789abcdef"[usize::from(half & 15)]
}

/// Of a digit as we write it: another way to write the same cookie would be another cookie.
fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Looks at every byte, whatever the first ones are: the time it takes tells nothing of how much was right.
fn is_same(one: &Token, other: &Token) -> bool {
    one.iter().zip(other).fold(0, |difference, (one, other)| difference | (one ^ other)) == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDS: [&str; 3] = ["api/10.0.0.1:80", "api/10.0.0.2:80", "api/10.0.0.3:80"];

    fn sticky(secret: &[u8], ids: &[&str]) -> Sticky {
        Sticky::new("lb", secret, ids.iter().copied())
    }

    /// The cookie as a client sends it back.
    fn given(sticky: &Sticky, at: u16) -> String {
        let mut head = b"HTTP/1.1 200 OK\r\nvia: 1.1 x\r\n\r\n".to_vec();
        sticky.give(at, &mut head);
        let head = String::from_utf8(head).unwrap();
        assert!(head.ends_with("; Path=/; HttpOnly; SameSite=Lax\r\n\r\n"), "{head}");
        let (_, rest) = head.split_once("via: 1.1 x\r\nset-cookie: ").unwrap();
        rest.split(';').next().unwrap().to_owned()
    }

    fn node(sticky: &Sticky, cookies: &str) -> Option<u16> {
        sticky.node(&[Field { name: b"Cookie", value: cookies.as_bytes() }])
    }

    #[test]
    fn each_node_is_found_by_its_cookie() {
        let sticky = sticky(b"secret", &IDS);
        for at in 0..3 {
            assert_eq!(node(&sticky, &format!("a=b; {}", given(&sticky, at))), Some(at));
        }
        assert_eq!(sticky.node(&[]), None);
    }

    #[test]
    fn a_node_keeps_its_cookie_where_others_come_and_go() {
        let before = given(&sticky(b"secret", &IDS), 2);
        let after = sticky(b"secret", &IDS[2..]);
        assert_eq!(node(&after, &before), Some(0));
        assert_eq!(node(&after, &given(&sticky(b"secret", &IDS), 0)), None);
    }

    #[test]
    fn what_another_secret_signed_leads_nowhere() {
        assert_eq!(node(&sticky(b"secret", &IDS), &given(&sticky(b"other", &IDS), 1)), None);
    }

    proptest! {
        #[test]
        fn one_wrong_digit_is_enough(at in 0_u16..3, place in 0..TOKEN_DIGITS, wrong in any::<u8>()) {
            let sticky = sticky(b"secret", &IDS);
            let mut cookie = given(&sticky, at).into_bytes();
            let digit = &mut cookie["lb=".len() + place];
            prop_assume!(*digit != wrong && wrong != b';' && !wrong.is_ascii_whitespace());
            *digit = wrong;
            prop_assert_eq!(sticky.node(&[Field { name: b"cookie", value: &cookie }]), None);
        }

        #[test]
        fn hostile_cookies_lead_nowhere(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let sticky = sticky(b"secret", &IDS);
            let line = [b"lb=", &value[..]].concat();
            prop_assert_eq!(sticky.node(&[Field { name: b"cookie", value: &line }]), None);
        }
    }
}
