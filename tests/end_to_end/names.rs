//! Servers by name: one that does not resolve is a node that is down, with its reason, and no failed start.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::Command;

use crate::harness::balancer::{Balancer, Launch};
use crate::harness::origin::{Origin, answering, ok};
use crate::harness::site::site_cases;
use crate::harness::stage::{LISTENER, common};
use crate::rig::{Rig, on, wait_for};

site_cases! { on;
    fn a_name_that_does_not_resolve_is_a_node_that_is_down(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let servers = format!("[{{ url: \"http://nobody.invalid:80\" }}, {{ url: \"http://{}\" }}]", origin.address());
        let config = format!(
            "{}{LISTENER}routes: [{{ path: /half/*, backend: half }}, {{ path: /gone/*, backend: gone }}]\n\
             backends: {{ half: {{ servers: {servers} }}, gone: {{ servers: [{{ url: \"http://nobody.invalid:80\" }}] }} }}\n",
            common(driver)
        );
        let rig = Rig::with(&config);
        for _ in 0..10 {
            assert_eq!(rig.get("/half/x").text(), "hi", "the node that is there serves");
        }
        let answer = rig.get("/gone/x");
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (503, Some("no_healthy_node")));
        assert!(answer.field("retry-after").is_some(), "{answer:?}");
        let nodes = rig.json("/api/v1/nodes");
        let down: Vec<_> = nodes.as_array().unwrap().iter().filter(|n| n["state"] == "down").collect();
        assert_eq!(down.len(), 2, "{nodes}");
        assert!(down.iter().all(|n| n["reason"].as_str().unwrap().contains("does not resolve")), "{nodes}");
        assert_eq!(rig.metric("plimsoll_node_up", &["backend=\"gone\""]), 0.0);
        let ready = rig.admin("/readyz");
        assert_eq!(ready.status(), 503);
        assert!(ready.text().contains("backend gone has no serving node"), "{ready:?}");
        assert!(rig.balancer.stderr().contains("does not resolve"), "{}", rig.balancer.stderr());
    }
    fn a_name_that_resolves_is_served_at_its_address(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let port = origin.address().port();
        let config = format!(
            "{}{LISTENER}routes: [{{ path: /*, backend: named }}]\n\
             backends: {{ named: {{ servers: [{{ url: \"http://localhost:{port}\" }}] }} }}\n",
            common(driver)
        );
        let rig = Rig::with(&config);
        // localhost may be ::1 as well, where nobody listens: the request moves on.
        assert_eq!(rig.get("/").text(), "hi");
        let nodes = rig.json("/api/v1/nodes");
        assert!(nodes.as_array().unwrap().iter().any(|n| n["address"] == format!("127.0.0.1:{port}") && n["origin"] == "dns"), "{nodes}");
    }
    fn a_name_is_followed_and_its_last_addresses_stay_where_it_is_lost(driver) {
        let works = Command::new("unshare").args(["--mount", "true"]).status();
        if !works.is_ok_and(|status| status.success()) {
            let name = "a_name_is_followed_and_its_last_addresses_stay_where_it_is_lost";
            let _ = writeln!(std::io::stderr(), "skipped: test names::{name}: it takes a mount namespace, which root alone may make");
            return;
        }
        let (origin, name) = (Origin::start(answering(ok("hi"))), "moving.plimsoll.test");
        let hosts = std::env::temp_dir().join(format!("plimsoll-hosts-{}-{}", std::process::id(), driver.name()));
        let say = |addresses: &[&str]| {
            let lines: String = addresses.iter().map(|address| format!("{address} {name}\n")).collect();
            // In place: another file of the name would not be the one that is mounted.
            fs::write(&hosts, format!("127.0.0.1 localhost\n{lines}")).unwrap();
        };
        say(&["127.0.0.1"]);
        let port = origin.address().port();
        let config = format!(
            "{}{LISTENER}routes: [{{ path: /*, backend: named }}]\n\
             backends: {{ named: {{ servers: [{{ url: \"http://{name}:{port}\" }}] }} }}\n",
            common(driver)
        );
        let launch = Launch { hosts: Some(&hosts), ..Launch::default() };
        let rig = Rig { balancer: Balancer::launch(&config, &launch) };
        assert_eq!(rig.get("/").text(), "hi");
        let addresses = || {
            let nodes = rig.json("/api/v1/nodes");
            let address = |node: &serde_json::Value| node["address"].as_str().unwrap().to_owned();
            nodes.as_array().unwrap().iter().map(address).collect::<BTreeSet<_>>()
        };
        let expected = |all: &[&str]| all.iter().map(|address| format!("{address}:{port}")).collect::<BTreeSet<_>>();
        // One more, where nobody listens: requests move on to the one that is there.
        say(&["127.0.0.1", "127.0.0.2"]);
        wait_for("the second address", || (addresses() == expected(&["127.0.0.1", "127.0.0.2"])).then_some(()));
        (0..10).for_each(|_| assert_eq!(rig.get("/").text(), "hi"));
        // One fewer.
        say(&["127.0.0.1"]);
        wait_for("one again", || (addresses() == expected(&["127.0.0.1"])).then_some(()));
        // And none: what it was last is better than nothing.
        say(&[]);
        wait_for("the complaint", || rig.balancer.stderr().contains("until then its last addresses stay").then_some(()));
        assert_eq!(addresses(), expected(&["127.0.0.1"]));
        assert_eq!(rig.get("/").text(), "hi");
        let _ = fs::remove_file(hosts);
    }
}
