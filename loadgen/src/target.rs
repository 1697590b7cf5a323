//! The URLs of the command line.

use std::path::PathBuf;

/// What is spoken with a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// Messages over a WebSocket, echoed.
    WebSocket,
    /// Bytes over TCP.
    Tcp,
}

impl Protocol {
    /// Its name in the result.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::WebSocket => "websocket",
            Self::Tcp => "tcp",
        }
    }
}

/// Where a target lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Host (name or address, without brackets) and port.
    Tcp(String, u16),
    /// Path of a socket.
    Unix(PathBuf),
}

/// One URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetUrl {
    /// As typed, without the weight.
    pub url: String,
    /// Its share of the requests, against the others.
    pub weight: u32,
    /// What is spoken.
    pub protocol: Protocol,
    /// Where.
    pub place: Place,
    /// Value of the host header.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

/// The highest weight.
const WEIGHT_MAX: u32 = 1000;

impl TargetUrl {
    /// Reads `[WEIGHT@]URL`.
    ///
    /// # Errors
    /// What is wrong with it and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (weight, url) = split_weight(text)?;
        if let Some(bad) = url.chars().find(|c| c.is_ascii_control() || *c == ' ') {
            return Err(format!("`{}` holds {bad:?}: write it as %{:02X}", url.escape_debug(), bad as u32));
        }
        let (protocol, rest) = split_scheme(url)?;
        let rest = rest.split('#').next().unwrap_or("");
        let target = match rest.strip_prefix("unix:") {
            Some(unix) => Self::unix(protocol, unix)?,
            None => Self::tcp(protocol, rest)?,
        };
        Ok(Self { url: url.to_owned(), weight, ..target })
    }

    /// `/run/x.sock` or `/run/x.sock:/path`.
    fn unix(protocol: Protocol, rest: &str) -> Result<Self, String> {
        let (socket, path) = match rest.split_once(":/") {
            Some((socket, path)) => (socket, format!("/{path}")),
            None => (rest, "/".to_owned()),
        };
        if socket.is_empty() {
            return Err("unix: needs the path of a socket, as unix:/run/x.sock:/path".to_owned());
        }
        let place = Place::Unix(PathBuf::from(socket));
        Ok(Self { url: String::new(), weight: 1, protocol, place, authority: "localhost".into(), path })
    }

    fn tcp(protocol: Protocol, rest: &str) -> Result<Self, String> {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if authority.contains('@') {
            return Err("a user name in the URL is not sent: use -a USER:PASSWORD".to_owned());
        }
        if protocol == Protocol::Tcp && path != "/" {
            return Err(format!("tcp:// has no path, but here is `{path}`"));
        }
        let place = split_port(protocol, authority)?;
        Ok(Self { url: String::new(), weight: 1, protocol, place, authority: authority.to_owned(), path })
    }
}

fn split_weight(text: &str) -> Result<(u32, &str), String> {
    let Some((weight, url)) = text.split_once('@') else { return Ok((1, text)) };
    if weight.is_empty() || !weight.bytes().all(|byte| byte.is_ascii_digit()) {
        return match weight.parse::<f64>() {
            Ok(_) => {
                Err(format!("`{weight}` before the @: weights are whole numbers from 1 to {WEIGHT_MAX}"))
            }
            Err(_) => Ok((1, text)),
        };
    }
    match weight.parse() {
        Ok(weight) if (1..=WEIGHT_MAX).contains(&weight) => Ok((weight, url)),
        _ => Err(format!("the weight `{weight}` of `{url}` is not from 1 to {WEIGHT_MAX}")),
    }
}

fn split_scheme(url: &str) -> Result<(Protocol, &str), String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Ok((Protocol::Http, url));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((Protocol::Http, rest)),
        "ws" => Ok((Protocol::WebSocket, rest)),
        "tcp" => Ok((Protocol::Tcp, rest)),
        "https" | "wss" => Err(format!("`{url}`: TLS is not spoken here; ask the plain port instead")),
        // A path of a Unix target may hold anything.
        _ if url.starts_with("unix:") => Ok((Protocol::Http, url)),
        _ => Err(format!("`{scheme}://` is none of http://, ws://, tcp://, unix:")),
    }
}

fn split_port(protocol: Protocol, authority: &str) -> Result<Place, String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) =
                rest.split_once(']').ok_or_else(|| format!("`{authority}` lacks the closing `]`"))?;
            (host, after)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    if host.is_empty() {
        return Err(format!("`{authority}` names no host (IPv6 addresses stand in brackets, as [::1]:8080)"));
    }
    let number = match (port.strip_prefix(':'), protocol) {
        (Some(number), _) => number.parse().ok().filter(|&number| number > 0),
        (None, Protocol::Tcp) => return Err(format!("tcp://{authority} needs a port")),
        (None, _) if port.is_empty() => Some(80),
        (None, _) => None,
    };
    let port = number.ok_or_else(|| {
        format!("`{authority}` has no valid port (IPv6 addresses stand in brackets, as [::1]:8080)")
    })?;
    Ok(Place::Tcp(host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> TargetUrl {
        TargetUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn the_usual_urls() {
        let target = parse("http://example.com:8080/a?b=c#d");
        assert_eq!(target.place, Place::Tcp("example.com".into(), 8080));
        assert_eq!((&*target.authority, &*target.path), ("example.com:8080", "/a?b=c"));
        assert_eq!(parse("localhost:90").place, Place::Tcp("localhost".into(), 90));
        assert_eq!(parse("http://h?x").path, "/?x");
        assert_eq!(parse("http://h").place, Place::Tcp("h".into(), 80));
        assert_eq!(parse("ws://h/echo").protocol, Protocol::WebSocket);
        assert_eq!(parse("tcp://h:7").protocol, Protocol::Tcp);
    }

    #[test]
    fn ipv6_stands_in_brackets() {
        let target = parse("http://[::1]:8080/");
        assert_eq!((target.place, &*target.authority), (Place::Tcp("::1".into(), 8080), "[::1]:8080"));
    }

    #[test]
    fn unix_sockets_with_and_without_a_path() {
        for (text, path) in [
            ("unix:/run/x.sock", "/"),
            ("unix:/run/x.sock:/a/b?c", "/a/b?c"),
            ("http://unix:/run/x.sock:/y", "/y"),
        ] {
            let target = parse(text);
            assert_eq!((target.place, &*target.path), (Place::Unix("/run/x.sock".into()), path), "{text}");
        }
    }

    #[test]
    fn weights_stand_before_an_at_sign() {
        let target = parse("3@http://a/x@y");
        assert_eq!((target.weight, &*target.url, &*target.path), (3, "http://a/x@y", "/x@y"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("https://h/", "TLS"),
            ("ftp://h/", "none of"),
            ("http://", "no host"),
            ("http://h:0/", "port"),
            ("http://h:99999/", "port"),
            ("http://::1/", "brackets"),
            ("http://[::1/", "closing"),
            ("http://u:p@h/", "-a"),
            ("tcp://h", "port"),
            ("tcp://h:1/x", "no path"),
            ("0@http://h/", "weight"),
            ("1.5@http://h/", "weights are whole numbers"),
            ("-2@http://h/", "weights are whole numbers"),
            ("http://h/a b", "%20"),
            ("http://h/\r\nx: y", "%0D"),
            ("unix:", "path"),
        ] {
            let error = TargetUrl::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
