//! Containers that cannot be: the reason, the last lines and the cure are told, and it goes on by itself once it can.

use crate::yard::{Yard, config, is_skipped};

#[test]
fn a_container_that_ends_at_once_says_why_and_is_started_less_and_less_often() {
    if is_skipped("a_container_that_ends_at_once_says_why_and_is_started_less_and_less_often") {
        return;
    }
    let yard = Yard::start("command: [\"--status\", \"banana\"]", "min: 1, max: 4");
    yard.wait_for_words(&["exit code 2", "--status", "starts in a row failed"]);
    // None of them is left, and the pauses grow: not four a second.
    let started = yard.events().matches("exit code 2").count();
    assert!(started <= 6, "{started} starts:\n{}", yard.events());
    yard.reload(&config(&yard.name, "port: 8080", "min: 1, max: 4"));
    yard.wait_for_serving(1);
    yard.wait_for_containers(1);
}

#[test]
fn an_image_that_is_not_there_says_how_to_get_it() {
    if is_skipped("an_image_that_is_not_there_says_how_to_get_it") {
        return;
    }
    let yard = Yard::start("image: plimsoll-nowhere:1, pull: never, port: 80", "min: 1, max: 2");
    yard.wait_for_words(&["plimsoll-nowhere:1", "allow its pull"]);
    // From a registry that nobody runs.
    yard.reload(&config(&yard.name, "image: \"127.0.0.1:1/nothing:1\", port: 80", "min: 1, max: 2"));
    yard.wait_for_words(&["`127.0.0.1:1/nothing:1` cannot be pulled", "load it by hand"]);
    yard.reload(&config(&yard.name, "network: plimsoll-nowhere", "min: 1, max: 2"));
    yard.wait_for_words(&["plimsoll-nowhere not found", "create the network"]);
    yard.reload(&config(&yard.name, "port: 8080", "min: 1, max: 2"));
    yard.wait_for_serving(1);
    yard.wait_for_containers(1);
}

#[test]
fn a_container_is_reached_in_its_network_too() {
    if is_skipped("a_container_is_reached_in_its_network_too") {
        return;
    }
    let yard = Yard::start("reach: network", "min: 1, max: 2");
    let nodes = yard.wait_for_serving(1);
    assert!(nodes[0].ends_with(":8080") && !nodes[0].contains("127.0.0.1"), "{nodes:?}");
    yard.who();
}
