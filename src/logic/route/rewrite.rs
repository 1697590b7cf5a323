//! How a request's target changes on its way to a node.

use super::Rewrite;
use crate::logic::path;

/// Appends the target that goes to the node: `strip_prefix` taken away, `add_prefix` put before, the query kept.
///
/// The path is forwarded as it was spelled. Only where the prefix shows in the normal form alone (`/%61pi/x`,
/// `/x/../api/y`), or the rest by itself means something else (`/api/../api/y`, or what begins with two slashes and reads as a
/// host), does it go out in its normal form, so that what is forwarded is what was matched.
pub fn rewrite_target(rewrite: &Rewrite, target: &[u8], out: &mut Vec<u8>) {
    if target == b"*" || (rewrite.strip_prefix.is_none() && rewrite.add_prefix.is_none()) {
        return out.extend_from_slice(target);
    }
    let (path, query) = target.split_at(memchr::memchr(b'?', target).unwrap_or(target.len()));
    let start = out.len();
    out.extend_from_slice(rewrite.add_prefix.as_deref().unwrap_or_default().as_bytes());
    match &rewrite.strip_prefix {
        Some(prefix) => strip(path, prefix.as_bytes(), out),
        None => out.extend_from_slice(path),
    }
    if out.len() == start {
        out.push(b'/');
    }
    out.extend_from_slice(query);
}

fn strip(path: &[u8], prefix: &[u8], out: &mut Vec<u8>) {
    let plain = path::is_normal(path);
    if plain && let Some(rest) = rest(path, prefix) {
        return out.extend_from_slice(rest);
    }
    if !plain {
        let mut buffer = vec![0; path.len()];
        if let Ok(normal) = path::normalise(path, &mut buffer)
            && let Some(normal_rest) = rest(normal.path(), prefix)
        {
            return match rest(path, prefix) {
                Some(raw_rest) if means(raw_rest, normal_rest) => out.extend_from_slice(raw_rest),
                _ => path::encode(normal_rest, out),
            };
        }
    }
    out.extend_from_slice(path);
}

/// Is this the normal form of `raw`?
fn means(raw: &[u8], normal: &[u8]) -> bool {
    let mut buffer = vec![0; raw.len()];
    !raw.starts_with(b"//") && path::normalise(raw, &mut buffer).is_ok_and(|own| own.path() == normal)
}

/// What follows the prefix, where it ends with a segment.
fn rest<'a>(path: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    path.strip_prefix(prefix).filter(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(strip: Option<&str>, add: Option<&str>, target: &str) -> String {
        let rewrite =
            Rewrite { strip_prefix: strip.map(Into::into), add_prefix: add.map(Into::into), host: None };
        let mut out = Vec::new();
        rewrite_target(&rewrite, target.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_prefix_is_stripped_at_the_end_of_a_segment() {
        for (target, expected) in [
            ("/api/x", "/x"),
            ("/api", "/"),
            ("/api/", "/"),
            ("/api?q=/api", "/?q=/api"),
            ("/apix", "/apix"),
            ("/other", "/other"),
            ("/api/a%20b?c", "/a%20b?c"),
            ("/api/a%2Fb", "/a%2Fb"),
            ("/%61pi/a%20b", "/a%20b"),
            ("/x/../api/y", "/y"),
            ("/api/../api/caf%c3%a9", "/caf%C3%A9"),
            ("/api/x/../../b", "/api/x/../../b"),
            ("/api//evil.example", "/evil.example"),
            ("/api/a//b", "/a//b"),
            ("/api/a/./b", "/a/./b"),
            ("/api/a/../b", "/a/../b"),
            ("/api/a/../../api/b", "/b"),
            ("/api/a%2fb//c%41", "/a%2fb//c%41"),
            ("*", "*"),
        ] {
            assert_eq!(rewritten(Some("/api"), None, target), expected, "{target}");
        }
    }

    #[test]
    fn a_prefix_is_added_after_stripping() {
        assert_eq!(rewritten(Some("/api"), Some("/v1"), "/api/x?y"), "/v1/x?y");
        assert_eq!(rewritten(Some("/api"), Some("/v1"), "/api"), "/v1");
        assert_eq!(rewritten(None, Some("/v1"), "/x"), "/v1/x");
        assert_eq!(rewritten(None, Some("/v1"), "?x"), "/v1?x");
        assert_eq!(rewritten(None, None, "/x"), "/x");
    }
}
