//! Nodes as local processes: started, replaced when they die, replaced by another command, and ended with the balancer.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use serde_json::Value;

use crate::harness::balancer::Driver;
use crate::harness::site::site_cases;
use crate::mortal::MortalNode;
use crate::rig::{Rig, on, wait_for};
use crate::traffic::{Traffic, assert_all_ok};

/// Where a process that a balancer starts is told its port: this program again, with one test that serves in it.
const PORT: &str = "PLIMSOLL_TEST_NODE_PORT";
/// The mark of a version that does not work.
const SICK: &str = "sick";

/// Serves, where a balancer started it. In an ordinary run of the tests nobody told it a port, and it proves that a
/// program without one ends at once.
#[test]
fn the_node_itself() {
    let Ok(port) = std::env::var(PORT) else { return };
    let parent = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    parent.expect("it ends with the balancer");
    let address: SocketAddr = ([127, 0, 0, 1], port.parse().unwrap()).into();
    if std::env::var("MARK").as_deref() == Ok(SICK) {
        return fail_always(address);
    }
    let name = Box::leak(std::process::id().to_string().into_boxed_str());
    let _node = MortalNode::start_at(address, name);
    loop {
        std::thread::park();
    }
}

/// Listens, and has nothing but failures for anybody.
fn fail_always(address: SocketAddr) {
    for mut socket in TcpListener::bind(address).unwrap().incoming().flatten() {
        let _ = socket.read(&mut [0; 4096]);
        let _ = socket.write_all(b"HTTP/1.1 500 Sick\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
}

/// Up to four such nodes.
pub(crate) fn config(driver: Driver, min: u32, mark: &str) -> String {
    let exe = std::env::current_exe().unwrap();
    format!(
        "{}{}\nroutes: [{{ path: /*, backend: node }}]\nbackends:\n  node:\n    process:\n      command: [\"{}\", \"--exact\", \
         \"fleet::the_node_itself\", \"--nocapture\"]\n      env: {{ {PORT}: \"{{port}}\", MARK: \"{mark}\" }}\n    \
         scale: {{ min: {min}, max: 4 }}\n",
        crate::harness::stage::common(driver),
        crate::harness::stage::LISTENER,
        exe.display(),
    )
}

/// The nodes that take requests.
pub(crate) fn serving(rig: &Rig) -> Vec<String> {
    let nodes: Value = serde_json::from_slice(&rig.admin("/api/v1/nodes").body).unwrap();
    let list = nodes.as_array().cloned().or_else(|| nodes["nodes"].as_array().cloned()).unwrap_or_default();
    let serve = list.iter().filter(|node| node["state"] == "serving");
    serve.map(|node| node["id"].as_str().unwrap().to_owned()).collect()
}

fn runs(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

site_cases! { on;
    fn processes_are_started_replaced_and_ended(driver) {
        let rig = Rig::with(&config(driver, 2, "one"));
        wait_for("two nodes", || (serving(&rig).len() == 2).then_some(()));
        let traffic = Traffic::start(rig.balancer.address(), 4);
        traffic.wait_for_more(200);
        // Another environment is another spec: new nodes serve before the old ones go, and nobody notices.
        let before: HashSet<String> = serving(&rig).into_iter().collect();
        std::fs::write(&rig.balancer.file, config(driver, 2, "two")).unwrap();
        rig.balancer.signal("HUP");
        wait_for("two others", || {
            let now = serving(&rig);
            (now.len() == 2 && now.iter().all(|node| !before.contains(node))).then_some(())
        });
        traffic.wait_for_more(200);
        let outcomes = traffic.stop();
        assert_all_ok(&outcomes);
        let pids: HashSet<String> = outcomes.iter().map(|outcome| outcome.body.clone()).collect();
        assert!(pids.len() >= 3, "{pids:?}");
        // One that dies is replaced.
        let victim = rig.get("/").text();
        let before = serving(&rig);
        let pid = rustix::process::Pid::from_raw(victim.parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        wait_for("a replacement", || {
            let now = serving(&rig);
            (now.len() == 2 && now != before).then_some(())
        });
        let now: HashSet<String> = (0..8).map(|_| rig.get("/").text()).collect();
        assert!(!now.contains(&victim));
        rig.balancer.signal("TERM");
        wait_for("all processes to end", || now.iter().all(|pid| !runs(pid)).then_some(()));
    }
    fn a_version_that_fails_its_probes_gets_no_request(driver) {
        let probed = |mark| {
            config(driver, 2, mark).replace("    scale:", "    health: { path: /, interval: 100ms }\n    scale:")
        };
        let rig = Rig::with(&probed("one"));
        wait_for("two nodes", || (serving(&rig).len() == 2).then_some(()));
        let before = serving(&rig);
        let traffic = Traffic::start(rig.balancer.address(), 4);
        std::fs::write(&rig.balancer.file, probed(SICK)).unwrap();
        rig.order("POST", "/api/v1/reload", "{}");
        let warming = || {
            let nodes = rig.json("/api/v1/nodes");
            nodes.as_array().unwrap().iter().find(|node| node["state"] == "warming").cloned()
        };
        wait_for("a probe that fails", || {
            warming().filter(|node| node["reason"].as_str().unwrap().contains("answers 500"))
        });
        traffic.wait_for_more(200);
        assert_eq!(serving(&rig), before);
        // What goes back to what worked is another roll.
        std::fs::write(&rig.balancer.file, probed("three")).unwrap();
        rig.order("POST", "/api/v1/reload", "{}");
        wait_for("two others", || {
            let now = serving(&rig);
            (now.len() == 2 && now.iter().all(|node| !before.contains(node)) && warming().is_none()).then_some(())
        });
        assert_all_ok(&traffic.stop());
    }
}
