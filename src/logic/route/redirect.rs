//! Where a redirect leads.

use crate::logic::message::RequestHead;
use crate::logic::path::{escape, is_path_byte};

/// Appends the value of `location`: `{path}`, `{query}` (with its `?`, empty without one) and `{host}` (without its
/// port) of the request put into `to`, which was checked when the file was read.
///
/// What the client sent cannot break out: only bytes that a URI may hold are copied, all others are escaped, and a
/// path that begins with several slashes has one of them, so that it never reads as another host.
pub fn redirect_location(to: &str, head: &RequestHead<'_>, out: &mut Vec<u8>) {
    let mut rest = to;
    while let Some(at) = rest.find('{') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        let (name, tail) = rest.split_once('}').map_or((rest, ""), |(name, tail)| (&name[1..], tail));
        fill(name, head, out);
        rest = tail;
    }
    out.extend_from_slice(rest.as_bytes());
}

fn fill(name: &str, head: &RequestHead<'_>, out: &mut Vec<u8>) {
    match name {
        "path" => copy_path(head.path(), out),
        "query" => {
            copy(&head.target[head.path().len()..], |byte| is_path_byte(byte) || b"/?%".contains(&byte), out)
        }
        // No `@`: what stands before it would not be the host.
        "host" => copy(head.host(), |byte| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte), out),
        _ => {}
    }
}

fn copy_path(path: &[u8], out: &mut Vec<u8>) {
    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
    out.push(b'/');
    if path != b"*" {
        copy(&path[slashes..], |byte| is_path_byte(byte) || b"/%".contains(&byte), out);
    }
}

fn copy(bytes: &[u8], allowed: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    for &byte in bytes {
        if allowed(byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&escape(byte));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(to: &str, authority: &[u8], target: &[u8]) -> String {
        let head = RequestHead { method: b"GET", authority, target, fields: &[] };
        let mut out = Vec::new();
        redirect_location(to, &head, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_request_is_put_in() {
        assert_eq!(location("https://a.b{path}", b"x", b"/old/1?q=2"), "https://a.b/old/1");
        assert_eq!(
            location("https://a.b{path}{query}", b"x", b"/old/1?q=2&r=%20"),
            "https://a.b/old/1?q=2&r=%20"
        );
        assert_eq!(location("https://{host}{path}{query}", b"x.org:8080", b"/"), "https://x.org/");
        assert_eq!(location("https://{host}/", b"[::1]:80", b"*"), "https://[::1]/");
        assert_eq!(location("{path}", b"x", b"*"), "/");
    }

    #[test]
    fn the_client_cannot_write_a_header_or_another_host() {
        assert_eq!(location("{path}", b"x", b"//evil.example/"), "/evil.example/");
        assert_eq!(location("{path}", b"x", b"/\\evil\r\nset-cookie: a"), "/%5Cevil%0D%0Aset-cookie:%20a");
        assert_eq!(location("{query}", b"x", b"/?a\"<b>\xff"), "?a%22%3Cb%3E%FF");
        assert_eq!(location("https://{host}", b"a/b@c d", b"/"), "https://a%2Fb%40c%20d");
    }
}
