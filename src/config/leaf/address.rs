//! Where to listen, where servers are, whom to trust.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::{Leaf, Trouble};
use crate::config::quoted;
use crate::config::settings::{BindAddress, ServerHost};

/// Bytes of `sun_path` without its end (unix(7)).
const UNIX_PATH_BYTES_MAX: usize = 107;

/// `127.0.0.1:8080`, `[::1]:8080`, `:8080` (every IPv4 address), `unix:/run/x.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Bind(pub(in crate::config) BindAddress);

/// As a bind, but never a unix socket: pages are read from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct AdminBind(pub(in crate::config) SocketAddr);

/// `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Cidr(pub(in crate::config) IpNet);

/// `http://host:port` and its kin.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::config) struct ServerUrl {
    pub(in crate::config) scheme: Scheme,
    pub(in crate::config) host: ServerHost,
}

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::config) enum Scheme {
    Http,
    Https,
    Tcp,
    Udp,
}

impl Leaf for Bind {
    const FORMAT: &'static str = "bind";
    const MEANING: &'static str = "an address such as `127.0.0.1:8080`, `:8080` or `unix:/run/x.sock`";

    fn read(text: &str) -> Result<Self, Trouble> {
        match text.strip_prefix("unix:") {
            Some(path) => unix_path(path).map(|path| Self(BindAddress::Unix(path))),
            None => socket_address(text).map(|address| Self(BindAddress::Tcp(address))),
        }
    }
}

impl Leaf for AdminBind {
    const FORMAT: &'static str = "admin-bind";
    const MEANING: &'static str = "an address such as `127.0.0.1:9900`";

    fn read(text: &str) -> Result<Self, Trouble> {
        socket_address(text).map(Self)
    }
}

impl Leaf for Cidr {
    const FORMAT: &'static str = "cidr";
    const MEANING: &'static str = "a network such as `10.0.0.0/8`, or one address";

    fn read(text: &str) -> Result<Self, Trouble> {
        let address = || text.parse::<IpAddr>().map(IpNet::from).ok();
        let network = text.parse::<IpNet>().ok().or_else(address).ok_or_else(|| {
            Trouble::new(format!("{} is not a network", quoted(text)))
                .help(format!("write {}", Self::MEANING))
        })?;
        if network.addr() != network.network() {
            let trouble = Trouble::new(format!("{} has bits set behind its prefix", quoted(text)));
            return Err(trouble.help(format!("did you mean `{}` or `{}`?", network.trunc(), network.addr())));
        }
        Ok(Self(network))
    }
}

impl Leaf for ServerUrl {
    const FORMAT: &'static str = "server-url";
    const MEANING: &'static str = "a URL such as `http://10.0.0.1:8080` or `unix:/run/app.sock`";

    fn read(text: &str) -> Result<Self, Trouble> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self { scheme: Scheme::Http, host: ServerHost::Unix(unix_path(path)?) });
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| no_scheme(text))?;
        let (scheme, port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Scheme::Http, Some(80)),
            "https" => (Scheme::Https, Some(443)),
            "tcp" => (Scheme::Tcp, None),
            "udp" => (Scheme::Udp, None),
            _ => {
                let trouble = Trouble::new(format!("the scheme {} is not known", quoted(scheme)));
                return Err(trouble.help("servers are `http://`, `https://`, `tcp://`, `udp://` or `unix:`"));
            }
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        Ok(Self { scheme, host: host_and_port(rest, port, text)? })
    }
}

/// Reads `host`, `host:port`, `[v6]:port`.
fn host_and_port(rest: &str, default_port: Option<u16>, text: &str) -> Result<ServerHost, Trouble> {
    if rest.contains(['/', '?', '#']) {
        let trouble = Trouble::new(format!("the server {} has a path", quoted(text)));
        return Err(trouble.help("a server is an address: use the route's `rewrite.add_prefix` for a path"));
    }
    if rest.contains('@') {
        return Err(Trouble::new(format!("the server {} has a user name", quoted(text)))
            .help("send credentials with the route's `request_headers`"));
    }
    let (host, port) = split_port(rest).ok_or_else(|| wrong_server(text))?;
    let port = match port {
        Some(port) => {
            Some(port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| wrong_port(port))?)
        }
        None => default_port,
    };
    let port = port.ok_or_else(|| Trouble::new(format!("the server {} has no port", quoted(text))))?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(host).parse::<IpAddr>() {
        return match (address, bare) {
            (IpAddr::V4(_), Some(_)) => Err(wrong_server(text)),
            _ => Ok(ServerHost::Address(SocketAddr::new(address, port))),
        };
    }
    check_name(host)?;
    Ok(ServerHost::Name(host.to_ascii_lowercase().into(), port))
}

/// Splits off `:port`; a colon inside brackets is no port's.
fn split_port(rest: &str) -> Option<(&str, Option<&str>)> {
    if let Some(end) = rest.find(']') {
        let (host, port) = rest.split_at(end + 1);
        return match port.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None if port.is_empty() => Some((host, None)),
            None => None,
        };
    }
    match rest.split_once(':') {
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
        None => Some((rest, None)),
    }
}

/// A host name: letters, digits, `-`, and the `_` that container names have.
pub(super) fn check_name(name: &str) -> Result<(), Trouble> {
    let good = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let bare = name.strip_suffix('.').unwrap_or(name);
    let last = bare.rsplit('.').next().unwrap_or_default();
    if bare.len() > 253 || !bare.split('.').all(good) {
        let trouble = Trouble::new(format!("{} is not a host name", quoted(name)));
        return Err(match name.is_ascii() {
            true => trouble,
            false => trouble.help("write an international name in its ASCII form (`xn--...`)"),
        });
    }
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Trouble::new(format!("{} is neither an IP address nor a host name", quoted(name))));
    }
    Ok(())
}

fn socket_address(text: &str) -> Result<SocketAddr, Trouble> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    if let Some(port) = text.strip_prefix(':') {
        let port = port.parse().map_err(|_| wrong_port(port))?;
        return Ok(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port));
    }
    let trouble = Trouble::new(format!("{} is not an address to listen on", quoted(text)));
    Err(match text.rsplit_once(':') {
        _ if text.parse::<u16>().is_ok() => trouble.help(format!("did you mean `:{text}`?")),
        _ if text.parse::<IpAddr>().is_ok() => {
            trouble.help("an address needs a port: `127.0.0.1:8080`, `[::1]:8080`")
        }
        Some(("*", port)) => trouble.help(format!("did you mean {}?", quoted(&format!(":{port}")))),
        Some(("localhost", port)) => {
            trouble.help(format!("did you mean {}?", quoted(&format!("127.0.0.1:{port}"))))
        }
        _ => trouble
            .help("write an IP address and a port: `127.0.0.1:8080`, `[::1]:8080`, or `:8080` for all IPv4"),
    })
}

fn unix_path(path: &str) -> Result<PathBuf, Trouble> {
    if !path.starts_with('/') {
        let trouble = Trouble::new(format!("the unix socket {} has no absolute path", quoted(path)));
        return Err(trouble.help("write `unix:/run/plimsoll.sock`"));
    }
    if path.len() > UNIX_PATH_BYTES_MAX || path.contains('\0') {
        return Err(Trouble::new(format!("a unix socket's path has at most {UNIX_PATH_BYTES_MAX} bytes")));
    }
    Ok(path.into())
}

fn no_scheme(text: &str) -> Trouble {
    let trouble = Trouble::new(format!("the server {} has no scheme", quoted(text)));
    match text.contains([' ', '/']) || text.is_empty() {
        true => trouble.help(format!("write {}", ServerUrl::MEANING)),
        false => trouble.help(format!("did you mean {}?", quoted(&format!("http://{text}")))),
    }
}

fn wrong_server(text: &str) -> Trouble {
    Trouble::new(format!("{} is not a server", quoted(text))).help(format!("write {}", ServerUrl::MEANING))
}

fn wrong_port(port: &str) -> Trouble {
    Trouble::new(format!("{} is not a port", quoted(port))).help("ports are 1 to 65535")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_addresses_names_and_sockets() {
        let host = |text: &str| ServerUrl::read(text).map(|url| url.host);
        assert_eq!(host("http://10.0.0.1:8080"), Ok(ServerHost::Address("10.0.0.1:8080".parse().unwrap())));
        assert_eq!(host("http://10.0.0.1/"), Ok(ServerHost::Address("10.0.0.1:80".parse().unwrap())));
        assert_eq!(host("HTTP://[::1]:81"), Ok(ServerHost::Address("[::1]:81".parse().unwrap())));
        assert_eq!(host("http://[::1]"), Ok(ServerHost::Address("[::1]:80".parse().unwrap())));
        assert_eq!(host("http://AWS.something.com"), Ok(ServerHost::Name("aws.something.com".into(), 80)));
        assert_eq!(host("https://a_b:1"), Ok(ServerHost::Name("a_b".into(), 1)));
        assert_eq!(host("unix:/run/x"), Ok(ServerHost::Unix("/run/x".into())));
    }

    #[test]
    fn what_is_no_server_is_told_why() {
        for (text, expected) in [
            ("10.0.0.1:8080", "no scheme"),
            ("ftp://a", "scheme `ftp`"),
            ("http://a/b", "has a path"),
            ("http://u@a", "user name"),
            ("http://a:0", "`0` is not a port"),
            ("http://a:x", "not a port"),
            ("http://a:99999", "not a port"),
            ("http://::1", "not a server"),
            ("http://[1.2.3.4]", "not a server"),
            ("http://256.0.0.1", "neither an IP address"),
            ("http://a..b", "not a host name"),
            ("http://", "not a host name"),
            ("http://é", "not a host name"),
            ("tcp://a", "no port"),
            ("unix:run/x", "no absolute path"),
        ] {
            let message = ServerUrl::read(text).unwrap_err().message;
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn binds_are_addresses() {
        let bind = |text: &str| Bind::read(text).map(|bind| bind.0.to_string());
        assert_eq!(bind(":8080"), Ok("0.0.0.0:8080".into()));
        assert_eq!(bind("[::]:80"), Ok("[::]:80".into()));
        assert_eq!(bind("127.0.0.1:0"), Ok("127.0.0.1:0".into()));
        assert_eq!(bind("unix:/run/x.sock"), Ok("unix:/run/x.sock".into()));
        for (text, help) in [
            ("8080", "`:8080`"),
            ("localhost:80", "127.0.0.1:80"),
            ("*:80", "`:80`"),
            ("10.0.0.1", "needs a port"),
            ("[::1]", "IP address and a port"),
        ] {
            assert!(Bind::read(text).unwrap_err().help.unwrap().contains(help), "{text}");
        }
        assert!(Bind::read(":70000").is_err());
    }

    #[test]
    fn networks_have_no_bits_behind_their_prefix() {
        assert_eq!(Cidr::read("10.0.0.0/8").unwrap().0.to_string(), "10.0.0.0/8");
        assert_eq!(Cidr::read("::1").unwrap().0.to_string(), "::1/128");
        assert!(Cidr::read("10.0.0.1/8").unwrap_err().help.unwrap().contains("`10.0.0.0/8` or `10.0.0.1`"));
        assert!(Cidr::read("10.0.0.0/33").is_err());
        assert!(Cidr::read("all").is_err());
    }
}
