//! One balancer of a test's own, and what it says of itself.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::PATIENCE;
use crate::harness::balancer::{Balancer, Driver, Launch};
use crate::harness::client::Client;
use crate::harness::message::Message;
use crate::harness::origin::Origin;
use crate::harness::stage::{LISTENER, common};

/// A running balancer.
pub(crate) struct Rig {
    pub(crate) balancer: Balancer,
}

/// What [`Rig::start`] takes from a test that has no wishes.
pub(crate) fn on(driver: Driver) -> Driver {
    driver
}

/// The configuration with one backend of these origins, behind every path.
pub(crate) fn before(driver: Driver, origins: &[&Origin], settings: &str) -> String {
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address()).collect();
    before_addresses(driver, &addresses, settings)
}

/// As [`before`], for nodes that are not the harness's.
pub(crate) fn before_addresses(driver: Driver, nodes: &[SocketAddr], settings: &str) -> String {
    format!("{}{LISTENER}{settings}{}", common(driver), backend(nodes))
}

/// A route from everywhere to one backend of these nodes.
pub(crate) fn backend(nodes: &[SocketAddr]) -> String {
    let servers: Vec<_> = nodes.iter().map(|node| format!("{{ url: \"http://{node}\" }}")).collect();
    let servers = servers.join(", ");
    format!("\nroutes: [{{ path: /*, backend: node }}]\nbackends: {{ node: {{ servers: [{servers}] }} }}\n")
}

/// A route from everywhere to one backend whose nodes have `server` among their keys, and itself `keys`.
pub(crate) fn limited(
    driver: Driver,
    nodes: &[SocketAddr],
    server: &str,
    keys: &str,
    settings: &str,
) -> String {
    let servers: Vec<_> =
        nodes.iter().map(|node| format!("{{ url: \"http://{node}\", {server} }}")).collect();
    let servers = servers.join(", ");
    let route = "routes: [{ path: /*, backend: node }]";
    format!(
        "{}{LISTENER}{settings}\n{route}\nbackends: {{ node: {{ {keys}, servers: [{servers}] }} }}\n",
        common(driver)
    )
}

/// Waits until `condition` gives something; fails the test, saying `what`, where it never does.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Rig {
    /// A balancer before these origins; every path leads to them.
    #[track_caller]
    pub(crate) fn start(driver: Driver, origins: &[&Origin], settings: &str) -> Self {
        Self::launch(driver, origins, settings, &Launch::default())
    }

    #[track_caller]
    pub(crate) fn launch(driver: Driver, origins: &[&Origin], settings: &str, launch: &Launch<'_>) -> Self {
        Self { balancer: Balancer::launch(&before(driver, origins, settings), launch) }
    }

    #[track_caller]
    pub(crate) fn with(config: &str) -> Self {
        Self { balancer: Balancer::start(config) }
    }

    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.balancer.address(), "rig.test")
    }

    /// A plain GET on a connection of its own.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Message {
        self.client().send(get(path)).response()
    }

    /// The answer of the admin API.
    #[track_caller]
    pub(crate) fn admin(&self, path: &str) -> Message {
        let address = self.balancer.admin.expect("the admin API is on");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        Client::connect(address, "").send(request).response()
    }

    /// What the admin API says to a write, which must be carried out.
    #[track_caller]
    pub(crate) fn order(&self, method: &str, path: &str, body: &str) -> Value {
        let address = self.balancer.admin.expect("the admin API is on");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        );
        let answer = Client::connect(address, "").send(request).response_to(method);
        assert!((200..300).contains(&answer.status()), "{method} {path} {body}: {answer:?}");
        serde_json::from_slice(&answer.body).expect("the admin API answers with JSON")
    }

    #[track_caller]
    pub(crate) fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.admin(path).body).expect("the admin API answers with JSON")
    }

    /// One of the totals of `/api/v1/status`, asked again where a worker was too busy to hand over its own.
    #[track_caller]
    pub(crate) fn total(&self, name: &str) -> u64 {
        let status = wait_for("exact totals", || {
            Some(self.json("/api/v1/status")).filter(|status| status["exact"] == true)
        });
        status["totals"][name].as_u64().unwrap_or_else(|| panic!("no total {name} in {status}"))
    }

    /// The sum of all samples of a metric whose labels contain every one of `labels`; 0 where there is none yet.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let page = self.admin("/metrics").text();
        let family = name.trim_end_matches("_count").trim_end_matches("_bucket");
        assert!(page.contains(family), "no metric {name} in\n{page}");
        page.lines().filter_map(|line| sample(line, name, labels)).sum()
    }

    /// Drops the last client, then waits as [`Self::wait_until_quiet`].
    #[track_caller]
    pub(crate) fn wait_until_quiet_but_for(&self, last: Client) {
        drop(last);
        self.wait_until_quiet();
    }

    /// Waits until nothing is in flight and no client is connected.
    #[track_caller]
    pub(crate) fn wait_until_quiet(&self) {
        wait_for("nothing in flight, nobody connected", || {
            let totals = &self.json("/api/v1/status")["totals"];
            (totals["in_flight"] == 0 && totals["connections"] == 0).then_some(())
        });
    }
}

/// A plain GET.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {{host}}\r\n\r\n")
}

/// The value of a line of the Prometheus page, if it is one of this metric's.
fn sample(line: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    let (found, value) = match rest.strip_prefix('{') {
        Some(rest) => rest.rsplit_once("} ")?,
        None => ("", rest.strip_prefix(' ')?),
    };
    labels.iter().all(|label| found.contains(label)).then(|| value.parse().ok())?
}
