//! Where connections of a tcp listener go: to one backend, or by the names in their TLS hellos.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::backends::Backends;
use super::listeners::leads_to;
use super::{Notes, Place};
use crate::config::leaf::address::Scheme;
use crate::config::problem::Problem;
use crate::config::raw;
use crate::config::settings::Protocol;
use crate::logic::limits::TLS_ROUTES_MAX;
use crate::logic::route::HostPattern;
use crate::logic::tls::names::{NameRoute, NameTable};

/// What a tcp listener speaks; `None` where it cannot be told, which has been said.
pub(super) fn protocol(
    name: &str,
    raw: &raw::Listener,
    place: &Place<'_>,
    backends: &mut Backends,
    notes: &mut Notes,
) -> Option<Protocol> {
    let at = place.key("tls_routes");
    let routes = raw.tls_routes.as_deref().unwrap_or_default();
    if routes.is_empty() && !at.is_broken() && !at.has_broken_items() {
        return leads_to(name, raw, Scheme::Tcp, place, backends, notes).map(Protocol::Tcp);
    }
    if routes.len() > TLS_ROUTES_MAX {
        let message = format!("there are more than {TLS_ROUTES_MAX} names");
        notes.error(&at, message, "use `*.example.com`, or another listener");
        return None;
    }
    let default = match &raw.backend {
        Some(_) => Some(leads_to(name, raw, Scheme::Tcp, place, backends, notes)?),
        None => None,
    };
    let mut seen = HashMap::new();
    let routes = routes.iter().enumerate();
    let routes = routes.filter_map(|(index, raw)| route(raw, &at.item(index), &mut seen, backends, notes));
    Some(Protocol::TlsByName(Arc::new(NameTable::new(routes.collect(), default))))
}

/// Names and protocols, and where each was written first.
type Seen = HashMap<(HostPattern, Vec<Box<str>>), Range<usize>>;

fn route(
    raw: &raw::TlsRoute,
    place: &Place<'_>,
    seen: &mut Seen,
    backends: &mut Backends,
    notes: &mut Notes,
) -> Option<NameRoute<Arc<str>>> {
    let Some(name) = &raw.name else {
        notes.missing(place, "name", "this route", "write `name: db.example.com`, or `name: \"*\"` for any");
        return None;
    };
    let Some(backend) = &raw.backend else {
        notes.missing(place, "backend", "this route", "say where its connections go");
        return None;
    };
    backends.named_by_listener(backend, Scheme::Tcp, &place.key("backend"), notes);
    let protocols = protocols(raw, &place.key("alpn"), notes);
    let mut conditions = (name.0.clone(), protocols.clone());
    conditions.1.sort();
    if let Some(before) = seen.insert(conditions, place.key("name").span) {
        let problem = Problem::error(place.key("name").span, "this name is listed twice");
        notes.problem(
            problem.other(before, "first listed here").help("remove one of them, or give it an `alpn`"),
        );
    }
    Some(NameRoute { name: name.0.clone(), protocols, backend: backend.as_str().into() })
}

fn protocols(raw: &raw::TlsRoute, place: &Place<'_>, notes: &mut Notes) -> Vec<Box<str>> {
    let all = raw.alpn.as_deref().unwrap_or_default();
    for (index, one) in all.iter().enumerate() {
        // RFC 7301, 3.1: up to 255 bytes, and never none.
        if one.is_empty() || one.len() > 255 {
            let help = "write a name such as `h2`, `http/1.1` or `postgresql`";
            notes.error(&place.item(index), "a protocol of ALPN has 1 to 255 bytes", help);
        }
    }
    all.iter().map(|one| one.as_str().into()).collect()
}
