//! What concerns the process as a whole.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{Notes, Place};
use crate::config::leaf::amount::Span;
use crate::config::raw::{self, Switch};
use crate::config::settings::{AccessLogSettings, Admin, DriverChoice, LogTarget};
use crate::logic::access::LogFormat;
use crate::logic::limits::{MessageLimits, Timeouts};

const GRACE_DEFAULT: Duration = Duration::from_secs(30);
const ADMIN_PORT_DEFAULT: u16 = 9900;

pub(super) fn driver(driver: Option<raw::Driver>) -> DriverChoice {
    match driver {
        None | Some(raw::Driver::Auto) => DriverChoice::Auto,
        Some(raw::Driver::IoUring) => DriverChoice::IoUring,
        Some(raw::Driver::Epoll) => DriverChoice::Epoll,
    }
}

pub(in crate::config) fn grace(grace: Option<Span>) -> Duration {
    grace.map_or(GRACE_DEFAULT, |grace| grace.0)
}

pub(super) fn access_log(file: &raw::File) -> Option<AccessLogSettings> {
    match &file.access_log {
        None => Some(default_access_log()),
        Some(Switch::Off) => None,
        Some(Switch::On(log)) => Some(AccessLogSettings {
            target: log.path.as_ref().map_or(LogTarget::Stdout, |path| path.0.clone()),
            format: match log.format {
                None | Some(raw::LogFormat::Json) => LogFormat::Json,
                Some(raw::LogFormat::Combined) => LogFormat::Combined,
            },
            sample: log.sample.unwrap_or(1.0),
        }),
    }
}

pub(in crate::config) fn default_access_log() -> AccessLogSettings {
    AccessLogSettings { target: LogTarget::Stdout, format: LogFormat::Json, sample: 1.0 }
}

pub(super) fn limits(raw: Option<&raw::Limits>, place: &Place<'_>, notes: &mut Notes) -> MessageLimits {
    let mut limits = MessageLimits::default();
    let Some(raw) = raw else { return limits };
    // The schema's bounds are far below what a usize holds.
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    if let Some(head) = raw.head {
        limits.head_bytes_max = bytes(head.0);
        limits.uri_bytes_max = limits.uri_bytes_max.min(limits.head_bytes_max);
    }
    if let Some(uri) = raw.uri {
        limits.uri_bytes_max = bytes(uri.0);
        if limits.uri_bytes_max > limits.head_bytes_max {
            let message = format!("`uri` is larger than `head`, which is {} bytes", limits.head_bytes_max);
            notes.error(
                &place.key("uri"),
                message,
                "a target is a part of its head: lower `uri`, or raise `head`",
            );
        }
    }
    limits.fields_max = raw.headers.map_or(limits.fields_max, usize::from);
    limits.body_bytes_max = raw.body.map_or(limits.body_bytes_max, |body| body.0);
    limits
}

pub(super) fn timeouts(raw: Option<&raw::Timeouts>) -> Timeouts {
    merged(Timeouts::default(), raw)
}

/// `over` put over `base`.
pub(super) fn merged(base: Timeouts, over: Option<&raw::Timeouts>) -> Timeouts {
    let Some(over) = over else { return base };
    let pick = |over: Option<Span>, base: Duration| over.map_or(base, |span| span.0);
    Timeouts {
        client_head: pick(over.client_head, base.client_head),
        client_idle: pick(over.client_idle, base.client_idle),
        client_body: pick(over.client_body, base.client_body),
        connect: pick(over.connect, base.connect),
        response_head: pick(over.response_head, base.response_head),
        body: pick(over.body, base.body),
        tunnel_idle: pick(over.tunnel_idle, base.tunnel_idle),
        udp_idle: pick(over.udp_idle, base.udp_idle),
    }
}

pub(super) fn admin(file: &raw::File, root: &Place<'_>, notes: &mut Notes) -> Option<Admin> {
    let raw = match &file.admin {
        None => return Some(default_admin()),
        Some(Switch::Off) => return None,
        Some(Switch::On(raw)) => raw,
    };
    let place = root.key("admin");
    let bind = raw.bind.as_ref().map_or(default_admin().bind, |bind| bind.0);
    let token_file = raw.token_file.as_ref();
    if token_file.is_none() && !bind.ip().is_loopback() {
        notes.error(
            &place.key("bind"),
            format!("the admin API would be open to everybody who reaches {}", bind.ip()),
            "bind it to 127.0.0.1 or [::1]; elsewhere it needs a `token_file`",
        );
    }
    let names = raw.names.iter().flatten();
    for (at, name) in names.clone().enumerate().filter(|(_, name)| !is_host_name(name)) {
        notes.error(
            &place.key("names").item(at),
            format!("`{name}` is no name of a host"),
            "write a name as in `lb.internal`, without scheme, port or `*`",
        );
    }
    Some(Admin {
        bind,
        writable: raw.writable.unwrap_or(true),
        token_file: token_file.map(Into::into),
        names: names.map(|name| name.as_str().into()).collect(),
    })
}

/// Letters, digits, hyphens and dots, and not an address: those are known anyway.
fn is_host_name(name: &str) -> bool {
    let fits = |label: &str| !label.is_empty() && label.len() <= 63 && !label.starts_with('-');
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    name.len() <= 253
        && name.bytes().all(known)
        && name.split('.').all(fits)
        && name.parse::<Ipv4Addr>().is_err()
}

pub(in crate::config) fn default_admin() -> Admin {
    let bind = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), ADMIN_PORT_DEFAULT);
    Admin { bind, writable: true, token_file: None, names: Vec::new() }
}
