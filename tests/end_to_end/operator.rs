//! An operator at work on a real balancer with a real fleet, by the commands and by the admin API.

use crate::commands::plimsoll;
use crate::fleet::{config, serving};
use crate::harness::site::site_cases;
use crate::rig::{Rig, on, wait_for};
use crate::traffic::{Traffic, assert_all_ok};

/// Runs a command against this balancer; its exit code and what it complained of.
#[track_caller]
fn command(rig: &Rig, words: &[&str]) -> (Option<i32>, String) {
    let admin = rig.balancer.admin.unwrap().to_string();
    let ended = plimsoll(&[words, &["--admin", &admin]].concat());
    (ended.code, ended.stderr)
}

#[track_caller]
fn done(rig: &Rig, words: &[&str]) {
    let (code, stderr) = command(rig, words);
    assert_eq!(code, Some(0), "{words:?}: {stderr}");
}

fn state(rig: &Rig, id: &str) -> String {
    let nodes = rig.json("/api/v1/nodes");
    let found = nodes.as_array().unwrap().iter().find(|node| node["id"] == id);
    found.map_or_else(String::new, |node| node["state"].as_str().unwrap().to_owned())
}

#[track_caller]
fn wait_for_serving(rig: &Rig, count: usize) -> Vec<String> {
    wait_for("so many that serve", || Some(serving(rig)).filter(|nodes| nodes.len() == count))
}

site_cases! { on;
    fn nodes_are_drained_and_made_ready_by_command_and_by_call(driver) {
        let rig = Rig::with(&config(driver, 2, "one"));
        let nodes = wait_for_serving(&rig, 2);
        let traffic = Traffic::start(rig.balancer.address(), 4);
        traffic.wait_for_more(100);
        done(&rig, &["nodes"]);
        let path = format!("/api/v1/nodes/{}", nodes[0].replace('/', "%2F").replace(':', "%3A"));
        let by_command: [&dyn Fn(); 2] =
            [&|| done(&rig, &["drain", &nodes[0]]), &|| done(&rig, &["drain", &nodes[0], "--undo"])];
        let by_call: [&dyn Fn(); 2] = [
            &|| drop(rig.order("PATCH", &path, "{\"state\":\"drain\"}")),
            &|| drop(rig.order("PATCH", &path, "{\"state\":\"ready\"}")),
        ];
        for [drain, ready] in [by_command, by_call] {
            drain();
            assert_eq!(state(&rig, &nodes[0]), "draining");
            wait_for("nothing in flight there", || {
                let all = rig.json("/api/v1/nodes");
                let node = all.as_array().unwrap().iter().find(|node| node["id"] == *nodes[0]).cloned();
                (node.unwrap()["in_flight"] == 0).then_some(())
            });
            traffic.wait_for_more(100);
            ready();
            assert_eq!(state(&rig, &nodes[0]), "serving");
            traffic.wait_for_more(100);
        }
        assert_all_ok(&traffic.stop());
    }
    fn a_fleet_is_scaled_by_command_and_by_call(driver) {
        let rig = Rig::with(&config(driver, 1, "one"));
        wait_for_serving(&rig, 1);
        let traffic = Traffic::start(rig.balancer.address(), 2);
        done(&rig, &["scale", "node", "3"]);
        wait_for_serving(&rig, 3);
        let (code, stderr) = command(&rig, &["scale", "node", "9"]);
        assert_eq!(code, Some(1));
        assert!(stderr.contains("`max` (4)"), "{stderr}");
        rig.order("POST", "/api/v1/backends/node/nodes", "{}");
        let nodes = wait_for_serving(&rig, 4);
        done(&rig, &["scale", "node", "2"]);
        wait_for_serving(&rig, 2);
        wait_for("the others to be gone", || (rig.json("/api/v1/nodes").as_array().unwrap().len() == 2).then_some(()));
        // Paused, it does not replace what is removed.
        done(&rig, &["scale", "node", "--pause"]);
        let first = serving(&rig)[0].clone();
        rig.order("DELETE", &format!("/api/v1/nodes/{}", first.replace('/', "%2F").replace(':', "%3A")), "{}");
        wait_for("it is gone", || (state(&rig, &first).is_empty()).then_some(()));
        assert_eq!(serving(&rig).len(), 1);
        done(&rig, &["scale", "node", "--resume"]);
        rig.order("POST", "/api/v1/backends/node/scale", "{\"replicas\":4}");
        let more = wait_for_serving(&rig, 4);
        assert!(more.iter().any(|node| !nodes.contains(node)));
        assert_all_ok(&traffic.stop());
    }
}
