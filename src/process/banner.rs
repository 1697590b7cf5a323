//! What a start prints: at most eight lines.

use std::collections::BTreeMap;

use crate::shared::node::NodeState;
use crate::shared::snapshot::{Backend, Snapshot};
use crate::telemetry::about::About;

/// Backends that the banner names; the admin API has all.
const BACKENDS_NAMED: usize = 6;
/// Addresses that the banner names.
const ADDRESSES_NAMED: usize = 8;

/// Prints it to stderr: stdout belongs to the access log.
pub(super) fn print(about: &About, snapshot: &Snapshot, admin: Option<&std::net::TcpListener>) {
    let workers = about.workers;
    let plural = if workers == 1 { "worker" } else { "workers" };
    eprintln!("plimsoll {}: {workers} {plural} on {} ({})", about.version, about.driver, about.driver_reason);
    let addresses: Vec<_> = about
        .listeners
        .iter()
        .flat_map(|bound| {
            let shown = |address: &String| format!("{} ({})", url(bound.protocol, address), bound.name);
            bound.addresses.iter().map(shown)
        })
        .collect();
    eprintln!("listening on {}", shortened(&addresses, ADDRESSES_NAMED));
    let backends: Vec<_> = snapshot.backends.iter().map(|backend| nodes(backend)).collect();
    if !backends.is_empty() {
        eprintln!("nodes: {}", shortened(&backends, BACKENDS_NAMED));
    }
    if let Some(reason) = first_reason(snapshot) {
        eprintln!("down: {reason}");
    }
    if let Some(address) = admin.and_then(|listener| listener.local_addr().ok()) {
        eprintln!("admin on http://{address}");
    }
    // A web page is the easier one to try.
    let http = about.listeners.iter().find(|bound| bound.protocol == "http");
    let first =
        http.or(about.listeners.first()).and_then(|bound| Some((bound.protocol, bound.addresses.first()?)));
    let attempt = first.map_or_else(String::new, |(protocol, address)| attempt(protocol, address));
    eprintln!("ready: try {attempt}");
}

fn url(protocol: &str, address: &str) -> String {
    if address.starts_with("unix:") { address.to_owned() } else { format!("{protocol}://{address}") }
}

/// A command that reaches the balancer.
fn attempt(protocol: &str, address: &str) -> String {
    // A listener on every address is reached on this one.
    let reached = address.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:");
    match (protocol, address.strip_prefix("unix:")) {
        ("http", Some(path)) => format!("curl -i --unix-socket {path} http://localhost/"),
        ("http", None) => format!("curl -i http://{reached}/"),
        (_, Some(path)) => format!("nc -U {path}"),
        (_, None) => format!(
            "nc {}",
            reached.rsplit_once(':').map_or(String::new(), |(host, port)| {
                format!("{} {port}", host.trim_matches(['[', ']']))
            })
        ),
    }
}

fn nodes(backend: &Backend) -> String {
    let serving = backend.nodes.iter().filter(|entry| entry.state == NodeState::Serving).count();
    format!("{} {serving} of {} serving", backend.name, backend.nodes.len())
}

/// Why the first node is down that is, and how many more are.
fn first_reason(snapshot: &Snapshot) -> Option<String> {
    let down = snapshot
        .backends
        .iter()
        .flat_map(|backend| &backend.nodes)
        .filter(|entry| entry.state == NodeState::Down);
    let reasons: BTreeMap<_, _> = down.map(|entry| (&entry.node.id, &entry.reason)).collect();
    let (id, reason) = reasons.iter().next()?;
    let more = if reasons.len() > 1 { format!(" (and {} more)", reasons.len() - 1) } else { String::new() };
    Some(format!("{id}: {reason}{more}"))
}

fn shortened(items: &[String], most: usize) -> String {
    let named = items.iter().take(most).cloned().collect::<Vec<_>>().join(", ");
    if items.len() > most { format!("{named} and {} more", items.len() - most) } else { named }
}
