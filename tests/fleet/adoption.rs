//! Whose containers they are: after a restart, beside another balancer, and when the configuration forgets them.

use crate::traffic::assert_all_ok;
use crate::yard::{Yard, config, containers, docker, is_skipped, name, wait_for};

#[test]
fn a_balancer_that_comes_back_finds_its_containers() {
    if is_skipped("a_balancer_that_comes_back_finds_its_containers") {
        return;
    }
    let mut yard = Yard::start("port: 8080", "min: 2, max: 4");
    yard.wait_for_serving(2);
    let before = yard.containers();
    let same = config(&yard.name, "port: 8080", "min: 2, max: 4");
    yard.restart(&same);
    yard.wait_for_serving(2);
    assert_eq!(yard.containers(), before, "nothing was started or stopped");
    assert_all_ok(&yard.traffic(2).stop());
    // Another specification meanwhile: they are found, serve, and are replaced.
    let other = config(&yard.name, "port: 8080, env: { A: b }", "min: 2, max: 4");
    yard.restart(&other);
    wait_for("two others", || {
        let now = yard.containers();
        (now.len() == 2 && now.iter().all(|id| !before.contains(id))).then_some(())
    });
    yard.wait_for_serving(2);
}

#[test]
fn containers_of_a_backend_that_is_gone_are_ended() {
    if is_skipped("containers_of_a_backend_that_is_gone_are_ended") {
        return;
    }
    let mut yard = Yard::start("port: 8080", "min: 2, max: 4");
    yard.wait_for_serving(2);
    // By a reload: they drain. What is left by an earlier life: it is found, and ended.
    let first = std::mem::replace(&mut yard.name, name());
    yard.reload(&config(&yard.name, "port: 8080", "min: 1, max: 4"));
    wait_for("the end of the first two", || containers(&first).is_empty().then_some(()));
    yard.wait_for_serving(1);
    let second = std::mem::replace(&mut yard.name, name());
    let third = config(&yard.name, "port: 8080", "min: 1, max: 4");
    yard.restart(&third);
    wait_for("the end of the second", || containers(&second).is_empty().then_some(()));
    yard.wait_for_serving(1);
    assert!(yard.events().contains("has no backend"), "{}", yard.events());
}

#[test]
fn a_copy_of_a_container_of_ours_is_neither_balanced_nor_ended() {
    if is_skipped("a_copy_of_a_container_of_ours_is_neither_balanced_nor_ended") {
        return;
    }
    let mut yard = Yard::start("port: 8080", "min: 1, max: 4");
    yard.wait_for_serving(1);
    let own = yard.containers().remove(0);
    // All labels are handed down to the image, and from there to what runs it.
    // Without a pause: a paused node is replaced, and the count below would be of another moment.
    let image = docker(&["commit", "--pause=false", &own]);
    let copy = docker(&["run", "--detach", &image]);
    yard.wait_for_words(&["is left out: its labels say that this balancer created it"]);
    assert_eq!(yard.serving().len(), 1, "{}", yard.events());
    // Ours ends with its backend, and the copy goes on.
    let first = std::mem::replace(&mut yard.name, name());
    let other = config(&yard.name, "port: 8080", "min: 1, max: 4");
    yard.restart(&other);
    wait_for("the end of ours", || (!containers(&first).contains(&own)).then_some(()));
    yard.wait_for_serving(1);
    let runs = docker(&["inspect", "--format", "{{.State.Running}}", &copy]);
    docker(&["rm", "--force", &copy]);
    docker(&["image", "rm", &image]);
    assert_eq!(runs, "true");
}

#[test]
fn two_balancers_on_one_engine_leave_each_other_alone() {
    if is_skipped("two_balancers_on_one_engine_leave_each_other_alone") {
        return;
    }
    let one = Yard::start("port: 8080", "min: 2, max: 4");
    // Even with a backend of the same name.
    let same = config(&one.name, "port: 8080", "min: 1, max: 4");
    let two = Yard::launch(one.name.clone(), &same, &crate::harness::balancer::Launch::default());
    one.wait_for_serving(2);
    two.wait_for_serving(1);
    one.wait_for_containers(3);
    let (of_one, of_two) = (one.serving(), two.serving());
    assert!(of_two.iter().all(|node| !of_one.contains(node)), "{of_one:?} {of_two:?}");
    one.scale(4);
    one.wait_for_serving(4);
    one.scale(2);
    one.wait_for_serving(2);
    one.wait_for_containers(3);
    assert_eq!(two.serving(), of_two);
    assert_all_ok(&two.traffic(2).stop());
    // One that is killed is replaced by its own balancer alone.
    let port = of_two[0].rsplit_once(':').unwrap().1;
    let victim = docker(&["ps", "--quiet", "--no-trunc", "--filter", &format!("publish={port}")]);
    docker(&["kill", &victim]);
    wait_for("another of the second", || {
        let now = two.serving();
        (now.len() == 1 && now != of_two).then_some(())
    });
    one.wait_for_containers(3);
    assert_eq!(one.serving().len(), 2);
}
