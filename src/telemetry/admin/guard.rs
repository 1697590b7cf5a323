//! Who may call: only those who address the balancer as itself.
//!
//! A web page can make its visitor's browser send requests to loopback, under a name that it controls and that
//! resolves there (DNS rebinding). Such a request names the page's host in `Host`, and its origin in `Origin`:
//! both are parsed, and both must be ours.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Admin;
use super::access::Access;
use super::audit::Reason;
use super::websocket::subprotocols;

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
    pub(super) hint: Cow<'static, str>,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = json!({ "code": self.code, "message": self.message, "hint": self.hint });
        let mut response = super::json(self.status, &json!({ "error": error }));
        let extra = match self.status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::UPGRADE_REQUIRED => Some((header::UPGRADE, "websocket")),
            _ => None,
        };
        response.extensions_mut().insert(Reason(self.code));
        if let Some((name, value)) = extra {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// Lets a request pass whose `Host` and `Origin` are ours, and that has the token where one is needed.
pub(super) async fn check(
    State(admin): State<Arc<Admin>>,
    Extension(LocalAddress(local)): Extension<LocalAddress>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let rules = admin.rules();
    let access = &rules.access;
    let ours = |authority: &str| is_ours(authority, local.ip(), access);
    let host = only_value(request.headers(), header::HOST).filter(|host| ours(host));
    // In absolute-form the target's authority stands over Host (RFC 9112, 3.2.2): it must be ours as well.
    let target_is_ours = request.uri().authority().is_none_or(|authority| ours(authority.as_str()));
    let Some(host) = host.filter(|_| target_is_ours) else { return Err(foreign_host()) };
    if request.headers().contains_key(header::ORIGIN) {
        let origin = only_value(request.headers(), header::ORIGIN);
        if !origin.is_some_and(|origin| is_same_origin(origin, host, access)) {
            return Err(foreign_origin());
        }
    }
    if access.needs_token() && !is_open(request.uri().path()) && !has_token(&request, access) {
        return Err(no_token());
    }
    Ok(next.run(request).await)
}

/// Lets a write pass that says it is JSON, which no form of a foreign page can say, where writes are allowed at all.
pub(super) async fn check_write(
    State(admin): State<Arc<Admin>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let kind = only_value(request.headers(), header::CONTENT_TYPE).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(not_json());
    }
    if !admin.is_writable() {
        return Err(read_only());
    }
    Ok(next.run(request).await)
}

/// What needs no token: whether the process lives, and the page, which holds nothing and asks for the token itself.
fn is_open(path: &str) -> bool {
    !(path == "/metrics" || path == "/ws" || path.starts_with("/api/"))
}

/// `authorization: Bearer TOKEN`, or for a browser's websocket the subprotocol `plimsoll.token.ENCODED`.
fn has_token(request: &Request, access: &Access) -> bool {
    let bearer = only_value(request.headers(), header::AUTHORIZATION)
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if let Some((_, token)) = bearer {
        return access.accepts(token.trim().as_bytes());
    }
    let encoded = subprotocols(request.headers()).find_map(|one| one.strip_prefix("plimsoll.token."));
    request.uri().path() == "/ws" && encoded.is_some_and(|encoded| access.accepts_encoded(encoded))
}

fn no_token() -> Refusal {
    Refusal {
        status: StatusCode::UNAUTHORIZED,
        code: "no_token",
        message: "This call needs the token of the admin API.".into(),
        hint: "Send authorization: Bearer TOKEN, with the token of admin.token_file.".into(),
    }
}

fn not_json() -> Refusal {
    Refusal {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        code: "not_json",
        message: "A write must say that it is JSON.".into(),
        hint: "Send content-type: application/json, also without a body.".into(),
    }
}

fn read_only() -> Refusal {
    Refusal {
        status: StatusCode::FORBIDDEN,
        code: "read_only",
        message: "The admin API takes no writes.".into(),
        hint: "Set admin.writable to true.".into(),
    }
}

fn foreign_host() -> Refusal {
    Refusal {
        status: StatusCode::FORBIDDEN,
        code: "foreign_host",
        message: "The Host of this request is not the address of the admin API.".into(),
        hint: "Use localhost, a loopback address, the address that it is bound to, or a name of admin.names."
            .into(),
    }
}

fn foreign_origin() -> Refusal {
    Refusal {
        status: StatusCode::FORBIDDEN,
        code: "foreign_origin",
        message: "This request comes from a page of another site.".into(),
        hint: "Open the monitor at the admin API's own address.".into(),
    }
}

/// The value of a field that must not be repeated; `None` where it is, or is missing, or is not text.
pub(super) fn only_value(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The only scheme served here is http; by a name of `admin.names` a proxy may serve it with TLS. `null` is what sandboxed
/// pages and local files send.
fn is_same_origin(origin: &str, host: &str, access: &Access) -> bool {
    let named = without_port(host).is_some_and(|name| access.has_name(name));
    let secure = origin.strip_prefix("https://").filter(|_| named);
    let authority = origin.strip_prefix("http://").or(secure);
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// Does an authority (`host` or `host:port`) name us: as `localhost`, a loopback address, the address that the connection
/// came in on, or by a configured name? Any port will do, since a tunnel has its own.
fn is_ours(authority: &str, local: IpAddr, access: &Access) -> bool {
    let Some(host) = without_port(authority) else { return false };
    if host.eq_ignore_ascii_case("localhost") || access.has_name(host) {
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
            assert!(is_ours(host, LOCAL, &Access::default()), "{host}");
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
            assert!(!is_ours(host, LOCAL, &Access::default()), "{host}");
        }
    }

    #[test]
    fn a_configured_name_is_ours_and_nothing_like_it() {
        let access = Access::load(None, &["lb.internal".into()]).unwrap();
        assert!(is_ours("LB.internal:9900", LOCAL, &access));
        for host in ["lb.internal.evil.test", "xlb.internal", "lb.internal@evil.test", "evil.test"] {
            assert!(!is_ours(host, LOCAL, &access), "{host}");
        }
    }

    #[test]
    fn an_ipv4_client_of_a_dual_stack_socket_may_name_the_ipv4_address() {
        let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 10).to_ipv6_mapped());
        assert!(is_ours("192.0.2.10:9900", mapped, &Access::default()));
    }

    #[test]
    fn an_origin_is_ours_where_it_is_the_host() {
        let none = Access::default();
        assert!(is_same_origin("http://localhost:9900", "localhost:9900", &none));
        let named = Access::load(None, &["lb.internal".into()]).unwrap();
        assert!(is_same_origin("https://lb.internal", "lb.internal", &named));
        assert!(!is_same_origin("https://lb.internal", "lb.internal:9900", &named));
        assert!(!is_same_origin("https://localhost", "localhost", &named));
        for origin in [
            "null",
            "http://localhost:9901",
            "https://localhost:9900",
            "http://evil.test",
            "localhost:9900",
            "",
        ] {
            assert!(!is_same_origin(origin, "localhost:9900", &none), "{origin}");
        }
    }
}
