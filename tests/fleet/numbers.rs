//! How many containers there are: by the configuration, by order, by load.

use std::collections::HashSet;

use crate::traffic::assert_all_ok;
use crate::yard::{Yard, docker, is_skipped, plimsoll, wait_for};

#[test]
fn containers_start_serve_and_follow_orders() {
    if is_skipped("containers_start_serve_and_follow_orders") {
        return;
    }
    let yard = Yard::start("port: 8080", "min: 2, max: 4");
    yard.wait_for_serving(2);
    let answered: HashSet<_> = (0..8).map(|_| yard.who()).collect();
    assert_eq!(answered.len(), 2, "both serve");
    // What they carry says whose they are; they are reached by the loopback alone.
    for container in yard.containers() {
        let seen = docker(&["inspect", &container]);
        let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
        let labels = &seen[0]["Config"]["Labels"];
        assert_eq!(labels["plimsoll.managed"], "true");
        assert_eq!(labels["plimsoll.backend"], *yard.name);
        assert!(
            ["plimsoll.owner", "plimsoll.spec"].iter().all(|label| labels[label].is_string()),
            "{labels}"
        );
        assert_eq!(seen[0]["NetworkSettings"]["Ports"]["8080/tcp"][0]["HostIp"], "127.0.0.1");
    }
    let traffic = yard.traffic(4);
    yard.scale(4);
    yard.wait_for_serving(4);
    traffic.wait_for_more(200);
    let admin = yard.rig.balancer.admin.unwrap().to_string();
    plimsoll(&["scale", &yard.name, "2", "--admin", &admin]);
    yard.wait_for_serving(2);
    yard.wait_for_containers(2);
    traffic.wait_for_more(200);
    assert_all_ok(&traffic.stop());
    // One that somebody takes away by hand: its place is taken by another.
    let victim = yard.serving().remove(0);
    let path = format!("/api/v1/nodes/{}", victim.replace('/', "%2F"));
    let address = yard.rig.balancer.admin.unwrap();
    let request = format!(
        "DELETE {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
         Connection: close\r\n\r\n{{}}"
    );
    let answer = crate::harness::client::Client::connect(address, "").send(request).response_to("DELETE");
    assert!(answer.status() < 300, "{answer:?}");
    wait_for("another", || {
        let now = yard.serving();
        (now.len() == 2 && !now.contains(&victim)).then_some(())
    });
}

#[test]
fn load_starts_containers_and_its_end_stops_them() {
    if is_skipped("load_starts_containers_and_its_end_stops_them") {
        return;
    }
    let scale =
        "min: 1, max: 4, target: { in_flight: 4 }, up: { window: 2s }, down: { window: 3s, cooldown: 1s }";
    let yard = Yard::start("command: [\"--delay\", \"20ms\"]", scale);
    yard.wait_for_serving(1);
    let traffic = yard.traffic(12);
    wait_for("at least three", || (yard.serving().len() >= 3).then_some(()));
    traffic.wait_for_more(500);
    assert_all_ok(&traffic.stop());
    let little = yard.traffic(1);
    yard.wait_for_serving(1);
    yard.wait_for_containers(1);
    assert_all_ok(&little.stop());
    yard.wait_for_words(&["\"scale\""]);
}

#[test]
fn a_node_has_no_more_in_flight_than_it_may() {
    if is_skipped("a_node_has_no_more_in_flight_than_it_may") {
        return;
    }
    let yard = Yard::start("max_connections: 1", "min: 1, max: 1");
    yard.wait_for_serving(1);
    let mut slow = yard.rig.client();
    slow.send("GET /?delay=3s HTTP/1.1\r\nHost: {host}\r\n\r\n");
    // The next one waits until the place is free.
    wait_for("one that waits", || {
        let began = std::time::Instant::now();
        yard.who();
        (began.elapsed() > std::time::Duration::from_millis(500)).then_some(())
    });
    assert_eq!(slow.response().status(), 200);
    yard.who();
}

#[test]
fn a_container_is_busy_when_it_uses_what_it_may_and_not_what_the_machine_has() {
    if is_skipped("a_container_is_busy_when_it_uses_what_it_may_and_not_what_the_machine_has") {
        return;
    }
    // A tenth of a core is next to nothing of the machine's.
    let yard = Yard::start("cpus: 0.1", "min: 1, max: 2, target: { cpu: 60% }");
    yard.wait_for_serving(1);
    let traffic = yard.traffic(4);
    yard.wait_for_words(&["% of their cores, for 60 %: from 1 node to 2"]);
    yard.wait_for_serving(2);
    assert_all_ok(&traffic.stop());
}
