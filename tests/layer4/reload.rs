//! HUP: where connections lead changes for the next one, and the open ones go on.

use std::io::Write;

use crate::harness::site::site_cases;
use crate::rig::{Node, Rig, on, read_exactly, wait_for};

/// Writes what follows the first two lines of the file anew, and reloads it; what the balancer says then.
#[track_caller]
fn reload(rig: &Rig, config: &str) -> String {
    let before = rig.balancer.stderr().len();
    let old = std::fs::read_to_string(&rig.balancer.file).unwrap();
    let common: Vec<_> = old.lines().take(3).collect();
    std::fs::write(&rig.balancer.file, format!("{}\n{config}", common.join("\n"))).unwrap();
    rig.balancer.signal("HUP");
    wait_for("the outcome of the reload", || {
        let said = rig.balancer.stderr()[before..].to_owned();
        said.lines().find(|line| line.contains("reload")).map(str::to_owned)
    })
}

fn config(listener: &str, nodes: &[Node; 2]) -> String {
    let [a, b] = nodes.each_ref().map(Node::address);
    format!(
        "listeners: {{ db: {{ bind: \"127.0.0.1:0\", protocol: tcp, {listener} }} }}\n\
         backends:\n  a: {{ servers: [{{ url: \"tcp://{a}\" }}] }}\n  b: {{ servers: [{{ url: \"tcp://{b}\" }}] }}\n"
    )
}

site_cases! { on;
    fn a_listener_leads_elsewhere_without_a_restart(driver) {
        let nodes = [Node::start(), Node::start()];
        let rig = Rig::with(driver, &config("backend: a", &nodes));
        let (mut client, mut at_node) = rig.pair(&nodes[0]);
        let said = reload(&rig, &config("backend: b", &nodes));
        assert!(said.contains("listener `db` changed"), "{said}");
        let (_second, _at_second) = rig.pair(&nodes[1]);
        // The open one is where it was.
        client.write_all(b"still here").unwrap();
        assert_eq!(read_exactly(&mut at_node, 10), b"still here");
        // By names from now on; what asks for none has the default.
        let said = reload(&rig, &config("backend: a, tls_routes: [{ name: x.test, backend: b }]", &nodes));
        assert!(said.contains("listener `db` changed"), "{said}");
        drop(rig.pair(&nodes[0]));
    }

    fn a_backend_that_goes_lets_its_connections_end(driver) {
        let nodes = [Node::start(), Node::start()];
        let rig = Rig::with(driver, &config("backend: a", &nodes));
        let (mut client, mut at_node) = rig.pair(&nodes[0]);
        let only_b = format!(
            "listeners: {{ db: {{ bind: \"127.0.0.1:0\", protocol: tcp, backend: b }} }}\n\
             backends: {{ b: {{ servers: [{{ url: \"tcp://{}\" }}] }} }}\n",
            nodes[1].address()
        );
        let said = reload(&rig, &only_b);
        assert!(said.contains("backend `a` is gone"), "{said}");
        drop(rig.pair(&nodes[1]));
        at_node.write_all(b"still here").unwrap();
        assert_eq!(read_exactly(&mut client, 10), b"still here");
    }

    fn a_new_address_needs_a_restart_and_changes_nothing(driver) {
        let nodes = [Node::start(), Node::start()];
        let rig = Rig::with(driver, &config("backend: a", &nodes));
        let said = reload(&rig, &config("backend: b, max_connections: 7", &nodes));
        assert!(said.contains("needs a restart"), "{said}");
        drop(rig.pair(&nodes[0]));
    }
}
