//! Servers by name: one that does not resolve is a node that is down, with its reason, and no failed start.

use crate::harness::origin::{Origin, answering, ok};
use crate::harness::site::site_cases;
use crate::harness::stage::{LISTENER, common};
use crate::rig::{Rig, on};

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
}
