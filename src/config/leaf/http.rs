//! Parts of HTTP messages: methods, hosts, paths, fields, statuses.

use super::address::check_name;
use super::{Leaf, Trouble};
use crate::config::quoted;
use crate::logic::limits::PATH_PATTERN_BYTES_MAX;
use crate::logic::path;
use crate::logic::route;

/// A method, case-sensitive (RFC 9110, 9.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Method(pub(in crate::config) Box<str>);

/// A pattern of hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Host(pub(in crate::config) route::HostPattern);

/// A pattern of paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct PathPattern(pub(in crate::config) route::PathPattern);

/// The beginning of a path, without its last slash: `None` for `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct PathPrefix(pub(in crate::config) Option<Box<str>>);

/// A target to ask a node for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct AbsolutePath(pub(in crate::config) Box<str>);

/// What is sent as `Host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Authority(pub(in crate::config) Box<str>);

/// The name of a field that an edit may touch, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct FieldName(pub(in crate::config) Box<str>);

/// A field's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct FieldValue(pub(in crate::config) Box<str>);

/// Where a redirect leads, with `{path}`, `{query}` and `{host}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct RedirectTo(pub(in crate::config) Box<str>);

/// Ranges of statuses: `200`, `200-399`, `200,301-308`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Statuses(pub(in crate::config) Vec<(u16, u16)>);

/// Fields that belong to one connection (RFC 9110, 7.6.1).
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Leaf for Method {
    const FORMAT: &'static str = "method";
    const MEANING: &'static str = "a method such as `GET`";

    fn read(text: &str) -> Result<Self, Trouble> {
        let upper = text.to_ascii_uppercase();
        if !is_token(text) {
            return Err(
                Trouble::new(format!("{} is not a method", quoted(text))).help("write `GET`, `POST`, ...")
            );
        }
        if upper != text {
            return Err(Trouble::new(format!("the method {} is not in upper case", quoted(text)))
                .help(format!("methods are case-sensitive: did you mean `{upper}`?")));
        }
        if upper == "CONNECT" {
            return Err(
                Trouble::new("CONNECT is never forwarded").help("remove it: a tcp listener makes tunnels")
            );
        }
        Ok(Self(text.into()))
    }
}

impl Leaf for Host {
    const FORMAT: &'static str = "host-pattern";
    const MEANING: &'static str = "a host such as `example.com` or `*.example.com`";

    fn read(text: &str) -> Result<Self, Trouble> {
        if text == "*" {
            return Ok(Self(route::HostPattern::Any));
        }
        let lower = text.to_ascii_lowercase();
        let host = lower.strip_suffix('.').unwrap_or(&lower);
        if let Some(inside) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            let address = inside.parse::<std::net::Ipv6Addr>();
            address.map_err(|_| Trouble::new(format!("{} is not an IPv6 address", quoted(text))))?;
            return Ok(Self(route::HostPattern::Exact(host.into())));
        }
        if let Some(suffix) = host.strip_prefix('*') {
            let name =
                suffix.strip_prefix('.').filter(|name| !name.contains('*')).ok_or_else(|| wildcard(text))?;
            check_host(name)?;
            return Ok(Self(route::HostPattern::Suffix(suffix.into())));
        }
        check_host(host)?;
        Ok(Self(route::HostPattern::Exact(host.into())))
    }
}

fn check_host(host: &str) -> Result<(), Trouble> {
    if host.contains('*') {
        return Err(wildcard(host));
    }
    if host.contains('/') {
        return Err(Trouble::new(format!("the host {} is a URL", quoted(host)))
            .help("write the name alone, such as `example.com`"));
    }
    if let Some((name, _)) = host.split_once(':') {
        return Err(Trouble::new(format!("the host {} has a port", quoted(host)))
            .help(format!("write {}: the route's `listeners` tell ports apart", quoted(name))));
    }
    if host.parse::<std::net::Ipv4Addr>().is_ok() {
        return Ok(());
    }
    check_name(host)
}

fn wildcard(text: &str) -> Trouble {
    Trouble::new(format!("{} has its `*` in the wrong place", quoted(text)))
        .help("a `*` stands for the whole first label: `*.example.com`")
}

impl Leaf for PathPattern {
    const FORMAT: &'static str = "path-pattern";
    const MEANING: &'static str = "a path such as `/health`, or a prefix such as `/api/*`";

    fn read(text: &str) -> Result<Self, Trouble> {
        if text.len() > PATH_PATTERN_BYTES_MAX {
            return Err(Trouble::new(format!("a path has at most {PATH_PATTERN_BYTES_MAX} bytes")));
        }
        let bad = || Trouble::new(format!("{} is not a path to match", quoted(text)));
        if !text.starts_with('/') {
            return Err(bad().help(match text {
                "*" | "" => "did you mean `/*`?".into(),
                _ if text.contains("://") => "a path begins with `/`; use `host` for the host".into(),
                _ => format!("a path begins with `/`: did you mean {}?", quoted(&format!("/{text}"))),
            }));
        }
        route::PathPattern::parse(text).map(Self).map_err(|_| bad().help(pattern_help(text)))
    }
}

fn pattern_help(text: &str) -> String {
    let stem = text.trim_end_matches(['*', '/']);
    if text.contains('?') {
        "a path has no query: only paths are matched".into()
    } else if stem.contains('*') {
        "a `*` stands at the end alone: `/api/*`".into()
    } else if text.contains('*') {
        format!("a prefix ends where a segment ends: did you mean {}?", quoted(&format!("{stem}/*")))
    } else {
        "it has a `#`, a backslash, a control byte, a broken `%` escape or a `..` above the root: no request \
         with it is ever let through"
            .into()
    }
}

impl Leaf for PathPrefix {
    const FORMAT: &'static str = "path-prefix";
    const MEANING: &'static str = "a path such as `/api`";

    fn read(text: &str) -> Result<Self, Trouble> {
        check_path(text)?;
        if text.contains('*') {
            let trouble = Trouble::new(format!("the prefix {} has a `*`", quoted(text)));
            return Err(trouble
                .help(format!("a prefix is a path: did you mean `{}`?", text.trim_end_matches(['*', '/']))));
        }
        let mut buffer = vec![0; text.len()];
        let normal = path::normalise(text.as_bytes(), &mut buffer).map_err(|_| ambiguous(text))?;
        let mut encoded = Vec::new();
        path::encode(normal.path(), &mut encoded);
        if encoded != text.as_bytes() {
            let trouble = Trouble::new(format!("the prefix {} is not in its normal form", quoted(text)));
            return Err(trouble.help(format!("write `{}`", String::from_utf8_lossy(&encoded))));
        }
        let path = text.trim_end_matches('/');
        Ok(Self((!path.is_empty()).then(|| path.into())))
    }
}

impl Leaf for AbsolutePath {
    const FORMAT: &'static str = "absolute-path";
    const MEANING: &'static str = "a path such as `/healthz`";

    fn read(text: &str) -> Result<Self, Trouble> {
        check_path(text)?;
        Ok(Self(text.into()))
    }
}

fn check_path(text: &str) -> Result<(), Trouble> {
    if !text.starts_with('/') {
        let trouble = Trouble::new(format!("the path {} does not begin with `/`", quoted(text)));
        return Err(trouble.help(format!("did you mean {}?", quoted(&format!("/{text}")))));
    }
    if text.len() > PATH_PATTERN_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ambiguous(text));
    }
    Ok(())
}

fn ambiguous(text: &str) -> Trouble {
    Trouble::new(format!("{} is not a path that can be sent", quoted(text))).help(format!(
        "printable ASCII, at most {PATH_PATTERN_BYTES_MAX} bytes; anything else as `%` escapes"
    ))
}

impl Leaf for Authority {
    const FORMAT: &'static str = "authority";
    const MEANING: &'static str = "a host such as `api.internal`, with or without a port";

    fn read(text: &str) -> Result<Self, Trouble> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (text, None),
        };
        let good_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        match Host::read(host).map(|host| host.0) {
            Ok(route::HostPattern::Exact(_)) if good_port => Ok(Self(text.into())),
            _ => Err(Trouble::new(format!("{} cannot be sent as a host", quoted(text)))
                .help(format!("write {}", Self::MEANING))),
        }
    }
}

impl Leaf for FieldName {
    const FORMAT: &'static str = "field-name";
    const MEANING: &'static str = "a field name such as `x-team`";

    fn read(text: &str) -> Result<Self, Trouble> {
        let name = field_name(text)?;
        let refuse = |why: &str, help: &str| Err(Trouble::new(format!("{} {why}", quoted(text))).help(help));
        match &*name {
            "content-length" | "transfer-encoding" => {
                refuse("says how long a message is, which only the balancer can", "remove this edit")
            }
            "host" => refuse("cannot be edited as a field", "use `rewrite.host`"),
            "expect" => refuse("belongs to the exchange with the client", "remove this edit"),
            one if HOP_BY_HOP.contains(&one) => {
                refuse("belongs to one connection and is never forwarded", "remove this edit")
            }
            _ => Ok(Self(name)),
        }
    }
}

/// Any field's name, in lower case.
pub(in crate::config) fn field_name(text: &str) -> Result<Box<str>, Trouble> {
    if is_token(text) {
        return Ok(text.to_ascii_lowercase().into());
    }
    let trouble = Trouble::new(format!("{} is not a name of a header field", quoted(text)));
    Err(trouble.help("letters, digits and any of !#$%&'*+-.^_`|~ (RFC 9110, 5.6.2)"))
}

impl Leaf for FieldValue {
    const FORMAT: &'static str = "field-value";
    const MEANING: &'static str = "a field's value";

    fn read(text: &str) -> Result<Self, Trouble> {
        if text.bytes().any(|byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f) {
            return Err(Trouble::new("a header field's value holds a control byte")
                .help("line ends and other control bytes are never sent: write the value on one line"));
        }
        if text.trim_matches([' ', '\t']).len() != text.len() {
            return Err(Trouble::new("a header field's value begins or ends with white space")
                .help("receivers drop it: remove it"));
        }
        Ok(Self(text.into()))
    }
}

impl Leaf for RedirectTo {
    const FORMAT: &'static str = "redirect-to";
    const MEANING: &'static str = "a URL such as `https://example.com{path}{query}`";

    fn read(text: &str) -> Result<Self, Trouble> {
        let absolute = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let local = (text.starts_with('/') && !text.starts_with("//")) || text.starts_with("{path}");
        if !local && absolute.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Err(Trouble::new(format!("{} is not a place to redirect to", quoted(text)))
                .help("begin with `https://`, `http://`, `/` or `{path}`"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`|".contains(&byte)) {
            return Err(Trouble::new(format!("{} holds what no URL may hold", quoted(text)))
                .help("write blanks and special characters as `%` escapes"));
        }
        check_braces(text)?;
        Ok(Self(text.into()))
    }
}

fn check_braces(text: &str) -> Result<(), Trouble> {
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        rest = &rest[at..];
        let name = ["{path}", "{query}", "{host}"].into_iter().find(|name| rest.starts_with(name));
        let name = name.ok_or_else(|| {
            let end = rest.find('}').map_or(rest.len(), |end| end + 1);
            Trouble::new(format!("{} stands for nothing here", quoted(&rest[..end])))
                .help("there are `{path}`, `{query}` and `{host}`; write `%7B` and `%7D` for braces")
        })?;
        rest = &rest[name.len()..];
    }
    Ok(())
}

impl Leaf for Statuses {
    const FORMAT: &'static str = "statuses";
    const MEANING: &'static str = "statuses such as `200-399` or `200,204`";

    fn read(text: &str) -> Result<Self, Trouble> {
        let wrong = || Trouble::new(format!("expected {}, found {}", Self::MEANING, quoted(text)));
        let status =
            |text: &str| text.trim().parse::<u16>().ok().filter(|status| (100..=599).contains(status));
        let range = |part: &str| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let (from, to) = (status(from)?, status(to)?);
            (from <= to).then_some((from, to))
        };
        text.split(',').map(range).collect::<Option<Vec<_>>>().map(Self).ok_or_else(wrong)
    }
}

/// RFC 9110, 5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_tchar)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble<L: Leaf + std::fmt::Debug>(text: &str) -> String {
        let trouble = L::read(text).unwrap_err();
        format!("{} / {}", trouble.message, trouble.help.unwrap_or_default())
    }

    #[test]
    fn hosts_have_at_most_a_leading_wildcard() {
        use route::HostPattern::{Any, Exact, Suffix};
        assert_eq!(Host::read("*").unwrap().0, Any);
        assert_eq!(Host::read("*.Example.com").unwrap().0, Suffix(".example.com".into()));
        assert_eq!(Host::read("example.com.").unwrap().0, Exact("example.com".into()));
        assert_eq!(Host::read("10.0.0.1").unwrap().0, Exact("10.0.0.1".into()));
        assert_eq!(Host::read("[::1]").unwrap().0, Exact("[::1]".into()));
        assert!(trouble::<Host>("a.*.com").contains("wrong place"));
        assert!(trouble::<Host>("*example.com").contains("wrong place"));
        assert!(trouble::<Host>("*.*.com").contains("wrong place"));
        assert!(trouble::<Host>("example.com:80").contains("write `example.com`"));
        assert!(trouble::<Host>("bücher.example").contains("xn--"));
        assert!(Host::read("").is_err());
    }

    #[test]
    fn a_wrong_path_is_told_what_was_meant() {
        assert!(trouble::<PathPattern>("/api*").contains("`/api/*`"));
        assert!(trouble::<PathPattern>("api").contains("`/api`"));
        assert!(trouble::<PathPattern>("*").contains("`/*`"));
        assert!(trouble::<PathPattern>("/a/*/b").contains("at the end alone"));
        assert!(trouble::<PathPattern>("/a?b=c").contains("no query"));
        assert!(trouble::<PathPattern>("/../a").contains("above the root"));
    }

    #[test]
    fn edits_leave_framing_and_connections_alone() {
        for name in ["Connection", "te", "Transfer-Encoding", "content-length", "host", "Expect", "upgrade"] {
            assert!(FieldName::read(name).is_err(), "{name}");
        }
        assert_eq!(FieldName::read("X-Team").unwrap().0, "x-team".into());
        assert!(FieldName::read("x team").is_err());
        assert!(FieldName::read("").is_err());
        assert!(FieldValue::read("a\r\nb: c").is_err());
        assert!(FieldValue::read(" a").is_err());
        assert!(FieldValue::read("").is_ok());
    }

    #[test]
    fn redirects_lead_somewhere() {
        for good in [
            "https://example.com{path}",
            "https://{host}{path}{query}",
            "/new",
            "{path}",
            "http://a/?b={path}",
        ] {
            assert!(RedirectTo::read(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "example.com",
            "//evil",
            "https://",
            "https:///x",
            "https://a/{paht}",
            "https://a/}",
            "https://a b",
            "javascript:x",
            "/\\evil",
            "/a\nb",
        ] {
            assert!(RedirectTo::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_are_in_their_normal_form() {
        assert_eq!(PathPrefix::read("/api/").unwrap().0, Some("/api".into()));
        assert_eq!(PathPrefix::read("/").unwrap().0, None);
        assert!(trouble::<PathPrefix>("/api/*").contains("`/api`"));
        assert!(trouble::<PathPrefix>("/a/../b").contains("`/b`"));
        assert!(trouble::<PathPrefix>("api").contains("`/api`"));
        assert!(PathPrefix::read("/a b").is_err());
    }

    #[test]
    fn statuses_are_ranges() {
        assert_eq!(Statuses::read("200-399").unwrap().0, [(200, 399)]);
        assert_eq!(Statuses::read("200, 301-308").unwrap().0, [(200, 200), (301, 308)]);
        for bad in ["", "399-200", "99", "600", "2xx", "200-", "200,,300"] {
            assert!(Statuses::read(bad).is_err(), "{bad}");
        }
    }
}
