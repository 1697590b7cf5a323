//! Images with a health check of their own (HEALTHCHECK).

use crate::traffic::assert_all_ok;
use crate::yard::{Yard, config, docker, is_skipped, name};

/// An image of the node with such a check, and without it again when this goes.
struct Checked(String);

impl Checked {
    fn new(check: &str) -> Self {
        let tag = format!("{}:checked", name());
        let made = docker(&["create", "plimsoll-node:test"]);
        let change = format!("HEALTHCHECK --interval=1s --timeout=1s --retries=2 CMD {check}");
        docker(&["commit", "--pause=false", "--change", &change, &made, &tag]);
        docker(&["rm", &made]);
        Self(tag)
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        docker(&["image", "rm", "--force", &self.0]);
    }
}

#[test]
fn a_roll_to_an_image_whose_check_fails_stops_and_the_good_ones_go_on() {
    if is_skipped("a_roll_to_an_image_whose_check_fails_stops_and_the_good_ones_go_on") {
        return;
    }
    let good = Checked::new("[\"/loadgen\", \"--version\"]");
    let bad = Checked::new("[\"/nothere\"]");
    let image = |image: &Checked| format!("image: \"{}\", pull: never, port: 8080", image.0);
    let yard = Yard::start(&image(&good), "min: 2, max: 4");
    yard.wait_for_serving(2);
    for container in yard.containers() {
        let health = docker(&["inspect", "--format", "{{.State.Health.Status}}", &container]);
        assert_eq!(health, "healthy", "it serves when its check has passed");
    }
    let before = yard.containers();
    let traffic = yard.traffic(4);
    yard.reload(&config(&yard.name, &image(&bad), "min: 2, max: 4"));
    yard.wait_for_words(&["its own health check fails (HEALTHCHECK)", "the roll has stopped"]);
    let now = yard.containers();
    assert!(before.iter().all(|id| now.contains(id)), "the good ones go on: {now:?}");
    assert_all_ok(&traffic.stop());
}

#[test]
fn nodes_whose_check_never_passes_do_not_pile_up() {
    if is_skipped("nodes_whose_check_never_passes_do_not_pile_up") {
        return;
    }
    let bad = Checked::new("[\"/nothere\"]");
    let yard = Yard::start(&format!("image: \"{}\", pull: never, port: 8080", bad.0), "min: 1, max: 2");
    yard.wait_for_words(&["starts in a row failed", "its own health check fails (HEALTHCHECK)"]);
    // One that goes may still be there beside those that come.
    let there = yard.containers().len();
    assert!(there <= 3, "{there} containers");
    assert!(yard.serving().is_empty());
}
