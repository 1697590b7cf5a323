//! Two configurations compared, in words: what cannot change while the process runs, and what does.

use std::collections::BTreeMap;
use std::fmt::Debug;

use crate::config::Settings;
use crate::config::settings::{BackendSettings, Listener, Server, ServerHost};
use crate::logic::route::{Action, BackendIndex, Route};

/// What differs and stands for the life of the process.
pub(super) fn fixed(old: &Settings, new: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    let mut stands = |differs: bool, what: &str| {
        if differs {
            found.push(format!("`{what}` cannot change while it runs"));
        }
    };
    stands(old.workers != new.workers, "workers");
    stands(old.driver != new.driver, "driver");
    let bind = |settings: &Settings| settings.admin.as_ref().map(|admin| admin.bind);
    stands(bind(old) != bind(new), "admin.bind");
    // A log can fall silent and speak again, but its writer writes to where it was started for.
    let target = |settings: &Settings| settings.access_log.as_ref().map(|log| log.target.clone());
    stands(target(new).is_some() && target(old) != target(new), "access_log.path");
    found.extend(listeners(&old.listeners, &new.listeners));
    found
}

fn listeners(old: &[Listener], new: &[Listener]) -> Vec<String> {
    let mut found = Vec::new();
    for listener in new {
        match old.iter().find(|other| other.name == listener.name) {
            None => found.push(format!("the listener `{}` is new, and needs a restart", listener.name)),
            Some(before) if !stays(before, listener) => {
                found.push(format!("the listener `{}` changed, and needs a restart", listener.name));
            }
            Some(_) => {}
        }
    }
    for listener in old.iter().filter(|listener| new.iter().all(|other| other.name != listener.name)) {
        found.push(format!("the listener `{}` is gone, which needs a restart", listener.name));
    }
    let names = |listeners: &[Listener]| listeners.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    if found.is_empty() && names(old) != names(new) {
        found.push("the listeners stand in another order: put them back into the one of the start".into());
    }
    found
}

/// Is it bound as it was? Where its connections lead, and what they begin with, is looked up for each of them.
fn stays(before: &Listener, now: &Listener) -> bool {
    before.binds == now.binds
        && before.max_connections == now.max_connections
        && before.protocol.name() == now.protocol.name()
}

/// What differs and is done.
pub(super) fn changes(old: &Settings, new: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    let mut note = |differs: bool, what: &str| {
        if differs {
            found.push(format!("`{what}` changed"));
        }
    };
    note(old.grace != new.grace, "grace");
    note(old.trusted_proxies != new.trusted_proxies, "trusted_proxies");
    note(old.access_log != new.access_log, "access_log");
    note(old.limits != new.limits, "limits");
    if let Some((old, new)) = old.admin.as_ref().zip(new.admin.as_ref()) {
        note(old.writable != new.writable, "admin.writable");
        note(old.token_file != new.token_file, "admin.token_file");
        note(old.names != new.names, "admin.names");
    }
    note(old.timeouts != new.timeouts, "timeouts");
    let listeners = |settings: &Settings| -> BTreeMap<String, String> {
        settings.listeners.iter().map(|listener| (listener.name.to_string(), said(listener))).collect()
    };
    found.extend(named("listener", &listeners(old), &listeners(new)));
    found.extend(named("route", &routes(old), &routes(new)));
    let backends = |settings: &'_ Settings| -> BTreeMap<String, String> {
        settings.backends.iter().map(|backend| (backend.name.to_string(), said(backend))).collect()
    };
    let (before, after) = (backends(old), backends(new));
    found.extend(named("backend", &before, &after).into_iter().filter(|line| !line.ends_with("changed")));
    for backend in &new.backends {
        if let Some(before) = old.backends.iter().find(|before| before.name == backend.name) {
            found.extend(within(before, backend));
        }
    }
    found
}

/// What is new, gone or different of things that have names.
fn named(what: &str, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let lines = new.iter().filter_map(|(name, now)| match old.get(name) {
        None => Some(format!("{what} `{name}` is new")),
        Some(before) if before != now => Some(format!("{what} `{name}` changed")),
        Some(_) => None,
    });
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    lines.chain(gone.map(|name| format!("{what} `{name}` is gone"))).collect()
}

/// Routes by their names; several of one name are told apart by their order.
fn routes(settings: &Settings) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (_, route) in settings.routes.iter() {
        let mut name = route.name.to_string();
        let mut count = 1;
        while all.contains_key(&name) {
            count += 1;
            name = format!("{} ({count})", route.name);
        }
        all.insert(name, of_route(route, settings));
    }
    all
}

/// All that a route says. The place of its backend in the file is no part of that; the backend's name is.
fn of_route(route: &Route, settings: &Settings) -> String {
    let mut route = route.clone();
    let mut leads_to = "";
    if let Action::Forward { backend, .. } = &mut route.action {
        leads_to = settings.backends.get(usize::from(backend.0)).map_or("", |backend| &backend.name);
        *backend = BackendIndex(0);
    }
    format!("{leads_to} {}", said(&route))
}

fn said(thing: &impl Debug) -> String {
    format!("{thing:?}")
}

/// What changed of a backend that stays.
fn within(old: &BackendSettings, new: &BackendSettings) -> Vec<String> {
    let name = &new.name;
    let servers = |backend: &BackendSettings| -> BTreeMap<String, String> {
        backend.servers.iter().map(|server| (url(server), said(server))).collect()
    };
    let mut found: Vec<_> = named("server", &servers(old), &servers(new))
        .into_iter()
        .map(|line| format!("backend `{name}`: {line}"))
        .collect();
    // Compared whole but for the servers, so that a key of later versions is never overlooked.
    let rest = |backend: &BackendSettings| BackendSettings { servers: Vec::new(), ..backend.clone() };
    if rest(old) != rest(new) {
        let fleet = new.fleet.as_ref().or(old.fleet.as_ref()).map_or("docker", |fleet| fleet.name());
        let keys = [
            (old.strategy != new.strategy, "strategy"),
            (old.health != new.health, "health"),
            (old.outlier != new.outlier, "outlier"),
            (old.slow_start != new.slow_start, "slow_start"),
            (old.panic_threshold != new.panic_threshold, "panic_threshold"),
            (old.affinity != new.affinity, "sticky or hash_key"),
            (old.retry != new.retry, "retry"),
            (old.hedge != new.hedge, "hedge"),
            (old.queue != new.queue, "queue"),
            (old.adaptive != new.adaptive, "adaptive_limit"),
            (old.fleet != new.fleet, fleet),
            (old.scale != new.scale, "scale"),
        ];
        let mut keys: Vec<_> = keys.iter().filter(|(differs, _)| *differs).map(|(_, key)| *key).collect();
        if keys.is_empty() {
            keys.push("settings");
        }
        found.extend(keys.iter().map(|key| format!("backend `{name}`: `{key}` changed")));
    }
    found
}

fn url(server: &Server) -> String {
    match &server.host {
        ServerHost::Address(address) => address.to_string(),
        ServerHost::Name(name, port) => format!("{name}:{port}"),
        ServerHost::Unix(path) => format!("unix:{}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        crate::config::parse(text, "test", &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
    }

    const BEFORE: &str = "\
listeners: { web: { bind: '127.0.0.1:8080' } }
routes: [{ path: /a/*, backend: a }, { path: /b/*, backend: b }]
backends:
  a: { servers: [{ url: http://10.0.0.1:80 }, { url: http://10.0.0.2:80 }] }
  b: { servers: [{ url: http://10.0.0.3:80 }] }
";

    fn told(after: &str) -> Vec<String> {
        let (old, new) = (settings(BEFORE), settings(after));
        assert_eq!(fixed(&old, &new), [""; 0]);
        changes(&old, &new)
    }

    #[test]
    fn the_same_is_no_change_and_neither_is_another_order_of_backends() {
        assert_eq!(told(BEFORE), [""; 0]);
        let turned = BEFORE.replace("  a:", "  c:").replace("  b:", "  a:").replace("  c:", "  b:");
        let turned = turned.replace("10.0.0.3", "10.0.0.9").replace("10.0.0.1", "10.0.0.3");
        assert!(!told(&turned).iter().any(|line| line.starts_with("route")), "{turned}");
    }

    #[test]
    fn servers_routes_and_keys_are_named() {
        let after = BEFORE
            .replace("10.0.0.2:80 }", "10.0.0.1:81, weight: 5 }")
            .replace("{ path: /b/*, backend: b }", "{ path: /b/*, backend: b, methods: [GET] }")
            .replace("  b: {", "  b: { health: {}, slow_start: 3s,");
        assert_eq!(
            told(&format!("{after}grace: 3s\ntimeouts: {{ body: 3s }}\n")),
            [
                "`grace` changed",
                "`timeouts` changed",
                "route `/a/*` changed",
                "route `/b/*` changed",
                "backend `a`: server `10.0.0.1:81` is new",
                "backend `a`: server `10.0.0.2:80` is gone",
                "backend `b`: `health` changed",
                "backend `b`: `slow_start` changed",
            ]
        );
    }

    #[test]
    fn backends_that_come_and_go_are_named() {
        let after = BEFORE.replace("backend: b", "backend: c").replace("  b: {", "  c: {");
        assert_eq!(told(&after), ["route `/b/*` changed", "backend `c` is new", "backend `b` is gone"]);
    }

    #[test]
    fn what_stands_is_named_with_its_listener() {
        let after = BEFORE.replace("8080' }", "8081' }, more: { bind: '127.0.0.1:8082' }");
        let new = settings(&format!("workers: 7\nadmin: off\n{after}"));
        assert_eq!(
            fixed(&settings(BEFORE), &new),
            [
                "`workers` cannot change while it runs",
                "`admin.bind` cannot change while it runs",
                "the listener `web` changed, and needs a restart",
                "the listener `more` is new, and needs a restart",
            ]
        );
        assert_eq!(
            fixed(&new, &settings(BEFORE)).last().unwrap(),
            "the listener `more` is gone, which needs a restart"
        );
    }
}
