//! Containers that others started: those that ask properly join, and are never stopped; the others are told why not.

use crate::traffic::assert_all_ok;
use crate::yard::{IMAGE, Yard, docker, is_skipped, wait_for};

/// Runs a container with these labels, and gives its id. It counts as one of the yard's, and goes with it.
fn run(yard: &Yard, labels: &[&str], more: &[&str]) -> String {
    let backend = format!("plimsoll.backend={}", yard.name);
    let mut arguments = vec!["run", "--detach", "--label", &backend, "--label", "plimsoll.enable=true"];
    labels.iter().for_each(|label| arguments.extend(["--label", label]));
    arguments.extend(more);
    arguments.push(IMAGE);
    docker(&arguments)
}

#[test]
fn a_container_of_somebody_else_joins_and_is_never_stopped() {
    if is_skipped("a_container_of_somebody_else_joins_and_is_never_stopped") {
        return;
    }
    let yard = Yard::start("port: 8080", "min: 1, max: 4");
    yard.wait_for_serving(1);
    let traffic = yard.traffic(4);
    let guest = run(&yard, &["plimsoll.port=8080", "plimsoll.weight=3"], &[]);
    yard.wait_for_serving(2);
    wait_for("an answer of the guest", || guest.starts_with(&yard.who()).then_some(()));
    let nodes = yard.rig.json("/api/v1/nodes");
    let joined =
        nodes.as_array().unwrap().iter().find(|node| node["origin"] == "label").expect("it is there");
    assert_eq!(joined["weight"], 3, "{joined}");
    // An order for more and fewer is no order for a guest.
    yard.scale(2);
    yard.wait_for_serving(3);
    yard.scale(1);
    yard.wait_for_serving(2);
    assert_eq!(docker(&["inspect", "--format", "{{.State.Running}}", &guest]), "true");
    // It leaves, and nobody notices.
    docker(&["stop", &guest]);
    yard.wait_for_serving(1);
    assert_all_ok(&traffic.stop());
}

#[test]
fn labels_that_ask_for_too_much_leave_their_container_out() {
    if is_skipped("labels_that_ask_for_too_much_leave_their_container_out") {
        return;
    }
    let yard = Yard::start("port: 8080", "min: 1, max: 4");
    yard.wait_for_serving(1);
    let admin = format!("plimsoll.port={}", yard.rig.balancer.admin.unwrap().port());
    // The balancer's own admin API, by the network of the host: it has no address of its own there.
    run(&yard, &[&admin], &["--network", "host"]);
    run(&yard, &["plimsoll.port=0"], &[]);
    run(&yard, &["plimsoll.port=99999"], &[]);
    run(&yard, &["plimsoll.weight=100000"], &[]);
    run(&yard, &["plimsoll.route.path=/*"], &[]);
    // Nobody becomes ours, and so is stopped, by a label.
    run(&yard, &["plimsoll.managed=true", "plimsoll.owner=somebody"], &[]);
    yard.wait_for_words(&[
        "it has no address of its own",
        "`plimsoll.port` is `0`",
        "`plimsoll.port` is `99999`",
        "`plimsoll.weight` is `100000`",
        "routes come from the configuration",
    ]);
    // The one that asks properly is heard all the same.
    run(&yard, &[], &[]);
    yard.wait_for_serving(2);
    assert_eq!(yard.containers().len(), 8, "all of them run on");
}
