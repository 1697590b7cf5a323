//! Nodes whose command is a shell with the server as its child: the server ends where the shell is told to.

use crate::fleet::serving;
use crate::harness::balancer::Driver;
use crate::harness::site::site_cases;
use crate::rig::{Rig, on, wait_for};

/// The shell has something to do after its server, and so does not become it.
fn config(driver: Driver) -> String {
    format!(
        "{}{}\nroutes: [{{ path: /*, backend: node }}]\nbackends:\n  node:\n    process:\n      command: [\"/bin/sh\", \"-c\", \
         \"'{}' demo-node --name in-a-shell --port {{port}}; true\"]\n    scale: {{ min: 1, max: 4 }}\n",
        crate::harness::stage::common(driver),
        crate::harness::stage::LISTENER,
        env!("CARGO_BIN_EXE_plimsoll"),
    )
}

/// The servers that listen on the ports of these nodes, by their process ids; no shell is among them.
fn servers(nodes: &[String]) -> Vec<u32> {
    let ports: Vec<_> = nodes.iter().filter_map(|node| node.rsplit(':').next()).collect();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    let is_server = |number: &u32| {
        let line = std::fs::read_to_string(format!("/proc/{number}/cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split('\0').collect();
        words.get(1) == Some(&"demo-node") && words.get(5).is_some_and(|port| ports.contains(port))
    };
    numbers.filter(is_server).collect()
}

site_cases! { on;
    fn the_server_of_a_shell_ends_when_the_fleet_shrinks_and_with_the_balancer(driver) {
        let rig = Rig::with(&config(driver));
        rig.order("POST", "/api/v1/backends/node/scale", r#"{"replicas":2}"#);
        wait_for("two nodes", || (serving(&rig).len() == 2).then_some(()));
        let nodes = serving(&rig);
        assert_eq!(servers(&nodes).len(), 2);
        rig.order("POST", "/api/v1/backends/node/scale", r#"{"replicas":1}"#);
        wait_for("one server to end", || (servers(&nodes).len() == 1).then_some(()));
        assert_eq!(rig.get("/").status(), 200);
        rig.balancer.signal("TERM");
        wait_for("the other to end", || servers(&nodes).is_empty().then_some(()));
    }
}
