//! The clients on the command line, against the real binary.

use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::origin::{Origin, answering, ok};
use crate::rig::Rig;

fn plimsoll(admin: &str, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_plimsoll");
    Command::new(program).args(arguments).args(["--admin", admin]).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn rig() -> (Rig, Origin) {
    let origin = Origin::start(answering(ok("hello")));
    (Rig::start(&origin), origin)
}

#[test]
fn nodes_lists_them_for_people_and_for_programs() {
    let (rig, origin) = rig();
    assert_eq!(rig.get("/"), 200);
    let admin = rig.admin().to_string();
    let listed = plimsoll(&admin, &["nodes"]);
    let id = format!("node/{}", origin.address());
    assert!(listed.status.success() && text(&listed).contains(&id), "{}", text(&listed));
    let listed = plimsoll(&admin, &["nodes", "--json"]);
    let nodes: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!((&nodes[0]["id"], &nodes[0]["requests_total"]), (&id.into(), &1.into()));
}

#[test]
fn why_says_where_a_request_would_go() {
    let (rig, origin) = rig();
    let admin = rig.admin().to_string();
    let why = plimsoll(&admin, &["why", "GET", "http://example.com/x?y=1"]);
    assert!(why.status.success(), "{}", text(&why));
    assert!(text(&why).contains(&format!("> node/{}", origin.address())), "{}", text(&why));
    let refused = plimsoll(&admin, &["why", "CONNECT", "/"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
}

#[test]
fn top_prints_one_picture_where_there_is_no_terminal() {
    let (rig, origin) = rig();
    let admin = rig.admin().to_string();
    let top = plimsoll(&admin, &["top"]);
    assert!(top.status.success() && text(&top).contains("● serving"), "{}", text(&top));
    let top = plimsoll(&admin, &["top", "--json"]);
    let tick: Value = serde_json::from_slice(&top.stdout).unwrap();
    assert_eq!(tick["nodes"][0]["address"], origin.address().to_string());
}

#[test]
fn what_goes_wrong_has_its_exit_code_and_says_what_to_do() {
    let (rig, _origin) = rig();
    let admin = rig.admin().to_string();
    let unknown = plimsoll(&admin, &["drain", "nobody"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", text(&unknown));
    assert!(text(&unknown).contains("`plimsoll nodes` lists them"));
    assert_eq!(plimsoll(&admin, &["scale", "node"]).status.code(), Some(2));
    let refused = plimsoll(&admin, &["scale", "node", "3", "--json"]);
    let error: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(error["error"]["message"].is_string() && error["error"]["hint"].is_string(), "{error}");
    for arguments in [&["nodes"][..], &["top"], &["reload"], &["why", "GET", "/"]] {
        // Port 1 of loopback: nobody listens there.
        let nobody = plimsoll("127.0.0.1:1", arguments);
        assert_eq!(nobody.status.code(), Some(1), "{}", text(&nobody));
        assert!(text(&nobody).contains("nobody answers at 127.0.0.1:1"), "{}", text(&nobody));
    }
}
