//! Listeners: where they bind, and whether two of them want the same place.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use super::backends::Backends;
use super::{Notes, Place, tls_routes};
use crate::config::leaf::address::Scheme;
use crate::config::problem::Problem;
use crate::config::raw::{self, Protocol};
use crate::config::settings::{self, Admin, BindAddress, Listener};
use crate::config::{closest, quoted};
use crate::logic::limits::{LISTENER_BINDS_MAX, LISTENERS_MAX};
use crate::logic::route::ListenerIndex;

const PORT_DEFAULT: u16 = 8080;

/// The listeners of a file.
pub(super) struct Listeners {
    /// Those that could be read.
    pub(super) finished: Vec<Listener>,
    by_name: HashMap<String, Protocol>,
    binds: Vec<Bound>,
    incomplete: bool,
}

/// An address that is asked for.
struct Bound {
    address: BindAddress,
    /// Two transports never clash.
    udp: bool,
    span: Range<usize>,
}

impl Listeners {
    pub(super) fn read(
        file: &raw::File,
        root: &Place<'_>,
        backends: &mut Backends,
        notes: &mut Notes,
    ) -> Self {
        let place = root.key("listeners");
        let mut listeners = Self {
            finished: Vec::new(),
            by_name: HashMap::new(),
            binds: Vec::new(),
            incomplete: place.is_broken(),
        };
        for (name, raw) in file.listeners.iter().flatten().take(LISTENERS_MAX) {
            listeners.add(name, raw, &place.key(name), backends, notes);
            check_proxy_header(file, raw, root, &place.key(name), notes);
        }
        listeners.incomplete |= listeners.by_name.len() < place.entries();
        if listeners.by_name.is_empty() && !listeners.incomplete {
            listeners.add_default();
        }
        if file.listeners.as_ref().is_some_and(|all| all.len() > LISTENERS_MAX) {
            notes.error(
                &place,
                format!("there are more than {LISTENERS_MAX} listeners"),
                "one listener may bind to many addresses",
            );
        }
        listeners
    }

    /// The place of an http listener that a route names.
    pub(super) fn named(&self, name: &str, place: &Place<'_>, notes: &mut Notes) -> Option<ListenerIndex> {
        match self.by_name.get(name) {
            Some(Protocol::Http) => {
                let index = self.finished.iter().position(|one| *one.name == *name)?;
                u16::try_from(index).ok().map(ListenerIndex)
            }
            Some(_) => {
                let message = format!("the listener {} does not speak http", quoted(name));
                notes.error(place, message, "routes belong to http listeners");
                None
            }
            None => {
                if !self.incomplete {
                    let help = match closest(name, self.by_name.keys().map(String::as_str)) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => format!("add it: `listeners: {{ {name}: {{ bind: \":8080\" }} }}`"),
                    };
                    notes.error(place, format!("there is no listener {}", quoted(name)), help);
                }
                None
            }
        }
    }

    /// Is there a listener that routes could belong to?
    pub(super) fn speaks_http(&self) -> bool {
        self.by_name.values().any(|protocol| *protocol == Protocol::Http)
    }

    /// Two that want the same address: the second could not start.
    pub(super) fn check_clashes(&self, admin: Option<&Admin>, root: &Place<'_>, notes: &mut Notes) {
        let admin = admin.map(|admin| Bound {
            address: BindAddress::Tcp(admin.bind),
            udp: false,
            span: root.key("admin").key("bind").span,
        });
        let all: Vec<_> = self.binds.iter().chain(&admin).collect();
        for (at, one) in all.iter().enumerate() {
            if let Some(before) = all[..at].iter().find(|before| before.clashes(one)) {
                let message = format!("{} is taken already", one.address);
                // The admin's default stands nowhere in the file.
                let (span, other, label) = match one.span.is_empty() {
                    true => {
                        (&before.span, None, "the admin API binds to it: set `admin.bind` to another port")
                    }
                    false => (
                        &one.span,
                        Some(before.span.clone()),
                        "every listener needs an address and port of its own",
                    ),
                };
                let problem = Problem::error(span.clone(), message).help(label);
                notes.problem(match other.filter(|other| !other.is_empty()) {
                    Some(other) => problem.other(other, format!("{} is bound here", before.address)),
                    None => problem,
                });
            }
        }
    }

    fn add(
        &mut self,
        name: &str,
        raw: &raw::Listener,
        place: &Place<'_>,
        backends: &mut Backends,
        notes: &mut Notes,
    ) {
        notes.check_name("listener", name, place);
        let protocol = raw.protocol.unwrap_or(Protocol::Http);
        let names = raw.tls_routes.as_ref().is_some_and(|all| !all.is_empty());
        if names && protocol != Protocol::Tcp {
            let help = "write `protocol: tcp`: TLS goes on to the node as it came";
            notes.error(&place.key("tls_routes"), "names of TLS lead only at a tcp listener", help);
        }
        self.by_name.insert(name.into(), protocol);
        let binds = self.binds(name, raw, protocol, place, notes);
        match protocol {
            Protocol::Http => {
                if raw.backend.is_some() {
                    let help = "routes choose the backend: `routes: [{ backend: ... }]`";
                    notes.error(&place.key("backend"), "an http listener has no backend of its own", help);
                }
                self.finish(name, raw, binds, settings::Protocol::Http);
            }
            Protocol::Tcp => {
                if let Some(protocol) = tls_routes::protocol(name, raw, place, backends, notes) {
                    self.finish(name, raw, binds, protocol);
                }
            }
            Protocol::Udp => {
                if let Some(at) = binds.iter().position(|bind| matches!(bind, BindAddress::Unix(_))) {
                    let help = "bind a udp listener to an address, such as `127.0.0.1:5353`";
                    notes.error(&place.key("bind").item(at), "a udp listener has no unix sockets", help);
                }
                if let Some(backend) = leads_to(name, raw, Scheme::Udp, place, backends, notes) {
                    self.finish(name, raw, binds, settings::Protocol::Udp(backend));
                }
            }
        }
    }

    fn finish(
        &mut self,
        name: &str,
        raw: &raw::Listener,
        binds: Vec<BindAddress>,
        protocol: settings::Protocol,
    ) {
        let max_connections =
            raw.max_connections.and_then(|max| NonZeroUsize::new(usize::try_from(max).ok()?));
        let expects_proxy_header = raw.accept_proxy_protocol == Some(true);
        let listener = Listener { name: name.into(), binds, max_connections, protocol, expects_proxy_header };
        self.finished.push(listener);
    }

    fn binds(
        &mut self,
        name: &str,
        raw: &raw::Listener,
        protocol: Protocol,
        place: &Place<'_>,
        notes: &mut Notes,
    ) -> Vec<BindAddress> {
        let at = place.key("bind");
        let binds = raw.bind.as_ref().map(|binds| binds.0.as_slice()).unwrap_or_default();
        if binds.is_empty() && !at.is_broken() && !at.has_broken_items() {
            let help = "write `bind: 127.0.0.1:8080`, or `bind: \":8080\"` for every IPv4 address";
            let span = place.key_span();
            notes.problem(
                Problem::error(span, format!("the listener {} has no `bind`", quoted(name))).help(help),
            );
        }
        if binds.len() > LISTENER_BINDS_MAX {
            notes.error(
                &at,
                format!("the listener has more than {LISTENER_BINDS_MAX} addresses"),
                "bind to `:PORT` for all IPv4 addresses",
            );
        }
        for (index, bind) in binds.iter().take(LISTENER_BINDS_MAX).enumerate() {
            let span = at.item(index).span;
            self.binds.push(Bound { address: bind.0.clone(), udp: protocol == Protocol::Udp, span });
        }
        binds.iter().map(|bind| bind.0.clone()).collect()
    }

    fn add_default(&mut self) {
        self.by_name.insert("web".into(), Protocol::Http);
        let listener = default_listener();
        let bounds = listener.binds.iter().cloned().map(|address| Bound { address, udp: false, span: 0..0 });
        self.binds.extend(bounds);
        self.finished.push(listener);
    }
}

/// A header that nobody may send is a misunderstanding.
fn check_proxy_header(
    file: &raw::File,
    raw: &raw::Listener,
    root: &Place<'_>,
    place: &Place<'_>,
    notes: &mut Notes,
) {
    if raw.accept_proxy_protocol != Some(true) {
        return;
    }
    let at = place.key("accept_proxy_protocol");
    let trusts = file.trusted_proxies.as_ref().is_some_and(|all| !all.is_empty());
    let networks = root.key("trusted_proxies");
    if raw.protocol == Some(Protocol::Udp) {
        notes.error(&at, "a PROXY header stands before a connection, and udp has none", "remove it");
    } else if !trusts && !networks.is_broken() && !networks.has_broken_items() {
        let help = "say whose headers are believed: `trusted_proxies: [10.0.0.0/8]`";
        notes.error(&at, "there are no `trusted_proxies`, so nobody may send a PROXY header", help);
    }
}

/// The backend of a listener that forwards bytes.
pub(super) fn leads_to(
    name: &str,
    raw: &raw::Listener,
    scheme: Scheme,
    place: &Place<'_>,
    backends: &mut Backends,
    notes: &mut Notes,
) -> Option<Arc<str>> {
    let Some(backend) = &raw.backend else {
        let whose = format!("the listener {}", quoted(name));
        notes.missing(place, "backend", &whose, "say where its bytes go");
        return None;
    };
    backends.named_by_listener(backend, scheme, &place.key("backend"), notes);
    Some(backend.as_str().into())
}

pub(in crate::config) fn default_listener() -> Listener {
    let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT_DEFAULT);
    Listener {
        name: "web".into(),
        binds: vec![BindAddress::Tcp(address)],
        max_connections: None,
        protocol: settings::Protocol::Http,
        expects_proxy_header: false,
    }
}

impl Bound {
    fn clashes(&self, other: &Self) -> bool {
        match (&self.address, &other.address) {
            (BindAddress::Unix(one), BindAddress::Unix(two)) => one == two,
            (BindAddress::Tcp(one), BindAddress::Tcp(two)) => {
                let same_port = one.port() == two.port() && one.port() != 0 && self.udp == other.udp;
                let overlap = one.ip() == two.ip()
                    || (one.is_ipv4() == two.is_ipv4()
                        && (one.ip().is_unspecified() || two.ip().is_unspecified()));
                same_port && overlap
            }
            _ => false,
        }
    }
}
