//! A node changed and questioned while it runs.

use crate::rig::{Node, drivers, field};

#[test]
fn the_behaviour_changes_at_run_time_for_all_threads() {
    for driver in drivers() {
        let node = Node::start(&[&driver[..], &["--threads", "2"]].concat());
        let mut clients = [(); 8].map(|()| node.connect());
        clients.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
        assert_eq!(node.post("/__node/behaviour?status=503&size=3").status, 200);
        for client in &mut clients {
            let response = client.get("/");
            assert_eq!((response.status, response.body.len()), (503, 3));
        }
        let put = "PUT /__node/behaviour HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\nheader=a:b&load";
        assert_eq!(node.connect().request(put).status, 400, "load needs a value: nothing is changed");
        assert_eq!(node.get("/").status, 503);
        let put = "PUT /__node/behaviour HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nheader=a:b";
        assert_eq!(node.connect().request(put).status, 200);
        let response = node.get("/");
        assert_eq!((response.status, field(&response.head, "a")), (200, Some("b")));
    }
}

#[test]
fn the_health_path_is_toggled_at_run_time() {
    let node = Node::start(&["--health-path", "/up", "--unhealthy"]);
    assert_eq!((node.get("/up").status, node.get("/").status), (503, 200));
    assert_eq!(node.post("/__node/health?up=1").status, 200);
    assert_eq!(node.get("/up").status, 200);
    assert_eq!(node.post("/__node/health?up=0").status, 200);
    assert_eq!(node.get("/up").status, 503);
    assert_eq!(node.post("/__node/health?up=perhaps").status, 400);
}

#[test]
fn a_node_becomes_ready_some_time_after_its_start() {
    let node = Node::start(&["--ready-delay", "400ms"]);
    assert_eq!(node.get("/healthz").status, 503);
    crate::rig::until("it is ready", || Some(()).filter(|()| node.get("/healthz").status == 200));
}

#[test]
fn the_report_counts_what_came_and_starts_afresh_when_told() {
    let node = Node::start(&[]);
    let mut client = node.connect();
    for target in ["/", "/?status=404", "/?status=404"] {
        client.get(target);
    }
    assert_eq!((node.saw("/statuses/200"), node.saw("/statuses/404")), (1, 2), "its own calls come later");
    assert_eq!(node.post("/__node/reset").status, 200);
    assert_eq!(node.saw("/connections/open"), 2);
    let report: serde_json::Value = serde_json::from_slice(&node.get("/__node/report").body).unwrap();
    assert_eq!(report["statuses"].get("404"), None);
    assert_eq!(report["node"], "n1");
}

#[test]
fn control_paths_explain_themselves_and_can_be_shut_off() {
    let node = Node::start(&[]);
    assert!(String::from_utf8_lossy(&node.get("/__node/").body).contains("lognormal"));
    assert_eq!((node.get("/__node/nothing").status, node.post("/__node/report").status), (404, 405));
    let node = Node::start(&["--no-control"]);
    assert_eq!(node.get("/__node/report").body.len(), 128);
}
