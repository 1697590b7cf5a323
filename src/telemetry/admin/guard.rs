//! Who may call: only those who address the balancer as itself.
//!
//! A web page can make its visitor's browser send requests to loopback, under a name that it controls and that
//! resolves there (DNS rebinding). Such a request names the page's host in `Host`, and its origin in `Origin`:
//! both are parsed, and both must be ours.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::Extension;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The address that a connection came in on.
#[derive(Debug, Clone, Copy)]
pub(super) struct LocalAddress(pub(super) SocketAddr);

/// The contract's error: `{"error":{"code","message","hint"}}`.
#[derive(Debug)]
pub(super) struct Refusal {
    /// 4xx or 5xx.
    pub(super) status: StatusCode,
    /// For programs; stable.
    pub(super) code: &'static str,
    /// For people: what is wrong.
    pub(super) message: Cow<'static, str>,
    /// For people: what to do.
    pub(super) hint: &'static str,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = json!({ "code": self.code, "message": self.message, "hint": self.hint });
        super::json(self.status, &json!({ "error": error }))
    }
}

/// Lets a request pass whose `Host` and `Origin` are ours.
pub(super) async fn check(
    Extension(LocalAddress(local)): Extension<LocalAddress>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let host = only_value(request.headers(), header::HOST).filter(|host| is_ours(host, local.ip()));
    // In absolute-form the target's authority stands over Host (RFC 9112, 3.2.2): it must be ours as well.
    let target_is_ours =
        request.uri().authority().is_none_or(|authority| is_ours(authority.as_str(), local.ip()));
    let Some(host) = host.filter(|_| target_is_ours) else { return Err(foreign_host()) };
    if request.headers().contains_key(header::ORIGIN) {
        let origin = only_value(request.headers(), header::ORIGIN);
        if !origin.is_some_and(|origin| is_same_origin(origin, host)) {
            return Err(foreign_origin());
        }
    }
    Ok(next.run(request).await)
}

fn foreign_host() -> Refusal {
    Refusal {
        status: StatusCode::FORBIDDEN,
        code: "foreign_host",
        message: "The Host of this request is not the address of the admin API.".into(),
        hint: "Use localhost, a loopback address, or the address that it is bound to.",
    }
}

fn foreign_origin() -> Refusal {
    Refusal {
        status: StatusCode::FORBIDDEN,
        code: "foreign_origin",
        message: "This request comes from a page of another site.".into(),
        hint: "Open the monitor at the admin API's own address.",
    }
}

/// The value of a field that must not be repeated; `None` where it is, or is missing, or is not text.
fn only_value(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The only scheme served here is http; `null` is what sandboxed pages and local files send.
fn is_same_origin(origin: &str, host: &str) -> bool {
    origin.strip_prefix("http://").is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// Does an authority (`host` or `host:port`) name us: as `localhost`, a loopback address, or the address that
/// the connection came in on? Any port will do, since a tunnel has its own.
fn is_ours(authority: &str, local: IpAddr) -> bool {
    let Some(host) = without_port(authority) else { return false };
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    address(host)
        .is_some_and(|ip| ip.to_canonical().is_loopback() || ip.to_canonical() == local.to_canonical())
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`; `None` where the port is not one.
fn without_port(authority: &str) -> Option<&str> {
    let end = authority.find(']').map_or(0, |bracket| bracket + 1);
    match authority[end..].split_once(':') {
        Some((rest, port)) => is_port(port).then_some(&authority[..end + rest.len()]),
        None => Some(authority),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// std's parser takes nothing but the canonical forms: no octal, no short forms, no zones.
fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));

    #[test]
    fn our_own_names_pass_with_any_port() {
        for host in [
            "localhost",
            "LocalHost:9900",
            "127.0.0.1",
            "127.0.0.1:1",
            "127.8.9.10:9900",
            "[::1]",
            "[::1]:9900",
            "[::ffff:127.0.0.1]:9900",
            "192.0.2.10:9900",
        ] {
            assert!(is_ours(host, LOCAL), "{host}");
        }
    }

    #[test]
    fn names_that_only_look_like_ours_do_not() {
        for host in [
            "",
            ":9900",
            "127.evil.test",
            "127.0.0.1.evil.test",
            "localhost.evil.test",
            "localhost.",
            "evil.test",
            "evil.test:9900",
            "127.0.0.1:99999",
            "127.0.0.1:",
            "127.0.0.1:+80",
            "127.0.0.1:80:80",
            "user@localhost",
            "localhost:80@evil.test",
            "127.1",
            "0177.0.0.1",
            "0x7f000001",
            "2130706433",
            "192.0.2.11",
            "0.0.0.0",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]x:80",
            "[::1%25lo]",
            "[::1]]:80",
            "x[::1]",
            "localhost ",
            "[localhost]",
        ] {
            assert!(!is_ours(host, LOCAL), "{host}");
        }
    }

    #[test]
    fn an_ipv4_client_of_a_dual_stack_socket_may_name_the_ipv4_address() {
        let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 10).to_ipv6_mapped());
        assert!(is_ours("192.0.2.10:9900", mapped));
    }

    #[test]
    fn an_origin_is_ours_where_it_is_the_host() {
        assert!(is_same_origin("http://localhost:9900", "localhost:9900"));
        for origin in [
            "null",
            "http://localhost:9901",
            "https://localhost:9900",
            "http://evil.test",
            "localhost:9900",
            "",
        ] {
            assert!(!is_same_origin(origin, "localhost:9900"), "{origin}");
        }
    }
}
